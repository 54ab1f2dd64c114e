"""Scores by hand."""

import numpy as np
import pytest

from segclr.classification import scores


def test_f1_by_hand():
    truth, found = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 0])
    counts = scores.confusion(truth, found, 4)
    assert counts.tolist() == [
        [2, 1, 0, 0],
        [0, 1, 0, 0],
        [1, 0, 0, 0],
        [0] * 4,
    ]
    np.testing.assert_allclose(scores.f1(counts), [4 / 6, 2 / 3, 0, np.nan])
    assert scores.macro_f1(truth, found, 4) == pytest.approx(4 / 9)
    with pytest.raises(ValueError, match="no examples"):
        scores.macro_f1(truth[:0], found[:0], 2)


def test_auroc_by_hand():
    assert scores.auroc(np.array([0, 1, 2]), np.array([1, 3])) == pytest.approx(
        (1 + 0.5 + 0 + 3) / 6
    )
    assert scores.auroc(np.array([1, 2]), np.array([3])) == 1
    assert np.isnan(scores.auroc(np.array([1]), np.array([])))


def test_auroc_of_large_numbers_of_examples():
    rng = np.random.default_rng(0)
    found = scores.auroc(rng.normal(size=90_000), rng.normal(size=90_000))
    assert abs(found - 0.5) < 0.01


def test_thresholds():
    known, unknown = np.array([0.1, 0.2, 0.3, 0.6]), np.array([0.5, 0.7, 0.8])
    # From 0.5 on: all unknown, and one of the four known.
    assert scores.threshold(known, unknown) == 0.5
    none = np.array([])
    hundred = np.linspace(0, 1, 101)
    assert (hundred < scores.threshold(hundred, none)).all()
    # The unknown are surer: nothing is called unknown.
    sure = np.array([0.0, 0.05])
    assert scores.threshold(known, sure) > 0.6
    with pytest.raises(ValueError, match="No validated examples"):
        scores.threshold(none, unknown)
