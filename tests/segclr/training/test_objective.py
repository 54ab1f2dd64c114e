"""NT-Xent: its constants, replicas, and what is no negative."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from segclr.training import objective


def views(pairs=6, size=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, pairs, size)).astype(np.float32)


def by_hand(first, second, temperature):
    """Straight from the definition."""
    both = np.concatenate([first, second]).astype(np.float64)
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    likeness = np.exp(both @ both.T / temperature)
    np.fill_diagonal(likeness, 0)
    count = len(first)
    partner = np.r_[count : 2 * count, :count]
    chosen = likeness[np.arange(2 * count), partner]
    return -np.log(chosen / likeness.sum(1)).sum() / count


@pytest.mark.parametrize(
    ("count", "expected"), [(4, 3.891820), (512, 13.860990)]
)
def test_all_the_same(count, expected):
    """shared/reference/segclr_behaviour.md 1.5: 2 log(2 n - 1)."""
    same = np.ones((count, 3), np.float32)
    for temperature in (0.1, 1.0):
        found = objective.nt_xent(same, 7 * same, temperature)
        assert float(found) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("temperature", "expected"), [(0.1, 5.447250e-4), (1.0, 2.330844)]
)
def test_perfect_pairs(temperature, expected):
    apart = np.eye(4, dtype=np.float32)
    found = objective.nt_xent(apart, apart, temperature)
    assert float(found) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_definition(temperature):
    first, second = views()
    found = objective.nt_xent(first, second, temperature)
    assert float(found) == pytest.approx(
        by_hand(first, second, temperature), rel=1e-5
    )


def test_replicas_give_the_loss_of_one():
    first, second = views(pairs=6)
    parts = [
        objective.nt_xent(
            first[i : i + 3],
            second[i : i + 3],
            everybody=(first, second),
            offset=i,
        )
        for i in (0, 3)
    ]
    whole = objective.nt_xent(first, second)
    assert float(sum(parts)) / 2 == pytest.approx(float(whole), rel=1e-6)


def test_pairs_of_one_neurite_are_no_negatives():
    """Of the same pairs without the other one of the neurite."""
    first, second = views(pairs=3)
    ids = np.array([1, 2, 1])
    found = objective.nt_xent(first, second, neurites=(ids, ids))
    parts = []
    for i, others in enumerate([[1], [0, 2], [1]]):
        kept = np.array([i, *others])
        a, b = (
            _one(x[kept], y[kept])
            for x, y in ((first, second), (second, first))
        )
        parts.append(a + b)
    assert float(found) == pytest.approx(np.mean(parts), rel=1e-5)
    apart = np.arange(3)
    unlike = objective.nt_xent(first, second, neurites=(apart, apart))
    whole = objective.nt_xent(first, second)
    assert float(unlike) == pytest.approx(float(whole), rel=1e-6)
    assert float(unlike) != pytest.approx(float(found), rel=1e-3)


def _one(first, second, temperature=0.1):
    """Of the first of the views, among all of the others."""
    first, second = (
        x / np.linalg.norm(x, axis=1, keepdims=True) for x in (first, second)
    )
    across = np.exp(first[0] @ second.T / temperature)
    along = np.exp(first[0] @ first[1:].T / temperature)
    return -np.log(across[0] / (across.sum() + along.sum()))


def test_accuracy():
    first, second = np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32)
    assert float(objective.accuracy(first, second)) == 1
    swapped = second[[1, 0, 2, 3]]
    assert float(objective.accuracy(first, swapped)) == 0.5


def test_spread():
    rng = np.random.default_rng(0)
    everywhere = rng.normal(size=(4096, 16)).astype(np.float32)
    assert float(objective.spread(everywhere)) == pytest.approx(1, abs=0.02)
    collapsed = np.ones((8, 16), np.float32)
    assert float(objective.spread(collapsed)) == pytest.approx(0, abs=1e-4)


def test_it_can_be_learnt():
    """Gradients are finite where a view is its partner's."""
    first = keras.Variable(views()[0])
    with tf.GradientTape() as tape:
        loss = objective.nt_xent(first, views()[0])
    (gradient,) = tape.gradient(loss, [first.value])
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0
