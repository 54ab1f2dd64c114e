"""Chunks are found in shards that TensorStore wrote."""

import dataclasses
import gzip
import itertools
import re

import numpy as np
import pytest
from servers import volumes
import tensorstore as ts

from ffn_tf.volume import address as address_lib
from ffn_tf.volume.formats import precomputed, shard_index

pytest.importorskip("cloudvolume")

VOXELS = np.arange(9 * 7 * 5, dtype=np.uint16).reshape(9, 7, 5)  # x y z
SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 1,
    "hash": "identity",
    "minishard_bits": 2,
    "shard_bits": 2,
    "minishard_index_encoding": "gzip",
    "data_encoding": "gzip",
}


class Files:
    """Reads parts of files of a generation, and keeps what was asked."""

    def __init__(self, folder):
        self.folder = folder
        self.generation = "1"
        self.asked = []

    def read(self, parts):
        self.asked += parts
        return [self._read(part) for part in parts]

    def _read(self, part):
        path = self.folder / part.path
        if not path.exists():
            return None
        if part.generation not in (None, self.generation):
            return shard_index.ReplacedError(part.path)
        data = path.read_bytes()[part.start : part.end]
        return shard_index.Stored(data, self.generation)


def made(folder, sharding=SHARDING, voxels=VOXELS):
    """Scale and files of a volume of 5 x 4 x 3 chunks, x y z."""
    spec = volumes.precomputed(
        f"file://{folder}/",
        voxels.dtype,
        size=voxels.shape,
        voxel_offset=[10, 20, 30],
        chunk_size=[2, 2, 2],
        resolution=[1, 1, 1],
        encoding="raw",
        sharding=sharding,
    )
    store = ts.open(spec, create=True).result()
    store[..., 0].write(voxels).result()
    files = Files(folder)
    place = address_lib.parse(f"precomputed://{folder}")
    scale = precomputed.scale_of(place, place.place.read_json("info"))
    return scale, files


def check(scale, index, files, chunks):
    """Each chunk's bytes are its voxels."""
    parts = index.parts(chunks, files.read)
    origin = scale.info.domain.start
    for chunk, stored in zip(chunks, files.read(parts)):
        voxels = np.frombuffer(index.unpacked(stored.data), "<u2")
        expected = VOXELS.T[chunk.relative_to(origin).slices]
        np.testing.assert_array_equal(voxels, expected.ravel())


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"hash": "murmurhash3_x86_128"},
        {"minishard_index_encoding": "raw", "data_encoding": "raw"},
        {"preshift_bits": 0, "minishard_bits": 0, "shard_bits": 0},
        {"preshift_bits": 3, "minishard_bits": 1, "shard_bits": 5},
    ],
    ids=str,
)
def test_every_chunk_is_found(change, tmp_path):
    scale, files = made(tmp_path, SHARDING | change)
    index = shard_index.ShardIndex(scale)
    chunks = scale.chunks(scale.info.domain)
    assert len(chunks) == 60
    check(scale, index, files, chunks)


def test_an_index_is_read_once_of_each_generation(tmp_path):
    scale, files = made(tmp_path)
    index = shard_index.ShardIndex(scale)
    chunks = scale.chunks(scale.info.domain)
    for generation in ("1", "2"):
        files.asked.clear()
        files.generation = generation
        parts = index.parts(chunks, files.read)
        assert {part.generation for part in parts} == {generation}
        # An entry and an index of each of 4 x 4 minishards at most.
        asked = len(files.asked)
        assert 2 <= asked <= 32
        assert len(set(files.asked)) == asked
        for chunk in chunks:
            index.parts([chunk], files.read)
        assert index.parts([], files.read) == []
        # Only the entries, which say the generation.
        again = files.asked[asked:]
        assert len(again) == len(chunks)
        assert {part.generation for part in again} == {None}


def test_a_shard_that_is_replaced_while_its_index_is_read(tmp_path):
    scale, files = made(tmp_path)
    index = shard_index.ShardIndex(scale)
    chunks = scale.chunks(scale.info.domain)

    def read(parts):
        found = files.read(parts)
        files.generation = "2"
        return found

    for found in index.parts(chunks, read):
        assert isinstance(found, shard_index.ReplacedError)
    check(scale, index, files, chunks)


def test_few_indices_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_index, "_KEPT_INDICES", 2)
    scale, files = made(tmp_path)
    index = shard_index.ShardIndex(scale)
    chunks = scale.chunks(scale.info.domain)
    check(scale, index, files, chunks)
    before = len(files.asked)
    check(scale, index, files, chunks[::-1])
    assert len(files.asked) > before + len(chunks)


def test_chunks_that_are_missing(tmp_path):
    """In an index without them, in an empty entry, in a shard not there."""
    scale, files = made(tmp_path)
    chunks = scale.chunks(scale.info.domain)
    one = ts.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": f"file://{tmp_path}/",
        },
        open=True,
    ).result()
    one.resolve().result()
    for shard in tmp_path.glob("1_1_1/*.shard"):
        shard.unlink()
    one[10:12, 20:22, 30:32, 0].write(VOXELS[:2, :2, :2]).result()
    index = shard_index.ShardIndex(scale)
    found = index.parts(chunks, files.read)
    assert found[0] is not None
    assert found[1:] == [None] * 59
    check(scale, index, files, chunks[:1])
    # Its minishard's other chunk, others of its shard, others.
    assert len(list(tmp_path.glob("1_1_1/*.shard"))) == 1


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_a_damaged_index_names_its_shard(encoding, tmp_path):
    scale, files = made(
        tmp_path, SHARDING | {"minishard_index_encoding": encoding}
    )

    def read(parts):
        found = files.read(parts)
        # Entries are 16 bytes; what is longer is an index.
        return [
            dataclasses.replace(s, data=s.data[:-1])
            if s and len(s.data) > 16
            else s
            for s in found
        ]

    index = shard_index.ShardIndex(scale)
    for found in index.parts(scale.chunks(scale.info.domain), read):
        assert isinstance(found, shard_index.DamagedError)
        assert re.match(r"1_1_1/.\.shard: a damaged index", str(found))


def test_a_damaged_chunk(tmp_path):
    scale, _ = made(tmp_path)
    index = shard_index.ShardIndex(scale)
    data = gzip.compress(b"abcdefgh" * 100)
    assert index.unpacked(data) == b"abcdefgh" * 100
    for cut in itertools.chain(range(1, len(data), 5), [len(data) - 1]):
        with pytest.raises(ValueError, match="gzip"):
            index.unpacked(data[:cut])


def test_parts_say_where_they_are():
    assert str(shard_index.Part("a/b")) == "a/b"
    assert str(shard_index.Part("a/b", 5, 9)) == "a/b, bytes 5..9"
