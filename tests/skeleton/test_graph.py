"""Skeletons: lengths, voxels, cuts; and what is no skeleton."""

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import skeleton

VERTICES = np.array([[0, 0, 0], [0, 3, 4], [12, 3, 4], [1, 1, 1]], np.float32)


def made(vertices=VERTICES, edges=((0, 1), (2, 1))):
    pairs = np.array(edges, np.int64).reshape(-1, 2)
    return skeleton.Skeleton(7, vertices, pairs)


def test_lengths():
    assert made().edge_lengths_nm.tolist() == [5, 12]
    assert made().length_nm == 17
    assert made(edges=()).length_nm == 0


def test_voxels_are_floors():
    vertices = np.array([[-0.1, 29.9, 30.0]], np.float32)
    found = made(vertices, ()).voxels_zyx((10, 30, 30))
    assert found.tolist() == [[-1, 0, 1]]
    assert found.dtype == np.int64


@pytest.mark.parametrize("size", [9.2, 4.01, 33.0, 1 / 3])
def test_a_vertex_on_a_corner_is_in_the_voxel_behind_it(size):
    number = np.arange(100_000)
    corners = (number * size).astype(np.float32)
    vertices = np.stack([corners, -corners, corners], axis=1)
    found = made(vertices, ()).voxels_zyx((size, 2 * size, 3 * size))
    np.testing.assert_array_equal(found[:, 0], number)
    np.testing.assert_array_equal(found[::2, 1], -number[: len(number) // 2])
    np.testing.assert_array_equal(found[:, 2], number // 3)


def test_cut():
    found = made().cut(np.array([False, True, True, True]))
    assert found.id == 7
    assert found.vertices_nm_zyx.tolist() == VERTICES[1:].tolist()
    assert found.edges.tolist() == [[1, 0]]


@hypothesis.given(st.lists(st.booleans(), min_size=4, max_size=4))
def test_a_cut_is_no_longer(keep):
    whole = made(edges=((0, 1), (2, 1), (3, 0)))
    part = whole.cut(np.array(keep))
    assert part.length_nm <= whole.length_nm
    assert len(part.vertices_nm_zyx) == sum(keep)
    if all(keep):
        np.testing.assert_array_equal(part.edges, whole.edges)


def test_bad_input():
    with pytest.raises(ValueError, match=r"Skeleton 7: expected vertices"):
        made(VERTICES[:, :2])
    with pytest.raises(ValueError, match=r"of integers, found \(3, 3\)"):
        skeleton.Skeleton(7, VERTICES, np.zeros((3, 3), int))
    with pytest.raises(ValueError, match=r"found \(3, 2\) of float64"):
        skeleton.Skeleton(7, VERTICES, np.zeros((3, 2)))
    with pytest.raises(ValueError, match="name vertices 0 to 4, but there are"):
        made(edges=((0, 4),))
    with pytest.raises(ValueError, match="name vertices -1 to 1"):
        made(edges=((-1, 1),))
    with pytest.raises(ValueError, match="a vertex is not finite"):
        made(VERTICES * np.nan)
