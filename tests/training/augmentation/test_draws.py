"""Draws: streams that know nothing of each other, and evenly spread."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from ffn_tf.training.augmentation import draws

SEED = tf.constant([5, 9])


def many(count, function):
    """`function` of as many seeds, in one array."""
    seeds = tf.stack([tf.ones(count, tf.int32), tf.range(count)], 1)
    found = tf.data.Dataset.from_tensor_slices(seeds).map(function)
    return next(iter(found.batch(count))).numpy()


def test_streams_and_draws_differ():
    values = set()
    for stream in draws.Stream:
        draw = draws.Draws(SEED, stream)
        values |= {float(draw.uniform()) for _ in range(5)}
    assert len(values) == 5 * len(draws.Stream)


def test_numbers_of_the_streams_are_for_ever():
    assert [stream.value for stream in draws.Stream] == list(range(1, 12))
    found = draws.Draws(SEED, draws.Stream.ROTATE).uniform()
    np.testing.assert_allclose(found, 0.0238675, atol=1e-7)


def test_bounds():
    draw = draws.Draws(SEED, draws.Stream.GAMMA)
    real = draw.uniform((1000,), -2.0, 3.0).numpy()
    assert real.dtype == np.float32
    assert -2 <= real.min() < -1.9 and 2.9 < real.max() < 3
    whole = draw.uniform((1000,), -2, 3).numpy()
    assert whole.dtype == np.int32
    assert set(whole) == {-2, -1, 0, 1, 2}


def test_directions_are_spread_over_the_sphere():
    found = many(
        400, lambda seed: draws.Draws(seed, draws.Stream.ROTATE).direction()
    )
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    # Each coordinate of a point on a sphere is uniform: variance 1/3.
    np.testing.assert_allclose(found.mean(0), 0, atol=4 * np.sqrt(1 / 1200))
    np.testing.assert_allclose((found**2).mean(0), 1 / 3, atol=0.06)


@pytest.mark.parametrize(("count", "most"), [(3, 1), (7, 1), (7, 3), (7, 6)])
def test_sections(count, most):
    """1 to `most`, each number and each section but the middle one."""
    found = many(
        200,
        lambda seed: draws.Draws(seed, draws.Stream.MISSING).sections(
            count, most
        ),
    )
    assert set(found.sum(1)) == set(range(1, most + 1))
    hit = found.any(0)
    assert not hit[count // 2]
    assert hit.sum() == count - 1
