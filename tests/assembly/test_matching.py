"""Which ids are one object: by hand, then laws, then errors."""

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf.assembly import matching
from ffn_tf.volume import contingency

HUGE = 2**64 - 1


def table(**shared):
    """table(a1_b2=5): ids 1 and 2 share 5 voxels."""
    first, second = [], []
    for name, voxels in shared.items():
        a, b = (int(part[1:]) for part in name.split("_"))
        first += voxels * [a]
        second += voxels * [b]
    return contingency.count(
        np.array(first, np.uint64), np.array(second, np.uint64)
    )


def pairs(of, voxels=1, fraction=0.0):
    rule = matching.Rule(voxels, fraction)
    return [tuple(pair) for pair in matching.matched(of, rule).pairs.tolist()]


def test_by_hand():
    found = matching.matched(
        table(a0_b0=9, a1_b7=5, a1_b8=4, a2_b8=6, a3_b0=3, a0_b9=2, a4_b8=1),
        matching.Rule(1, 0.5),
    )
    assert found.pairs.tolist() == [[1, 7], [2, 8]]
    assert found.pairs.dtype == np.uint64
    assert (found.num_met, found.num_best) == (4, 2)


def test_of_two_parts_the_larger_one():
    assert pairs(table(a1_b7=5, a1_b8=4)) == [(1, 7)]


def test_who_is_best_for_one_alone():
    """2 is best for 7; but 7 is not the best for 2."""
    assert pairs(table(a1_b8=2, a2_b7=3, a2_b8=4)) == [(2, 8)]


def test_of_equals_the_least():
    assert pairs(table(a1_b7=5, a1_b8=5, a2_b7=5, a2_b8=5)) == [(1, 7)]


def test_enough_voxels():
    of = table(a1_b7=5)
    assert pairs(of, voxels=5) == [(1, 7)]
    assert pairs(of, voxels=6) == []
    found = matching.matched(of, matching.Rule(6, 0))
    assert (found.num_met, found.num_best) == (1, 1)


def test_enough_of_the_smaller_one():
    """Of 8 and 10 voxels; background and other ids count."""
    of = table(a1_b7=4, a1_b0=2, a1_b8=2, a0_b7=3, a2_b7=3)
    assert pairs(of, fraction=0.5) == [(1, 7)]
    assert pairs(of, fraction=0.51) == []


def test_background_matches_nothing():
    assert pairs(table(a0_b0=9, a0_b7=9, a1_b0=9)) == []
    empty = contingency.merged([])
    assert pairs(empty) == []


def test_ids_that_float64_would_confuse():
    first = np.array([HUGE, HUGE, HUGE - 1, HUGE - 1], np.uint64)
    of = contingency.count(first, first[::-1].copy())
    assert pairs(of) == [(HUGE - 1, HUGE), (HUGE, HUGE - 1)]


IDS = st.integers(0, 4)
VOXELS = st.lists(st.tuples(IDS, IDS), max_size=60)
RULES = st.tuples(st.integers(1, 6), st.sampled_from([0, 0.25, 0.5, 0.8, 1]))


def counted(voxels):
    return contingency.count(*np.array(voxels, np.uint64).reshape(-1, 2).T)


@hypothesis.given(VOXELS, RULES)
def test_agrees_with_loops(voxels, rule):
    shared, size = {}, [{}, {}]
    for pair in voxels:
        shared[pair] = shared.get(pair, 0) + 1
        for side, one in enumerate(pair):
            size[side][one] = size[side].get(one, 0) + 1
    both = {pair: n for pair, n in shared.items() if 0 not in pair}

    def best(side, one):
        met = [(-n, p) for p, n in both.items() if p[side] == one]
        return min(met, key=lambda m: (m[0], m[1][1 - side]))[1]

    expected = [
        (a, b)
        for (a, b), n in sorted(both.items())
        if best(0, a) == (a, b) == best(1, b)
        and n >= rule[0]
        and n >= rule[1] * min(size[0][a], size[1][b])
    ]
    assert pairs(counted(voxels), *rule) == expected


@hypothesis.given(VOXELS, RULES)
def test_swapped_tables_give_swapped_pairs(voxels, rule):
    of = counted(voxels)
    found = [(b, a) for a, b in pairs(of.swapped(), *rule)]
    assert sorted(found) == pairs(of, *rule)


@hypothesis.given(
    VOXELS, RULES, st.sets(st.integers(1, HUGE), min_size=4, max_size=4)
)
def test_ids_renamed_in_their_order(voxels, rule, names):
    name = [0, *sorted(names)]
    renamed = [(name[a], name[b]) for a, b in voxels]
    assert pairs(counted(renamed), *rule) == [
        (name[a], name[b]) for a, b in pairs(counted(voxels), *rule)
    ]


def test_errors():
    with pytest.raises(ValueError, match=r"min_overlap_voxels: .* found 0"):
        matching.Rule(min_overlap_voxels=0)
    for fraction in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="min_overlap_fraction: "):
            matching.Rule(min_overlap_fraction=fraction)
