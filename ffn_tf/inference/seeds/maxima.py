"""Local maxima and orders of positions, for all ranks: [n, rank] int64."""

from __future__ import annotations

from typing import Any

import numpy as np
from skimage import feature


def ascending(positions: np.ndarray) -> np.ndarray:
    """The positions by first coordinate, then by second, and so on."""
    return positions[np.lexsort(np.flip(positions, axis=1).T)]


def local_maxima(values: np.ndarray, **limits: Any) -> np.ndarray:
    """Where `values` are highest, in ascending order.

    Ties are broken by a fixed noise, so that the result depends on nothing
    else.

    Args:
      values: float, of any rank.
      **limits: of skimage's peak_local_max.
    """
    noise = np.random.RandomState(seed=42).rand(*values.shape)
    found = feature.peak_local_max(values + noise * 1e-4, **limits)
    return ascending(found).astype(np.int64)


def by_slice(per_slice: list[np.ndarray]) -> np.ndarray:
    """Positions (y, x) within each slice, as (z, y, x), slice by slice."""
    found = [
        np.insert(positions, 0, z, axis=1)
        for z, positions in enumerate(per_slice)
    ]
    return np.concatenate(found).astype(np.int64)
