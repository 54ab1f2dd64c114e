"""Which part of a volume a run segments, and in which pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ffn_tf import program, volume
from ffn_tf.inference import box_text
from ffn_tf.volume import grid, tissue
from ffn_tf.volume.box import triple

if TYPE_CHECKING:  # For it needs TensorFlow.
    from ffn_tf import model


def opened(address: str) -> volume.Volume:
    """The EM.

    Raises:
      ValueError, OSError: it cannot be opened, or is a segmentation.
    """
    image = volume.open(address)
    if image.info.kind == "segmentation":
        image.close()
        raise ValueError(
            f"image {address}: found a segmentation ({image.dtype}), expected "
            f"EM. Name the EM; if this is it, a dataset file can say so with "
            f"kind: image (docs/formats.md)."
        )
    return image


def asked(image: volume.Volume, bounding_box: str) -> volume.Box:
    """The bounding box, given as text, clipped to the volume.

    Raises:
      ValueError: not a bounding box, or one that misses the volume.
    """
    if image.domain.is_empty:
        raise ValueError(f"{image.address} has no voxels: {image.domain}.")
    if not bounding_box:
        return image.domain
    box = box_text.parse(bounding_box)
    clipped = box.clipped(image.domain)
    if clipped != box and not clipped.is_empty:
        program.warn(
            f"the bounding box {box} reaches beyond the volume; what is inside "
            f"is {clipped}."
        )
    if clipped.is_empty:
        raise ValueError(
            f"The bounding box {box} does not meet the volume "
            f"{image.address}, which has {image.domain}."
        )
    return clipped


def subvolumes(
    box: volume.Box,
    size_zyx: Sequence[int],
    overlap_zyx: Sequence[int],
    view: model.FieldOfView,
) -> tuple[volume.Box, ...]:
    """The boxes of at most `size_zyx` that cover `box`, in z, y, x order.

    Raises:
      ValueError: a piece that is smaller than the network's field of view, or
        neighbours that overlap by less than half of one.
    """
    pieces = tuple(grid.tile(box, size_zyx, overlap=overlap_zyx))
    for piece in pieces:
        if any(n < m for n, m in zip(piece.size, view.size)):
            raise ValueError(
                f"The subvolume {piece} is smaller than the network's field "
                f"of view, size_zyx {view.size}, so it has no position to "
                f"segment from. Ask for a bounding box (or --subvolume_zyx) "
                f"of at least that size."
            )
    _check_overlaps(pieces, triple(overlap_zyx), view.margin)
    return pieces


def _check_overlaps(
    pieces: Sequence[volume.Box],
    overlap_zyx: volume.box.Triple,
    margin: volume.box.Triple,
) -> None:
    """Refuses what reconcile would (assembly/pieces.py has the reasons)."""
    gap = [0, 0, 0]
    for axis, (overlap, least) in enumerate(zip(overlap_zyx, margin)):
        _, *later = sorted({piece.start[axis] for piece in pieces})
        if later and overlap < max(1, least):
            raise ValueError(
                f"The subvolumes that meet at {'zyx'[axis]} {later[0]} overlap "
                f"by {overlap} voxels; expected at least half a field of view, "
                f"{max(1, least)}, for objects to be recognised, and better "
                f"twice that. Give a larger --overlap_zyx."
            )
        if later:
            gap[axis] = max(0, 2 * least - overlap)
    if any(gap):
        program.warn(
            f"between neighbouring subvolumes no field of view will be centred "
            f"on {tuple(gap)} voxels (z, y, x): objects there are of lower "
            f"quality. A larger --overlap_zyx avoids it."
        )


def with_tissue(
    pieces: tuple[volume.Box, ...],
    box: volume.Box,
    size_zyx: Sequence[int],
    overlap_zyx: Sequence[int],
    mask: tissue.Tissue | None,
) -> tuple[volume.Box, ...]:
    """Those of `subvolumes` that meet tissue; all without a mask.

    Raises:
      ValueError: none does.
    """
    if mask is None:
        return pieces
    kept = mask.touched(box, triple(size_zyx), triple(overlap_zyx))
    found = tuple(b for b, keep in zip(pieces, kept.ravel()) if keep)
    if not found:
        raise ValueError(
            f"tissue: none of the {len(pieces)} subvolumes of {box} meets it. "
            f"Is the mask of this volume?"
        )
    return found
