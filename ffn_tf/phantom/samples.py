"""Samples: a box of a grid that is fixed in space.

Sample i along an axis is at (i + 1/2) * step nm, whatever the box: so what is
computed from places alone cannot depend on the box.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from ffn_tf import volume

# Work is cut into tiles about this wide.
_TILE_NM = 80.0


@dataclasses.dataclass(frozen=True)
class Samples:
    """A box of samples.

    Attributes:
      box: which, by integer index.
      step_nm: distance between neighbours, zyx.
    """

    box: volume.Box
    step_nm: tuple[float, float, float]

    @functools.cached_property
    def axes(self) -> list[np.ndarray]:
        """Positions along z, y, x, float64 nm."""
        return [
            (np.arange(start, end) + 0.5) * step
            for start, end, step in zip(
                self.box.start, self.box.end, self.step_nm
            )
        ]

    @property
    def low_nm(self) -> np.ndarray:
        """The first sample, [3]."""
        return np.array([axis[0] for axis in self.axes])

    @property
    def high_nm(self) -> np.ndarray:
        """The last sample, [3]."""
        return np.array([axis[-1] for axis in self.axes])

    @property
    def tile(self) -> np.ndarray:
        """Samples along the edges of a tile, [3]."""
        width = np.round(_TILE_NM / np.array(self.step_nm))
        return np.maximum(2, width).astype(np.int64)

    def tiled(self) -> Samples:
        """Grown to whole tiles of the grid."""
        tile = volume.box.triple(self.tile)
        return Samples(self.box.aligned(tile, (0, 0, 0)), self.step_nm)

    def around(
        self, low: np.ndarray, high: np.ndarray
    ) -> tuple[slice, slice, slice] | None:
        """The samples between two points [3] nm; None if there are none."""
        first = [int(np.searchsorted(a, v)) for a, v in zip(self.axes, low)]
        last = [int(np.searchsorted(a, v)) for a, v in zip(self.axes, high)]
        if any(f >= e for f, e in zip(first, last)):
            return None
        z, y, x = map(slice, first, last)
        return z, y, x

    def points(self, where: tuple[slice, slice, slice]) -> np.ndarray:
        """Positions of the samples `where`: [z, y, x, 3] float64 nm."""
        axes = [axis[part] for axis, part in zip(self.axes, where)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), -1)
