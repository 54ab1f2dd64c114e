"""Views of several volumes: masked, concatenated, stacked, overlaid.

    masked         a volume where a mask says so, elsewhere one value
    concatenated   volumes that lie side by side along an axis
    stacked        volumes put side by side along an axis, wherever they lie
    overlaid       volumes anywhere; where they meet, the later one is seen

Volumes that become one have the same voxel size and dtype. Their places are
those of their domains: `index.translated` puts them elsewhere. What a view is,
view.py says.

Laws (tests/volume/views/test_combine.py):
    concatenated(cut pieces of v) == v, in any order of the pieces
    stacked is numpy.concatenate, and begins where the first volume does
    overlaid([a, b]) is b in the domain of b, a in the rest of that of a
    no voxel is read that is not seen
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
import itertools

import numpy as np

from ffn_tf.volume.box import Box, triple
from ffn_tf.volume.store import Volume
from ffn_tf.volume.views import index, resample, values, view
from ffn_tf.volume.views.view import Part, Patch, PatchView


class _Masked(view.View):
    """Reads the mask first: where all is masked, the volume is not read."""

    def __init__(
        self,
        volume: Volume,
        mask: Volume,
        fill: float,
        keep: Sequence[int] | None,
    ) -> None:
        super().__init__(
            [volume, mask], volume.info, f"masked by {mask.address}"
        )
        self._fill = values.held(fill, volume.dtype, f"{self.address}: fill")
        self._keep = None
        if keep is not None:
            what = f"{self.address}: keep"
            kept = [values.held(value, mask.dtype, what) for value in keep]
            self._keep = np.array(kept, mask.dtype)

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        volume, mask = self.volumes
        kept = [self._is_kept(voxels) for voxels in mask.read_many(boxes)]
        seen = [box for box, keep in zip(boxes, kept) if keep.any()]
        found = iter(volume.read_many(seen) if seen else ())
        return [self._filled(keep, found) for keep in kept]

    def _is_kept(self, mask: np.ndarray) -> np.ndarray:
        if self._keep is None:
            return mask != 0
        return np.isin(mask, self._keep)

    def _filled(
        self, keep: np.ndarray, found: Iterator[np.ndarray]
    ) -> np.ndarray:
        if not keep.any():
            return np.full(keep.shape, self._fill, self.info.dtype)
        voxels = next(found)
        voxels[~keep] = self._fill
        return voxels


def masked(
    volume: Volume,
    mask: Volume,
    *,
    keep: Sequence[int] | None = None,
    fill: float = 0,
) -> Volume:
    """The volume where the mask says so, elsewhere `fill`.

    Args:
      volume: any.
      mask: covers the volume; of the same voxel size, or of a coarser one
        that is a multiple of it.
      keep: mask values that leave a voxel as it is; None: all but 0.
      fill: the value of other voxels.

    Raises:
      ValueError: the mask is finer, is no multiple, or does not cover the
        volume; `keep` or `fill` are no values of mask or volume.
    """
    factors = [
        resample.ratio(fine, coarse) or 0
        for fine, coarse in zip(volume.voxel_size_nm, mask.voxel_size_nm)
    ]
    if 0 in factors:
        raise ValueError(
            f"{mask.address}: a mask of {mask.voxel_size_nm} nm (zyx) over "
            f"{volume.address} of {volume.voxel_size_nm} nm: expected the same "
            f"voxel size or multiples of it; resample the mask first."
        )
    if max(factors) > 1:
        mask = resample.upsampled(mask, factors)
    if not mask.domain.contains(volume.domain):
        raise ValueError(
            f"{mask.address}: covers {mask.domain} of the voxels of "
            f"{volume.address}, which is {volume.domain}; crop the volume, or "
            f"pad the mask with the value that it has outside."
        )
    return _Masked(volume, mask, fill, keep).opened()


class _Overlaid(PatchView):
    def __init__(
        self, volumes: Sequence[Volume], domain: Box, fill: float, what: str
    ) -> None:
        first = volumes[0].info
        info = dataclasses.replace(first, domain=domain)
        others = ", ".join(v.address for v in volumes[1:4])
        more = ", ..." if len(volumes) > 4 else ""
        super().__init__(volumes, info, f"{what} {others}{more}")
        self._fill = values.held(fill, info.dtype, f"{self.address}: fill")
        self._starts = np.array([v.domain.start for v in volumes])
        self._ends = np.array([v.domain.end for v in volumes])

    def needs(self, box: Box) -> list[Part]:
        meets = (self._starts < box.end) & (self._ends > box.start)
        parts, hidden = [], [box]
        for which in reversed(np.flatnonzero(meets.all(axis=1)).tolist()):
            domain = self.volumes[which].domain
            seen = [piece.clipped(domain) for piece in hidden]
            parts += [(which, piece) for piece in seen if not piece.is_empty]
            hidden = [
                rest
                for piece, hole in zip(hidden, seen)
                for rest in _without(piece, hole)
            ]
        return parts

    def made(self, box: Box, patches: list[Patch]) -> np.ndarray:
        if len(patches) == 1 and patches[0][0] == box:
            return patches[0][1]
        voxels = np.full(box.size, self._fill, self.info.dtype)
        for there, patch in patches:
            voxels[there.relative_to(box.start).slices] = patch
        return voxels


def _without(box: Box, hole: Box) -> list[Box]:
    """What remains of `box` without `hole`, which is inside it: 0..6 boxes."""
    if hole.is_empty:
        return [box]
    rest = []
    start, end = list(box.start), list(box.end)
    for axis in range(3):
        for a, b in (
            (start[axis], hole.start[axis]),
            (hole.end[axis], end[axis]),
        ):
            if a < b:
                first, last = start.copy(), end.copy()
                first[axis], last[axis] = a, b
                rest.append(Box(triple(first), triple(last)))
        start[axis], end[axis] = hole.start[axis], hole.end[axis]
    return rest


def _refuse_different(volumes: Sequence[Volume]) -> None:
    """Raises unless volumes have one dtype and one voxel size."""
    if not volumes:
        raise ValueError("Expected volumes to combine, found none.")
    first = volumes[0]
    for other in volumes[1:]:
        sizes = zip(first.voxel_size_nm, other.voxel_size_nm)
        same = all(resample.ratio(a, b) == 1 for a, b in sizes)
        if other.dtype != first.dtype or not same:
            raise ValueError(
                f"{other.address}: found {other.dtype} of "
                f"{other.voxel_size_nm} nm (zyx), expected {first.dtype} of "
                f"{first.voxel_size_nm} nm as {first.address} has; cast or "
                f"resample one of them."
            )


def overlaid(volumes: Sequence[Volume], *, fill: float = 0) -> Volume:
    """Volumes over one another: later ones are seen where there are several.

    The domain is the smallest box around all.

    Args:
      volumes: of one voxel size and dtype.
      fill: the value of voxels that are in none of them.

    Raises:
      ValueError: voxel sizes or dtypes differ.
    """
    _refuse_different(volumes)
    if len(volumes) == 1:
        return volumes[0]
    domain = volumes[0].domain
    for volume in volumes[1:]:
        domain = domain.hulled(volume.domain)
    return _Overlaid(volumes, domain, fill, "under").opened()


def concatenated(volumes: Sequence[Volume], axis: str) -> Volume:
    """Volumes that lie side by side along `axis` as one, in any order.

    Args:
      volumes: of one voxel size and dtype; each begins where another ends.
      axis: z, y or x.

    Raises:
      ValueError: voxel sizes or dtypes differ; a gap, an overlap, or sides
        that do not match.
    """
    _refuse_different(volumes)
    if axis not in ("z", "y", "x"):
        raise ValueError(f"axis: expected z, y or x, found {axis!r}.")
    if len(volumes) == 1:
        return volumes[0]
    along = "zyx".index(axis)
    ordered = sorted(volumes, key=lambda v: v.domain.start[along])
    for before, after in itertools.pairwise(ordered):
        expected = _beside(before.domain, after.domain, along)
        if after.domain != expected:
            raise ValueError(
                f"{after.address}: does not lie side by side along {axis} "
                f"with {before.address}, which is {before.domain}: found "
                f"{after.domain}, expected {expected}; translate or crop it."
            )
    domain = ordered[0].domain.hulled(ordered[-1].domain)
    return _Overlaid(ordered, domain, 0, "beside").opened()


def _beside(before: Box, after: Box, along: int) -> Box:
    """Where the second of two boxes should be; it ends where it does."""
    start, end = list(before.start), list(before.end)
    start[along] = before.end[along]
    end[along] = max(start[along], after.end[along])
    return Box(triple(start), triple(end))


def stacked(volumes: Sequence[Volume], axis: str) -> Volume:
    """Volumes one behind another along `axis`, in their order.

    The first stays where it is; each other is moved to where the one before
    it ends.

    Args:
      volumes: of one voxel size and dtype, and of equal sides.
      axis: z, y or x.

    Raises:
      ValueError: as of `concatenated`.
    """
    placed = list(volumes[:1])
    for volume in volumes[1:]:
        place = zip("zyx", placed[0].domain.start, placed[-1].domain.end)
        start = [end if name == axis else first for name, first, end in place]
        placed.append(index.translated(volume, start))
    return concatenated(placed, axis)
