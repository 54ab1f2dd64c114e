"""(1) Discontinuity: how much embeddings and types change at each edge.

Of an edge, with means a and b of the nodes within R on either side, of m and n
nodes, in numbers that have a deviation of 1 over the table:

    score = |a - b|^2 / d  -  s^2 (1 / m + 1 / n)

s^2 is the variance between neighbours, half the mean squared difference over
all edges: the second term is what the first has where nothing changes, so sides
of few nodes do not stand out by chance. NaN: a side has too few nodes to tell.

The change of type is the Jensen-Shannon divergence, in bits, of the mean
probabilities of the sides: 0 alike, 1 nothing in common.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from segclr.aggregation import sides

_AT_ONCE = 1_000_000  # Edges whose means are in memory.


def scores(
    embeddings: np.ndarray,
    edges: np.ndarray,
    lengths_nm: np.ndarray,
    radius_nm: float,
    min_nodes: int = 2,
) -> np.ndarray:
    """The score of each edge.

    Args:
      embeddings: [n, d] floating-point.
      edges: [m, 2] integers, into them.
      lengths_nm: [m].
      radius_nm: R, along the neurite.
      min_nodes: that a side must have.

    Returns:
      [m] float64.

    Raises:
      ValueError: see aggregation.geodesic.checked.
    """
    vectors = np.asarray(embeddings, np.float64)
    std = vectors.std(0)
    vectors = (vectors - vectors.mean(0)) / np.where(std > 0, std, 1)
    first, second = vectors[edges[:, 0]], vectors[edges[:, 1]]
    noise = ((first - second) ** 2).mean() / 2 if len(edges) else 0.0
    found = np.empty(len(edges))
    for some, means, counts in _sides(vectors, edges, lengths_nm, radius_nm):
        distance = ((means[:, 0] - means[:, 1]) ** 2).mean(1)
        expected = noise * (1 / counts).sum(1)
        enough = (counts >= min_nodes).all(1)
        found[some] = np.where(enough, distance - expected, np.nan)
    return found


def type_changes(
    probability: np.ndarray,
    edges: np.ndarray,
    lengths_nm: np.ndarray,
    radius_nm: float,
) -> np.ndarray:
    """The change of type at each edge: [m] float64, bits.

    Args:
      probability: [n, k] of nodes.
      edges, lengths_nm, radius_nm: see `scores`.
    """
    found = np.empty(len(edges))
    for some, means, _ in _sides(probability, edges, lengths_nm, radius_nm):
        middle = means.mean(1)
        apart = special.entr(middle).sum(1) - special.entr(means).sum(2).mean(1)
        found[some] = np.maximum(apart, 0) / np.log(2)
    return found


def _sides(vectors, edges, lengths_nm, radius_nm):
    """(slice, means [k, 2, d], counts [k, 2]) of so many edges at a time."""
    for start in range(0, len(edges), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        # The sides of some edges, in the graph of all.
        yield some, *sides.means(vectors, edges, lengths_nm, radius_nm, some)
