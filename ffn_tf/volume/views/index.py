"""Views of other places: cropped, translated, strided, transposed, flipped.

What a view is, view.py says. With a volume whose domain is 3..10 along an axis:

    cropped to 5..8       5 6 7                  voxels keep their numbers
    translated to 0       0 1 2 3 4 5 6          was 3 4 5 6 7 8 9
    strided by 4          1 2                    was 4 8
    flipped               3 4 5 6 7 8 9          was 9 8 7 6 5 4 3

Laws (tests/volume/views/test_index.py):
    each is numpy's operation on the whole array
    cropped(cropped(v, a), b) == cropped(v, b)         for b inside a
    transposed, by an order and then by its inverse: the identity
    flipped twice, translated there and back: the identity
    strided by a, then b == strided by a * b
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses
import itertools

import numpy as np

from ffn_tf.volume.box import Box, Triple, triple
from ffn_tf.volume.store import Volume
from ffn_tf.volume.views import view
from ffn_tf.volume.views.view import Part, Patch, PatchView, View


def cropped(volume: Volume, box: Box) -> Volume:
    """The voxels of `box` alone, at their coordinates.

    Costs nothing when read. Writes through.

    Raises:
      ValueError: `box` is empty or not inside the volume.
    """
    if box.is_empty or not volume.domain.contains(box):
        raise ValueError(
            f"{volume.address}: to crop takes a box with voxels inside the "
            f"volume, which is {volume.domain}; found {box}."
        )
    part = volume.described(domain=box)
    part.address = f"{volume.address} > cropped to {box}"
    return part


class _Translated(View):
    def __init__(self, volume: Volume, start: Triple) -> None:
        there = volume.domain
        self._back = triple(o - s for o, s in zip(there.start, start))
        domain = Box.from_size(start, there.size)
        info = dataclasses.replace(volume.info, domain=domain)
        super().__init__([volume], info, f"translated to {start}")

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        there = [box.translated(self._back) for box in boxes]
        return self.volumes[0].read_many(there)

    def write(self, box: Box, array: np.ndarray) -> None:
        self.volumes[0].write(box.translated(self._back), array)


def translated(volume: Volume, start: Sequence[int]) -> Volume:
    """The same voxels, the first of them at `start` (zyx). Writes through."""
    return _Translated(volume, triple(start, "start")).opened()


class _Strided(PatchView):
    def __init__(self, volume: Volume, step: Triple) -> None:
        self._step = step
        info = view.coarser(volume.info, step, _multiples(volume, step))
        super().__init__([volume], info, f"every {step}th voxel")

    def needs(self, box: Box) -> list[Part]:
        chunk = self.volumes[0].info.chunk_zyx
        axes = zip(box.start, box.end, self._step, chunk)
        return [
            (0, Box(*zip(*stretches)))
            for stretches in itertools.product(*(_stretches(*a) for a in axes))
        ]

    def made(self, box: Box, patches: list[Patch]) -> np.ndarray:
        voxels = np.empty(box.size, self.info.dtype)
        every = tuple(slice(None, None, n) for n in self._step)
        for there, patch in patches:
            picked = patch[every]
            start = [s // n for s, n in zip(there.start, self._step)]
            place = Box.from_size(start, picked.shape).relative_to(box.start)
            voxels[place.slices] = picked
        return voxels


def _multiples(volume: Volume, step: Triple) -> Box:
    """The domain of every `step`th voxel, counted from voxel 0."""
    if min(step) < 1:
        raise ValueError(f"step: expected at least 1, found {step}.")
    domain = volume.domain
    start, end = (
        triple(-(-at // n) for at, n in zip(corner, step))
        for corner in (domain.start, domain.end)
    )
    if any(s >= e for s, e in zip(start, end)):
        raise ValueError(
            f"{volume.address}: no voxel of {domain} is a multiple of step "
            f"{step}; take a smaller step, or translate the volume first."
        )
    return Box(start, end)


def _stretches(
    start: int, end: int, step: int, chunk: int
) -> list[tuple[int, int]]:
    """What to read along an axis for its voxels start..end.

    All from the first to the last where they share chunks, else one by one.
    """
    if step < chunk:
        return [(start * step, (end - 1) * step + 1)]
    return [(i * step, i * step + 1) for i in range(start, end)]


def strided(volume: Volume, step: int | Iterable[int]) -> Volume:
    """Every `step`th voxel (zyx).

    Voxel i is voxel i * step below, so that voxels stay where they are,
    whatever the first one is; to begin with another, translate first.

    Raises:
      ValueError: a step below 1, or one that no voxel is a multiple of.
    """
    return _Strided(volume, triple(step, "step")).opened()


class _Transposed(PatchView):
    def __init__(self, volume: Volume, axes: str) -> None:
        self._order = triple("zyx".index(axis) for axis in axes)
        self._inverse = triple(axes.index(axis) for axis in "zyx")
        below = volume.info
        z, y, x = (below.voxel_size_nm[i] for i in self._order)
        info = dataclasses.replace(
            below,
            domain=_reordered(below.domain, self._order),
            voxel_size_nm=(z, y, x),
            chunk_zyx=triple(below.chunk_zyx[i] for i in self._order),
        )
        super().__init__([volume], info, f"transposed to {axes}")

    def needs(self, box: Box) -> list[Part]:
        return [(0, _reordered(box, self._inverse))]

    def made(self, box: Box, patches: list[Patch]) -> np.ndarray:
        return np.ascontiguousarray(patches[0][1].transpose(self._order))


def _reordered(box: Box, order: Triple) -> Box:
    return Box(
        triple(box.start[i] for i in order), triple(box.end[i] for i in order)
    )


def transposed(volume: Volume, axes: str) -> Volume:
    """Axes in another order.

    Args:
      volume: axes z, y, x.
      axes: which of them the view's z, y and x are: "xyz" swaps z and x.
    """
    if sorted(axes) != ["x", "y", "z"]:
        raise ValueError(
            f"{volume.address}: to transpose takes the letters z, y, x in "
            f"the new order, such as xyz; found {axes!r}."
        )
    return _Transposed(volume, axes).opened()


class _Flipped(PatchView):
    def __init__(self, volume: Volume, axes: str) -> None:
        self._axes = tuple("zyx".index(axis) for axis in axes)
        super().__init__([volume], volume.info, f"flipped along {axes}")

    def needs(self, box: Box) -> list[Part]:
        start, end = list(box.start), list(box.end)
        domain = self.info.domain
        for axis in self._axes:
            both = domain.start[axis] + domain.end[axis]
            start[axis], end[axis] = both - end[axis], both - start[axis]
        return [(0, Box(triple(start), triple(end)))]

    def made(self, box: Box, patches: list[Patch]) -> np.ndarray:
        return np.ascontiguousarray(np.flip(patches[0][1], self._axes))


def flipped(volume: Volume, axes: str) -> Volume:
    """Mirrored within its domain along `axes`: some of the letters z, y, x."""
    if not axes or len(set(axes)) < len(axes) or not set(axes) <= set("zyx"):
        raise ValueError(
            f"{volume.address}: to flip takes some of the letters z, y, x, "
            f"each once; found {axes!r}."
        )
    return _Flipped(volume, axes).opened()
