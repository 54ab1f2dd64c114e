"""Views of other values: cast, rescaled (see view.py).

How a value becomes one of another dtype (`saturated`):

    to integers    fractions round to the nearest, halves to the even one; what
                   is too large or too small becomes the largest or smallest;
                   NaN becomes 0
    to floats      the nearest; what is too large becomes infinite
    to booleans    whether it is not 0

Nothing wraps around: 300 as uint8 is 255, not 44.

Laws (tests/volume/views/test_values.py):
    saturated to a dtype that holds all values, and back: the identity
    a <= b  =>  saturated(a) <= saturated(b)
    an exact cast gives equal values, or none
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ffn_tf.volume.box import Box
from ffn_tf.volume.store import Volume
from ffn_tf.volume.views.view import Part, Patch, PatchView


def saturated(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """`array` as `dtype`, clipped to what that can hold; a new array."""
    dtype = np.dtype(dtype)
    kinds = array.dtype.kind + dtype.kind
    if dtype.kind == "b":
        return array != 0
    if kinds[0] == "b" or kinds[1] == "f":
        with np.errstate(over="ignore"):
            return array.astype(dtype)
    if kinds[0] == "f":
        return _rounded(array, dtype)
    here, there = np.iinfo(array.dtype), np.iinfo(dtype)
    low, high = max(here.min, there.min), min(here.max, there.max)
    if (low, high) != (here.min, here.max):
        array = np.clip(array, low, high)
    return array.astype(dtype)


def _rounded(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floats [...] to integers."""
    bounds = np.iinfo(dtype)
    whole = np.rint(array)
    # Both are powers of 2 or 0, which floats hold; the largest is not.
    above = whole >= np.float64(bounds.max + 1)
    below = whole < np.float64(bounds.min)
    inside = ~(above | below | np.isnan(whole))
    result = np.where(inside, whole, 0).astype(dtype)
    result[above] = bounds.max
    result[below] = bounds.min
    return result


def is_held(array: np.ndarray, converted: np.ndarray) -> np.ndarray:
    """Which values [...] are the same after `saturated`. NaN is NaN."""
    if array.dtype.kind == "f" and converted.dtype.kind == "f":
        return (array == converted) | (np.isnan(array) & np.isnan(converted))
    back = saturated(converted, array.dtype)
    same = back == array
    for floats, whole in ((array, converted), (converted, array)):
        if floats.dtype.kind == "f" and whole.dtype.kind in "iu":
            # The ends of the integers come back from the floats beyond them.
            bounds = np.iinfo(whole.dtype)
            same &= floats < np.float64(bounds.max + 1)
            same &= floats >= np.float64(bounds.min)
    return same


def held(value: float, dtype: np.dtype, what: str) -> np.generic:
    """`value` as a scalar of `dtype`.

    Raises:
      ValueError: the dtype does not hold it; begins with `what` it is.
    """
    try:
        scalar = dtype.type(value)
        if scalar == value or dtype.kind == "f":
            return scalar
    except (OverflowError, ValueError, TypeError):
        pass
    raise ValueError(f"{what}: {dtype} cannot hold {value!r}.")


class _Cast(PatchView):
    def __init__(self, volume: Volume, dtype: np.dtype, exact: bool) -> None:
        self._exact = exact
        info = dataclasses.replace(volume.info, dtype=dtype)
        super().__init__([volume], info, f"cast to {info.dtype}")

    def needs(self, box: Box) -> list[Part]:
        return [(0, box)]

    def made(self, box: Box, patches: list[Patch]) -> np.ndarray:
        patch = patches[0][1]
        converted = saturated(patch, self.info.dtype)
        if self._exact:
            self._refuse_loss(box, patch, is_held(patch, converted))
        return converted

    def _refuse_loss(
        self, box: Box, patch: np.ndarray, same: np.ndarray
    ) -> None:
        if same.all():
            return
        place = np.argwhere(~same)[0]
        at = tuple(int(s + o) for s, o in zip(box.start, place))
        raise ValueError(
            f"{self.address}: found {patch[tuple(place)]} at zyx {at}, and "
            f"{np.count_nonzero(~same) - 1} more voxels of {box}, that "
            f"{self.info.dtype} does not hold exactly; take another dtype, "
            f"or leave out exact."
        )


def cast(volume: Volume, dtype: np.dtype, *, exact: bool = False) -> Volume:
    """The same values as another dtype, clipped to what it can hold.

    Args:
      volume: any.
      dtype: of the view.
      exact: reading raises ValueError where a value is not the same after.
    """
    return _Cast(volume, np.dtype(dtype), exact).opened()


class _Rescaled(PatchView):
    def __init__(
        self, volume: Volume, scale: float, offset: float, dtype: np.dtype
    ) -> None:
        self._scale, self._offset = float(scale), float(offset)
        self._working = np.result_type(volume.dtype, dtype, np.float32)
        info = dataclasses.replace(volume.info, dtype=dtype)
        what = f"times {scale:g} plus {offset:g} as {info.dtype}"
        super().__init__([volume], info, what)

    def needs(self, box: Box) -> list[Part]:
        return [(0, box)]

    def made(self, box: Box, patches: list[Patch]) -> np.ndarray:
        value = patches[0][1].astype(self._working)
        value *= self._scale
        value += self._offset
        if value.dtype == self.info.dtype:
            return value
        return saturated(value, self.info.dtype)


def rescaled(
    volume: Volume,
    scale: float,
    offset: float = 0.0,
    dtype: np.dtype | type = np.float32,
) -> Volume:
    """value * scale + offset, clipped to what `dtype` can hold.

    To normalise an image: scale 1 / stddev, offset -mean / stddev. Computed
    in float32 where that holds all values of both dtypes, else in float64.

    Raises:
      ValueError: a scale or offset that is not finite, or a volume of ids.
    """
    if not (np.isfinite(scale) and np.isfinite(offset)):
        raise ValueError(
            f"{volume.address}: to rescale takes finite numbers, found scale "
            f"{scale}, offset {offset}."
        )
    if volume.info.kind == "segmentation":
        raise ValueError(
            f"{volume.address}: is a segmentation, and ids are no quantities "
            f'to scale; if it is an image, open it as one (kind="image").'
        )
    return _Rescaled(volume, scale, offset, np.dtype(dtype)).opened()
