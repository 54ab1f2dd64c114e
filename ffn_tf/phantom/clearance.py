"""Clearance: how far a place is from the surface of the nearest neurite.

A grid of signed distances in nm (negative inside a neurite), sampled every
`PITCH_NM`, painted one capsule at a time and read by linear interpolation.
Distances beyond what has been painted read `FAR_NM`.

A capsule is a round cone: the balls of radius `ra..rb` along the segment
`a..b`.
"""

from __future__ import annotations

import numpy as np

PITCH_NM = 32.0
FAR_NM = 2000.0


class Clearance:
    """The clearance over the world `low_nm..high_nm` (zyx)."""

    def __init__(self, low_nm: np.ndarray, high_nm: np.ndarray) -> None:
        self._low = np.asarray(low_nm, np.float64) - 2 * PITCH_NM
        extent = np.asarray(high_nm) + 2 * PITCH_NM - self._low
        shape = np.ceil(extent / PITCH_NM).astype(np.int64) + 2
        self.grid = np.full(shape, FAR_NM, np.float32)
        self._last = shape - 1.001
        self._stride = np.array([shape[1] * shape[2], shape[2], 1])
        corners = np.indices((2, 2, 2)).reshape(3, 8)
        self._corners = self._stride @ corners

    def position(self, flat_index: np.ndarray) -> np.ndarray:
        """Grid samples by flat index [n]: [n, 3] nm."""
        index = np.stack(np.unravel_index(flat_index, self.grid.shape), -1)
        return self._low + index * PITCH_NM

    def at(self, points: np.ndarray) -> np.ndarray:
        """Clearance at `points` [..., 3] nm: [...] nm."""
        scaled = (points - self._low) / PITCH_NM
        scaled = np.minimum(np.maximum(scaled, 0), self._last)
        cell = scaled.astype(np.int64)
        f = scaled - cell
        index = (cell * self._stride).sum(-1)[..., None] + self._corners
        v = self.grid.reshape(-1)[index]
        v = v[..., :4] + (v[..., 4:] - v[..., :4]) * f[..., 0:1]
        v = v[..., :2] + (v[..., 2:] - v[..., :2]) * f[..., 1:2]
        return v[..., 0] + (v[..., 1] - v[..., 0]) * f[..., 2]

    def paint(
        self,
        a: np.ndarray,
        b: np.ndarray,
        ra: float,
        rb: float,
        reach: float,
    ) -> None:
        """Adds the capsule `a..b`, exact to `reach` nm from its surface."""
        margin = max(ra, rb) + reach
        low = np.floor((np.minimum(a, b) - margin - self._low) / PITCH_NM)
        high = np.ceil((np.maximum(a, b) + margin - self._low) / PITCH_NM)
        low = np.maximum(low, 0).astype(np.int64)
        high = np.minimum(high + 1, self.grid.shape).astype(np.int64)
        if (high <= low).any():
            return
        z, y, x = np.ogrid[tuple(map(slice, low, high))]
        offset = (self._low - a).astype(np.float32)
        z, y, x = (
            axis.astype(np.float32) * np.float32(PITCH_NM) + start
            for axis, start in zip((z, y, x), offset)
        )
        window = self.grid[tuple(map(slice, low, high))]
        distance = _capsule_distance(z, y, x, (b - a), ra, rb)
        np.minimum(window, distance, out=window)


def _capsule_distance(
    z: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    along: np.ndarray,
    ra: float,
    rb: float,
) -> np.ndarray:
    """Signed distance of a grid z, y, x (from `a`) to a capsule's surface."""
    dz, dy, dx = along.astype(np.float32)
    length2 = np.float32(max(dz * dz + dy * dy + dx * dx, 1e-6))
    squared = z * z + y * y + x * x
    dot = z * dz + y * dy + x * dx
    t = np.clip(dot / length2, 0, 1)
    squared -= t * (2 * dot - t * length2)
    np.maximum(squared, 0, out=squared)
    distance = np.sqrt(squared, out=squared)
    distance -= np.float32(ra) + np.float32(rb - ra) * t
    return distance
