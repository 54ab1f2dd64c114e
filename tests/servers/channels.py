"""A precomputed volume of two channels, and what every reader makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorstore as ts

from ffn_tf.volume import source
from ffn_tf.volume.box import Box
from servers import volumes

# [channel, z, y, x], every voxel different.
VOXELS = np.arange(2 * 5 * 7 * 9, dtype=np.uint16).reshape(2, 5, 7, 9)
START = (30, 20, 10)
DOMAIN = Box.from_size(START, (5, 7, 9))
FIRST = Box(START, (32, 23, 14))  # The first chunk.
SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 1,
    "hash": "identity",
    "minishard_bits": 1,
    "shard_bits": 2,
    "minishard_index_encoding": "gzip",
    "data_encoding": "gzip",
}
with_and_without_shards = pytest.mark.parametrize(
    "sharding", [None, SHARDING], ids=["files", "shards"]
)


def write(
    kvstore: dict[str, Any] | str,
    voxels: np.ndarray = VOXELS,
    encoding: str = "raw",
    box: Box | None = None,
    **scale: Any,
) -> None:
    """A volume of `voxels` [channel, z, y, x] as TensorStore writes it.

    If there is a box, that is 5, and nothing else is written.
    """
    stored = voxels.transpose(3, 2, 1, 0)
    described = {
        "size": stored.shape[:3],
        "voxel_offset": START[::-1],
        "chunk_size": [4, 3, 2],
        "resolution": [4, 8, 40],
        "encoding": encoding,
    }
    spec = volumes.precomputed(
        kvstore, voxels.dtype, channels=len(voxels), **described | scale
    )
    store = ts.open(spec, create=True).result()
    if box is None:
        store.write(stored).result()
    else:
        z, y, x = box.slices
        store[x, y, z].write(5).result()


Opened = Callable[..., source.Source]  # By the address and its query.


def check_channels(opened: Opened, address: str) -> None:
    """Each channel, whole and in parts, and one that is not there."""
    boxes = [
        DOMAIN,
        Box((31, 22, 13), (34, 26, 18)),
        Box((31, 22, 13), (31, 26, 18)),
        # One voxel: inside a chunk, and one that is a chunk itself.
        Box((31, 22, 13), (32, 23, 14)),
        Box((34, 26, 18), (35, 27, 19)),
    ]
    for channel in (0, 1):
        found = opened(address, f"?channel={channel}")
        for box, voxels in zip(boxes, found.read_many(boxes)):
            expected = VOXELS[channel][box.relative_to(START).slices]
            np.testing.assert_array_equal(voxels, expected)
            assert voxels.dtype == np.uint16
            assert voxels.flags.writeable
        found.close()
    with pytest.raises(ValueError, match="channel 2 does not exist"):
        opened(address, "?channel=2")


def check_missing(opened: Opened, address: str) -> None:
    """All chunks but the first are missing: an error, or zeros."""
    found = opened(address)
    assert found.read(FIRST).min() == 5
    for read in (lambda box: found.read_many([FIRST, box]), found.read):
        with pytest.raises(OSError) as caught:
            read(DOMAIN)
        assert "chunk 4_8_40/14-18_20-23_30-32 is missing" in str(caught.value)
        assert "?missing=zero" in str(caught.value)
        assert address in str(caught.value)
    expected = np.zeros(DOMAIN.size, np.uint16)
    expected[FIRST.relative_to(START).slices] = 5
    voxels = opened(address, "?missing=zero").read(DOMAIN)
    np.testing.assert_array_equal(voxels, expected)
