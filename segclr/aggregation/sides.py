"""(3) Sides: means of what lies on either side of each edge.

        A A A                 B B
    o───o───o───[ the edge ]───o───o───o
    within R of its end        within R of its end

For skeletons that are trees: a side is what can be reached without the edge. In
a ring, both sides are all of it.
"""

from __future__ import annotations

import numba
import numpy as np

from segclr.aggregation import geodesic


def means(
    vectors: np.ndarray,
    edges: np.ndarray,
    lengths_nm: np.ndarray,
    radius_nm: float,
    some: slice = slice(None),
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of either side of each edge.

    Args:
      vectors: [n, d] floating-point, of each node.
      edges: [m, 2] integers, into the nodes.
      lengths_nm: [m], of the edges.
      radius_nm: along the neurite, from the edge's end; 0: the end alone.
      some: edges whose sides are wanted.

    Returns:
      [m, 2, d] float32: of the side of the first and of the second node; and
      [m, 2] int64: how many nodes.

    Raises:
      ValueError: see geodesic.checked.
    """
    edges, lengths = geodesic.checked(vectors, edges, lengths_nm, radius_nm)
    starts, ends, weights = geodesic.neighbours(len(vectors), edges, lengths)
    wide = np.ascontiguousarray(vectors, np.float32)
    wanted = np.ascontiguousarray(edges[some])
    return _sides(wide, wanted, starts, ends, weights, float(radius_nm))


def parts(
    count: int, edges: np.ndarray, without: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which nodes [count] bool lie on either side of edge number `without`.

    Nodes in other pieces lie on neither.
    """
    kept = np.delete(edges, without, axis=0)
    starts, ends, _ = geodesic.neighbours(count, kept, np.ones(len(kept)))
    first, second = edges[without].tolist()
    return _reached(starts, ends, first), _reached(starts, ends, second)


@numba.njit(cache=True, nogil=True)
def _reached(starts, ends, first):
    is_reached = np.zeros(len(starts) - 1, np.bool_)
    is_reached[first] = True
    todo = [first]
    while len(todo):
        node = todo.pop()
        for i in range(starts[node], starts[node + 1]):
            if not is_reached[ends[i]]:
                is_reached[ends[i]] = True
                todo.append(ends[i])
    return is_reached


@numba.njit(cache=True, nogil=True)
def _sides(vectors, edges, starts, ends, weights, radius):
    count, size = vectors.shape
    found = np.empty((len(edges), 2, size), np.float32)
    numbers = np.empty((len(edges), 2), np.int64)
    is_reached = np.zeros(count, np.bool_)
    reached = np.empty(count, np.int64)
    total = np.empty(size, np.float64)
    for edge in range(len(edges)):
        for side in range(2):
            first, other = edges[edge, side], edges[edge, 1 - side]
            total[:] = 0.0
            is_reached[first] = True
            reached[0] = first
            num_reached = 1
            todo = [(first, 0.0)]
            while len(todo):
                node, far = todo.pop()
                for k in range(size):
                    total[k] += vectors[node, k]
                for i in range(starts[node], starts[node + 1]):
                    neighbour, way = ends[i], far + weights[i]
                    if node == first and neighbour == other:
                        continue
                    if way <= radius and not is_reached[neighbour]:
                        is_reached[neighbour] = True
                        reached[num_reached] = neighbour
                        num_reached += 1
                        todo.append((neighbour, way))
            for k in range(size):
                found[edge, side, k] = total[k] / num_reached
            numbers[edge, side] = num_reached
            for i in range(num_reached):
                is_reached[reached[i]] = False
    return found, numbers
