"""Grey values of EM: samples of a volume, and what they say of it."""

from __future__ import annotations

from collections.abc import Sequence
import itertools

import numpy as np

from ffn_tf.volume.box import Box
from ffn_tf.volume.store import Volume

_GRID = 3  # Samples along each axis.
_EDGE = 64  # Of the boxes that a volume is measured by.


def samples(
    image: Volume, within: Box, size: Sequence[int]
) -> list[np.ndarray]:
    """Raw boxes [z, y, x] of `size`, spread over the box `within`."""
    axes = [
        [
            start + (length - n) * (2 * i + 1) // (2 * _GRID)
            for i in range(_GRID)
        ]
        for start, length, n in zip(within.start, within.size, size)
    ]
    boxes = [
        Box.from_size(corner, size)
        for corner in sorted(set(itertools.product(*axes)))
    ]
    return list(image.read_many(boxes))


def tissue(raw: Sequence[np.ndarray]) -> np.ndarray:
    """The values [n] float64 of boxes that count: finite, and not 0."""
    voxels = np.concatenate([box.ravel() for box in raw]).astype(np.float64)
    return voxels[np.isfinite(voxels) & (voxels != 0)]


def measured(image: Volume) -> tuple[float, float]:
    """(mean, stddev) of 27 boxes spread over a volume, without what is 0.

    Raises:
      ValueError: there is nothing, or a single value.
    """
    size = [min(n, _EDGE) for n in image.domain.size]
    voxels = tissue(samples(image, image.domain, size))
    if not (voxels.size and voxels.std() > 0):
        raise ValueError(
            f"{image.address}: one grey value, or none, in 27 places. Is it EM?"
        )
    return float(voxels.mean()), float(voxels.std())
