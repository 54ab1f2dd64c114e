"""Means of either side of an edge, by hand and as scipy has them."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import csgraph

from segclr.aggregation import sides


def test_by_hand():
    #   0 ─10─ 1 ─10─ 2 ─10─ 3
    #          └─5─ 4
    edges = np.array([[0, 1], [2, 1], [2, 3], [1, 4]])
    vectors = np.array([[1.0], [2], [4], [8], [16]])
    lengths = np.array([10, 10, 10, 5])
    means, counts = sides.means(vectors, edges, lengths, 10)
    assert counts.tolist() == [[1, 3], [2, 3], [2, 1], [3, 1]]
    np.testing.assert_allclose(
        means[..., 0],
        [[1, 22 / 3], [6, 19 / 3], [3, 8], [7 / 3, 16]],
        rtol=1e-6,
    )
    alone, ones = sides.means(vectors, edges, lengths, 0)
    assert (ones == 1).all()
    np.testing.assert_allclose(alone, vectors[edges])
    some, _ = sides.means(vectors, edges, lengths, 10, slice(1, 3))
    np.testing.assert_array_equal(some, means[1:3])


def forest(seed):
    """Random trees: edges, lengths, vectors."""
    rng = np.random.default_rng(seed)
    parents = [int(rng.integers(max(0, i - 4), i)) for i in range(1, 40)]
    edges = np.stack([np.arange(1, 40), parents], axis=1)
    edges = rng.permutation(edges[rng.uniform(size=39) < 0.9])
    return edges, rng.uniform(1, 9, len(edges)), rng.normal(size=(40, 3))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("radius", [3.0, 12.0, 1e9])
def test_as_dijkstra_without_the_edge(seed, radius):
    edges, lengths, vectors = forest(seed)
    means, counts = sides.means(vectors, edges, lengths, radius)
    for number, ends in enumerate(edges):
        kept = np.arange(len(edges)) != number
        graph = sparse.csr_array((lengths[kept], edges[kept].T), shape=(40, 40))
        away = csgraph.dijkstra(graph, directed=False, indices=ends)
        for side in range(2):
            near = away[side] <= radius
            assert counts[number, side] == near.sum()
            np.testing.assert_allclose(
                means[number, side], vectors[near].mean(0), rtol=1e-5, atol=1e-6
            )
        one, two = sides.parts(40, edges, number)
        np.testing.assert_array_equal(one, np.isfinite(away[0]))
        np.testing.assert_array_equal(two, np.isfinite(away[1]))
