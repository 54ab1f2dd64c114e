"""Sampling, beside scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
import tensorflow as tf

from ffn_tf.training.augmentation import sampling


@pytest.fixture(params=[(5, 7), (4, 5, 7)], ids=["plane", "space"])
def case(request):
    """(values [n1, ..., nk, 2], points [k, p], some of them outside)."""
    rng = np.random.default_rng(3)
    size = request.param
    values = rng.uniform(0, 255, (*size, 2)).astype(np.float32)
    points = [rng.uniform(-2, n + 1, 500).astype(np.float32) for n in size]
    return values, np.array(points)


def test_linear(case):
    values, points = case
    found = sampling.linear(tf.constant(values), tf.unstack(points))
    for channel in range(2):
        expected = ndimage.map_coordinates(
            values[..., channel], points, order=1, mode="nearest"
        )
        np.testing.assert_allclose(found[:, channel], expected, rtol=1e-4)


def test_nearest(case):
    values, points = case
    found = sampling.nearest(tf.constant(values), tf.unstack(points))
    for channel in range(2):
        expected = ndimage.map_coordinates(
            values[..., channel], points, order=0, mode="nearest"
        )
        np.testing.assert_array_equal(found[:, channel], expected)


def test_inside(case):
    values, points = case
    size = values.shape[:-1]
    known = ndimage.map_coordinates(
        np.pad(np.ones(size), 5), points + 5, order=0
    )
    found = sampling.inside(size, tf.unstack(points))
    np.testing.assert_array_equal(found, known > 0)
    assert 50 < np.sum(found) < 450


def test_a_voxel_reaches_half_a_voxel_further():
    found = sampling.inside((3,), [tf.constant([-0.51, -0.5, 2.49, 2.5])])
    assert found.numpy().tolist() == [False, True, True, False]


def test_whole_coordinates_are_voxels_exactly(case):
    values, points = case
    points = np.round(points)
    found = sampling.linear(tf.constant(values), tf.unstack(points))
    expected = sampling.nearest(tf.constant(values), tf.unstack(points))
    np.testing.assert_array_equal(found, expected)
