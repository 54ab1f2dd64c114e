"""Views of other values: by hand, then the laws."""

import fractions
import math

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume.views import values

Box = volume.Box
INTEGERS = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"]
FLOATS = ["f2", "f4", "f8"]
dtypes = st.sampled_from([*INTEGERS, *FLOATS, "?"]).map(np.dtype)
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(dtype, 5, elements=elements(dtype))
)
fast = hypothesis.settings(deadline=None, max_examples=200)


def elements(dtype):
    """Any value, and often those at the ends of integer types."""
    whatever = hnp.from_dtype(dtype)
    ends = [
        end + d
        for t in INTEGERS
        for end in (np.iinfo(t).min, np.iinfo(t).max)
        for d in (-1, 0, 1)
    ]
    if dtype.kind in "iu":
        inside = np.iinfo(dtype)
        ends = [e for e in ends if inside.min <= e <= inside.max]
    elif dtype.kind == "f":
        ends = [
            dtype.type(e) for e in ends if abs(e) < float(np.finfo(dtype).max)
        ]
        ends += [dtype.type(v) for v in (0.5, 1.5, -0.5, 2.5, 254.5)]
    else:
        return whatever
    return whatever | st.sampled_from(ends)


def saturated(value, dtype):
    """One value, in Python's own arithmetic."""
    if dtype.kind == "b":
        return bool(value != 0)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(value)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    value = value.item()
    if isinstance(value, float):
        if math.isnan(value):
            return 0
        if math.isinf(value):
            return high if value > 0 else low
        value = round(fractions.Fraction(value))
    return min(max(int(value), low), high)


@pytest.mark.parametrize(
    "found, dtype, expected",
    [
        (np.array([300, -1, 44], np.int16), "u1", [255, 0, 44]),
        (np.array([2**64 - 1, 7], np.uint64), "i8", [2**63 - 1, 7]),
        (np.array([-5, 7], np.int64), "u8", [0, 7]),
        (np.array([0.5, 1.5, 254.5, 1e9, -3]), "u1", [0, 2, 254, 255, 0]),
        (
            np.array([np.nan, np.inf, -np.inf, 2.0**63]),
            "i8",
            [0, 2**63 - 1, -(2**63), 2**63 - 1],
        ),
        (np.array([0, 0.2, -3]), "?", [False, True, True]),
        (np.array([True, False]), "f4", [1.0, 0.0]),
        (np.array([1e300, -np.inf]), "f4", [np.inf, -np.inf]),
    ],
    ids=str,
)
def test_saturated_by_hand(found, dtype, expected):
    result = values.saturated(found, np.dtype(dtype))
    assert result.dtype == dtype
    assert result.tolist() == expected


@fast
@hypothesis.given(arrays, dtypes)
def test_saturated_is_what_python_says(array, dtype):
    result = values.saturated(array, dtype)
    assert result.dtype == dtype
    expected = np.array([saturated(v, dtype) for v in array], dtype)
    np.testing.assert_array_equal(result, expected)


@fast
@hypothesis.given(arrays, dtypes)
@hypothesis.example(np.array([-(2**63), 2**63 - 1]), np.dtype("f2"))
@hypothesis.example(np.array([-(2**63), 2**63 - 1]), np.dtype("f8"))
@hypothesis.example(np.array([-np.inf, -(2.0**63), 2.0**63]), np.dtype("i8"))
def test_exact_is_equal_in_python(array, dtype):
    result = values.saturated(array, dtype)
    with np.errstate(over="ignore"):
        same = [
            a.item() == r.item()  # Python compares int and float exactly.
            or (a != a and r != r)
            for a, r in zip(array, result)
        ]
    assert values.is_held(array, result).tolist() == same


@fast
@hypothesis.given(arrays, dtypes)
def test_order_is_kept(array, dtype):
    hypothesis.assume(dtype.kind != "b" and not np.isnan(array).any())
    result = values.saturated(np.sort(array), dtype)
    assert (result[:-1] <= result[1:]).all()


def test_an_exact_cast_names_what_it_cannot_hold():
    array = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    array[1, 2, 3], array[2, 0, 0] = 1000, -1
    below = volume.from_array(array, start=(10, 20, 30))
    made = values.cast(below, np.uint8, exact=True)
    fine = Box((10, 20, 30), (11, 24, 35))
    np.testing.assert_array_equal(made.read(fine), array[:1])
    with pytest.raises(ValueError) as caught:
        made.read()
    assert "array in memory > cast to uint8" in str(caught.value)
    assert "found 1000 at zyx (11, 22, 33), and 1 more" in str(caught.value)
    assert "leave out exact" in str(caught.value)
    assert values.cast(below, np.uint8).read()[1, 2, 3] == 255


def test_ids_stay_ids():
    below = volume.from_array(np.full((2, 3, 4), 2**40, np.uint64))
    assert values.cast(below, np.uint8).info.kind == "segmentation"
    with pytest.raises(
        ValueError, match=r'ids are no quantities.*kind="image"'
    ):
        values.rescaled(below, 2)
    image = below.described(kind="image")
    assert values.rescaled(image, 2, dtype=np.float64).read()[0, 0, 0] == 2**41


def test_rescaled_by_hand():
    array = np.array([0, 1, 100, 255], np.uint8).reshape(1, 1, 4)
    below = volume.from_array(array)
    made = values.rescaled(below, 1 / 50, -2)
    assert made.dtype == np.float32
    np.testing.assert_allclose(
        made.read().ravel(), [-2, -1.98, 0, 3.1], rtol=1e-6, atol=1e-7
    )
    made = values.rescaled(below, 2, -3, np.uint8)
    assert made.read().ravel().tolist() == [0, 0, 197, 255]
    made = values.rescaled(below, 0.5, 0, np.int8)
    assert made.read().ravel().tolist() == [0, 0, 50, 127]


def test_wide_integers_are_scaled_in_float64():
    array = np.array([2**30 + 1], np.int32).reshape(1, 1, 1)
    below = volume.from_array(array).described(kind="image")
    made = values.rescaled(below, 1, 1, np.int32)
    assert made.read().item() == 2**30 + 2


def test_what_makes_no_sense():
    below = volume.from_array(np.zeros((2, 3, 4), np.uint8))
    with pytest.raises(ValueError, match="Voxels are numbers"):
        values.cast(below, np.complex64)
    for scale, offset in ((float("nan"), 0), (1, float("inf"))):
        with pytest.raises(ValueError, match="finite numbers"):
            values.rescaled(below, scale, offset)


@pytest.mark.parametrize(
    "value, dtype, is_held",
    [
        (255, "u1", True),
        (256, "u1", False),
        (-1, "u8", False),
        (2**64 - 1, "u8", True),
        (1.5, "i4", False),
        (0.1, "f4", True),
        (2, "?", False),
        ("a", "u1", False),
    ],
)
def test_values_that_a_dtype_holds(value, dtype, is_held):
    dtype = np.dtype(dtype)
    if is_held:
        found = values.held(value, dtype, "it")
        assert found.dtype == dtype and found == pytest.approx(value)
    else:
        with pytest.raises(ValueError, match=r"^it: .* cannot hold"):
            values.held(value, dtype, "it")
