"""Views beyond the border: padded, broadcast (see view.py).

What a voxel outside a volume of 4 voxels a b c d is:

    fill       0 0 0 0 [a b c d] 0 0 0 0       one value
    edge       a a a a [a b c d] d d d d       the nearest voxel
    reflect    c d c b [a b c d] c b a b       mirrored at the outer voxels

Laws (tests/volume/views/test_border.py): inside, the volume; outside,
numpy.pad.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import numpy as np

from ffn_tf.volume.box import Box, triple
from ffn_tf.volume.store import Volume
from ffn_tf.volume.views import values
from ffn_tf.volume.views.view import Part, Patch, PatchView

Mode = Literal["fill", "edge", "reflect"]
MODES: tuple[str, ...] = get_args(Mode)


class _Filled(PatchView):
    """One value outside."""

    def __init__(self, volume: Volume, domain: Box, fill: float) -> None:
        info = dataclasses.replace(volume.info, domain=domain)
        super().__init__([volume], info, f"padded to {domain} with {fill}")
        self._fill = values.held(fill, info.dtype, f"{self.address}: fill")

    def needs(self, box: Box) -> list[Part]:
        there = box.clipped(self.volumes[0].domain)
        return [] if there.is_empty else [(0, there)]

    def made(self, box: Box, patches: list[Patch]) -> np.ndarray:
        if patches and patches[0][0] == box:
            return patches[0][1]
        voxels = np.full(box.size, self._fill, self.info.dtype)
        for there, patch in patches:
            voxels[there.relative_to(box.start).slices] = patch
        return voxels


class _Extended(PatchView):
    """Voxels of the volume outside, too."""

    def __init__(self, volume: Volume, domain: Box, mode: str) -> None:
        self._mirrored = mode == "reflect"
        info = dataclasses.replace(volume.info, domain=domain)
        super().__init__([volume], info, f"padded to {domain} by {mode}")

    def _indices(self, box: Box) -> list[np.ndarray]:
        """Coordinates below of the voxels of `box`, for each axis."""
        there = self.volumes[0].domain
        pick = _reflected if self._mirrored else _clamped
        return [
            pick(np.arange(*along), first, last - 1)
            for *along, first, last in zip(
                box.start, box.end, there.start, there.end
            )
        ]

    def needs(self, box: Box) -> list[Part]:
        indices = self._indices(box)
        start = triple(i.min() for i in indices)
        end = triple(i.max() + 1 for i in indices)
        return [(0, Box(start, end))]

    def made(self, box: Box, patches: list[Patch]) -> np.ndarray:
        ((there, patch),) = patches
        if there == box:
            return patch
        indices = self._indices(box)
        return gathered(patch, [i - s for i, s in zip(indices, there.start)])


def gathered(array: np.ndarray, indices: list[np.ndarray]) -> np.ndarray:
    """Voxels of `array` [z, y, x] at a grid of indices, one list per axis.

    The innermost axis first, while the array is small.
    """
    z, y, x = indices
    return array.take(x, 2).take(y, 1).take(z, 0)


def _clamped(at: np.ndarray, first: int, last: int) -> np.ndarray:
    return np.clip(at, first, last)


def _reflected(at: np.ndarray, first: int, last: int) -> np.ndarray:
    if first == last:
        return np.full_like(at, first)
    period = 2 * (last - first)
    along = (at - first) % period
    return first + np.minimum(along, period - along)


def padded(
    volume: Volume, domain: Box, *, mode: Mode = "fill", fill: float = 0
) -> Volume:
    """The volume, and around it what `mode` says, up to `domain`.

    Args:
      volume: has voxels.
      domain: of the view; `volume.domain.padded(margin)` for a margin.
      mode: fill, edge or reflect.
      fill: value for mode fill.

    Raises:
      ValueError: `domain` does not contain the volume, the mode is unknown, or
        the volume cannot hold `fill`.
    """
    if mode not in MODES:
        raise ValueError(
            f"mode: expected one of {', '.join(MODES)}, found {mode!r}."
        )
    if volume.domain.is_empty or not domain.contains(volume.domain):
        raise ValueError(
            f"{volume.address}: can be padded to a box around it, and it is "
            f"{volume.domain}; found {domain}. To make it smaller, crop it."
        )
    if mode == "fill":
        return _Filled(volume, domain, fill).opened()
    return _Extended(volume, domain, mode).opened()


def broadcast(volume: Volume, domain: Box) -> Volume:
    """A volume of one voxel along some axes, repeated there to fill `domain`.

    Raises:
      ValueError: `domain` differs from the volume's along an axis of another
        length than one.
    """
    there = volume.domain
    for axis, length in enumerate(there.size):
        same = (there.start[axis], there.end[axis]) == (
            domain.start[axis],
            domain.end[axis],
        )
        if length != 1 and not same:
            raise ValueError(
                f"{volume.address}: is {there}, so it can be repeated along "
                f"axes of length 1 only, not along {'zyx'[axis]}; found "
                f"{domain}."
            )
    return _Extended(volume, domain, "edge").opened()
