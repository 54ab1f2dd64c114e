"""From the grey values of a volume to those that the network was trained on.

    normalised = (raw - mean) / stddev         [z, y, x] float32

A network expects the mean and standard deviation of its training volume, so
that its values are around 0 with a spread of about 1. `doubt` says when a
volume's are far from that. Networks that were trained here know theirs
(`of_training`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import itertools
from typing import Any

import numpy as np

from ffn_tf import volume

_GRID = 3  # Samples along each axis.
_EDGE = 64  # Of the boxes that a volume is measured by, as training does.


def normalised(raw: np.ndarray, mean: float, stddev: float) -> np.ndarray:
    """See the module; computed in float32, as google/ffn does."""
    return (raw.astype(np.float32) - np.float32(mean)) / np.float32(stddev)


def samples(
    image: volume.Volume, within: volume.Box, size: Sequence[int]
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
        volume.Box.from_size(corner, size)
        for corner in sorted(set(itertools.product(*axes)))
    ]
    return list(image.read_many(boxes))


def _tissue(raw: Sequence[np.ndarray]) -> np.ndarray:
    """The values [n] float64 of boxes that count: finite, and not 0."""
    voxels = np.concatenate([box.ravel() for box in raw]).astype(np.float64)
    return voxels[np.isfinite(voxels) & (voxels != 0)]


def measured(image: volume.Volume) -> tuple[float, float]:
    """(mean, stddev) of the boxes that training measures a volume by.

    Raises:
      ValueError: there is nothing, or a single value.
    """
    size = [min(n, _EDGE) for n in image.domain.size]
    voxels = _tissue(samples(image, image.domain, size))
    if not (voxels.size and voxels.std() > 0):
        raise ValueError(
            f"{image.address}: one grey value, or none, in 27 places. Is it EM?"
        )
    return float(voxels.mean()), float(voxels.std())


def of_training(origin: Mapping[str, Any]) -> list[tuple[float, float]]:
    """(mean, stddev) of the volumes that a network was trained on, each once.

    Args:
      origin: of model.json; that of other programs has none.
    """
    found = origin.get("normalisation", {}).values()
    return sorted({(float(v["mean"]), float(v["stddev"])) for v in found})


def doubt(raw: Sequence[np.ndarray], mean: float, stddev: float) -> str:
    """A warning if `mean` and `stddev` do not suit `raw`, else "".

    Voxels of 0 count as outside the tissue. One standard deviation aside in
    the mean, or a factor of two in the spread, is far.
    """
    voxels = _tissue(raw)
    if voxels.size < 2:
        return ""
    found_mean, found_stddev = float(voxels.mean()), float(voxels.std())
    near = abs(found_mean - mean) <= stddev
    alike = 0.5 <= found_stddev / stddev <= 2
    if near and alike:
        return ""
    return (
        f"the image has mean {found_mean:.4g} and standard deviation "
        f"{found_stddev:.4g} (in samples), --image_mean={mean:g} and "
        f"--image_stddev={stddev:g} take it for another. Give those of this "
        f"image unless the network was trained so."
    )
