"""Noise: a function of place, of mean 0 and standard deviation 1."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf.phantom import noise

AXES = [
    np.arange(7) * 37.0 + 5,
    np.arange(11) * 7.0 - 300,
    np.arange(40) * 9.0 + 1e4,
]


def test_hash_tells_axes_and_keys_apart():
    one, two = np.array([1]), np.array([2])
    values = {
        int(noise.hashed(key, *place)[0])
        for key in (0, 1)
        for place in ((one, two, one), (two, one, one), (one, one, two))
    }
    assert len(values) == 6


def test_smooth_on_a_grid_is_smooth_at_its_points():
    grid = noise.smooth_on(5, 100.0, AXES)
    points = np.stack(np.meshgrid(*AXES, indexing="ij"), -1).reshape(-1, 3)
    at = noise.smooth_at(5, 100.0, points).reshape(grid.shape)
    assert grid.dtype == np.float32
    np.testing.assert_allclose(grid, at, atol=2e-6)


@settings(max_examples=20, deadline=None)
@given(start=st.tuples(*[st.integers(0, 5)] * 3), key=st.integers(0, 2**40))
def test_a_part_of_a_grid_is_the_grid_of_the_part(start, key):
    parts = [axis[s:] for axis, s in zip(AXES, start)]
    whole = noise.smooth_on(key, 60.0, AXES)
    part = noise.smooth_on(key, 60.0, parts)
    np.testing.assert_array_equal(
        part, whole[start[0] :, start[1] :, start[2] :]
    )


def test_smooth_noise_is_smooth_and_of_unit_size():
    grid = noise.smooth_on(1, 40.0, [np.arange(0, 1500, 10.0)] * 3)
    assert abs(grid.mean()) < 0.02
    assert grid.std() == pytest.approx(1, abs=0.03)
    for axis in range(3):
        assert np.abs(np.diff(grid, axis=axis)).max() < 1.5


def test_white_noise_belongs_to_voxels():
    indices = [np.arange(-3, 30), np.arange(50), np.arange(1000, 1040)]
    grid = noise.white_on(9, indices)
    part = noise.white_on(9, [index[4:9] for index in indices])
    np.testing.assert_array_equal(part, grid[4:9, 4:9, 4:9])
    assert abs(grid.mean()) < 0.02
    assert grid.std() == pytest.approx(1, abs=0.02)
    neighbours = [
        np.corrcoef(grid[1:].ravel(), grid[:-1].ravel())[0, 1],
        np.corrcoef(grid[:, 1:].ravel(), grid[:, :-1].ravel())[0, 1],
        np.corrcoef(grid[..., 1:].ravel(), grid[..., :-1].ravel())[0, 1],
    ]
    assert np.abs(neighbours).max() < 0.02
