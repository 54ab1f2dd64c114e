"""Seeds that are bright: the policies for images of what is inside.

Such an image may be a prediction, of a voxel being soma, say. All but
`max_peaks` look at voxels whatever is excluded or segmented; such positions
are dropped later.

Thresholds are compared with the normalised image.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage import feature, morphology

from ffn_tf.inference.seeds import maxima


def max_first(image: np.ndarray) -> np.ndarray:
    """PolicyMax: all voxels, the brightest first.

    Of equally bright ones the last is first. (In google/ffn, their order
    depends on the processor.)
    """
    order = np.flip(np.argsort(image, axis=None, kind="stable"))
    return np.stack(np.unravel_index(order, image.shape), axis=1)


def max_peaks(
    image: np.ndarray,
    excluded: np.ndarray,
    segmentation: np.ndarray,
    min_distance: int = 3,
    threshold_abs: float = 0,
    threshold_rel: float = 0,
) -> np.ndarray:
    """PolicyMaxPeaks: the local maxima of the image, in ascending order.

    Args:
      image: [z, y, x]; taken as 0 where it is excluded or segmented.
      excluded: [z, y, x] bool.
      segmentation: [z, y, x], > 0 where it is taken.
      min_distance: voxels between seeds.
      threshold_abs: least brightness.
      threshold_rel: least brightness, as a share of the greatest.
    """
    free = np.where(excluded | (segmentation > 0), 0, image)
    return maxima.local_maxima(
        free.astype(np.float32),
        min_distance=min_distance,
        threshold_abs=threshold_abs,
        threshold_rel=threshold_rel,
    )


def image_peaks_3d_2d(
    image: np.ndarray, min_distance_2d: int = 2, min_distance_3d: int = 4
) -> np.ndarray:
    """PolicyImagePeaks3D2D: the volume's local maxima, then each slice's.

    The brightest are first, in the volume and in each slice.

    Args:
      image: [z, y, x].
      min_distance_2d: voxels between seeds of a slice; negative: none.
      min_distance_3d: voxels between seeds of the volume; negative: none.
    """
    found = np.zeros((0, 3), np.int64)
    if min_distance_3d >= 0:
        found = feature.peak_local_max(image, min_distance=min_distance_3d)
    if min_distance_2d >= 0:
        in_slices = maxima.by_slice(
            [
                feature.peak_local_max(part, min_distance=min_distance_2d)
                for part in image
            ]
        )
        found = np.concatenate([found, in_slices])
    return found


def image_peaks_2d_disk(
    image: np.ndarray,
    min_distance_2d: int = 3,
    threshold_rel: float = 0.5,
    disk_radius: int = 1,
) -> np.ndarray:
    """PolicyImagePeaks2DDisk: the local maxima within disks of each slice.

    The brightest of a slice are first.

    Args:
      image: [z, y, x].
      min_distance_2d: least distance between seeds of a slice, and to its
        border; negative: none.
      threshold_rel: least brightness, as a share of the slice's greatest.
      disk_radius: of the disk in which a seed is the brightest voxel.
    """
    return maxima.by_slice(
        [
            feature.peak_local_max(
                part,
                min_distance=min_distance_2d,
                p_norm=2,
                threshold_rel=threshold_rel,
                exclude_border=True,
                footprint=morphology.disk(radius=disk_radius),
            )
            for part in image
        ]
    )


def dense(
    image: np.ndarray,
    threshold: float = 0.5,
    num_erosions: int = 0,
    invert: bool = False,
) -> np.ndarray:
    """PolicyDenseSeeds: all voxels above a threshold, in ascending order.

    Args:
      image: [z, y, x].
      threshold: what is brighter is in.
      num_erosions: times that a layer of one voxel is taken off them; the
        volume's faces are no surface.
      invert: the voxels that are not above it, instead.
    """
    chosen = (image > threshold) != invert
    if num_erosions:
        chosen = ndimage.binary_erosion(
            chosen, iterations=num_erosions, border_value=1
        )
    return np.argwhere(chosen)
