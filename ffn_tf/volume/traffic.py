"""Traffic: what this process has read of volumes of chunks so far.

TensorStore counts it, for all volumes of a process together:

    wanted      chunks that reads have asked for
    reads       what was not in memory, and has been read: chunks, of shards
                their indices, and the metadata of volumes that were opened. A
                chunk that is only asked about, and is still the same, is none
    bytes_read  by that, as it is stored

So the difference of two counts, with volumes that are open, is chunks, and
indices of shards. Volumes that others read (HDF5, arrays) are not counted.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorstore as ts

from ffn_tf.volume import store
from ffn_tf.volume.box import triple

_CACHE, _STORAGE = "/tensorstore/cache/", "/tensorstore/kvstore/"


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Counts.

    Attributes:
      wanted, reads, bytes_read: see the module.
    """

    wanted: int = 0
    reads: int = 0
    bytes_read: int = 0

    def since(self, before: Traffic) -> Traffic:
        """What has come to `before`."""
        return Traffic(
            self.wanted - before.wanted,
            self.reads - before.reads,
            self.bytes_read - before.bytes_read,
        )


def so_far() -> Traffic:
    """Of this process."""
    return Traffic(
        _sum(_CACHE, "/chunk_cache/reads"),
        _sum(_CACHE, "/kvs_cache_read", "changed"),
        _sum(_STORAGE, "/bytes_read"),
    )


def _sum(prefix: str, suffix: str, category: str | None = None) -> int:
    return sum(
        int(value["value"])
        for metric in ts.experimental_collect_matching_metrics(prefix)
        if metric["name"].endswith(suffix)
        for value in metric["values"]
        if value.get("category") == category
    )


def chunks(of: store.Volume, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The chunks that boxes touch, as numbers, ascending, each once.

    Args:
      of: the volume.
      low, high: [n, 3] zyx, first voxels and ends of the boxes, within it.

    Returns:
      [m] int64.
    """
    view = getattr(of.source, "view", None)
    origin = np.array(of.domain.start)
    if view is not None:
        layout = view.chunk_layout
        origin = np.array(
            triple(n or 0 for n in layout.grid_origin or (0,) * 3)
        )
    size = np.array(of.info.chunk_zyx)
    first, last = (low - origin) // size, (high - 1 - origin) // size
    whole = (np.array(of.domain.end) - 1 - origin) // size + 1
    found = []
    for step in np.ndindex(*(last - first).max(axis=0, initial=0) + 1):
        cell = first + step
        is_inside = ((cell <= last) & (high > low)).all(axis=1)
        z, y, x = cell[is_inside].T
        found.append(np.unique((z * whole[1] + y) * whole[2] + x))
    return np.unique(np.concatenate(found))
