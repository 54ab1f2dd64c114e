"""Sets that pairs join: by hand, then laws, then errors."""

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import csgraph

from ffn_tf.assembly import union_find

NODES = 20
PAIRS = st.lists(
    st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)),
    max_size=40,
)


def roots(*calls, nodes=NODES):
    forest = union_find.Forest(nodes)
    for pairs in calls:
        forest.join(np.array(pairs, np.int64).reshape(-1, 2))
    return forest.roots().tolist()


def test_by_hand():
    forest = union_find.Forest(6)
    assert forest.roots().tolist() == [0, 1, 2, 3, 4, 5]
    forest.join([[1, 4], [5, 4]])
    assert forest.roots().tolist() == [0, 1, 2, 3, 1, 1]
    forest.join(np.array([[0, 5]], np.uint64))
    forest.join(np.zeros((0, 2), np.int64))
    forest.join([[3, 3]])
    assert forest.roots().tolist() == [0, 0, 2, 3, 0, 0]


def test_what_roots_returns_is_not_the_forest():
    forest = union_find.Forest(3)
    forest.roots()[:] = 0
    assert forest.roots().tolist() == [0, 1, 2]


def test_no_nodes():
    assert roots([], nodes=0) == []


def test_a_long_chain_whichever_way():
    count = 100_000
    chain = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    for pairs in (chain, chain[::-1], chain[:, ::-1]):
        forest = union_find.Forest(count)
        forest.join(pairs)
        assert not forest.roots().any()


@hypothesis.given(PAIRS)
def test_sets_are_the_connected_components(pairs):
    edges = np.array(pairs, np.int64).reshape(-1, 2)
    graph = sparse.coo_array(
        (np.ones(len(edges), bool), edges.T), shape=(NODES, NODES)
    )
    _, sets = csgraph.connected_components(graph, directed=False)
    least = [np.flatnonzero(sets == one)[0] for one in sets]
    assert roots(pairs) == least


@hypothesis.given(PAIRS, st.randoms(), st.integers(0, 40))
def test_neither_order_nor_calls_matter(pairs, random, at):
    shuffled = [pair[:: random.choice((1, -1))] for pair in pairs]
    random.shuffle(shuffled)
    assert roots(shuffled[:at], shuffled[at:]) == roots(pairs)


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        ([[0, 3]], "Nodes are 0 to 2: found a pair with 3"),
        ([[1, -1]], "Nodes are 0 to 2: found a pair with -1"),
        ([0, 1], r"found int64 of shape \(2,\)"),
        ([[0, 1, 2]], r"found int64 of shape \(1, 3\)"),
        ([[0.0, 1.0]], "found float64"),
    ],
)
def test_errors(pairs, found):
    with pytest.raises(ValueError, match=found):
        union_find.Forest(3).join(pairs)
