"""Files that appear whole or not at all."""

import os
import stat

import pytest

from ffn_tf import volume


def test_appears_with_its_folder_and_ordinary_rights(tmp_path):
    path = tmp_path / "new" / "report.tar.gz"
    with volume.files.atomic_path(path) as temporary:
        assert temporary.name.endswith(".tar.gz")
        assert temporary.parent == path.parent
        temporary.write_bytes(b"abc")
        assert not path.exists()
    assert path.read_bytes() == b"abc"
    assert os.listdir(path.parent) == ["report.tar.gz"]
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(
        plain.stat().st_mode
    )


def test_an_exception_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    volume.files.write_text(path, "old")
    with pytest.raises(KeyError):
        with volume.files.atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyError("stop")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_names_the_file(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(OSError, match=r"a\.txt"):
        with volume.files.atomic_path(path):
            raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_is_removed(tmp_path):
    path = tmp_path / "a.npz"
    context = volume.files.atomic_path(path)
    context.__enter__().write_bytes(b"half")  # Killed here.
    other = volume.files.atomic_path(tmp_path / "b.npz")
    other.__enter__()
    assert len(os.listdir(tmp_path)) == 2
    volume.files.remove_leftovers(path)
    (left,) = os.listdir(tmp_path)
    assert "b.npz" in left
    del context, other


def test_a_mark_is_there_meanwhile(tmp_path):
    path = tmp_path / "shard.lock"
    path.touch()  # Of a killed process.
    with volume.files.marked(path, "working"):
        assert path.exists()
        with pytest.raises(BlockingIOError, match="another process is working"):
            with volume.files.marked(path, "working"):
                pass
        assert path.exists()
    assert not path.exists()
    with pytest.raises(KeyError):
        with volume.files.marked(path, "working"):
            raise KeyError
    assert not path.exists()


def test_a_mark_that_is_removed_while_it_is_opened(tmp_path, monkeypatch):
    """By who held it: what is locked then is no file of anybody."""
    path = tmp_path / "shard.lock"
    lock, times = volume.files._lock, []

    def removed_before(handle, *rest, **more):
        lock(handle, *rest, **more)
        times.append(handle)
        if len(times) == 1:
            path.unlink()

    monkeypatch.setattr(volume.files, "_lock", removed_before)
    with volume.files.marked(path, "working"):
        assert path.exists() and len(times) == 2
