"""Views of other voxel sizes: downsampled, upsampled, resampled (see view.py).

Cells of `factor` voxels become one voxel. They are counted from voxel 0, not
from the first voxel that there is, so that everything stays where it was:

    volume, domain 3..10       . . . 3 4 5 6 7 8 9 . .
    cells of factor 4         [       |       |       ]
    view, domain 0..3             0       1       2

Where the domain does not begin or end with a cell, the outer voxels of the
view are made of the voxels that exist, as cells 0 and 2 are here; the view's
box then reaches beyond the volume by less than one of its own voxels.

    mean     the rounded mean, halves to the even integer; floats are summed in
             float64
    mode     the most frequent value; of several, the smallest
    min max  the smallest, the largest
    stride   voxel i * factor, as index.strided: 0 is not a voxel of the view
             above, whose domain would be 1..3

TensorStore does the arithmetic, on the voxels that were read.

Laws (tests/volume/views/test_resample.py):
    downsampled by a, then b == by a * b        for min, max, stride
    downsampled(upsampled(v, f), f) == v        for every method
    upsampled(v, f) read at i is v read at i // f
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses
from typing import Any, Literal, get_args

import numpy as np
import tensorstore as ts

from ffn_tf.volume import place
from ffn_tf.volume.box import Box, Triple, triple
from ffn_tf.volume.source import Nanometres
from ffn_tf.volume.store import Volume
from ffn_tf.volume.views import border, index, view
from ffn_tf.volume.views.view import Part, Patch, PatchView

Method = Literal["mean", "mode", "stride", "min", "max"]
METHODS: tuple[str, ...] = get_args(Method)

_ONES = (1, 1, 1)
# Voxel sizes whose ratio is this near to an integer are meant to have it.
_TOLERANCE = 1e-4


def _checked(factors: int | Iterable[int]) -> Triple:
    found = triple(factors, "factors")
    if min(found) < 1:
        raise ValueError(f"factors: expected at least 1, found {found}.")
    return found


class _Downsampled(PatchView):
    def __init__(self, volume: Volume, factors: Triple, method: Any) -> None:
        self._factors, self._method = factors, method
        domain = volume.domain.scaled(_ONES, factors)
        info = view.coarser(volume.info, factors, domain)
        super().__init__([volume], info, f"downsampled {factors} by {method}")

    def needs(self, box: Box) -> list[Part]:
        there = box.scaled(self._factors, _ONES)
        return [(0, there.clipped(self.volumes[0].domain))]

    def made(self, box: Box, patches: list[Patch]) -> np.ndarray:
        ((there, patch),) = patches
        if self._method == "mean" and patch.dtype.kind == "f":
            patch = patch.astype(np.float64)
        # The context of all our reading: a limit that is not shared with
        # other users of TensorStore cannot wait for them.
        array = ts.array(patch, context=place.context())
        array = array[ts.d[:].translate_to[self._origin(there)]]
        small = ts.downsample(array, self._factors, self._method)
        return small.read().result().astype(self.info.dtype, copy=False)

    def _origin(self, box: Box) -> Triple:
        """Where TensorStore is told that `box` begins.

        Where voxels are the middle of one cell, TensorStore 0.1.86 takes
        others from beyond the array; so they are called its beginning, which
        makes the same cell.
        """
        axes = zip(box.start, box.end, self._factors)
        return triple(
            start - start % f if start // f == (end - 1) // f else start
            for start, end, f in axes
        )


def downsampled(
    volume: Volume,
    factors: int | Iterable[int],
    method: Method | None = None,
) -> Volume:
    """Cells of `factors` (zyx) voxels as one.

    Args:
      volume: any.
      factors: at least 1 each.
      method: mean, mode, min, max or stride; by default the mean of an image
        and the mode of a segmentation.

    Raises:
      ValueError: a factor or method that does not exist, or a mean of ids.
    """
    found = _checked(factors)
    is_ids = volume.info.kind == "segmentation"
    chosen = method or ("mode" if is_ids else "mean")
    if chosen not in METHODS:
        raise ValueError(
            f"method: expected one of {', '.join(METHODS)}, found {chosen!r}."
        )
    if chosen == "mean" and is_ids:
        raise ValueError(
            f"{volume.address}: is a segmentation, and a mean of ids is no "
            f"id; downsample it by mode, or, if it is an image, open it as "
            f'one (kind="image").'
        )
    if chosen == "stride":
        return index.strided(volume, found)
    return _Downsampled(volume, found, chosen).opened()


class _Upsampled(PatchView):
    def __init__(self, volume: Volume, factors: Triple) -> None:
        self._factors = factors
        below = volume.info
        z, y, x = (v / f for v, f in zip(below.voxel_size_nm, factors))
        info = dataclasses.replace(
            below,
            domain=below.domain.scaled(factors, _ONES),
            voxel_size_nm=(z, y, x),
            chunk_zyx=triple(c * f for c, f in zip(below.chunk_zyx, factors)),
        )
        super().__init__([volume], info, f"upsampled {factors}")

    def needs(self, box: Box) -> list[Part]:
        return [(0, box.scaled(_ONES, self._factors))]

    def made(self, box: Box, patches: list[Patch]) -> np.ndarray:
        ((there, patch),) = patches
        axes = zip(box.start, box.end, self._factors, there.start)
        return border.gathered(
            patch,
            [
                np.arange(start, end) // factor - first
                for start, end, factor, first in axes
            ],
        )


def upsampled(volume: Volume, factors: int | Iterable[int]) -> Volume:
    """Each voxel repeated `factors` (zyx) times: the nearest.

    Raises:
      ValueError: a factor below 1.
    """
    return _Upsampled(volume, _checked(factors)).opened()


def ratio(fine: float, coarse: float) -> int | None:
    """How many times `fine` goes into `coarse`, if a whole number of times."""
    times = round(coarse / fine)
    near = times >= 1 and abs(coarse / fine - times) <= _TOLERANCE * times
    return times if near else None


def resampled(
    volume: Volume,
    voxel_size_nm: Sequence[float],
    method: Method | None = None,
) -> Volume:
    """The volume with voxels of another size.

    Args:
      volume: knows its voxel size.
      voxel_size_nm: wanted, zyx; each a multiple or a whole fraction of what
        it is now.
      method: of `downsampled`, along axes whose voxels become larger.

    Raises:
      ValueError: a ratio of sizes that is not n or 1/n, n a whole number.
    """
    wanted = _lengths(voxel_size_nm)
    down, up = [], []
    for axis, here, there in zip("zyx", volume.voxel_size_nm, wanted):
        larger, smaller = ratio(here, there), ratio(there, here)
        if larger is None and smaller is None:
            raise ValueError(
                f"{volume.address}: voxels of {here:g} nm along {axis} cannot "
                f"become {there:g} nm: expected a multiple or a whole "
                f"fraction of {here:g} nm."
            )
        down.append(larger or 1)
        up.append(smaller or 1)
    # Coarser first: it leaves less to repeat.
    if max(down) > 1:
        volume = downsampled(volume, down, method)
    if max(up) > 1:
        volume = upsampled(volume, up)
    return volume.described(voxel_size_nm=wanted)


def _lengths(voxel_size_nm: Sequence[float]) -> Nanometres:
    found = tuple(float(v) for v in voxel_size_nm)
    if len(found) != 3 or not all(0 < v < float("inf") for v in found):
        raise ValueError(
            f"voxel_size_nm: expected 3 positive lengths (z, y, x), found "
            f"{found}."
        )
    z, y, x = found
    return z, y, x
