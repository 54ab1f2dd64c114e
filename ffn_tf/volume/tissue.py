"""Tissue: where in a volume there is something, by a coarse mask of it.

    mask     [z, y, x], 0 where there is nothing; its voxels may be of any size
             that is not below the image's, its domain smaller than the image's
             (what is beyond is empty)

Voxel i of an axis lies from i to i + 1 times voxel_size_nm, in both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ffn_tf.volume import grid, store
from ffn_tf.volume.box import Box, Triple
from ffn_tf.volume.store import Volume

_MOST_VOXELS = 2**31


class Tissue:
    """Where there is tissue: a coarse volume, read whole.

    Args:
      mask: see the module.
      voxel_size_nm: of the image, zyx.

    Raises:
      ValueError: its voxels are smaller than the image's, or their size is
        not known.
    """

    def __init__(
        self, mask: Volume, voxel_size_nm: tuple[float, float, float]
    ) -> None:
        self._by = [m / v for m, v in zip(mask.voxel_size_nm, voxel_size_nm)]
        if min(self._by) < 0.999:
            raise ValueError(
                f"tissue {mask.address}: its voxels are {mask.voxel_size_nm} "
                f"nm (z, y, x), smaller than the image's {voxel_size_nm}; "
                f"name a coarser scale (?mip=)."
            )
        if mask.domain.num_voxels > _MOST_VOXELS:
            raise ValueError(
                f"tissue {mask.address}: {mask.domain.num_voxels:,} voxels; "
                f"it is read whole, so expected {_MOST_VOXELS:,} at most. Name "
                f"a coarser scale (?mip=)."
            )
        self._start = mask.domain.start
        self._inside = mask.read() != 0

    def touched(self, domain: Box, size: Triple, overlap: Triple) -> np.ndarray:
        """[z, y, x] bool: of each subvolume, whether it meets tissue."""
        found = self._inside
        axes = grid.intervals(domain, size, overlap=overlap)
        for axis, pairs in enumerate(axes):
            first, last = self._within(axis, pairs)
            found = grid.any_within(found, axis, first, last)
        return found

    def share(self, domain: Box) -> float:
        """Of a box, about."""
        part = tuple(
            slice(int(first[0]), int(last[0]) + 1)
            for first, last in (
                self._within(axis, [(domain.start[axis], domain.end[axis])])
                for axis in range(3)
            )
        )
        inside = self._inside[part]
        return float(inside.mean()) if inside.size else 0.0

    def _within(
        self, axis: int, pairs: Sequence[tuple[int, int]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """First and last voxel of the mask that each interval meets."""
        start, end = np.array(pairs, np.float64).T / self._by[axis]
        first = np.floor(start).astype(np.int64) - self._start[axis]
        last = np.ceil(end).astype(np.int64) - 1 - self._start[axis]
        return np.maximum(first, 0), last


def opened(address: str, image: Volume) -> Tissue | None:
    """The mask at an address; None if there is no address.

    Raises:
      ValueError: see Tissue.
      OSError: it cannot be read.
    """
    if not address:
        return None
    with store.open(address) as mask:
        return Tissue(mask, image.voxel_size_nm)
