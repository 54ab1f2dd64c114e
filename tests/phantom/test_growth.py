"""Neurites keep out of each other, and are as their habits say."""

from __future__ import annotations

import numpy as np
import pytest

from ffn_tf.phantom import growth, habits, nearest

SIZE = (300.0, 400.0, 500.0)


@pytest.fixture(scope="module")
def trees() -> list[growth.Tree]:
    return growth.grow(SIZE, seed=3)


def test_the_same_seed_grows_the_same(trees):
    again = growth.grow(SIZE, seed=3)
    assert [len(tree) for tree in again] == [len(tree) for tree in trees]
    for one, two in zip(trees, again):
        np.testing.assert_array_equal(one.position, two.position)
        assert one.radius == two.radius
    other = growth.grow(SIZE, seed=4)
    assert not np.array_equal(other[0].position, trees[0].position)


def test_all_types_grow(trees):
    assert {tree.kind for tree in trees} == {h.kind for h in habits.HABITS}
    parts = {part for tree in trees for part in tree.part}
    assert parts == {growth.SHAFT, growth.BOUTON, growth.TWIG, growth.HEAD}
    for tree in trees:
        if growth.BOUTON in tree.part:
            assert tree.kind == "axon"
        if growth.TWIG in tree.part:
            assert tree.kind == "dendrite"


def test_parents_come_first(trees):
    for tree in trees:
        assert tree.parent[0] == -1
        assert all(0 <= p < k for k, p in enumerate(tree.parent) if k)


def test_no_centre_line_is_claimed_by_another_neurite(trees):
    cones = nearest.Capsules.joined(
        [
            nearest.Capsules(
                np.array(tree.position)[np.maximum(tree.parent, 0)],
                np.array(tree.position),
                np.array(tree.base),
                np.array(tree.radius),
                np.full(len(tree), number),
            )
            for number, tree in enumerate(trees)
        ]
    )
    for number, tree in enumerate(trees):
        distance = cones.distance(np.array(tree.position))
        others = distance[:, cones.owner != number].min(1)
        assert (others > -np.array(tree.radius)).all()


def test_no_tube_is_thinner_than_its_kind_allows(trees):
    thinnest = {
        kind: min(h.thinnest for h in habits.HABITS if h.kind == kind)
        for kind in {h.kind for h in habits.HABITS}
    }
    for tree in trees:
        assert min(tree.radius) >= thinnest[tree.kind]


def test_little_room_is_left(trees):
    """No place of the volume is far from all tubes: they fill it densely."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 1, (2000, 3)) * SIZE
    ends = np.concatenate([tree.position for tree in trees])
    radii = np.concatenate([tree.radius for tree in trees])
    away = np.sqrt(((points[:, None] - ends) ** 2).sum(-1)) - radii
    assert np.percentile(away.min(1), 99) < 100
