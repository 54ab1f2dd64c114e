"""Trials of merges that are found, and of those that cannot be."""

import numpy as np
import pytest

from segclr.merges import synthetic, trial


def forest(score_of):
    """20 chains of 11 nodes, 1 um apart; score_of(number) scores 10 edges."""
    segment = np.repeat(np.arange(1, 21, dtype=np.uint64), 11)
    node = np.tile(np.arange(11), 20)
    position = np.stack([segment * 1e5, node * 0, node * 1000.0], axis=1)
    first = np.flatnonzero(node < 10)
    edges = np.stack([first, first + 1], axis=1)
    score = np.concatenate([score_of(number) for number in range(1, 21)])
    side = np.minimum(first % 11 + 1, 10 - first % 11)
    return trial.Forest(segment, position.astype(float), edges, score, side)


def seam(segment, x, kind="random"):
    return synthetic.Seam(segment, 0, kind, (segment * 1e5, 0.0, x))


def test_what_stands_out_is_found():
    rng = np.random.default_rng(0)

    def score_of(number):
        found = rng.uniform(0, 1, 10)
        found[4] += 5 * (number <= 4)
        return found

    seams = [seam(k, 4500.0) for k in range(1, 5)]
    (result,) = trial.run(forest(score_of), seams, 1200)
    assert (result.merges, result.auroc, result.located) == (4, 1, 1)
    # Three of ten edges are within 1.2 um; a cut elsewhere is partly right.
    assert result.chance_located == pytest.approx(0.3)
    assert result.divided == 1
    assert 0.7 < result.chance_divided < 0.9
    assert "100% (30%)" in trial.as_table([result])


def test_noise_gives_chance():
    rng = np.random.default_rng(1)
    seams = [
        seam(k, 1000.0 * rng.integers(0, 10) + 500, "same_type")
        for k in range(1, 21)
    ]
    results = [
        trial.run(forest(lambda _: rng.uniform(0, 1, 10)), seams, 600)[0]
        for _ in range(20)
    ]
    assert np.mean([r.auroc for r in results]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([r.located for r in results]) == pytest.approx(
        results[0].chance_located, abs=0.05
    )
    divided = np.mean([r.divided for r in results])
    assert divided == pytest.approx(results[0].chance_divided, abs=0.05)


def test_seams_at_ends_are_not_found():
    def score_of(_):
        return np.r_[np.nan, np.arange(8.0), np.nan]

    (result,) = trial.run(forest(score_of), [seam(1, 500.0)], 600)
    # As low as the other ends, each of which is a tie.
    ends, others = 2 * 20 - 1, 200 - 1
    assert result.auroc == pytest.approx(ends / 2 / others, abs=0.003)
    assert result.located == 0
    assert result.chance_located == 0  # No scored edge is near.


def test_the_seam_is_where_the_two_meet():
    """A thin branch, whose contact is nearer to its own edge than to the link.

    first   (0, 0) ─ (0, 1000)          x: along; the contact is at y = 90
    second  (400, 500) ─ (900, 500)
    """
    position = np.array(
        [[0, 0, 0], [0, 0, 1000], [0, 400, 500], [0, 900, 500.0]]
    )
    edges = np.array([[0, 1], [1, 2], [2, 3]])
    made = trial.Forest(
        np.full(4, 7, np.uint64),
        position,
        edges,
        np.array([0.0, 5, 1]),
        np.ones(3),
    )
    found = synthetic.Seam(7, 8, "random", (0.0, 90.0, 500.0), 2)
    (known,) = trial.run(made, [found], 100, {7: position[:2]})
    assert (known.located, known.divided) == (1, 1)
    (guessed,) = trial.run(made, [found], 100)
    assert guessed.located == 0


def test_the_edge_that_passes_is_taken_where_nothing_else_is_known():
    def score_of(_):
        return np.arange(10.0)

    (result,) = trial.run(forest(score_of), [seam(3, 9100.0)], 10)
    assert (result.located, result.chance_located) == (1, 0.1)


def test_kinds_are_apart_and_strangers_refused():
    def score_of(_):
        return np.arange(10.0)

    seams = [seam(1, 500.0, "a"), seam(2, 9500.0, "b"), seam(99, 0.0, "c")]
    one, two = trial.run(forest(score_of), seams, 600)
    assert (one.kind, one.located, two.kind, two.located) == ("a", 0, "b", 1)
    with pytest.raises(ValueError, match="None of the 1 merges"):
        trial.run(forest(score_of), seams[2:], 600)
