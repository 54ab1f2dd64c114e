"""Scores of edges: by hand, and where nothing changes."""

import numpy as np
import pytest

from segclr.merges import discontinuity

CHAIN = np.stack([np.arange(199), np.arange(1, 200)], axis=1)
LENGTHS = np.full(199, 1000.0)


def test_by_hand():
    vectors = np.array([[0.0], [0], [2], [2]])
    score = discontinuity.scores(vectors, CHAIN[:3], LENGTHS[:3], 5000, 1)
    # Standardised: -1, -1, 1, 1; neighbours differ by 0, 2, 0.
    noise = 4 / 3 / 2
    expected = [
        (4 / 3) ** 2 - noise * (1 + 1 / 3),
        4 - noise,
        (4 / 3) ** 2 - noise * (1 + 1 / 3),
    ]
    np.testing.assert_allclose(score, expected, rtol=1e-5)
    few = discontinuity.scores(vectors, CHAIN[:3], LENGTHS[:3], 5000, 2)
    assert np.isnan(few).tolist() == [True, False, True]


def test_scores_are_the_same_in_parts(monkeypatch):
    vectors = np.random.default_rng(0).normal(size=(200, 3))
    whole = discontinuity.scores(vectors, CHAIN, LENGTHS, 5000)
    monkeypatch.setattr(discontinuity, "_AT_ONCE", 7)
    np.testing.assert_array_equal(
        discontinuity.scores(vectors, CHAIN, LENGTHS, 5000), whole
    )


def test_short_sides_do_not_stand_out_by_chance():
    found = []
    for seed in range(40):
        vectors = np.random.default_rng(seed).normal(size=(200, 8))
        found.append(discontinuity.scores(vectors, CHAIN, LENGTHS, 20_000, 1))
    ends, inner = np.array(found)[:, [0, -1]], np.array(found)[:, 20:-20]
    assert abs(ends.mean()) < 0.15
    assert abs(inner.mean()) < 0.03


def test_a_seam_is_the_highest():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 8))
    vectors[120:] += 1.5
    score = discontinuity.scores(vectors, CHAIN, LENGTHS, 10_000)
    assert np.nanargmax(score) == 119


def test_changes_of_type_by_hand():
    probability = np.array([[1, 0], [1, 0], [0, 1], [0.5, 0.5]])
    change = discontinuity.type_changes(probability, CHAIN[:3], LENGTHS[:3], 0)
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    np.testing.assert_allclose(change, [0, 1, entropy - 0.5], atol=1e-6)


def test_nothing():
    none = np.zeros((0, 2), np.int64)
    assert not len(discontinuity.scores(np.zeros((3, 2)), none, none[:, 0], 1))


def test_embeddings_that_are_not_finite():
    vectors = np.zeros((200, 2))
    vectors[3, 1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        discontinuity.scores(vectors, CHAIN, LENGTHS, 1)
