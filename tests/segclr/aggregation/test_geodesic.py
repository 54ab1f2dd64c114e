"""Geodesic means: against brute force; touching branches stay apart."""

import numpy as np
import pytest
from scipy.sparse import csgraph

from segclr.aggregation import geodesic


def tree(count, seed):
    """A random tree with loops here and there, and its lengths."""
    rng = np.random.default_rng(seed)
    parents = [rng.integers(max(0, i - 4), i) for i in range(1, count)]
    edges = np.stack([np.arange(1, count), parents], axis=1)
    more = rng.integers(0, count, (count // 10, 2))
    edges = np.concatenate([edges, more[more[:, 0] != more[:, 1]]])
    return edges, rng.uniform(100, 3000, len(edges))


def brute_force(vectors, edges, lengths, radius):
    count = len(vectors)
    graph = np.full((count, count), np.inf)
    for (a, b), length in zip(edges, lengths):
        graph[a, b] = graph[b, a] = min(graph[a, b], length)
    far = csgraph.dijkstra(
        csgraph.csgraph_from_dense(graph, null_value=np.inf), directed=False
    )
    np.fill_diagonal(far, 0)
    near = far <= radius
    return near @ vectors / near.sum(1, keepdims=True)


@pytest.mark.parametrize("radius", [0, 1500.0, 10_000.0, 1e9])
@pytest.mark.parametrize("seed", range(3))
def test_brute_force(radius, seed):
    edges, lengths = tree(80, seed)
    vectors = np.random.default_rng(seed).normal(size=(80, 6))
    found = geodesic.means(vectors, edges, lengths, radius)
    expected = brute_force(vectors, edges, lengths, radius)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    if radius == 0:
        np.testing.assert_array_equal(found, vectors.astype(np.float32))


def test_branches_that_touch_are_not_pooled():
    """A hairpin: its ends lie side by side, 20 um apart along the neurite."""
    edges = np.stack([np.arange(20), np.arange(1, 21)], axis=1)
    lengths = np.full(20, 1000.0)
    vectors = np.arange(21.0)[:, None]
    found = geodesic.means(vectors, edges, lengths, 3000.0)
    assert found[0, 0] == np.mean([0, 1, 2, 3])
    assert found[20, 0] == np.mean([17, 18, 19, 20])
    assert found[10, 0] == 10


def test_pieces_are_not_pooled():
    found = geodesic.means(
        np.array([[1.0], [3.0], [8.0]]), [[0, 1]], [5.0], np.inf
    )
    np.testing.assert_array_equal(found[:, 0], [2, 2, 8])


def test_parallel_edges_and_none():
    vectors = np.array([[1.0], [3.0]])
    found = geodesic.means(vectors, [[0, 1], [1, 0]], [50.0, 5.0], 10.0)
    np.testing.assert_array_equal(found, [[2], [2]])
    alone = geodesic.means(vectors, np.zeros((0, 2)), [], 10.0)
    np.testing.assert_array_equal(alone, vectors)


@pytest.mark.parametrize(
    ("edges", "lengths", "radius", "message"),
    [
        ([[0, 1]], [], 1.0, "1 edges have 0 lengths"),
        ([[0, 2]], [1.0], 1.0, "nodes 0 to 2, but there are 2"),
        ([[0, 1]], [1.0], -1.0, "0 or more"),
        ([[0, 1]], [-1.0], 1.0, "0 or more"),
        ([[0, 1]], [np.nan], 1.0, "0 or more"),
        ([[0, 1]], [1.0], np.nan, "0 or more"),
    ],
)
def test_bad_input(edges, lengths, radius, message):
    with pytest.raises(ValueError, match=message):
        geodesic.means(np.zeros((2, 3)), edges, lengths, radius)


@pytest.mark.parametrize(
    "vectors, message",
    [
        (np.zeros(4), r"found \[4\]"),
        (np.array([[0.0], [np.nan], [1.0], [np.inf]]), "2 of 4 .* number 1"),
    ],
)
def test_bad_embeddings(vectors, message):
    with pytest.raises(ValueError, match=message):
        geodesic.means(vectors, np.zeros((0, 2)), np.zeros(0), 1.0)
