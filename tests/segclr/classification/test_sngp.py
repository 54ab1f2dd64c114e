"""Bounded weights, a Gaussian process, and uncertainties by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from segclr.classification import sngp


def test_uncertainty_by_hand():
    logits = np.array([[0, 0, 0, 0], [5, 0, 0, 0]])
    np.testing.assert_allclose(
        sngp.dempster_shafer(logits), [0.5, 0.025738], atol=1e-6
    )


def test_large_logits_do_not_overflow():
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = sngp.dempster_shafer(np.array([[2000.0, 0], [-2000, -2000]]))
    np.testing.assert_allclose(found, [0, 1], atol=1e-12)


def test_mean_field_by_hand():
    found = sngp.mean_field(np.ones((2, 3)), np.array([0, 8 / np.pi]))
    np.testing.assert_allclose(found, [[1] * 3, [2**-0.5] * 3])


def test_the_largest_singular_value_is_bounded():
    keras.utils.set_random_seed(0)
    layer = sngp.SpectralDense(20, bound=0.7)
    layer.build((None, 30))
    layer.kernel.assign(3 * np.random.default_rng(0).normal(size=(30, 20)))
    x = np.ones((2, 30), np.float32)
    before = layer.direction.numpy()
    layer(x)
    np.testing.assert_array_equal(layer.direction.numpy(), before)
    for _ in range(200):
        layer(x, training=True)
    values = np.linalg.svd(layer.bounded_kernel().numpy(), compute_uv=False)
    np.testing.assert_allclose(values[0], 0.7, rtol=1e-3)
    # What is small enough stays.
    layer.kernel.assign(0.01 * layer.kernel.numpy())
    np.testing.assert_allclose(
        layer.bounded_kernel().numpy(), layer.kernel.numpy()
    )


def test_the_power_iteration_runs_in_a_graph():
    layer = sngp.SpectralDense(4, bound=0.5)
    layer.build((None, 3))
    step = tf.function(lambda x: layer(x, training=True))
    before = layer.direction.numpy()
    step(np.ones((2, 3), np.float32))
    assert not np.allclose(layer.direction.numpy(), before)


def process(size=3):
    made = sngp.GaussianProcess(2, features=512, ridge=0.1)
    made.build((None, size))
    return made


def test_features_make_a_gaussian_kernel():
    made = sngp.GaussianProcess(2, features=4000, scale=2.0)
    made.build((None, 3))
    x = np.array([[0, 0, 0], [1, 0.5, 0], [3, 1, 2]], np.float32)
    phi = np.asarray(made.random_features(x))
    distance = ((x[:, None] - x[None]) ** 2).sum(-1)
    expected = np.exp(-distance / (2 * 2.0 * 3))
    np.testing.assert_allclose(phi @ phi.T, expected, atol=0.06)


def test_variance_by_hand():
    made = process()
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    made.observe(x)
    phi = np.asarray(made.random_features(x), np.float64)
    precision = 0.1 * np.eye(512) + phi.T @ phi
    expected = 0.1 * np.einsum(
        "nd,de,ne->n", phi, np.linalg.inv(precision), phi
    )
    np.testing.assert_allclose(made.variance(x), expected, rtol=1e-3)


def test_far_places_are_uncertain():
    made = process()
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    made.observe(x)
    near, far = made.variance(x[:50]), made.variance(x[:50] + 20)
    assert np.max(near) < 0.2 < 0.8 < np.min(far)


def test_looking_changes_nothing():
    made = process()
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    made.observe(x)
    before = [np.copy(w) for w in made.get_weights()]
    made(x + 5)
    made.variance(x + 5)
    for one, two in zip(before, made.get_weights()):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    "layer", [sngp.SpectralDense(4, 0.9, 1e-3), sngp.GaussianProcess(3, 64)]
)
def test_configs(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
