"""Seeds: where objects are started.

A seed policy is a function of the image and of the voxels that are already
taken; it returns positions in the order in which they are tried:

    policy(image: [z, y, x] float, excluded: [z, y, x] bool, **arguments)
        -> positions: [n, 3] int64, zyx

Policies know nothing of the network; `interior` drops the positions whose
field of view would leave the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import inspect
from typing import Any

import edt
import numpy as np
from scipy import ndimage
from skimage import feature

# Width of the local mean that decides what an edge is: a 49-voxel window,
# as google/ffn has it.
_SIGMA = 49.0 / 6.0


def peaks(
    image: np.ndarray,
    excluded: np.ndarray,
    voxel_size_zyx: Sequence[float] = (1, 1, 1),
) -> np.ndarray:
    """google/ffn's PolicyPeaks: the points that are farthest from edges.

    Edges are where the Sobel magnitude is above its local mean; seeds are the
    local maxima (at least 3 voxels apart) of the distance to them, in
    ascending (z, y, x) order. Ties are broken by a fixed noise, so that the
    result depends on nothing else.

    Args:
      image: [z, y, x] EM.
      excluded: [z, y, x] bool, voxels where no object may start.
      voxel_size_zyx: anisotropy of the distance.

    Returns:
      [n, 3] int64 positions, zyx; n = 0 if the image has no interior.
    """
    magnitude = ndimage.generic_gradient_magnitude(
        image.astype(np.float32), ndimage.sobel
    )
    local_mean = np.zeros_like(magnitude)
    ndimage.gaussian_filter(
        magnitude, _SIGMA, output=local_mean, mode="reflect"
    )
    interior_voxels = magnitude <= local_mean
    if not interior_voxels.any():
        return np.zeros((0, 3), np.int64)
    distance = edt.edt(
        interior_voxels, anisotropy=tuple(float(v) for v in voxel_size_zyx)
    ).astype(np.float32)
    distance[excluded | ~np.isfinite(distance)] = -1
    noise = np.random.RandomState(seed=42).rand(*distance.shape)
    found = feature.peak_local_max(
        distance + noise * 1e-4, min_distance=3, threshold_abs=0
    )
    return found[np.lexsort(found.T[[2, 1, 0]])].astype(np.int64)


_POLICIES: dict[str, Callable[..., np.ndarray]] = {"PolicyPeaks": peaks}


def policy(name: str) -> Callable[..., np.ndarray]:
    """The seed policy called `name` (google/ffn's names).

    Raises:
      ValueError: there is none; the known ones are listed.
    """
    if name not in _POLICIES:
        raise ValueError(
            f"Unknown seed policy {name!r}: expected one of "
            f"{sorted(_POLICIES)}."
        )
    return _POLICIES[name]


def check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuses an unknown policy, or arguments that it does not take.

    Raises:
      ValueError: one of the two; the known ones are listed.
    """
    _, _, *known = inspect.signature(policy(name)).parameters
    unknown = sorted(arguments.keys() - set(known))
    if unknown:
        raise ValueError(
            f"seed_policy_args: {name} takes {known}, found {unknown}."
        )
    size = arguments.get("voxel_size_zyx", (1, 1, 1))
    if not (
        isinstance(size, (list, tuple))
        and len(size) == 3
        and all(isinstance(v, (int, float)) and 0 < v < np.inf for v in size)
    ):
        raise ValueError(
            f"seed_policy_args: voxel_size_zyx: expected 3 positive numbers, "
            f"found {size!r}."
        )


def interior(
    positions: np.ndarray, shape: Sequence[int], margin: Sequence[int]
) -> np.ndarray:
    """The positions whose field of view lies within the image, in order."""
    low = positions - np.asarray(margin) >= 0
    high = positions + np.asarray(margin) < np.asarray(shape)
    return positions[np.all(low & high, axis=1)]


def find(
    name: str,
    image: np.ndarray,
    excluded: np.ndarray,
    margin: Sequence[int],
    **arguments: Any,
) -> np.ndarray:
    """Seeds of the policy `name` that a field of view fits around."""
    found = policy(name)(image, excluded, **arguments)
    return interior(found, image.shape, margin)
