"""Files of a folder, and none from elsewhere."""

from __future__ import annotations

import pytest

from ffn_tf.viewer.folder import Folder


@pytest.fixture
def named(tmp_path):
    """A folder, with files beside it, above it, and linked from it."""
    folder = tmp_path / "data" / "mesh"
    (folder / "deeper").mkdir(parents=True)
    (folder / "7:0").write_bytes(b"seven")
    (folder / "deeper" / "8").write_bytes(b"eight")
    (folder / "9.gz").write_bytes(b"nine")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "data" / "mesh-too").mkdir()
    (tmp_path / "data" / "mesh-too" / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "10.gz").symlink_to(tmp_path / "secret")
    (folder / "out").symlink_to(tmp_path)
    return folder


@pytest.mark.parametrize("path", ["7:0", "deeper/8", "deeper/../7:0", "9.gz"])
def test_a_file(path, named):
    assert Folder(named).get(path) == (named / path).resolve()


def test_a_compressed_file(named):
    assert Folder(named).get("9") == (named / "9.gz").resolve()


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "missing",
        "deeper",
        "../../secret",
        "../mesh-too/secret",
        "deeper/../../../secret",
        "link",
        "10",
        "out/secret",
        "/etc/passwd",
        "//etc/passwd",
        "nul\0l",
        "x" * 5000,
    ],
)
def test_nothing_else(path, named):
    assert Folder(named).get(path) is None


def test_absolute_paths_of_files_outside(named, tmp_path):
    assert Folder(named).get(f"{tmp_path}/secret") is None


def test_a_folder_that_is_a_link(named, tmp_path):
    (tmp_path / "short").symlink_to(named)
    assert Folder(tmp_path / "short").get("7:0") == named / "7:0"


def test_ids(named):
    (named / "info").touch()
    assert Folder(named).ids() == [9, 10]
