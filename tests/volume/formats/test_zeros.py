"""Chunks of zeros in shards of precomputed: stored, and missed."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from servers.faults import Fault
import tensorstore as ts

from ffn_tf import volume
from ffn_tf.volume import Box, address, failures, writing
from ffn_tf.volume.formats import codec, layout, zeros

pytest_plugins = ["servers.fixtures"]

DOMAIN = Box((7, 0, -3), (7 + 13, 22, 27))
CHUNK = (4, 6, 8)  # 4 * 4 * 4 chunks; the last ones of an axis are cut.
VALUES = 1 + np.arange(DOMAIN.num_voxels).reshape(DOMAIN.size) % 255
WAYS = {
    "labels": ("segmentation", np.uint64, "compressed_segmentation"),
    "gzip": ("image", np.uint8, "gzip"),
    "jpeg": ("image", np.uint8, "jpeg"),
}


@pytest.fixture(params=WAYS)
def made(request, tmp_path):
    """A volume in several shards, with a chunk of every size."""
    return make(f"precomputed://{tmp_path}/{request.param}", request.param)


def make(text, way="labels"):
    kind, dtype, encoding = WAYS[way]
    info = volume.VolumeInfo(
        DOMAIN, np.dtype(dtype), (33, 4, 4), CHUNK, kind=kind
    )
    wanted = codec.Codec(encoding=encoding, sharded="yes")
    where = address.parse(text, creating=True)
    layout.create_chunked(where, info, {}, wanted)
    return text


def values(dtype):
    """No zeros but in some chunks: a corner, the middle, the last one."""
    found = VALUES.astype(dtype)
    for at in ((0, 0, 0), (4, 12, 8), (12, 18, 24)):
        found[tuple(slice(s, s + n) for s, n in zip(at, CHUNK))] = 0
    return found


def write(text, box=DOMAIN, array=None):
    with volume.open(text, mode="r+") as target:
        if array is None:
            array = values(target.dtype)
        target.write(box, array[box.relative_to(DOMAIN.start).slices])


@pytest.mark.parametrize("method", ["tensorstore", "cloudvolume"])
def test_what_was_written_as_zeros_is_there(made, method):
    write(made)
    with volume.open(f"{made}?access={method}") as found:
        assert_written(found)


def assert_written(found):
    """To a grey level or 60: it is jpeg of few voxels."""
    voxels, expected = found.read(), values(found.dtype)
    difference = voxels.astype(int) - expected.astype(int)
    assert abs(difference).max() <= (60 if "jpeg" in found.address else 0)
    assert not voxels[expected == 0].any()


def test_what_was_not_written_is_missing(made):
    part = Box(DOMAIN.start, (7 + 12, 22, 27))
    write(made, part)
    with volume.open(made) as found:
        there = found.read(part)
        with pytest.raises(failures.MissingError) as caught:
            found.read(DOMAIN)
        assert "_0-6_19-20 in " in str(caught.value)
        assert ".shard is missing" in str(caught.value)
        assert "?missing=zero" in str(caught.value)
        # Of a batch, the others.
        last = Box((19, 21, 26), (20, 22, 27))
        with pytest.raises(failures.ReadsFailed) as failed:
            found.read_many([part, last])
        same, error = failed.value.outcomes
        np.testing.assert_array_equal(same, there)
        assert isinstance(error, failures.MissingError)
    with volume.open(f"{made}?missing=zero") as found:
        assert not found.read(last).any()


def test_a_part_of_a_chunk_that_is_zero(made):
    """Neither hides the rest of the chunk, nor makes it missing."""
    inside = Box.from_size((12, 7, 6), (2, 2, 2))
    write(made)
    with volume.open(made, mode="r+") as target:
        before = target.read()
        target.write(inside, np.zeros((2, 2, 2), target.dtype))
    with volume.open(made) as found:
        voxels = found.read()
    assert (voxels != 0).sum() > 0.9 * (before != 0).sum()
    before[inside.relative_to(DOMAIN.start).slices] = 0
    if "jpeg" not in made:
        np.testing.assert_array_equal(voxels, before)


def test_the_last_voxels_of_a_shard_become_zeros(tmp_path):
    text = make(f"precomputed://{tmp_path}/seg")
    write(text, array=np.zeros(DOMAIN.size, np.uint64))
    few = Box.from_size((12, 7, 6), (2, 2, 2))
    with volume.open(text, mode="r+") as target:
        for value in (5, 0):
            target.write(few, np.full(few.size, value, np.uint64))
    with volume.open(text) as found:
        assert not found.read().any()


def test_zeros_over_others_and_back(made):
    write(made)
    with volume.open(made, mode="r+") as target:
        target.write(DOMAIN, np.zeros(DOMAIN.size, target.dtype))
    with volume.open(made) as found:
        assert not found.read().any()
    write(made)
    with volume.open(made) as found:
        assert_written(found)


@pytest.mark.parametrize("kind", ["gcs", "s3"])
def test_buckets(kind, request):
    server = request.getfixturevalue(f"{kind}_server")
    bucket = request.getfixturevalue(f"{kind}_bucket")
    place, query = {
        "gcs": (f"gs://{bucket}/seg", ""),
        "s3": (f"s3://{bucket}/seg", f"?endpoint={server.url}"),
    }[kind]
    text = make(f"precomputed://{place}{query}")
    with volume.open(text) as found:
        with pytest.raises(failures.MissingError):
            found.read()
    write(text)
    with volume.open(text) as found:
        assert_written(found)


def test_a_strided_spec_is_opened(tmp_path):
    make(f"precomputed://{tmp_path}/seg")
    write(f"precomputed://{tmp_path}/seg")
    store = ts.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": f"file://{tmp_path}/seg/",
        }
    ).result()
    spec = store[::2, ..., 0].spec().to_json()
    with volume.open(json.dumps(spec)) as found:
        assert found.read().any()


def test_who_has_it_open_sees_what_is_written_later(tmp_path):
    text = make(f"precomputed://{tmp_path}/seg")
    with volume.open(text) as reader:
        with pytest.raises(failures.MissingError):
            reader.read()
        write(text, array=np.zeros(DOMAIN.size, np.uint64))
        assert not reader.read().any()


def test_what_another_process_writes_later_is_not_zeros(tmp_path):
    text = make(f"precomputed://{tmp_path}/seg")
    with volume.open(text) as reader:
        with pytest.raises(failures.MissingError):
            reader.read()
        code = (
            "import numpy as np\n"
            "from ffn_tf import volume\n"
            f"with volume.open({text!r}, mode='r+') as target:\n"
            "    nines = np.full(target.domain.size, 9, target.dtype)\n"
            "    target.write(target.domain, nines)\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        for _ in range(2):
            assert (reader.read() == 9).all()


def test_writes_together_keep_or_replace_what_was_there(tmp_path):
    text = make(f"precomputed://{tmp_path}/seg")
    fives = np.full(DOMAIN.size, 5, np.uint64)
    write(text, array=fives)
    with volume.open(text, mode="r+") as target:
        with pytest.raises(KeyError), writing.together(target) as inside:
            inside.write(DOMAIN, fives * 0)
            raise KeyError
        with volume.open(text) as found:
            np.testing.assert_array_equal(found.read(), fives)
        with writing.together(target) as inside:
            inside.write(DOMAIN, fives * 0)
            chunk = Box.from_size(DOMAIN.start, CHUNK)
            inside.write(chunk, np.full(CHUNK, 7, np.uint64))
    with volume.open(text) as found:
        voxels = found.read()
    inner = chunk.relative_to(DOMAIN.start).slices
    assert (voxels[inner] == 7).all()
    voxels[inner] = 0
    assert not voxels.any()


def test_what_someone_else_writes_meanwhile_is_kept(tmp_path, monkeypatch):
    """The one half of a chunk is zeros of ours, the other is theirs."""
    text = make(f"precomputed://{tmp_path}/seg")
    ours, theirs = (Box.from_size((z, 0, -3), (2, 6, 8)) for z in (7, 9))
    with volume.open(text, mode="r+") as target:
        checker = target.source._zeros
        left_out = checker._left_out
        found = []

        def late(parts):
            found.append(left_out(parts))
            if len(found) == 1:  # Between the question and the writing.
                write(text, theirs, np.full(DOMAIN.size, 5, np.uint64))
            return found[-1]

        monkeypatch.setattr(checker, "_left_out", late)
        target.write(ours, np.zeros(ours.size, np.uint64))
    assert [len(chunks) for chunks in found] == [1, 0]
    with volume.open(text) as there:
        assert not there.read(ours).any()
        assert (there.read(theirs) == 5).all()


def test_an_index_is_asked_for_once(http_server, http_folder):
    text = make(f"precomputed://{http_folder}/seg")
    write(text)
    http_server.reset()
    url = f"precomputed://{http_server.url}/{http_folder.name}/seg"
    zero = Box.from_size(DOMAIN.start, CHUNK)
    with volume.open(url) as found:
        found.read(Box.from_size((11, 0, -3), CHUNK))
        before = http_server.state().total
        assert not found.read(zero).any()
        asked = http_server.state().total - before
        assert not found.read(zero).any()
        assert http_server.state().total == before + asked
        assert asked <= 1 + 3


def test_a_server_that_does_not_answer(http_server, http_folder):
    text = make(f"precomputed://{http_folder}/seg")
    write(text)
    url = f"precomputed://{http_server.url}/{http_folder.name}/seg"
    zero = Box.from_size(DOMAIN.start, CHUNK)
    with volume.open(f"{url}?deadline_s=0.5") as found:
        found.source.view[
            tuple(map(slice, zero.start, zero.end))
        ].read().result()
        http_server.add(Fault("", "hang"))
        begin = time.monotonic()
        with pytest.raises(failures.OverdueError):
            found.read(zero)
        assert time.monotonic() - begin < 5


def test_others_are_not_asked(tmp_path):
    for name in ("precomputed", "zarr", "zarr3", "n5"):
        info = volume.VolumeInfo(DOMAIN, np.dtype(np.uint8), (33, 4, 4), CHUNK)
        with volume.create(f"{name}://{tmp_path}/{name}", info) as made:
            assert zeros.of(made.source.view) is None


def test_chunks_that_are_all_zeros():
    """Each voxel alone keeps its chunk from being blank."""
    box, chunk, origin = Box((3, 5, 1), (9, 11, 4)), (4, 3, 2), (1, 0, 0)
    blank = set(zeros._blank(box, np.zeros(box.size), chunk, origin))
    assert sum(part.num_voxels for part in blank) == box.num_voxels
    assert all(box.contains(part) for part in blank)
    for at in np.ndindex(box.size):
        array = np.zeros(box.size)
        array[at] = 1
        (gone,) = blank - set(zeros._blank(box, array, chunk, origin))
        assert gone.contains(Box.from_size(at, 1).translated(box.start))
        (same,) = {gone.aligned(chunk, origin).clipped(box)}
        assert same == gone
    empty = Box((3, 3, 3), (3, 3, 3))
    assert not list(zeros._blank(empty, np.zeros((0, 0, 0)), chunk, origin))
