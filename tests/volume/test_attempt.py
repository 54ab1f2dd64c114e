"""What an earlier attempt has left: go on, be content, or refuse."""

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import attempt, staging

MADE_BY = {"program": "p", "code": "1", "options": {"a": 1, "b": (2, 3)}}
OTHER = MADE_BY | {"options": {"a": 1, "b": (2, 4)}}
INFO = volume.VolumeInfo(volume.Box.from_shape((2, 3, 4)), np.uint8)
OUTPUTS = [
    "{}/em.h5:raw",
    "{}/em.npy",
    "precomputed://{}/em",
    "{}/em.zarr",
    "zarr3://{}/em",
    "n5://{}/em",
]
every_output = pytest.mark.parametrize("output", OUTPUTS)


def begun(output, made_by=MADE_BY):
    unfinished = staging.Unfinished(output)
    unfinished.create(INFO, made_by)
    record = attempt.as_json(made_by)
    unfinished.notes.write("job.json", repr(record).replace("'", '"').encode())
    return unfinished


@every_output
def test_the_three_states(output, tmp_path):
    output = output.format(tmp_path)
    assert attempt.look(output, MADE_BY) == "new"
    unfinished = begun(output)
    assert attempt.look(output, MADE_BY) == "unfinished"
    # The code may become another one meanwhile.
    assert attempt.look(output, MADE_BY | {"code": "2"}) == "unfinished"
    for scale in unfinished.scales():
        scale.write(INFO.domain, np.ones(INFO.domain.size, np.uint8))
    unfinished.publish()
    assert attempt.look(output, MADE_BY) == "complete"


@every_output
def test_other_options(output, tmp_path):
    output = output.format(tmp_path)
    unfinished = begun(output)
    with pytest.raises(FileExistsError) as caught:
        attempt.look(output, OTHER)
    assert "unfinished copy with other options" in str(caught.value)
    assert "(b: [2, 3], now [2, 4])" in str(caught.value)
    assert f"delete {unfinished.where}" in str(caught.value)
    unfinished.scales()[0].write(INFO.domain, np.ones((2, 3, 4), np.uint8))
    unfinished.publish()
    with pytest.raises(FileExistsError, match=r"made with other options \(b: "):
        attempt.look(output, OTHER)
    with pytest.raises(
        FileExistsError, match=r"exists already.*program: p, now q"
    ):
        attempt.look(output, MADE_BY | {"program": "q"})


@every_output
def test_what_nobody_says_who_made(output, tmp_path):
    output = output.format(tmp_path)
    volume.create(output, INFO).close()
    with pytest.raises(FileExistsError, match="exists already, and nothing is"):
        attempt.look(output, MADE_BY)


def test_what_is_no_volume(tmp_path):
    (tmp_path / "em.zarr").write_bytes(b"a file")
    with pytest.raises(FileExistsError, match="exists already, and nothing is"):
        attempt.look(f"{tmp_path}/em.zarr", MADE_BY)
    (tmp_path / "folder").mkdir()
    assert attempt.look(f"n5://{tmp_path}/folder", MADE_BY) == "new"
    (tmp_path / "folder" / "notes.txt").write_bytes(b"of somebody")
    with pytest.raises(FileExistsError, match="exists already, and nothing is"):
        attempt.look(f"n5://{tmp_path}/folder", MADE_BY)


def test_killed_before_there_was_a_job(tmp_path):
    unfinished = staging.Unfinished(f"{tmp_path}/em.zarr")
    unfinished.create(INFO)
    assert attempt.look(f"{tmp_path}/em.zarr", MADE_BY) == "new"
    (tmp_path / "em.zarr" / "more").write_bytes(b"")
    with pytest.raises(FileExistsError):
        attempt.look(f"{tmp_path}/em.zarr", MADE_BY)


@pytest.mark.parametrize("output", OUTPUTS[2:])
def test_who_opens_an_unfinished_copy_is_told(output, tmp_path):
    output = output.format(tmp_path)
    begun(output)
    for address in (output, output.partition("://")[2] or output):
        with pytest.raises(FileNotFoundError, match="an unfinished copy: run"):
            volume.open(address)


def test_killed_when_it_was_complete(tmp_path):
    unfinished = begun(f"{tmp_path}/em.zarr")
    unfinished.scales()[0].write(INFO.domain, np.ones((2, 3, 4), np.uint8))
    unfinished._write_metadata()
    assert unfinished.notes.read("job.json")
    assert attempt.look(f"{tmp_path}/em.zarr", MADE_BY) == "complete"
    assert unfinished.notes.read("job.json") is None


@pytest.mark.parametrize(
    "output, message",
    [
        ("em.tif", "only read"),
        ("em.npz:a", "only read"),
        ("em.zarr?mip=1", "one scale"),
        ("em", "tells no format"),
        ("precomputed://http://127.0.0.1:9/em", "server"),
    ],
)
def test_where_nothing_can_be_written(output, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, OSError), match=message):
        attempt.look(output, MADE_BY)
