"""Masks that are eroded and dilated."""

import numpy as np
import pytest
from scipy import ndimage
import tensorflow as tf

from segclr.training import masks


@pytest.fixture
def mask():
    found = np.zeros((9, 11, 13), np.float32)
    found[2:7, 3:8, 3:10] = 1
    return found


def test_off(mask):
    assert masks.changed(mask, tf.constant([1, 2]), 0.0, 2) is mask


def test_all_that_can_happen(mask):
    """Eroded or dilated by 1 or 2 voxels; once eagerly, once in a graph."""
    cube = np.ones((3, 3, 3))
    expected = {
        ndimage.binary_dilation(mask, cube, 1).tobytes(): "thicker 1",
        ndimage.binary_dilation(mask, cube, 2).tobytes(): "thicker 2",
        ndimage.binary_erosion(mask, cube, 1).tobytes(): "thinner 1",
        ndimage.binary_erosion(mask, cube, 2).tobytes(): "thinner 2",
    }
    graph = tf.function(lambda seed: masks.changed(mask, seed, 1.0, 2))
    seen = []
    for i in range(40):
        seed = tf.constant([7, i])
        one = masks.changed(mask, seed, 1.0, 2).numpy()
        np.testing.assert_array_equal(one, graph(seed))
        seen.append(expected[(one > 0).tobytes()])
    assert set(seen) == set(expected.values())
    assert 10 < sum("thicker" in one for one in seen) < 30


def test_sometimes(mask):
    changed = [
        not np.array_equal(
            masks.changed(mask, tf.constant([3, i]), 0.25, 1), mask
        )
        for i in range(80)
    ]
    assert 8 < sum(changed) < 35
