"""The slices of a comparison that are drawn, read from volumes.

One slice across each axis, through the middle of the box compared. A box that
is longer than `LARGEST` of the smallest voxel edge is shown by its central
part, so that reading and drawing cost the same for a volume of any size.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ffn_tf import volume

LARGEST = 512
_LARGEST_PANEL = 1024  # In pixels, for voxels longer than all that is shown.


@dataclasses.dataclass(frozen=True)
class Slice:
    """One slice of everything.

    Attributes:
      title: which slice, such as "z = 125".
      axes: the axes of its rows and its columns, such as "yx".
      pixel_nm: height and width of a pixel; (1, 1) where unknown.
      truth: [rows, columns] ids.
      segmentation: [rows, columns] ids.
      image: [rows, columns] uint8, or None.
    """

    title: str
    axes: str
    pixel_nm: tuple[float, float]
    truth: np.ndarray
    segmentation: np.ndarray
    image: np.ndarray | None

    def resampled(self, shape: tuple[int, int]) -> Slice:
        """The slice with every array at `shape`, by nearest pixel."""
        old = self.truth.shape
        index = np.ix_(
            *((np.arange(new) * n) // new for new, n in zip(shape, old))
        )
        pixel_nm = [nm * n / m for nm, n, m in zip(self.pixel_nm, old, shape)]
        return dataclasses.replace(
            self,
            pixel_nm=(pixel_nm[0], pixel_nm[1]),
            truth=self.truth[index],
            segmentation=self.segmentation[index],
            image=None if self.image is None else self.image[index],
        )


def at_one_scale(views: list[Slice], longest: int) -> list[Slice]:
    """Slices enlarged to square pixels of one size in nm.

    The enlargement of the smallest voxel edge is a whole number, the least
    that makes the longest edge of all at least `longest` pixels. An edge that
    would be too long for any page scales all of them down.
    """
    finest = min(min(one.pixel_nm) for one in views)
    found = max(
        n * nm / finest
        for one in views
        for n, nm in zip(one.truth.shape, one.pixel_nm)
    )
    factor = min(math.ceil(longest / found), _LARGEST_PANEL / found) / finest
    return [
        one.resampled(
            (
                max(1, round(one.truth.shape[0] * one.pixel_nm[0] * factor)),
                max(1, round(one.truth.shape[1] * one.pixel_nm[1] * factor)),
            )
        )
        for one in views
    ]


def shown_part(
    box: volume.Box, voxel_size_nm: tuple[float, float, float]
) -> volume.Box:
    """The part of `box` that its slices show: as many nm along each axis."""
    longest = LARGEST * min(voxel_size_nm)
    size = [
        min(n, max(1, int(longest / nm)))
        for n, nm in zip(box.size, voxel_size_nm)
    ]
    start = [c - n // 2 for c, n in zip(box.center, size)]
    return volume.Box.from_size(start, size)


def read_middle(
    truth: volume.Volume,
    segmentation: volume.Volume,
    image: volume.Volume | None,
    box: volume.Box,
    voxel_size_nm: tuple[float, float, float],
) -> list[Slice]:
    """The slices across z, y and x through the middle of `box`.

    Raises:
      ValueError: a volume does not contain the part of `box` to be shown.
    """
    shown = shown_part(box, voxel_size_nm)
    planes = [_plane(shown, axis) for axis in range(3)]
    images: list[np.ndarray | None] = [None] * 3
    if image is not None:
        images = list(_as_uint8([image.read(plane) for plane in planes]))
    views = []
    for axis, plane in enumerate(planes):
        rows, columns = (other for other in range(3) if other != axis)
        grey = images[axis]
        views.append(
            Slice(
                title=f"{'zyx'[axis]} = {plane.start[axis]}",
                axes="zyx"[rows] + "zyx"[columns],
                pixel_nm=(voxel_size_nm[rows], voxel_size_nm[columns]),
                truth=truth.read(plane).squeeze(axis),
                segmentation=segmentation.read(plane).squeeze(axis),
                image=None if grey is None else grey.squeeze(axis),
            )
        )
    return views


def _plane(box: volume.Box, axis: int) -> volume.Box:
    """The voxels of `box` in its middle along `axis`."""
    start, size = list(box.start), list(box.size)
    start[axis], size[axis] = box.center[axis], 1
    return volume.Box.from_size(start, size)


def _as_uint8(planes: list[np.ndarray]) -> list[np.ndarray]:
    """The planes as grey values; other types than uint8 are stretched alike."""
    if planes[0].dtype == np.uint8:
        return planes
    values = np.concatenate([plane.reshape(-1) for plane in planes])
    values = values[np.isfinite(values)].astype(np.float64)
    low, high = np.percentile(values, (0.5, 99.5)) if values.size else (0, 0)
    scale = 255 / (high - low) if high > low else 0.0
    stretched = []
    for plane in planes:
        finite = np.nan_to_num(
            plane.astype(np.float64), nan=low, posinf=high, neginf=low
        )
        grey = np.clip((finite - low) * scale, 0, 255)
        stretched.append(grey.astype(np.uint8))
    return stretched
