import itertools

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf.inference.seeds import grids

SHAPE = (17, 20, 33)


def test_offset_by_offset_each_ascending():
    image = np.zeros((5, 4, 7))
    found = grids.grid_3d(image, step=3, offsets=(2, 0))
    assert found.dtype == np.int64
    assert found.tolist() == [
        *([2, 2, 2], [2, 2, 5]),
        *([0, 0, 0], [0, 0, 3], [0, 0, 6], [0, 3, 0], [0, 3, 3], [0, 3, 6]),
        *([3, 0, 0], [3, 0, 3], [3, 0, 6], [3, 3, 0], [3, 3, 3], [3, 3, 6]),
    ]


def test_every_slice_has_the_same_grid():
    image = np.zeros((2, 4, 7))
    found = grids.grid_2d(image, step=4, offsets=(3, 1))
    first, second = [(3, 3)], [(1, 1), (1, 5)]
    assert found.tolist() == [
        [z, y, x] for part in (first, second) for z in (0, 1) for y, x in part
    ]


@pytest.mark.parametrize(
    ("grid", "offsets"),
    [
        (grids.grid_3d, [0, 8, 4, 12, 2, 10, 14]),
        (grids.grid_2d, [0, 8, 4, 12, 2, 6, 10, 14]),
    ],
)
def test_the_offsets_of_google_ffn(grid, offsets):
    found = grid(np.zeros(SHAPE))[:, 1:] % 16
    assert [key for key, _ in itertools.groupby(found[:, 1])] == offsets
    np.testing.assert_array_equal(found[:, 0], found[:, 1])


@hypothesis.given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.integers(1, 6),
    st.permutations(range(6)),
)
def test_all_offsets_of_a_slice_are_its_diagonals(shape, step, order):
    offsets = [offset for offset in order if offset < step]
    found = grids.grid_2d(np.zeros(shape), step, offsets)
    expected = {p for p in np.ndindex(shape) if p[1] % step == p[2] % step}
    assert sorted(map(tuple, found.tolist())) == sorted(expected)


def test_an_offset_beyond_the_volume_gives_none():
    image = np.zeros((5, 4, 7))
    assert grids.grid_3d(image, step=2, offsets=(9,)).shape == (0, 3)
    assert grids.grid_2d(image, step=2, offsets=(9,)).shape == (0, 3)
