"""Seeds that are far from something: from edges, or from segments.

Distances are Euclidean, in units of the voxel's shortest edge: voxels of
(30, 6, 6) are as those of (5, 1, 1), and cubes of any size as those of 1.
google/ffn takes all voxels for cubes.
"""

from __future__ import annotations

from collections.abc import Sequence

import edt
import numpy as np
from scipy import ndimage

from ffn_tf.inference.seeds import maxima

# Width of the local mean that decides what an edge is: a 49-voxel window,
# as google/ffn has it.
_SIGMA = 49.0 / 6.0


def peaks(
    image: np.ndarray,
    excluded: np.ndarray,
    segmentation: np.ndarray,
    voxel_size_zyx: Sequence[float] = (1, 1, 1),
) -> np.ndarray:
    """PolicyPeaks: the points that are farthest from edges.

    Edges are where the Sobel magnitude is above its local mean, and all that
    is excluded; seeds are the local maxima (at least 3 voxels apart) of the
    distance to them outside segments, in ascending (z, y, x) order.

    Args:
      image: [z, y, x] EM.
      excluded: [z, y, x] bool.
      segmentation: [z, y, x], > 0 where it is taken.
      voxel_size_zyx: in any unit.
    """
    distance = _distance_to_edges(image, excluded, voxel_size_zyx)
    if not distance.any():  # All is edge, where the noise has maxima.
        return np.zeros((0, 3), np.int64)
    distance[excluded | (segmentation > 0) | ~np.isfinite(distance)] = -1
    return maxima.local_maxima(distance, min_distance=3, threshold_abs=0)


def peaks_2d(
    image: np.ndarray,
    excluded: np.ndarray,
    min_distance: int = 7,
    threshold_abs: float = 2.5,
    sort_cmp: str = "ascending",
    voxel_size_zyx: Sequence[float] = (1, 1, 1),
) -> np.ndarray:
    """PolicyPeaks2d: in each slice, the points that are farthest from edges.

    Args:
      image, excluded, voxel_size_zyx: as in `peaks`.
      min_distance: voxels between seeds of a slice.
      threshold_abs: least distance to an edge, in voxels.
      sort_cmp: "ascending" or "descending" order of (z, y, x).
    """
    found = maxima.by_slice(
        [
            maxima.local_maxima(
                _distance_to_edges(*of_slice, voxel_size_zyx[1:]),
                min_distance=min_distance,
                threshold_abs=threshold_abs,
            )
            for of_slice in zip(image, excluded)
        ]
    )
    is_descending = sort_cmp.strip().lower().startswith("de")
    return np.flip(found, axis=0) if is_descending else found


def fill_empty_space(
    segmentation: np.ndarray, voxel_size_zyx: Sequence[float] = (1, 1, 1)
) -> np.ndarray:
    """PolicyFillEmptySpace: the points that are farthest from segments.

    Rejected seeds count as segments. There are no seeds if there is neither.

    Args:
      segmentation: [z, y, x], 0 where it is free.
      voxel_size_zyx: in any unit.
    """
    return maxima.local_maxima(
        _distance_in(segmentation == 0, voxel_size_zyx),
        min_distance=2,
        threshold_abs=0.5,
    )


def _distance_to_edges(
    image: np.ndarray, excluded: np.ndarray, voxel_size: Sequence[float]
) -> np.ndarray:
    """Of a volume or of a slice; infinite if there is no edge."""
    magnitude = ndimage.generic_gradient_magnitude(
        image.astype(np.float32), ndimage.sobel
    )
    local_mean = np.zeros_like(magnitude)
    ndimage.gaussian_filter(
        magnitude, _SIGMA, output=local_mean, mode="reflect"
    )
    return _distance_in((magnitude <= local_mean) & ~excluded, voxel_size)


def _distance_in(inside: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """From each voxel inside to the nearest outside, float32."""
    anisotropy = tuple(float(v) / min(voxel_size) for v in voxel_size)
    return edt.edt(inside, anisotropy=anisotropy).astype(np.float32)
