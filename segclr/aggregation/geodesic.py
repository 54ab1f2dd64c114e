"""(1) Geodesic means: each node's embedding, and those near it on the neurite.

    radius 0    the node alone
    radius R    the mean over all nodes within R nanometres along the skeleton,
                itself among them

(Dorkenwald et al., 2023, fig. 3.) Two branches that touch are far from each
other along the skeleton, so they are not pooled. From each node edges are
followed outwards as far as R: the time is that of the nodes within R, summed
over all nodes, so for a spacing and a radius it grows with the number of nodes.
"""

from __future__ import annotations

import numba
import numpy as np


def means(
    vectors: np.ndarray,
    edges: np.ndarray,
    lengths_nm: np.ndarray,
    radius_nm: float,
) -> np.ndarray:
    """The mean of each node's neighbourhood.

    Args:
      vectors: [n, d] floating-point, an embedding for each node.
      edges: [m, 2] integers, into the nodes; loops and several pieces are fine.
      lengths_nm: [m], of the edges, 0 or more.
      radius_nm: 0 or more.

    Returns:
      [n, d] float32.

    Raises:
      ValueError: sizes that do not fit, or numbers that are not finite.
    """
    edges, lengths = checked(vectors, edges, lengths_nm, radius_nm)
    starts, ends, weights = neighbours(len(vectors), edges, lengths)
    wide = np.ascontiguousarray(vectors, np.float32)
    return _means(wide, starts, ends, weights, float(radius_nm))


def checked(
    vectors: np.ndarray,
    edges: np.ndarray,
    lengths_nm: np.ndarray,
    radius_nm: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Edges [m, 2] int64 and their lengths [m] float64; see `means`.

    Raises:
      ValueError: sizes that do not fit, or numbers that are not finite.
    """
    count = len(vectors)
    edges = np.asarray(edges, np.int64).reshape(-1, 2)
    lengths = np.asarray(lengths_nm, np.float64)
    if np.ndim(vectors) != 2:
        raise ValueError(
            f"Expected embeddings [nodes, numbers], found "
            f"{list(np.shape(vectors))}."
        )
    is_finite = np.isfinite(vectors).all(axis=1)
    if not is_finite.all():
        raise ValueError(
            f"{(~is_finite).sum()} of {count} embeddings are not finite, the "
            f"first is number {is_finite.argmin()}; make them again."
        )
    if len(lengths) != len(edges):
        raise ValueError(
            f"{len(edges)} edges have {len(lengths)} lengths; expected one "
            f"for each."
        )
    if edges.size and not 0 <= edges.min() <= edges.max() < count:
        raise ValueError(
            f"Edges name nodes {edges.min()} to {edges.max()}, but there are "
            f"{count} embeddings, counted from 0."
        )
    if not radius_nm >= 0 or not (lengths >= 0).all():
        raise ValueError(
            f"Expected a radius and lengths of 0 or more, found a radius of "
            f"{radius_nm}."
        )
    return edges, lengths


def neighbours(
    count: int, edges: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges by the node that they leave: starts [n + 1], ends, lengths."""
    both = np.concatenate([edges, np.roll(edges, 1, axis=1)])
    order = np.argsort(both[:, 0], kind="stable")
    starts = np.searchsorted(both[order, 0], np.arange(count + 1))
    return starts, both[order, 1], np.concatenate([lengths, lengths])[order]


@numba.njit(cache=True, nogil=True)
def _means(vectors, starts, ends, weights, radius):
    count, size = vectors.shape
    found = np.empty((count, size), np.float32)
    distance = np.full(count, np.inf)
    is_done = np.zeros(count, np.bool_)
    reached = np.empty(count, np.int64)
    total = np.empty(size, np.float64)
    for first in range(count):
        # Dijkstra, as far as the radius; on a tree each node comes once.
        heap = [(0.0, first)]
        distance[first] = 0.0
        reached[0] = first
        num_reached = 1
        total[:] = 0.0
        num_done = 0
        while len(heap):
            far, node = _pop(heap)
            if is_done[node]:
                continue
            is_done[node] = True
            num_done += 1
            for k in range(size):
                total[k] += vectors[node, k]
            for i in range(starts[node], starts[node + 1]):
                other = ends[i]
                way = far + weights[i]
                if way <= radius and way < distance[other]:
                    if distance[other] == np.inf:
                        reached[num_reached] = other
                        num_reached += 1
                    distance[other] = way
                    _push(heap, (way, other))
        for k in range(size):
            found[first, k] = total[k] / num_done
        for i in range(num_reached):
            distance[reached[i]] = np.inf
            is_done[reached[i]] = False
    return found


@numba.njit(cache=True, nogil=True)
def _push(heap, item):
    heap.append(item)
    at = len(heap) - 1
    while at > 0:
        above = (at - 1) // 2
        if heap[above] <= heap[at]:
            break
        heap[above], heap[at] = heap[at], heap[above]
        at = above


@numba.njit(cache=True, nogil=True)
def _pop(heap):
    least = heap[0]
    last = heap.pop()
    if len(heap):
        heap[0] = last
        at = 0
        while True:
            below = 2 * at + 1
            if below >= len(heap):
                break
            if below + 1 < len(heap) and heap[below + 1] < heap[below]:
                below += 1
            if heap[at] <= heap[below]:
                break
            heap[at], heap[below] = heap[below], heap[at]
            at = below
    return least
