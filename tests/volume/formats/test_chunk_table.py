"""Where chunks lie: the files that are there are those that are told."""

import json
import math
import pathlib

import numpy as np
import pytest
from servers import volumes
import tensorstore as ts

from ffn_tf.volume.formats import chunk_table

SHAPE = (22, 13, 9)
CHUNK = (8, 5, 4)  # 3 * 3 * 3 chunks; the last ones of an axis are cut.
VALUES = 1 + np.arange(math.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
GZIP = {"data_encoding": "gzip", "minishard_index_encoding": "gzip"}


def precomputed(kvstore, channels=1, **sharding):
    scale = {
        "key": "some/s0",
        "size": SHAPE,
        "chunk_size": CHUNK,
        "encoding": "raw",
        "resolution": [4, 8, 33],
        "voxel_offset": [-3, 0, 7],
    }
    if sharding:
        scale["sharding"] = {
            "@type": "neuroglancer_uint64_sharded_v1",
            **GZIP,
            **sharding,
        }
    return volumes.precomputed(kvstore, np.uint16, channels=channels, **scale)


def bits(shift, minishard, shard, hashed="identity"):
    return {
        "preshift_bits": shift,
        "minishard_bits": minishard,
        "shard_bits": shard,
        "hash": hashed,
    }


def zarr(kvstore, separator, shape=SHAPE, chunk=CHUNK):
    metadata = {"chunks": chunk, "dimension_separator": separator}
    metadata |= {"order": "F", "dtype": "<u2", "shape": shape}
    return {"driver": "zarr", "kvstore": kvstore, "metadata": metadata}


def n5(kvstore):
    metadata = {"blockSize": CHUNK, "dimensions": SHAPE, "dataType": "uint16"}
    metadata["compression"] = {"type": "gzip"}
    return {"driver": "n5", "kvstore": kvstore, "metadata": metadata}


LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def zarr3(kvstore, keys=None, shard=None, shape=SHAPE, chunk=CHUNK, at="end"):
    codecs = [LITTLE, {"name": "crc32c"}]
    if shard:
        configuration = {
            "chunk_shape": chunk,
            "codecs": codecs,
            "index_codecs": [LITTLE, {"name": "crc32c"}],
            "index_location": at,
        }
        codecs = [{"name": "sharding_indexed", "configuration": configuration}]
    metadata = {
        "shape": shape,
        "data_type": "uint16",
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": shard or chunk},
        },
        "codecs": codecs,
    }
    if keys:
        metadata["chunk_key_encoding"] = keys
    return {"driver": "zarr3", "kvstore": kvstore, "metadata": metadata}


V2_KEYS = {"name": "v2", "configuration": {"separator": "."}}
KINDS = {
    "unsharded": precomputed,
    "channels": lambda k: precomputed(k, channels=2),
    "identity": lambda k: precomputed(k, **bits(1, 2, 1)),
    "murmur": lambda k: precomputed(k, **bits(1, 1, 6, "murmurhash3_x86_128")),
    "one-shard": lambda k: precomputed(k, **bits(0, 0, 0)),
    "zarr": lambda k: zarr(k, "."),
    "zarr-slash": lambda k: zarr(k, "/"),
    "zarr-channels": lambda k: zarr(k, ".", (2, *SHAPE), (1, *CHUNK)),
    "n5": n5,
    "zarr3": zarr3,
    "zarr3-v2": lambda k: zarr3(k, V2_KEYS),
    "zarr3-shards": lambda k: zarr3(k, shard=(16, 10, 4)),
    "zarr3-start": lambda k: zarr3(k, shard=(16, 10, 4), at="start"),
}
METADATA = ("info", ".zarray", "zarr.json", "attributes.json")


def made(kind, folder):
    """A store of VALUES; with channels, the second is 10,000 more."""
    spec = KINDS[kind]({"driver": "file", "path": f"{folder}/"})
    store = ts.open(spec, create=True).result()
    if kind == "zarr-channels":
        store.write(np.stack([VALUES, VALUES + np.uint16(10000)])).result()
    elif store.rank == 4:
        for channel in range(store.shape[3]):
            values = VALUES + np.uint16(10000 * channel)
            store[..., channel].write(values).result()
    else:
        store.write(VALUES).result()
    return store


def files(folder):
    """Names of the files of chunks."""
    found = (p for p in pathlib.Path(folder).rglob("*") if p.is_file())
    names = {str(p.relative_to(folder)) for p in found}
    return {n for n in names if not n.endswith(METADATA)}


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_of_all_chunks_are_those_that_there_are(kind, tmp_path):
    store = made(kind, tmp_path)
    table = chunk_table.of(store)
    domain = store.domain
    chunks = table.within(domain.inclusive_min, domain.exclusive_max)
    assert {chunk.file for chunk in chunks} == files(tmp_path)
    per_channel = 2 if kind == "zarr-channels" else 1
    assert len({chunk.name for chunk in chunks}) == len(chunks)
    assert len(chunks) == 27 * per_channel
    assert table.count(domain.inclusive_min, domain.exclusive_max) == len(
        chunks
    )


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_by_name_make_up_the_same_store(kind, tmp_path):
    """Also one by one, out of their shards."""
    store = made(kind, tmp_path)
    table = chunk_table.of(store)
    domain = store.domain
    context = ts.Context()
    memory = {"driver": "memory", "path": "a/"}
    there = ts.KvStore.open(memory, context=context).result()
    for chunk in table.within(domain.inclusive_min, domain.exclusive_max):
        if table.shard is None:
            assert chunk.inner == b""
            data = store.kvstore.read(chunk.file).result()
        else:
            data = table.shard(chunk.file).read(chunk.inner).result()
        assert data.state == "value"
        there.write(chunk.name, data.value).result()
    spec = table.unsharded | {"kvstore": memory}
    same = ts.open(spec, open=True, assume_metadata=True, context=context)
    np.testing.assert_array_equal(
        same.result().read().result(), store.read().result()
    )


@pytest.mark.parametrize("kind", ["unsharded", "identity", "zarr3-shards"])
def test_a_box_has_the_chunks_that_it_touches(kind, tmp_path):
    store = made(kind, tmp_path)
    table = chunk_table.of(store)
    first = store.domain.inclusive_min[:3]
    extra = store.rank - 3
    for start, end, count in [
        ((0, 0, 0), (1, 1, 1), 1),
        ((7, 4, 3), (8, 5, 4), 1),
        ((7, 4, 3), (9, 6, 5), 8),
        ((8, 5, 4), (16, 10, 8), 1),
        ((8, 5, 4), (17, 10, 8), 2),
        ((0, 0, 0), (22, 1, 1), 3),
        ((3, 3, 3), (3, 5, 5), 0),
    ]:
        box = (
            (*np.add(first, start), *[0] * extra),
            (*np.add(first, end), *[1] * extra),
        )
        assert table.count(*box) == len(table.within(*box)) == count


def test_names_and_places(tmp_path):
    table = chunk_table.of(made("identity", tmp_path / "a"))
    # 3 chunks an axis: 2 bits each; x0 y0 z0 x1 y1 z1 from the lowest.
    assert table.chunk((2, 1, 0)) == chunk_table.Chunk(
        "some/s0/13-19_5-10_7-11",
        "some/s0/1.shard",
        (0b001010).to_bytes(8, "big"),
    )
    table = chunk_table.of(made("zarr3-shards", tmp_path / "b"))
    assert table.chunk((1, 2, 2)) == chunk_table.Chunk(
        "c/1/2/2", "c/0/1/2", bytes([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    )


def test_the_hash_is_cloudvolume_s():
    sharding = pytest.importorskip(
        "cloudvolume.datasource.precomputed.sharding"
    )
    metadata = {
        "@type": "neuroglancer_uint64_sharded_v1",
        **GZIP,
        **bits(2, 5, 11, "murmurhash3_x86_128"),
    }
    spec = sharding.ShardingSpecification.from_dict(metadata)
    rng = np.random.default_rng(0)
    numbers = [0, 1, 2**64 - 1, *map(int, rng.integers(0, 2**63, 50))]
    for number in numbers:
        found = spec.compute_shard_location(np.uint64(number))
        assert chunk_table.shard_name(number, metadata) == found.shard_number


def test_stores_whose_chunks_are_not_known(tmp_path):
    spec = KINDS["zarr"]({"driver": "file", "path": f"{tmp_path}/a/"})
    base = ts.open(spec, create=True).result()
    with pytest.raises(ValueError, match="driver 'cast'"):
        chunk_table.of(ts.cast(base, ts.float32))
    kvstore = {"driver": "file", "path": f"{tmp_path}/b/"}
    spec = zarr3(kvstore, shard=(16, 10, 4))
    turned = {"name": "transpose", "configuration": {"order": [2, 1, 0]}}
    spec["metadata"]["codecs"].insert(0, turned)
    shard = spec["metadata"]["codecs"][1]["configuration"]
    shard["chunk_shape"] = shard["chunk_shape"][::-1]
    store = ts.open(spec, create=True).result()
    with pytest.raises(ValueError, match=r"codecs around them \(\['transpose"):
        chunk_table.of(store)
    info = json.loads('{"key": "../s0"}')
    spec = precomputed({"driver": "file", "path": f"{tmp_path}/c/d/"})
    spec["scale_metadata"] |= info
    store = ts.open(spec, create=True).result()
    with pytest.raises(ValueError, match="outside"):
        chunk_table.of(store)
