"""Folding: the first convolution on fewer, deeper voxels.

    7^3 voxels of 1 channel, every second place   129^3, one output in 65^3
    4^3 cells of 8 channels, every place          a cell is 2 x 2 x 2 voxels

gives the same numbers: a kernel of 7 is one of 8 whose last weight is 0, and
that is 4 cells of 2. Processors are made for many channels, and have little to
do with one.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

KERNEL = 7
_BEFORE = 3  # What SAME puts before an odd number of voxels, at stride 2.


def folded_size(size: int) -> int:
    """Cells along an axis of so many voxels, an odd number."""
    return (size + KERNEL) // 2


def fold(cutouts: np.ndarray, folded: np.ndarray) -> None:
    """Cutouts with what SAME puts around them, in cells.

    Args:
      cutouts: [n, z, y, x] float32 of odd sizes.
      folded: [n, fz, fy, fx, 8] float32, which is filled; sizes of
        `folded_size`.
    """
    count, *size = cutouts.shape
    cells = [folded_size(n) for n in size]
    whole = np.zeros((count, *(2 * n for n in cells)), np.float32)
    inner = tuple(slice(_BEFORE, _BEFORE + n) for n in size)
    whole[(slice(None), *inner)] = cutouts
    z, y, x = cells
    parts = whole.reshape(count, z, 2, y, 2, x, 2)
    folded.reshape(count, z, y, x, 2, 2, 2)[...] = parts.transpose(
        0, 1, 3, 5, 2, 4, 6
    )


def folded_kernel(kernel: Any) -> Any:
    """[7, 7, 7, 1, c] -> [4, 4, 4, 8, c]."""
    channels = kernel.shape[-1]
    even = keras.ops.pad(kernel[..., 0, :], [(0, 1)] * 3 + [(0, 0)])
    parts = keras.ops.reshape(even, (4, 2, 4, 2, 4, 2, channels))
    cells = keras.ops.transpose(parts, (0, 2, 4, 1, 3, 5, 6))
    return keras.ops.reshape(cells, (4, 4, 4, 8, channels))
