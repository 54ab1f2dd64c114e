"""The bend of space, and back."""

from __future__ import annotations

import numpy as np

from ffn_tf.phantom import warp


def test_a_grid_is_bent_like_its_points():
    axes = [np.arange(3) * 50.0, np.arange(4) * 40.0, np.arange(5) * 30.0 + 9]
    grid = warp.grown_on(2, axes)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    expected = points + warp.bend_at(2, points)
    np.testing.assert_allclose(grid.reshape(3, -1).T, expected, atol=1e-3)


def test_there_is_a_way_back():
    points = np.random.default_rng(0).uniform(-500, 9000, (5000, 3))
    physical = warp.physical_at(1, points)
    again = physical + warp.bend_at(1, physical)
    np.testing.assert_allclose(again, points, atol=0.2)


def test_nothing_is_folded():
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 9000, (5000, 3))
    columns = [
        (warp.bend_at(0, points + step) - warp.bend_at(0, points - step)) / 2
        for step in np.eye(3)
    ]
    jacobian = np.stack(columns, -1)
    assert np.linalg.norm(jacobian, 2, axis=(1, 2)).max() < 1
    # And it does bend: a tenth of all places by a third or more.
    assert np.percentile(np.linalg.norm(jacobian, 2, axis=(1, 2)), 90) > 0.3
