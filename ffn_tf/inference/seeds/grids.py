"""Seeds that do not depend on what the image shows.

A grid is the positions at `offset` and every `step` voxels after it; those of
the first offset are all tried before those of the second.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def grid_3d(
    image: np.ndarray,
    step: int = 16,
    # google/ffn has no 6 here.
    offsets: Sequence[int] = (0, 8, 4, 12, 2, 10, 14),
) -> np.ndarray:
    """PolicyGrid3d: grids with the same step and offset on all axes."""
    return _grids(image.shape, (step, step, step), [(v, v, v) for v in offsets])


def grid_2d(
    image: np.ndarray,
    step: int = 16,
    offsets: Sequence[int] = (0, 8, 4, 12, 2, 6, 10, 14),
) -> np.ndarray:
    """PolicyGrid2d: the same grid of y and x in every slice."""
    return _grids(image.shape, (1, step, step), [(0, v, v) for v in offsets])


def _grids(
    shape: Sequence[int],
    steps: Sequence[int],
    offsets: Sequence[Sequence[int]],
) -> np.ndarray:
    found = []
    for offset in offsets:
        axes = map(np.arange, offset, shape, steps)
        grid = np.meshgrid(*axes, indexing="ij")
        found.append(np.stack(grid, axis=-1).reshape(-1, 3))
    return np.concatenate(found)
