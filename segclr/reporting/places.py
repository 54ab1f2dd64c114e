"""(3) Places: pictures of places in the volume, EM under their segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ffn_tf import volume
from ffn_tf.viewer import scene, sources
from segclr.cutouts import agglomeration, reading

_TINT = np.array([255.0, 114.0, 92.0])
_OPACITY = 0.3


def pictures(
    image: str,
    segmentation: str,
    table: str,
    size_voxels: int,
    position_nm_zyx: np.ndarray,
    segment: Sequence[int],
) -> Iterator[np.ndarray]:
    """Of each place the planes across z, y and x, side by side.

    Args:
      image, segmentation: addresses, of any scales.
      table: of the object of each segment, or "".
      size_voxels: edge of a plane, odd, voxels of the image.
      position_nm_zyx: [n, 3].
      segment: n ids, which are tinted.

    Yields:
      [size, 3 * size + 8, 3] uint8; black is outside of the volume.

    Raises:
      FileNotFoundError, ValueError, OSError: the volumes cannot be read.
    """
    size = (size_voxels,) * 3
    with reading.Cutouts(
        image, segmentation, size, agglomeration.read(table)
    ) as cutouts:
        voxels = cutouts.voxels_zyx(position_nm_zyx)
        for place, id_ in zip(voxels, segment):
            found = cutouts.read(place[None], np.array([id_], np.uint64))
            yield _planes(255 * found.image[0], found.mask[0])


def _planes(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    middle = image.shape[0] // 2
    gap = np.full((image.shape[0], 4, 3), 255, np.uint8)
    planes = []
    for axis in range(3):
        grey = np.clip(np.take(image, middle, axis), 0, 255)
        inside = np.take(mask, middle, axis)[..., None]
        colours = np.repeat(grey[..., None], 3, axis=2)
        mixed = (1 - _OPACITY) * colours + _OPACITY * _TINT
        plane = np.where(inside, mixed, colours).astype(np.uint8)
        # A cross at the place, open in the middle.
        for away in (*range(4, 9), *range(-8, -3)):
            plane[middle + away, middle] = plane[middle, middle + away] = 255
        planes += [plane, gap]
    return np.concatenate(planes[:-1], axis=1)


def command(
    image: str, segmentation: str, voxel_zyx: Sequence[int], segment: int
) -> str:
    """What shows a place in Neuroglancer, in a terminal."""
    at = ",".join(map(str, voxel_zyx))
    return (
        f"python -m ffn_tf.view '{image}' '{segmentation}' "
        f"--position={at} --segments={segment}"
    )


def link(
    image: str, segmentation: str, voxel_zyx: Sequence[int], segment: int
) -> str:
    """A link that shows a place anywhere; "" if the volumes are not public."""
    if not sources.public(image) or not sources.public(segmentation):
        return ""
    with (
        volume.open(sources.tolerant(image)) as em,
        volume.open(sources.tolerant(segmentation)) as labels,
    ):
        made = scene.Scene(em)
        made.add_volume("em", image, [em])
        made.add_volume("segments", segmentation, [labels], [segment])
        return scene.link(made.state(voxel_zyx, "4panel"))
