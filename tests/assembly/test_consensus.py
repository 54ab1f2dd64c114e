"""Split consensus: by hand, against a plain computation, its laws."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np

from ffn_tf import volume
from ffn_tf.assembly import consensus

FIRST = np.array([1, 1, 1, 1, 1, 2, 2, 0], np.uint64)
SECOND = np.array([5, 5, 5, 6, 6, 7, 0, 7], np.uint64)


def of(first, second, min_size=1):
    found = consensus.split(volume.contingency.count(first, second), min_size)
    return found.of(first, second)


def plain(first, second, min_size):
    """The rule, pair by pair."""
    pairs = {}
    for a, b in zip(first.ravel().tolist(), second.ravel().tolist()):
        pairs[a, b] = pairs.get((a, b), 0) + 1
    best = {}
    for (a, b), count in sorted(pairs.items()):
        if a not in best or count > best[a][1]:
            best[a] = b, count
    largest, ids = int(first.max()), {}
    for a, b in sorted(pairs, key=lambda pair: (pair[1], pair[0])):
        if a == 0 or pairs[a, b] < min_size:
            ids[a, b] = 0
        elif best[a][0] == b:
            ids[a, b] = a
        else:
            largest += 1
            ids[a, b] = largest
    found = [
        ids[pair]
        for pair in zip(first.ravel().tolist(), second.ravel().tolist())
    ]
    return np.array(found, np.uint64).reshape(first.shape)


def test_by_hand():
    # 2 is as often with 0 as with 7: the least of them, 0, keeps the id.
    assert of(FIRST, SECOND).tolist() == [1, 1, 1, 3, 3, 4, 2, 0]
    assert of(FIRST, SECOND, 2).tolist() == [1, 1, 1, 3, 3, 0, 0, 0]
    assert of(FIRST, SECOND, 3).tolist() == [1, 1, 1, 0, 0, 0, 0, 0]


def test_what_became_of_the_pairs_is_counted():
    found = consensus.split(volume.contingency.count(FIRST, SECOND), 2)
    assert (found.kept, found.split, found.dropped) == (1, 1, 2)


labels = hnp.arrays(
    np.uint64, (3, 4, 5), elements=st.sampled_from([0, 1, 2, 7, 2**40, 2**63])
)


@hypothesis.settings(deadline=None)
@hypothesis.given(first=labels, second=labels, min_size=st.integers(0, 6))
def test_it_is_the_plain_computation(first, second, min_size):
    hypothesis.assume(first.max() < 2**63)
    found = of(first, second, min_size)
    np.testing.assert_array_equal(found, plain(first, second, min_size))


@hypothesis.settings(deadline=None)
@hypothesis.given(first=labels, second=labels)
def test_objects_are_the_pairs(first, second):
    hypothesis.assume(first.max() < 2**63)
    found = of(first, second)
    assert ((found == 0) == (first == 0)).all()
    triples = np.stack([first, second, found]).reshape(3, -1).T
    triples = np.unique(triples[triples[:, 0] != 0], axis=0)
    assert len(np.unique(triples[:, 2])) == len(triples)
    np.testing.assert_array_equal(of(first, first), first)


def test_part_of_the_volumes_is_part_of_the_consensus():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 4, (8, 9, 10)).astype(np.uint64)
    second = rng.integers(0, 4, (8, 9, 10)).astype(np.uint8)
    found = consensus.split(volume.contingency.count(first, second), 5)
    whole = found.of(first, second)
    box = volume.Box((2, 3, 4), (5, 7, 10))
    source = consensus.Agreed(
        volume.from_array(first),
        volume.from_array(second),
        volume.Box.from_shape(first.shape),
        found,
    )
    np.testing.assert_array_equal(source.read(box), whole[box.slices])
