"""Views of other places: by hand, then the laws."""

import itertools

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume.views import index

Box = volume.Box
START = (3, -2, 10)
VOXELS = np.arange(7 * 9 * 11, dtype=np.uint16).reshape(7, 9, 11)
DOMAIN = Box.from_size(START, VOXELS.shape)
fast = hypothesis.settings(deadline=None, max_examples=50)
orders = ["".join(order) for order in itertools.permutations("zyx")]


def whole(**info):
    made = volume.from_array(VOXELS.copy(), start=START)
    return made.described(**info)


def test_the_table_of_the_module():
    line = volume.from_array(np.arange(3, 10).reshape(1, 1, 7), start=(0, 0, 3))

    def seen(made):
        numbers = range(made.domain.start[2], made.domain.end[2])
        return list(numbers), made.read().ravel().tolist()

    crop = index.cropped(line, Box((0, 0, 5), (1, 1, 8)))
    assert seen(crop) == ([5, 6, 7], [5, 6, 7])
    moved = index.translated(line, (0, 0, 0))
    assert seen(moved) == ([0, 1, 2, 3, 4, 5, 6], [3, 4, 5, 6, 7, 8, 9])
    assert seen(index.strided(line, (1, 1, 4))) == ([1, 2], [4, 8])
    mirrored = index.flipped(line, "x")
    assert seen(mirrored) == ([3, 4, 5, 6, 7, 8, 9], [9, 8, 7, 6, 5, 4, 3])


@fast
@hypothesis.given(data=st.data())
def test_a_crop_of_a_crop(data):
    def inner(box):
        ends = [
            sorted(
                data.draw(
                    st.lists(
                        st.integers(s, e), min_size=2, max_size=2, unique=True
                    )
                )
            )
            for s, e in zip(box.start, box.end)
        ]
        return Box(*zip(*ends))

    outer = inner(DOMAIN)
    box = inner(outer)
    twice = index.cropped(index.cropped(whole(), outer), box)
    once = index.cropped(whole(), box)
    assert twice.info == once.info
    np.testing.assert_array_equal(twice.read(), once.read())


@pytest.mark.parametrize("axes", orders)
def test_transposed_and_back(axes):
    """Both ways: by an order, and by the one that undoes it."""
    back = "".join("zyx"[axes.index(axis)] for axis in "zyx")
    once = index.transposed(
        whole(voxel_size_nm=(40, 8, 4), chunk_zyx=(2, 3, 5)), axes
    )
    for letter, length in zip(axes, once.domain.size):
        assert length == VOXELS.shape["zyx".index(letter)]
    twice = index.transposed(once, back)
    assert (
        twice.info == whole(voxel_size_nm=(40, 8, 4), chunk_zyx=(2, 3, 5)).info
    )
    np.testing.assert_array_equal(twice.read(), VOXELS)


@fast
@hypothesis.given(
    st.sampled_from(["z", "y", "x", "zy", "xy", "xz", "zyx"]),
    st.tuples(*[st.integers(-(10**9), 10**9)] * 3),
)
def test_flipped_and_translated_are_undone(axes, start):
    made = index.flipped(whole(), axes)
    np.testing.assert_array_equal(index.flipped(made, axes).read(), VOXELS)
    back = index.translated(index.translated(whole(), start), START)
    assert back.info == whole().info
    np.testing.assert_array_equal(back.read(), VOXELS)


@fast
@hypothesis.given(
    st.tuples(*[st.integers(-20, 20)] * 3),
    st.tuples(*[st.integers(1, 3)] * 3),
    st.tuples(*[st.integers(1, 3)] * 3),
    st.tuples(*[st.integers(1, 9)] * 3),
)
def test_strides_multiply(start, first, second, chunk):
    """Whether voxels are read one by one (small chunks) or together."""
    here = index.translated(whole(chunk_zyx=chunk), start)
    both = [a * b for a, b in zip(first, second)]
    try:
        once = index.strided(here, both)
    except ValueError as error:
        assert "is a multiple of step" in str(error)
        return
    twice = index.strided(index.strided(here, first), second)
    assert twice.domain == once.domain
    assert twice.voxel_size_nm == once.voxel_size_nm
    np.testing.assert_array_equal(twice.read(), once.read())
    at = [np.arange(s, e) for s, e in zip(once.domain.start, once.domain.end)]
    below = [i * n - s for i, n, s in zip(at, both, start)]
    np.testing.assert_array_equal(once.read(), VOXELS[np.ix_(*below)])


def test_a_step_as_long_as_the_chunks_reads_single_planes(counted):
    """Chunks that hold no wanted voxel are not touched."""
    below, source = counted(VOXELS, START, chunk_zyx=(2, 4, 64))
    made = index.strided(below, (3, 2, 2))
    assert made.read().shape == (3, 5, 6)  # z = 3, 6, 9
    (boxes,) = source.requests
    planes = [(box.start[0], box.size[0]) for box in boxes]
    assert planes == [(3, 1), (6, 1), (9, 1)]
    assert source.num_voxels == 3 * 9 * 11


def test_crop_and_translate_write_through(counted):
    array = VOXELS.copy()
    below, _ = counted(array, START, writable=True)
    box = Box((4, 0, 12), (6, 5, 15))
    crop = index.cropped(below, box)
    moved = index.translated(crop, (0, 0, 0))
    crop.write(box, np.full(box.size, 5, np.uint16))
    part = Box((1, 0, 0), (2, 5, 3))
    moved.write(part, np.full(part.size, 6, np.uint16))
    expected = VOXELS.copy()
    expected[1:3, 2:7, 2:5] = 5
    expected[2:3, 2:7, 2:5] = 6
    np.testing.assert_array_equal(array, expected)
    with pytest.raises(ValueError, match="not inside"):
        crop.write(box.padded((1, 0, 0)), np.zeros((4, 5, 3), np.uint16))
    np.testing.assert_array_equal(array, expected)


def test_what_is_not_writable_below_says_so_itself(counted):
    below, _ = counted(VOXELS, START)
    moved = index.translated(below, (0, 0, 0))
    with pytest.raises(ValueError, match=r'^below: opened for reading.*"r\+"'):
        moved.write(moved.domain, VOXELS)
    mirrored = index.flipped(below, "z")
    with pytest.raises(ValueError, match="only read; write to below itself"):
        mirrored.write(DOMAIN, VOXELS)


def test_what_makes_no_sense():
    with pytest.raises(ValueError, match=r"with voxels inside.*found.*14"):
        index.cropped(whole(), Box((3, -2, 10), (14, 7, 21)))
    with pytest.raises(ValueError, match="with voxels inside"):
        index.cropped(whole(), Box((4, 0, 12), (4, 1, 13)))
    with pytest.raises(ValueError, match=r"step: expected at least 1"):
        index.strided(whole(), (1, 0, 1))
    with pytest.raises(ValueError, match=r"no voxel .*step \(1, 1, 50\)"):
        index.strided(index.translated(whole(), (0, 0, 1)), (1, 1, 50))
    for axes in ("zy", "zzx", "zyxz", "abc", ""):
        with pytest.raises(ValueError, match=f"found '{axes}'"):
            index.transposed(whole(), axes)
    for axes in ("", "zz", "a"):
        with pytest.raises(ValueError, match=f"found '{axes}'"):
            index.flipped(whole(), axes)
