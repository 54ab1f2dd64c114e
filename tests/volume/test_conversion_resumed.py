"""Copies that are stopped, and go on where they were."""

import dataclasses
import itertools
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import conversion, place, pyramid, staging

DOMAIN = volume.Box.from_size((8, -16, 24), (21, 34, 42))
LABELS = (np.arange(DOMAIN.num_voxels) // 5 % 911).astype(np.uint64)
LABELS = LABELS.reshape(DOMAIN.size)
EM = (LABELS * 7 % 251).astype(np.uint8)
MADE_BY = {"program": "test", "code": "1", "options": {"a": 1, "b": (2, 3)}}
FORMATS = [
    "precomputed://{}/em",
    "{}/em.zarr",
    "zarr3://{}/em",
    "{}/em.n5",
    "{}/em.h5:volumes/raw",
    "{}/em.npy",
]
every_format = pytest.mark.parametrize("output", FORMATS)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(conversion, "_BLOCK_BYTES", 2**11)


def source_of(voxels):
    return volume.from_array(
        voxels, voxel_size_nm=(16, 8, 8), start=DOMAIN.start
    )


def copy(source, output, function=None, progress=None):
    info = dataclasses.replace(source.info, chunk_zyx=(4, 8, 8))
    plan = conversion.planned(source, output, info, made_by=MADE_BY)
    conversion.execute(plan, source, function, progress)


def check(output, expected):
    """Two volumes have the same scales, voxel by voxel."""
    with volume.open(expected) as wanted:
        count = len(wanted.scales_nm)
    parts = [f"mip={mip}" for mip in range(count)] if count > 1 else [""]
    for part in parts:
        joint = ("&" if "?" in output else "?") if part else ""
        with (
            volume.open(f"{output}{joint}{part}") as found,
            volume.open(f"{expected}{part and '?'}{part}") as wanted,
        ):
            assert found.scales_nm == wanted.scales_nm
            assert (found.domain, found.dtype) == (wanted.domain, wanted.dtype)
            np.testing.assert_array_equal(found.read(), wanted.read(), part)


@pytest.fixture
def whole(tmp_path_factory):
    """whole(voxels): a copy that nobody stopped."""

    def make(voxels, output="precomputed://{}/em"):
        output = output.format(tmp_path_factory.mktemp("whole"))
        copy(source_of(voxels), output)
        return output

    return make


class Stop(OSError):
    """What a test raises where it stops a job."""


class Stopping:
    """A function that fails when some blocks have been written."""

    def __init__(self, output, after):
        self.output = output
        self.after = after

    def function(self, box, voxels):
        if conversion.num_done(self.output) >= self.after:
            raise Stop("stopped here")
        return box, voxels


def stopped(source, output, after):
    stop = Stopping(output, after)
    with pytest.raises(OSError, match="stopped here"):
        copy(source, output, stop.function)


@pytest.mark.parametrize("name", ["em.h5:raw", "em.npy"])
def test_a_file_has_one_writer(tmp_path, name):
    output = f"{tmp_path}/{name}"
    refused = []

    def meanwhile(state):
        with pytest.raises(BlockingIOError, match="making the same file"):
            copy(source_of(EM), output)
        refused.append(state)

    copy(source_of(EM), output, progress=meanwhile)
    assert len(refused) > 1
    with volume.open(output) as found:
        np.testing.assert_array_equal(found.read(), EM)
    copy(source_of(EM), output)  # It is there.


@every_format
def test_goes_on_with_what_is_missing(output, counted, tmp_path, whole):
    expected, output = whole(EM, output), output.format(tmp_path)
    source, below = counted(EM, DOMAIN.start, voxel_size_nm=(16, 8, 8))
    stopped(source, output, after=7)
    done = conversion.num_done(output)
    assert done >= 7
    with pytest.raises(FileNotFoundError):
        volume.open(output)
    read = below.num_voxels
    states = []
    copy(source, output, progress=states.append)
    first, last = states[0], states[-1]
    total = first.total
    assert first == conversion.Progress(first.before, first.before, total)
    assert last == conversion.Progress(total, first.before, total)
    assert EM.size <= total < 2 * EM.size
    assert first.before >= done * 4**3
    assert below.num_voxels - read == EM.size - first.before
    check(output, expected)
    assert not list(tmp_path.rglob("*partial*"))
    assert not list(tmp_path.rglob("*lock"))


@every_format
def test_complete_it_is_left_alone(output, counted, tree, tmp_path):
    output = output.format(tmp_path)
    copy(source_of(EM), output)
    before = tree(tmp_path)
    source, below = counted(EM, DOMAIN.start)
    copy(source, output)
    assert not below.requests
    assert tree(tmp_path) == before


@every_format
def test_a_failure_before_the_first_block_leaves_nothing(output, tmp_path):
    stopped(source_of(EM), output.format(tmp_path), after=0)
    assert os.listdir(tmp_path) == []


def test_a_failure_within_the_first_block_leaves_nothing(tmp_path, monkeypatch):
    write = pyramid.Pyramid.write

    def failing(self, box, voxels, progress):
        write(self, box, voxels, progress)
        raise Stop("stopped here")

    monkeypatch.setattr(pyramid.Pyramid, "write", failing)
    with pytest.raises(OSError, match="stopped here"):
        copy(source_of(EM), f"{tmp_path}/em.zarr")
    assert os.listdir(tmp_path) == []


@every_format
def test_stopped_before_any_small_file_rename_or_removal(
    output, tree, tmp_path, monkeypatch
):
    """As if killed there: nothing is tidied up."""
    monkeypatch.setattr(conversion, "_BLOCK_BYTES", 2**14)
    monkeypatch.setattr(staging.Unfinished, "discard", lambda self: None)
    write, remove = place.Place.write, staging._remove_all
    rename = staging._rename
    countdown = itertools.repeat(1)

    def tick():
        if next(countdown) == 0:
            raise Stop("stopped here")

    def counted_write(self, name, data):
        tick()
        write(self, name, data)

    def counted_remove(where):
        tick()
        remove(where)

    def counted_rename(temporary, final):
        tick()
        rename(temporary, final)

    monkeypatch.setattr(staging, "_rename", counted_rename)
    monkeypatch.setattr(place.Place, "write", counted_write)
    monkeypatch.setattr(staging, "_remove_all", counted_remove)
    source, stops = source_of(EM), 0
    copy(source, output.format(tmp_path / "expected"))
    for moment in itertools.count():
        folder = tmp_path / str(moment)
        folder.mkdir()
        countdown = itertools.chain(range(moment, -1, -1), itertools.repeat(1))
        try:
            copy(source, output.format(folder))
        except OSError as error:
            assert "stopped here" in str(error), error
            stops += 1
        else:
            break
        copy(source, output.format(folder))
        if ".h5" not in output:
            assert tree(folder) == tree(tmp_path / "expected")
        with volume.open(output.format(folder)) as found:
            np.testing.assert_array_equal(found.read(), EM)
        assert not list(folder.rglob("*partial*"))
    # job.json, 4 blocks at least, and the two removals.
    assert stops >= 7


def test_a_block_that_is_not_stored_has_no_note(tmp_path, monkeypatch, whole):
    output, expected = f"{tmp_path}/em.zarr", whole(EM, "{}/em.zarr")
    write, stored = pyramid.Pyramid.write, []

    def failing(self, box, voxels, progress):
        if len(stored) == 3:
            raise Stop("stopped here")
        stored.append(box)
        write(self, box, voxels, progress)

    with monkeypatch.context() as patch:
        patch.setattr(pyramid.Pyramid, "write", failing)
        with pytest.raises(OSError, match="stopped here"):
            copy(source_of(EM), output)
    assert conversion.num_done(output) == 3
    copy(source_of(EM), output)
    check(output, expected)


def test_an_input_that_has_changed(tmp_path, whole):
    output = f"{tmp_path}/em.zarr"
    stopped(source_of(EM), output, after=3)
    other = source_of(EM.astype(np.uint16))
    with pytest.raises(ValueError, match=r"has changed.*dtype: uint8, now ui"):
        copy(other, output)
    copy(source_of(EM), output)
    check(output, whole(EM, "{}/em.zarr"))


_COPIER = """
import dataclasses, sys, time
from ffn_tf import volume
from ffn_tf.volume import conversion

conversion._BLOCK_BYTES = 2**9

def slow(box, voxels):
    time.sleep(0.02)
    return box, voxels

with volume.open(sys.argv[1]) as source:
    info = dataclasses.replace(source.info, chunk_zyx=(8, 8, 8))
    plan = conversion.planned(
        source, sys.argv[2], info, made_by={"program": "test", "options": {}}
    )
    print("begins", flush=True)
    conversion.execute(plan, source, slow)
"""


def killed_and_resumed(source, output, seed, kills):
    """Copies in processes, killed a little after they begin; the kills."""
    draw = random.Random(seed)
    for attempt in range(kills + 1):
        running = subprocess.Popen(
            [sys.executable, "-c", _COPIER, source, output],
            stdout=subprocess.PIPE,
        )
        with running:
            assert running.stdout.readline() == b"begins\n"
            if attempt == kills:
                assert running.wait(200) == 0
                return kills
            time.sleep(draw.uniform(0, 0.5))
            running.send_signal(signal.SIGKILL)
        if running.returncode == 0:  # It was faster.
            return attempt
    raise AssertionError("not reached")


@pytest.mark.parametrize(
    "output", ["precomputed://{}/em", "{}/em.zarr", "{}/em.h5:raw"]
)
def test_killed_at_random_moments(output, tree, tmp_path):
    voxels = (np.arange(24 * 40 * 48) // 3).astype(np.uint32)
    np.save(tmp_path / "in.npy", voxels.reshape(24, 40, 48))
    outputs = [output.format(tmp_path / name) for name in ("a", "b")]
    source = f"{tmp_path}/in.npy"
    assert killed_and_resumed(source, outputs[0], 0, kills=0) == 0
    kills = killed_and_resumed(source, outputs[1], output, kills=3)
    assert kills > 0
    with volume.open(outputs[1]) as found:
        np.testing.assert_array_equal(found.read(), np.load(source))
    if ".h5" not in output:
        assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert os.listdir(tmp_path / "a") == os.listdir(tmp_path / "b")


# -----------------------------------------------------------------------------
# Buckets
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["precomputed", "zarr", "zarr3", "n5"])
def test_gs(name, gcs_server, gcs_bucket, whole):
    output = f"{name}://gs://{gcs_bucket}/volumes/em"
    stopped(source_of(LABELS), output, after=5)
    assert conversion.num_done(output) > 0
    with pytest.raises(FileNotFoundError):
        volume.open(output)
    names = gcs_server.names(gcs_bucket)
    finals = {f"volumes/em/{file}" for file in place.METADATA_FILES}
    assert not finals & set(names)
    copy(source_of(LABELS), output)
    check(output, whole(LABELS, f"{name}://{{}}/em"))
    names = gcs_server.names(gcs_bucket)
    assert not [name for name in names if "partial" in name]
    before = gcs_server.state().bytes_received
    copy(source_of(LABELS), output)
    assert gcs_server.state().bytes_received == before


def test_s3(s3_server, s3_bucket, whole):
    output = f"precomputed://s3://{s3_bucket}/em?endpoint={s3_server.url}"
    stopped(source_of(LABELS), output, after=5)
    assert conversion.num_done(output) > 0
    with pytest.raises(FileNotFoundError):
        volume.open(output)
    copy(source_of(LABELS), output)
    check(output, whole(LABELS))
    assert conversion.num_done(output) == 0


def test_a_failure_in_a_bucket_deletes_no_neighbours(gcs_server, gcs_bucket):
    gcs_server.put(gcs_bucket, "em/notes.txt", b"of somebody else")
    output = f"zarr://gs://{gcs_bucket}/em"
    stopped(source_of(EM), output, after=0)
    assert "em/notes.txt" in gcs_server.names(gcs_bucket)
    assert not [n for n in gcs_server.names(gcs_bucket) if "partial" in n]
