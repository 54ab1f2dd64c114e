"""Clearance: signed distance to what has been painted."""

from __future__ import annotations

import numpy as np
import pytest

from ffn_tf.phantom import clearance, nearest

LOW, HIGH = np.zeros(3), np.array([500.0, 600.0, 700.0])


def test_nothing_is_near_in_an_empty_world():
    space = clearance.Clearance(LOW, HIGH)
    assert space.at(np.array([250.0, 300, 350])) == clearance.FAR_NM


def test_a_ball():
    space = clearance.Clearance(LOW, HIGH)
    center = np.array([250.0, 300, 350])
    space.paint(center, center, 80, 80, reach=120)
    # Linear between samples: an overestimate, by less than a tenth of them.
    for offset, expected in (
        ((0, 0, 120), 40),
        ((0, 150, 0), 70),
        ((100, 0, 0), 20),
        ((0, -130, 0), 50),
    ):
        found = space.at(center + offset)
        assert expected - 0.01 <= found < expected + 3.2
    far = space.at(np.array([20.0, 20, 20]))
    assert far == clearance.FAR_NM


def test_a_capsule_at_its_samples():
    space = clearance.Clearance(LOW, HIGH)
    a, b = np.array([100.0, 200, 150]), np.array([330.0, 260, 480])
    space.paint(a, b, 40, 90, reach=2000)
    points = space.position(np.arange(space.grid.size))
    cone = nearest.Capsules(
        a[None], b[None], np.array([40.0]), np.array([90.0]), np.array([1])
    )
    expected = cone.distance(points)[:, 0]
    np.testing.assert_allclose(space.grid.ravel(), expected, atol=1e-3)
    np.testing.assert_allclose(space.at(points[::7]), expected[::7], atol=0.5)


def test_the_nearer_of_two_counts():
    space = clearance.Clearance(LOW, HIGH)
    left, right = np.array([250.0, 300, 100]), np.array([250.0, 300, 600])
    space.paint(left, left, 50, 50, reach=600)
    space.paint(right, right, 20, 20, reach=600)
    between = np.array([[250.0, 300, 300], [250.0, 300, 400]])
    np.testing.assert_allclose(space.at(between), [150, 180], atol=3)


@pytest.mark.parametrize("where", [-3000.0, 3000.0])
def test_painting_outside_is_nothing(where):
    space = clearance.Clearance(LOW, HIGH)
    point = np.full(3, where)
    space.paint(point, point, 50, 50, reach=100)
    assert (space.grid == clearance.FAR_NM).all()
