"""Damage is told, whatever the codec; and what a batch says of it."""

import math
import pathlib
import pickle
import time

import numpy as np
import pytest
from servers import volumes
import tensorstore as ts

from ffn_tf.volume import failures
from ffn_tf.volume.box import Box

SHAPE = (22, 13, 9)
CHUNK = (8, 5, 4)
IMAGE = (np.arange(math.prod(SHAPE)) % 251).astype(np.uint8).reshape(SHAPE)
LABELS = (np.arange(math.prod(SHAPE), dtype=np.uint64) ** 3).reshape(SHAPE)
DOMAIN = Box.from_shape(SHAPE)
FIRST = Box.from_shape(CHUNK)
OTHER = Box((8, 5, 4), (16, 10, 8))


def precomputed(encoding, voxels, sharded=""):
    scale = {
        "key": "s0",
        "size": SHAPE,
        "chunk_size": CHUNK,
        "encoding": encoding,
        "resolution": [4, 8, 33],
    }
    if encoding == "compressed_segmentation":
        scale["compressed_segmentation_block_size"] = [4, 4, 4]
    if sharded:
        scale["sharding"] = {
            "@type": "neuroglancer_uint64_sharded_v1",
            "preshift_bits": 1,
            "hash": "identity",
            "minishard_bits": 2,
            "shard_bits": 1,
            "data_encoding": sharded,
            "minishard_index_encoding": "gzip",
        }
    return volumes.precomputed("memory://", voxels.dtype, **scale)


def zarr(compressor):
    metadata = {"shape": SHAPE, "chunks": CHUNK, "dtype": "|u1"}
    metadata["compressor"] = compressor
    return {"driver": "zarr", "metadata": metadata}


def zarr3(*codecs):
    grid = {"name": "regular", "configuration": {"chunk_shape": CHUNK}}
    metadata = {"shape": SHAPE, "data_type": "uint8", "chunk_grid": grid}
    metadata["codecs"] = list(codecs)
    return {"driver": "zarr3", "metadata": metadata}


def n5(compression):
    metadata = {"dimensions": SHAPE, "blockSize": CHUNK, "dataType": "uint8"}
    metadata["compression"] = {"type": compression}
    if compression == "blosc":
        metadata["compression"] |= {"cname": "lz4", "clevel": 5, "shuffle": 1}
    return {"driver": "n5", "metadata": metadata}


PLAIN = {"name": "bytes"}
CRC = {"name": "crc32c"}
INSIDE = {"chunk_shape": (8, 5, 4), "codecs": [PLAIN, CRC]}
SHARDS = zarr3({"name": "sharding_indexed", "configuration": INSIDE})
SHARDS["metadata"]["chunk_grid"]["configuration"]["chunk_shape"] = (16, 10, 4)
CHUNK_FILE = "s0/0-8_0-5_0-4"
# Spec, voxels, the file that holds FIRST.
STORES = {
    "raw": (precomputed("raw", IMAGE), IMAGE, CHUNK_FILE),
    "jpeg": (precomputed("jpeg", IMAGE), IMAGE, CHUNK_FILE),
    "png": (precomputed("png", IMAGE), IMAGE, CHUNK_FILE),
    "segmentation": (
        precomputed("compressed_segmentation", LABELS),
        LABELS,
        CHUNK_FILE,
    ),
    "jpeg in shards": (
        precomputed("jpeg", IMAGE, "raw"),
        IMAGE,
        "s0/0.shard",
    ),
    "segmentation in shards": (
        precomputed("compressed_segmentation", LABELS, "gzip"),
        LABELS,
        "s0/0.shard",
    ),
    "zarr blosc": (zarr({"id": "blosc"}), IMAGE, "0.0.0"),
    "zarr zlib": (zarr({"id": "zlib"}), IMAGE, "0.0.0"),
    "zarr zstd": (zarr({"id": "zstd", "level": 1}), IMAGE, "0.0.0"),
    "zarr raw": (zarr(None), IMAGE, "0.0.0"),
    "zarr3 crc32c": (zarr3(PLAIN, CRC), IMAGE, "c/0/0/0"),
    "zarr3 gzip": (zarr3(PLAIN, {"name": "gzip"}), IMAGE, "c/0/0/0"),
    "zarr3 zstd": (zarr3(PLAIN, {"name": "zstd"}), IMAGE, "c/0/0/0"),
    "zarr3 shards": (SHARDS, IMAGE, "c/0/0/0"),
    "n5 gzip": (n5("gzip"), IMAGE, "0/0/0"),
    "n5 blosc": (n5("blosc"), IMAGE, "0/0/0"),
}
# Whose checksums see a flipped bit.
SEEING = {
    "png",
    "segmentation in shards",
    "zarr zlib",
    "zarr3 crc32c",
    "zarr3 gzip",
    "zarr3 shards",
    "n5 gzip",
}


def flipped(data):
    changed = bytearray(data)
    changed[len(data) // 2] ^= 4
    return bytes(changed)


DAMAGES = {
    "half": lambda data: data[: len(data) // 2],
    "all but a byte": lambda data: data[:-1],
    "empty": lambda data: b"",
    "noise": lambda data: np.random.default_rng(0).bytes(len(data)),
    "a flipped bit": flipped,
}
# Nothing but the end of a checksum is lost.
HARMLESS = {("png", "all but a byte"), ("zarr zlib", "all but a byte")}
UNSEEN = {
    ("raw", "noise"),
    ("zarr raw", "noise"),
    # Chunks that do not lie at the end of a shard.
    ("zarr3 shards", "a flipped bit"),
}


class Source:
    """What a source makes of TensorStore's futures."""

    def __init__(self, store):
        self.store = store

    def read_many(self, boxes, seconds=None):
        pending = [self.store[box.slices].read() for box in boxes]
        return failures.voxels(
            "em",
            failures.settled("em", boxes, pending, failures.Deadline(seconds)),
        )


def opened(spec, folder):
    kvstore = {"driver": "file", "path": f"{folder}/"}
    described = {"driver": spec["driver"], "kvstore": kvstore}
    described["fill_missing_data_reads"] = False
    store = ts.open(described).result()
    return Source(store[..., 0] if store.rank == 4 else store)


def written(spec, voxels, folder):
    kvstore = {"driver": "file", "path": f"{folder}/"}
    store = ts.open(spec | {"kvstore": kvstore}, create=True).result()
    store = store[..., 0] if store.rank == 4 else store
    store.write(voxels).result()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", STORES)
def test_a_damaged_chunk_is_named(name, damage, tmp_path):
    spec, voxels, path = STORES[name]
    written(spec, voxels, tmp_path)
    source = opened(spec, tmp_path)
    (whole,) = source.read_many([DOMAIN])
    if "jpeg" not in name:
        np.testing.assert_array_equal(whole, voxels)
    file = pathlib.Path(tmp_path / path)
    good = file.read_bytes()
    file.write_bytes(DAMAGES[damage](good))
    if (name, damage) in HARMLESS:
        np.testing.assert_array_equal(source.read_many([DOMAIN])[0], voxels)
        return
    notices = damage != "a flipped bit" or name in SEEING
    notices &= (name, damage) not in UNSEEN
    if not notices:
        # What failures.py says that nobody can notice; if seen, it is told.
        try:
            (found,) = source.read_many([FIRST])
            assert found.shape == FIRST.size
        except failures.CorruptError as error:
            assert path in str(error)
        return
    # A shard's index is at its end or start; all of it may be lost.
    with pytest.raises(failures.ReadsFailed) as caught:
        source.read_many([DOMAIN, FIRST, OTHER] * 2)
    errors = [e for e in caught.value.outcomes if not isinstance(e, np.ndarray)]
    assert errors
    for error in errors:
        assert type(error) is failures.CorruptError
        assert f"{tmp_path}/{path}" in str(error)
    assert isinstance(caught.value.outcomes[0], failures.CorruptError)


def test_a_missing_chunk_is_not_damage(tmp_path):
    spec, voxels, path = STORES["raw"]
    written(spec, voxels, tmp_path)
    (tmp_path / path).unlink()
    with pytest.raises(
        failures.MissingError, match=r"\?missing=zero"
    ) as caught:
        opened(spec, tmp_path).read_many([DOMAIN])
    assert path in str(caught.value)
    assert isinstance(caught.value, OSError)
    assert not isinstance(caught.value, failures.CorruptError)


@pytest.mark.parametrize(
    "text, kind",
    [
        ("FAILED_PRECONDITION: Error reading f", failures.CorruptError),
        ("DATA_LOSS: Error reading f", failures.CorruptError),
        ("NOT_FOUND: chunk {0} stored at f", failures.MissingError),
        ("ABORTED: Error reading f", failures.ReadError),
        ("PERMISSION_DENIED: Error reading f", failures.ReadError),
        ("Error reading DATA_LOSS: f: Bad Request", failures.ReadError),
    ],
)
def test_what_tensorstore_says(text, kind):
    trail = " [source locations='x'] [tensorstore_spec='y']"
    error = failures.of("em", FIRST, ValueError(text + trail))
    assert type(error) is kind
    assert text in str(error) and "spec" not in str(error)
    assert failures.of("elsewhere", DOMAIN, error) is error
    about = failures.of("em", FIRST, ValueError(text), "chunk 7 in f.shard")
    assert "(chunk 7 in f.shard)." in str(about)
    assert type(failures.of("em", FIRST, TimeoutError())) is (
        failures.OverdueError
    )


class Future:
    """A future that takes its time, or fails."""

    def __init__(self, seconds=0.0, error=None):
        self.end = time.monotonic() + seconds
        self.error = error
        self.cancelled = False

    def result(self, timeout=None):
        left = self.end - time.monotonic()
        if timeout is not None and left > timeout:
            time.sleep(timeout)
            raise TimeoutError
        time.sleep(max(0, left))
        if self.error:
            raise self.error
        return np.zeros(FIRST.size)

    def cancel(self):
        self.cancelled = True
        return True


def boxes(count):
    return [FIRST.translated((n, 0, 0)) for n in range(count)]


def test_a_batch_ends_as_a_whole():
    pending = [
        Future(0.2),
        Future(0, ValueError("DATA_LOSS: a")),
        Future(0.3),
        Future(0.1, ValueError("NOT_FOUND: b")),
        Future(0.4),
    ]
    found = failures.settled("em", boxes(5), pending, failures.Deadline())
    kinds = [type(outcome).__name__ for outcome in found]
    assert kinds == [
        "ndarray",
        "CorruptError",
        "ndarray",
        "MissingError",
        "ndarray",
    ]
    with pytest.raises(failures.ReadsFailed) as caught:
        failures.voxels("em", found)
    assert not isinstance(caught.value, TimeoutError)
    assert str(caught.value).startswith("em: cannot read 2 of 5 boxes: zyx (1")
    assert str(caught.value).endswith("The other 3 were read.")
    assert caught.value.outcomes == found or len(caught.value.outcomes) == 5


def test_time_is_up_for_a_batch_as_a_whole():
    pending = [Future(0.1 * n) for n in (1, 100, 2, 100, 3)]
    start = time.monotonic()
    found = failures.settled("em", boxes(5), pending, failures.Deadline(1.0))
    assert time.monotonic() - start < 5
    assert [isinstance(f, np.ndarray) for f in found] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert [f.cancelled for f in pending] == [False, True] * 2 + [False]
    with pytest.raises(
        TimeoutError, match="cannot read 2 of 5 boxes"
    ) as caught:
        failures.voxels("em", found)
    assert isinstance(caught.value, failures.ReadsFailed)
    with pytest.raises(TimeoutError) as caught:
        failures.voxels("em", found[1:2])
    assert isinstance(caught.value, failures.OverdueError)
    assert caught.value.box == boxes(2)[1]


def test_many_failures_are_told_in_a_few_lines():
    errors = [
        failures.CorruptError("em", box, "file f.") for box in boxes(1000)
    ]
    with pytest.raises(failures.ReadsFailed) as caught:
        failures.voxels("em", errors)
    assert "1000 of 1000" in str(caught.value)
    assert "and 995 more" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_all_well():
    arrays = [np.zeros((1, 2, 3)), np.ones((2, 2, 2))]
    assert failures.voxels("em", arrays) == arrays
    assert failures.voxels("em", []) == []


@pytest.mark.parametrize(
    "kind",
    [
        failures.ReadError,
        failures.CorruptError,
        failures.MissingError,
        failures.OverdueError,
    ],
)
def test_errors_travel_between_processes(kind):
    error = kind("em", FIRST, "because.")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert (str(back), back.box, back.reason) == (
        str(error),
        FIRST,
        "because.",
    )
    batch = failures.ReadsFailed("em", [error, np.ones((1, 1, 1))])
    back = pickle.loads(pickle.dumps(batch))
    assert str(back) == str(batch)
    assert isinstance(back, OSError)
