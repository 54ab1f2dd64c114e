"""What voxels there are: grey levels or ids, and where two readings differ.

Of images whose voxels are floats, what is not finite is counted and else left
out; NaN equals NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
import math

import numpy as np


def counted(number: int, noun: str, nouns: str = "") -> str:
    """`1 voxel`, `2,000 voxels`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


class Statistics:
    """Of voxels that come some at a time."""

    def __init__(self) -> None:
        self.count = self.zeros = self.boxes = 0
        self.least, self.most = math.inf, -math.inf
        self._finite = 0
        self._sum = self._squares = 0.0
        self._ids: set[int] = set()

    def add(self, voxels: np.ndarray, kind: str | None) -> None:
        """A box of any shape; of a segmentation its ids count."""
        self.boxes += 1
        self.count += voxels.size
        self.zeros += voxels.size - int(np.count_nonzero(voxels))
        if kind == "segmentation":
            self._ids.update(np.unique(voxels).tolist())
            return
        values = voxels.astype(np.float64)
        values = values[np.isfinite(values)]
        if not values.size:
            return
        self._finite += values.size
        self.least = min(self.least, float(values.min()))
        self.most = max(self.most, float(values.max()))
        self._sum += float(values.sum())
        self._squares += float(np.square(values).sum())

    def said(self, kind: str | None) -> str:
        """One line: grey levels or ids, and of how many voxels."""
        common = (
            f"{100 * self.zeros / self.count:.1f} % zero, of "
            f"{counted(self.count, 'voxel')} in "
            f"{counted(self.boxes, 'box', 'boxes')}"
        )
        if kind == "segmentation":
            return f"{counted(len(self._ids), 'id')}, {common}"
        if self._finite < self.count:
            common += f", of which {self.count - self._finite:,} not finite"
        if not self._finite:
            return common
        mean = self._sum / self._finite
        std = math.sqrt(max(self._squares / self._finite - mean**2, 0.0))
        return (
            f"{self.least:g} to {self.most:g}, mean {mean:.1f}, "
            f"std {std:.1f}, {common}"
        )


def difference(
    expected: Sequence[np.ndarray], found: Sequence[np.ndarray]
) -> str:
    """How voxels differ from those of the first; empty if they do not."""
    number, worst = 0, 0.0
    for a, b in zip(expected, found, strict=True):
        differs = (a != b) & ~((a != a) & (b != b))  # NaN is not itself.
        a, b = a[differs], b[differs]
        if not a.size:
            continue
        number += a.size
        by = np.abs(np.subtract(a, b, dtype=np.float64))
        worst = max(worst, float(np.nan_to_num(by, nan=np.inf).max()))
    if not number:
        return ""
    verb = "differs" if number == 1 else "differ"
    return (
        f"{counted(number, 'voxel')} {verb} from the first by up to {worst:g}"
    )
