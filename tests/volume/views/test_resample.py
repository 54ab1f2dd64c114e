"""Views of other voxel sizes: by hand, against numpy and TensorStore, laws."""

import collections
import fractions
import math

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
import tensorstore as ts

from ffn_tf import volume
from ffn_tf.volume.views import index, resample

Box = volume.Box
fast = hypothesis.settings(deadline=None, max_examples=60)
starts = st.tuples(*[st.integers(-9, 9)] * 3)
factors = st.tuples(*[st.integers(1, 4)] * 3)
shapes = hnp.array_shapes(min_dims=3, max_dims=3, max_side=7)
integers = st.sampled_from([np.uint8, np.int16, np.int32, np.uint64, np.int64])


def arrays(elements=None):
    """Integers, among them the smallest and largest that there are."""
    return integers.flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            shapes,
            elements=elements
            or st.sampled_from(
                [0, 1, 2, 3, 4, np.iinfo(dtype).max, np.iinfo(dtype).min]
            ),
        )
    )


def image(array, start):
    made = volume.from_array(array, start=start, voxel_size_nm=(40, 8, 4))
    return made.described(kind="image")


def mean(cell):
    """Exactly, halves to the even integer."""
    total = sum(int(v) for v in cell)
    return round(fractions.Fraction(total, len(cell)))


def mode(cell):
    counts = collections.Counter(cell)
    return min(counts, key=lambda value: (-counts[value], value))


PLAIN = {"mean": mean, "mode": mode, "min": min, "max": max}


def cells(array, start, by):
    """For each cell, by its number: its voxels, as a list."""
    found = collections.defaultdict(list)
    for place, value in np.ndenumerate(array):
        cell = tuple((p + s) // f for p, s, f in zip(place, start, by))
        found[cell].append(value.item())
    return found


def test_the_picture_of_the_module():
    line = image(np.arange(3, 10, dtype=np.uint8).reshape(1, 1, 7), (0, 0, 3))
    expected = {
        "mean": [3, 6, 8],  # of 3; 4 5 6 7; 8 9: 5.5 and 8.5 to even
        "mode": [3, 4, 8],
        "min": [3, 4, 8],
        "max": [3, 7, 9],
    }
    for method, values in expected.items():
        made = resample.downsampled(line, (1, 1, 4), method)
        assert (made.domain.start[2], made.domain.end[2]) == (0, 3)
        assert made.read().ravel().tolist() == values
    made = resample.downsampled(line, (1, 1, 4), "stride")
    assert (made.domain.start[2], made.domain.end[2]) == (1, 3)
    assert made.read().ravel().tolist() == [4, 8]


@fast
@hypothesis.given(arrays(), starts, factors, st.sampled_from(list(PLAIN)))
def test_cells_counted_one_by_one(array, start, by, method):
    made = resample.downsampled(image(array, start), by, method)
    voxels = made.read()
    found = cells(array, start, by)
    assert len(found) == voxels.size
    assert voxels.dtype == array.dtype
    for cell, members in found.items():
        place = tuple(c - s for c, s in zip(cell, made.domain.start))
        assert voxels[place] == PLAIN[method](members)


@fast
@hypothesis.given(
    arrays(), starts, factors, st.sampled_from(resample.METHODS), st.data()
)
def test_tensorstore_s_view_of_the_whole_is_the_same(
    array, start, by, method, data
):
    # It gets a voxel wrong that is in the middle of a cell: see below.
    hypothesis.assume(
        all(
            s // f < (s + n - 1) // f or s % f == 0
            for s, n, f in zip(start, array.shape, by)
        )
    )
    whole = ts.array(array)[ts.d[:].translate_to[start]]
    expected = ts.downsample(whole, by, method)
    try:
        made = resample.downsampled(image(array, start), by, method)
    except ValueError:
        assert method == "stride" and 0 in expected.shape
        return
    assert made.domain.start == expected.domain.inclusive_min
    assert made.domain.end == expected.domain.exclusive_max
    corner = [
        data.draw(st.integers(s, e - 1))
        for s, e in zip(made.domain.start, made.domain.end)
    ]
    box = Box.from_size(corner, (2, 3, 1)).clipped(made.domain)
    part = expected[tuple(slice(*along) for along in zip(box.start, box.end))]
    np.testing.assert_array_equal(made.read(box), part.read().result())


@pytest.mark.parametrize("method", PLAIN)
@pytest.mark.parametrize("start", [1, 2, -3])
def test_a_volume_in_the_middle_of_a_cell(method, start):
    """TensorStore 0.1.86 takes voxels from beyond the array there.

    Its answers are then whatever is in memory, now and then the right one.
    """
    for value in range(1, 200):
        array = np.full((1, 1, 2), value, np.uint8)
        made = resample.downsampled(
            image(array, (0, 0, start)), (1, 1, 5), method
        )
        assert made.read().tolist() == [[[value]]]


def test_means_of_floats_are_summed_in_float64():
    """In float32, 1e6 + 0.1 + 0.1 + ... loses a percent of the mean."""
    array = np.full((64, 64, 64), 0.1, np.float32)
    array[0, 0, 0] = 1e6
    made = resample.downsampled(image(array, (0, 0, 0)), 64)
    assert made.dtype == np.float32
    assert made.read().item() == pytest.approx(
        array.mean(dtype=np.float64), rel=1e-6
    )


def test_means_of_booleans_are_majorities():
    array = np.array([1, 0, 0, 1, 1, 1], bool).reshape(1, 1, 6)
    made = resample.downsampled(image(array, (0, 0, 0)), (1, 1, 2))
    assert made.read().ravel().tolist() == [False, False, True]
    made = resample.downsampled(image(array, (0, 0, 0)), (1, 1, 3))
    assert made.read().ravel().tolist() == [False, True]


def test_images_have_means_and_ids_have_modes():
    array = np.array([1, 9, 9, 9], np.uint64).reshape(1, 1, 4)
    ids = volume.from_array(array)
    assert resample.downsampled(ids, (1, 1, 4)).read().item() == 9
    with pytest.raises(ValueError, match="a mean of ids is no id"):
        resample.downsampled(ids, (1, 1, 4), "mean")
    grey = ids.described(kind="image")
    assert resample.downsampled(grey, (1, 1, 4)).read().item() == 7


@fast
@hypothesis.given(
    arrays(),
    starts,
    factors,
    factors,
    st.sampled_from(["min", "max", "stride"]),
)
def test_downsampled_twice(array, start, first, second, method):
    whole = image(array, start)
    both = [a * b for a, b in zip(first, second)]
    try:
        once = resample.downsampled(whole, both, method)
    except ValueError:
        assert method == "stride"
        return
    half = resample.downsampled(whole, first, method)
    twice = resample.downsampled(half, second, method)
    assert twice.info.domain == once.info.domain
    assert twice.voxel_size_nm == once.voxel_size_nm
    np.testing.assert_array_equal(twice.read(), once.read())


@fast
@hypothesis.given(arrays(), starts, factors, st.sampled_from(resample.METHODS))
def test_upsampled_and_downsampled_again(array, start, by, method):
    whole = image(array, start)
    back = resample.downsampled(resample.upsampled(whole, by), by, method)
    assert back.domain == whole.domain
    assert back.voxel_size_nm == pytest.approx(whole.voxel_size_nm)
    np.testing.assert_array_equal(back.read(), array)


@pytest.mark.parametrize("method", ["mean", "mode", "min"])
def test_a_box_reads_its_cells_and_no_more(counted, method):
    array = np.arange(7 * 11 * 13, dtype=np.uint16).reshape(7, 11, 13)
    below, source = counted(array, (-5, 10, 3))
    made = resample.downsampled(below, (2, 3, 4), method)
    made.read(Box((-3, 3, 0), (-1, 5, 2)))
    # Cells begin at -6, 9 and 0; the volume at -5, 10 and 3.
    assert source.requests == [[Box((-5, 10, 3), (-2, 15, 8))]]


def test_everything_stays_where_it_is():
    """Physical places of voxels, from the domain and the voxel size."""
    array = np.zeros((8, 8, 8), np.uint8)
    for start, kept in (((4, -8, 0), True), ((5, -7, 2), False)):
        whole = image(array, start)
        for made in (
            resample.downsampled(whole, 4),
            resample.upsampled(whole, (2, 3, 1)),
        ):
            before, after = (
                np.multiply(v.domain.start, v.voxel_size_nm)
                for v in (whole, made)
            )
            is_down = made.domain.size < whole.domain.size
            if kept or not is_down:
                np.testing.assert_allclose(before, after)
            else:  # grown to the whole voxel, at most by one
                assert (after <= before).all()
                assert (before - after < made.voxel_size_nm).all()


def test_resampled_up_and_down():
    array = np.arange(4 * 6 * 8, dtype=np.uint8).reshape(4, 6, 8)
    whole = image(array, (0, 0, 0))  # 40 x 8 x 4 nm
    made = resample.resampled(whole, (20, 8, 8), "max")
    assert made.voxel_size_nm == (20.0, 8.0, 8.0)
    expected = array.reshape(4, 6, 4, 2).max(axis=3).repeat(2, 0)
    np.testing.assert_array_equal(made.read(), expected)
    same = resample.resampled(whole, (40, 8, 4))
    assert same.info == whole.info
    np.testing.assert_array_equal(same.read(), array)


def test_sizes_that_are_rounded_in_metadata():
    whole = volume.from_array(
        np.zeros((2, 3, 4), np.uint8), voxel_size_nm=(30, 3.3333, 10)
    )
    made = resample.resampled(whole, (30, 10, 3.3333))
    assert made.voxel_size_nm == (30, 10, 3.3333)
    assert made.domain.size == (2, 1, 12)


@pytest.mark.parametrize(
    "fine, coarse, expected",
    [
        (4, 8, 2),
        (4, 4, 1),
        (4, 6, None),
        (8, 4, None),
        (3.3333, 10, 3),
        (4, 8.1, None),
    ],
)
def test_ratio(fine, coarse, expected):
    assert resample.ratio(fine, coarse) == expected


def test_what_makes_no_sense():
    whole = image(np.zeros((4, 6, 8), np.uint8), (0, 0, 0))
    with pytest.raises(ValueError, match="factors: expected at least 1"):
        resample.downsampled(whole, (1, 2, 0))
    with pytest.raises(ValueError, match="factors: expected at least 1"):
        resample.upsampled(whole, -1)
    with pytest.raises(ValueError, match="factors: expected integers"):
        resample.downsampled(whole, (1, 2, 1.5))
    with pytest.raises(ValueError, match="one of mean, mode, stride, min, max"):
        resample.downsampled(whole, 2, "median")
    with pytest.raises(ValueError, match="8 nm along y cannot become 12 nm"):
        resample.resampled(whole, (40, 12, 4))
    for size in ((40, 8), (40, 8, 0), (40, 8, -4), (40, 8, math.nan)):
        with pytest.raises(ValueError, match="3 positive lengths"):
            resample.resampled(whole, size)
    far = index.translated(whole, (1, 1, 1))
    with pytest.raises(ValueError, match="no voxel"):
        resample.downsampled(far, (1, 1, 90), "stride")


@pytest.mark.parametrize("start", [(0, 0, 0), (1, 2, 3), (-7, 5, 10**12)])
@pytest.mark.parametrize(
    "shape, by", [((130, 81, 203), (3, 4, 5)), ((3, 260, 520), (1, 2, 64))]
)
def test_larger_than_tensorstore_s_blocks(shape, by, start):
    array = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    largest, total = array, array.astype(np.int64)
    counts = np.ones(shape, np.int64)
    for axis, (s, n, f) in enumerate(zip(start, shape, by)):
        edges = np.unique([0, *range(f - s % f, n, f)])
        largest = np.maximum.reduceat(largest, edges, axis)
        total = np.add.reduceat(total, edges, axis)
        counts = np.add.reduceat(counts, edges, axis)
    whole = image(array, start)
    made = resample.downsampled(whole, by, "max")
    np.testing.assert_array_equal(made.read(), largest)
    made = resample.downsampled(whole, by, "mean")
    np.testing.assert_array_equal(made.read(), np.rint(total / counts))
