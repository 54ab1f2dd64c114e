"""From the grey values of a volume to those that the network was trained on.

    normalised = (raw - mean) / stddev         [z, y, x] float32

A network expects the mean and standard deviation of its training volume, so
that its values are around 0 with a spread of about 1. `doubt` says when a
volume's are far from that. Networks that were trained here know theirs
(`of_training`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ffn_tf import volume


def normalised(raw: np.ndarray, mean: float, stddev: float) -> np.ndarray:
    """See the module; computed in float32, as google/ffn does."""
    return (raw.astype(np.float32) - np.float32(mean)) / np.float32(stddev)


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
    voxels = volume.grey.tissue(raw)
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
