"""Small volumes in formats that TensorStore writes, for tests of servers.

Every voxel is different and none is 0; no two axes are of equal length.
"""

from __future__ import annotations

from collections.abc import Callable
import itertools
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import tensorstore as ts

from servers.handle import TESTS

SHAPE = (22, 13, 9)
CHUNK = (8, 5, 4)  # 3 * 3 * 3 chunks; the last ones of an axis are cut.
VALUES = 1 + np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)

FORMATS = ("unsharded", "sharded", "zarr3")
Context = dict[str, Any]


def retries(count: int, **more: Any) -> Context:
    """A Context in which this many more attempts are made, at once."""
    told = {"max_retries": count, "initial_delay": "5ms", "max_delay": "20ms"}
    return {"http_request_retries": told, "gcs_request_retries": told} | more


def precomputed(
    kvstore: dict[str, Any] | str,
    dtype: Any,
    *,
    channels: int = 1,
    **scale: Any,
) -> dict[str, Any]:
    """What creates a precomputed volume of images; axes are x, y, z."""
    return {
        "driver": "neuroglancer_precomputed",
        "kvstore": kvstore,
        "multiscale_metadata": {
            "type": "image",
            "data_type": np.dtype(dtype).name,
            "num_channels": channels,
        },
        "scale_metadata": scale,
    }


def spec(
    name: str,
    kvstore: dict[str, Any],
    shape: tuple[int, int, int] = SHAPE,
) -> dict[str, Any]:
    """What creates a volume; one of FORMATS."""
    if name == "zarr3":
        return {
            "driver": "zarr3",
            "kvstore": kvstore,
            "metadata": {
                "shape": shape,
                "data_type": "uint16",
                "chunk_grid": {
                    "name": "regular",
                    "configuration": {"chunk_shape": CHUNK},
                },
                "codecs": [
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {"name": "crc32c"},
                ],
            },
        }
    scale: dict[str, Any] = {
        "key": "s0",
        "size": shape,
        "chunk_size": CHUNK,
        "encoding": "raw",
        "resolution": [4, 8, 33],
        "voxel_offset": [0, 0, 0],
    }
    if name == "sharded":
        scale["sharding"] = {
            "@type": "neuroglancer_uint64_sharded_v1",
            "preshift_bits": 1,
            "hash": "identity",
            "minishard_bits": 2,
            "shard_bits": 1,
            "data_encoding": "raw",
            "minishard_index_encoding": "gzip",
        }
    return precomputed(kvstore, "uint16", **scale)


def _create(described: dict[str, Any]) -> ts.TensorStore:
    return _rank_3(ts.open(described, create=True).result())


def write(name: str, kvstore: dict[str, Any]) -> None:
    """A new volume of VALUES."""
    _create(spec(name, kvstore)).write(VALUES).result()


def open(
    name: str,
    kvstore: dict[str, Any],
    context: Context | None = None,
    **options: Any,
) -> ts.TensorStore:
    """A volume, of rank 3, without a cache; missing chunks are errors."""
    driver = spec(name, kvstore)["driver"]
    described = {"driver": driver, "kvstore": kvstore}
    options = {"fill_missing_data_reads": False} | options
    found = ts.open(described | options, context=ts.Context(context or {}))
    return _rank_3(found.result())


def _rank_3(store: ts.TensorStore) -> ts.TensorStore:
    return store[..., 0] if store.rank == 4 else store


def check_values(name: str, kvstore: dict[str, Any]) -> None:
    """A volume is written, read, and changed in parts of chunks."""
    write(name, kvstore)
    view = open(name, kvstore)
    np.testing.assert_array_equal(view.read().result(), VALUES)
    # Read, changed, and written if nobody else did.
    expected = VALUES.copy()
    expected[3:20, 4:6, 1:7] = 9
    view[3:20, 4:6, 1:7] = 9
    found = open(name, kvstore).read().result()
    np.testing.assert_array_equal(found, expected)


def check_writers(kvstore: Callable[[str], dict[str, Any]]) -> None:
    """Four processes write disjoint slabs of shared chunks of all formats.

    Args:
      kvstore: kvstore(name) -> where the volume of that format goes.
    """
    shape = (SHAPE[0], *CHUNK[1:])  # A row of chunks, which all want.
    specs = [spec(name, kvstore(name), shape) for name in FORMATS]
    for described in specs:
        _create(described)
    ends = (0, 6, 11, 17, 22)  # None at the end of a chunk.
    writers = []
    for start, stop in itertools.pairwise(ends):
        told = json.dumps({"specs": specs, "start": start, "stop": stop})
        writers.append(
            subprocess.Popen(
                [sys.executable, "-m", "servers.slab_writer", told],
                env=os.environ | {"PYTHONPATH": str(TESTS)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        for writer in writers:
            assert writer.stdout and writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin
            writer.stdin.write("go\n")
            writer.stdin.flush()
        said = [writer.communicate()[1] for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    assert [writer.returncode for writer in writers] == [0] * 4, said
    for name in FORMATS:
        found = open(name, kvstore(name)).read().result()
        expected = 1 + np.arange(np.prod(shape)).reshape(shape)
        lost = np.count_nonzero(found != expected)
        assert lost == 0, f"{name}: {lost} of {found.size} voxels lost"
