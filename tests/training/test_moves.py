"""Walks: positions worked out by hand, and laws."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import special

from ffn_tf.model.fov import FieldOfView
from ffn_tf.training import moves

VIEW = FieldOfView((5, 7, 9), (1, 2, 3))
RNG = np.random.default_rng(0)


def _policy(kind: moves.Kind, number: int = 1, **given: bool) -> moves.Policy:
    rng = np.random.default_rng(0)
    return moves.Policy.drawn(VIEW, kind, number, rng, **given)


def _example(policy: moves.Policy, labels: np.ndarray | None = None):
    size = policy.patch_size
    image = np.arange(np.prod(size), dtype=np.float32).reshape(size)
    if labels is None:
        labels = np.full(size, 0.95, np.float32)
    weights = np.random.default_rng(1).random(size, np.float32)
    return moves.Example(image, labels, weights, np.array([0, 5, 6, 7]))


def _logits(probability: float) -> np.ndarray:
    return np.full(VIEW.size, special.logit(probability), np.float32)


def _walked(walk: moves.Walk, probability: float) -> list[moves.Offset]:
    """Positions of a walk whose predictions are one value."""
    found = []
    while walk.offset is not None:
        found.append(walk.offset)
        walk.update(_logits(probability))
    return found


def test_sizes_are_google_ffns() -> None:
    fixed, free = _policy("fixed"), _policy("max_pred_moves")
    assert fixed.patch_size == (7, 11, 15)
    assert free.patch_size == (9, 15, 21)
    assert fixed.eval_size == free.eval_size == (7, 11, 15)


def test_fixed_visits_all_26_in_one_order() -> None:
    policy = _policy("fixed")
    first, second = (
        _walked(moves.Walk(_example(policy), policy), 0.95) for _ in range(2)
    )
    assert first == second
    assert first[0] == (0, 0, 0)
    assert len(first) == len(set(first)) == 27
    assert {abs(z) for z, _, _ in first} == {0, 1}
    assert {abs(y) for _, y, _ in first} == {0, 2}
    assert {abs(x) for _, _, x in first} == {0, 3}
    other = moves.Policy.drawn(VIEW, "fixed", 1, np.random.default_rng(5))
    assert set(other.order) == set(policy.order)
    assert other.order != policy.order


def test_fixed_of_two_moves_goes_outwards() -> None:
    policy = _policy("fixed", 2)
    walked = _walked(moves.Walk(_example(policy), policy), 0.95)
    assert len(set(walked)) == 125
    steps = [abs(z) + abs(y) // 2 + abs(x) // 3 for z, y, x in walked]
    assert steps == sorted(steps)


def test_fixed_goes_only_where_the_canvas_says_so() -> None:
    policy = _policy("fixed")
    walk = moves.Walk(_example(policy), policy)
    logits = _logits(0.1)
    logits[2, 3, 7] = special.logit(0.95)  # Offset 0, 0, 3 of the centre.
    walk.update(logits)
    assert walk.offset == (0, 0, 3)
    walk.update(_logits(0.1))
    assert walk.offset is None
    made = [move.offset for move in walk.considered if move.made]
    assert made == [(0, 0, 0), (0, 0, 3)]
    assert len(walk.considered) == 27
    assert all(move.wanted for move in walk.considered)


def test_canvases_that_start_with_truth() -> None:
    policy = _policy("fixed")
    labels = np.full(policy.patch_size, 0.05, np.float32)
    labels[:, :6] = 0.95  # The centre is at y = 5.
    walk = moves.Walk(_example(policy, labels), policy, seed_radius=2)
    known = walk.canvas == np.float32(special.logit(0.95))
    z, y, x = np.mgrid[tuple(slice(n) for n in policy.patch_size)]
    near = (z - 3) ** 2 + (y - 5) ** 2 + (x - 7) ** 2 <= 4
    np.testing.assert_array_equal(known, near & (y < 6))


def test_what_is_seen() -> None:
    policy = _policy("fixed")
    example = _example(policy)
    walk = moves.Walk(example, policy)
    seen = walk.view()
    expected = np.full(VIEW.size, special.logit(0.05), np.float32)
    expected[2, 3, 4] = special.logit(0.95)
    np.testing.assert_array_equal(seen.seed, expected)
    for part, whole in (
        (seen.image, example.image),
        (seen.weights, example.weights),
    ):
        np.testing.assert_array_equal(part, whole[1:-1, 2:-2, 3:-3])
    walk.update(_logits(0.97))
    z, y, x = walk.offset
    field = np.s_[1 + z : 6 + z, 2 + y : 9 + y, 3 + x : 12 + x]
    np.testing.assert_array_equal(walk.view().image, example.image[field])
    np.testing.assert_array_equal(walk.view().seed, walk.canvas[field])
    assert (
        walk.canvas[1:-1, 2:-2, 3:-3] == np.float32(special.logit(0.97))
    ).all()


def test_max_pred_moves_stays_in_the_object() -> None:
    policy = _policy("max_pred_moves")
    labels = np.full(policy.patch_size, 0.05, np.float32)
    labels[:, :, : policy.patch_size[2] // 2 + 1] = 0.95
    walk = moves.Walk(_example(policy, labels), policy)
    walked = _walked(walk, 0.95)
    assert len(walked) > 5
    assert all(x <= 0 for _, _, x in walked)
    kinds = {(m.wanted, m.made) for m in walk.considered}
    assert kinds == {(True, True), (False, False)}


def test_max_pred_moves_by_strength() -> None:
    policy = _policy("max_pred_moves")
    walk = moves.Walk(_example(policy), policy)
    logits = _logits(0.1)
    logits[1, 3, 5] = 4  # On the face z = -1.
    logits[2, 5, 4] = 5  # On the face y = +2.
    walk.update(logits)
    assert walk.offset == (0, 2, 0)
    walk.update(_logits(0.1))  # Hides the other one? Not at its place.
    assert walk.offset in {(-1, 0, 1), None}


def test_a_centre_in_the_background_is_seen_once() -> None:
    policy = _policy("fixed")
    labels = np.full(policy.patch_size, 0.05, np.float32)
    walk = moves.Walk(_example(policy, labels), policy)
    assert _walked(walk, 0.05) == [(0, 0, 0)]


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(
    st.sampled_from(moves.KINDS), st.integers(0, 2), st.integers(0, 10**6)
)
def test_laws(kind: moves.Kind, number: int, seed: int) -> None:
    policy = _policy(kind, number)
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(policy.patch_size) < 0.8, 0.95, 0.05)
    example = _example(policy, labels.astype(np.float32))
    walk = moves.Walk(example, policy)
    seen = []
    copy = None
    while walk.offset is not None:
        seen.append(walk.offset)
        assert walk.view().image.shape == VIEW.size
        logits = rng.normal(2, 2, VIEW.size).astype(np.float32)
        if len(seen) == 3:
            copy = moves.Walk.restored(walk.state(), policy)
        if copy is not None:
            np.testing.assert_array_equal(copy.view().seed, walk.view().seed)
            copy.update(logits)
        walk.update(logits)
        if copy is not None:
            assert copy.offset == walk.offset
    assert len(seen) == len(set(seen))
    if copy is not None:
        np.testing.assert_array_equal(copy.canvas, walk.canvas)


@pytest.mark.parametrize(
    ("kind", "number", "given"),
    [
        ("free", 1, {}),
        ("fixed", -1, {}),
        ("fixed", 1, {"threshold": 1.0}),
        ("fixed", 1, {"seed_pad": 0.0}),
    ],
)
def test_policies_that_cannot_be(
    kind: str, number: int, given: dict[str, float]
) -> None:
    with pytest.raises(ValueError, match="found"):
        moves.Policy.drawn(VIEW, kind, number, RNG, **given)  # type: ignore
