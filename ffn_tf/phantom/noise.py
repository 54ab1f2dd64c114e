"""Noise that is a function of place: the same wherever a block is cut.

Two kinds, both of mean 0 and standard deviation 1, both keyed by an integer:
  smooth   cubic B-splines over hashed lattice values, at points or on a grid
           of samples; features as wide as the lattice spacing
  white    one hashed, nearly normal value for each integer voxel

Law: `smooth_on(axes)[i, j, k] == smooth_at((z[i], y[j], x[k]))`, to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_PRIME = 0x9E3779B1

# Standard deviation of a cubic B-spline sum of uniform values in [-1, 1]:
# sqrt(1/3) for the values, sqrt(0.4794) for the mean of the squared weights
# along each of three axes.
_SMOOTH_STD = 3**-0.5 * 0.4794**1.5


def _mixed(h: np.ndarray) -> np.ndarray:
    """Scrambles uint32 `h` in place (an xor-multiply avalanche)."""
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x7FEB352D)
    h ^= h >> np.uint32(15)
    h *= np.uint32(0x846CA68B)
    h ^= h >> np.uint32(16)
    return h


def hashed(key: int, *coordinates: np.ndarray) -> np.ndarray:
    """A uint32 for each place: integer arrays that broadcast together."""
    total = _mixed(np.array([key * _PRIME & 0xFFFFFFFF], np.uint32))[0]
    for values in coordinates:
        wrapped = (np.asarray(values) & 0xFFFFFFFF).astype(np.uint32)
        total = _mixed(np.atleast_1d(wrapped * np.uint32(_PRIME) ^ total))
    return total


def _weights(f: np.ndarray) -> list[np.ndarray]:
    """The four cubic B-spline weights at fraction `f` of a cell."""
    g = 1 - f
    return [
        g * g * g / 6,
        (3 * f - 6) * f * f / 6 + 2 / 3,
        (3 * g - 6) * g * g / 6 + 2 / 3,
        f * f * f / 6,
    ]


def _lattice(key: int, *cells: np.ndarray) -> np.ndarray:
    """Uniform values in [-1, 1] at lattice cells, float32."""
    return hashed(key, *cells).astype(np.float32) * np.float32(2**-31) - 1


def smooth_at(key: int, spacing: float, points: np.ndarray) -> np.ndarray:
    """Smooth noise at `points` [n, 3]: [n] float64."""
    scaled = np.asarray(points, np.float64) / spacing
    cell = np.floor(scaled).astype(np.int64)
    weights = [_weights((scaled - cell)[:, axis]) for axis in range(3)]
    first, last = cell.min(0) - 1, cell.max(0) + 3
    spans = [np.arange(f, e) for f, e in zip(first, last)]
    lattice = _lattice(key, *np.ix_(*spans))
    stride = np.array(lattice.strides) // lattice.itemsize
    corner = (cell - 1 - first) @ stride
    values = lattice.reshape(-1)
    total = np.zeros(len(scaled))
    for i, j, k in np.ndindex(4, 4, 4):
        tap = values[corner + stride @ (i, j, k)]
        total += weights[0][i] * weights[1][j] * weights[2][k] * tap
    return total / _SMOOTH_STD


def smooth_on(
    key: int, spacing: float, axes: Sequence[np.ndarray]
) -> np.ndarray:
    """Smooth noise on a grid of samples.

    Args:
      key: which noise.
      spacing: of the lattice, in the unit of the axes.
      axes: increasing sample positions along z, y, x.

    Returns:
      [z, y, x] float32.
    """
    cells, weights = [], []
    for positions in axes:
        scaled = np.asarray(positions, np.float64) / spacing
        cell = np.floor(scaled).astype(np.int64)
        cells.append(cell)
        weights.append([w.astype(np.float32) for w in _weights(scaled - cell)])
    spans = [np.arange(c[0] - 1, c[-1] + 3) for c in cells]
    values = _lattice(key, *np.ix_(*spans)) / np.float32(_SMOOTH_STD)
    for axis in range(3):
        shape = [1, 1, 1]
        shape[axis] = -1
        at = cells[axis] - cells[axis][0]
        total = np.take(values, at, axis)
        total *= weights[axis][0].reshape(shape)
        for tap in (1, 2, 3):
            part = np.take(values, at + tap, axis)
            part *= weights[axis][tap].reshape(shape)
            total += part
        values = total
    return values


def white_on(key: int, indices: Sequence[np.ndarray]) -> np.ndarray:
    """White noise at integer voxels `indices` (z, y, x): float32 [z, y, x].

    The sum of a hash's four bytes: normal to within what an eye or a
    histogram of grey levels can tell, never beyond 3.5 standard deviations.
    """
    h = hashed(key, *np.ix_(*indices))
    byte = np.uint32(0xFF)
    total = (h & byte).astype(np.float32)
    for shift in (8, 16, 24):
        total += (h >> np.uint32(shift)) & byte
    total -= np.float32(510)
    total *= np.float32(1 / 147.8)
    return total
