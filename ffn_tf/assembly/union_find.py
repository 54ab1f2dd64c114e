"""Sets that pairs join: union-find over 10^8 nodes and more.

    forest = Forest(6)
    forest.join([[1, 4], [5, 4]])      # as often as there are pairs
    forest.roots()                     # [0, 1, 2, 3, 1, 1]

The root of a set is its least member, so that neither the order of the pairs
nor how they are cut into calls makes a difference. Memory: 8 bytes a node,
beside the pairs of one call.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt


class Forest:
    """Sets of 0..num_nodes-1; at first each node is one."""

    def __init__(self, num_nodes: int) -> None:
        self._parents = np.arange(num_nodes, dtype=np.int64)

    def join(self, pairs: npt.ArrayLike) -> None:
        """Makes one set of the sets of each pair's nodes.

        Args:
          pairs: [n, 2] of integers.

        Raises:
          ValueError: another shape, or a node that does not exist.
        """
        found = np.asarray(pairs)
        if not found.size:
            return
        if (
            found.ndim != 2
            or found.shape[1] != 2
            or found.dtype.kind not in "iu"
        ):
            raise ValueError(
                f"Pairs of nodes are integers [n, 2]: found {found.dtype} of "
                f"shape {found.shape}."
            )
        least, most = int(found.min()), int(found.max())
        if least < 0 or most >= len(self._parents):
            raise ValueError(
                f"Nodes are 0 to {len(self._parents) - 1}: found a pair with "
                f"{least if least < 0 else most}."
            )
        _join(self._parents, found.astype(np.int64, copy=False))

    def roots(self) -> np.ndarray:
        """[num_nodes] int64: the least node of each one's set."""
        _flatten(self._parents)
        return self._parents.copy()


@numba.njit(cache=True, nogil=True)
def _root(parents: np.ndarray, node: int) -> int:
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@numba.njit(cache=True, nogil=True)
def _join(parents: np.ndarray, pairs: np.ndarray) -> None:
    for row in range(len(pairs)):
        first = _root(parents, pairs[row, 0])
        second = _root(parents, pairs[row, 1])
        if first < second:
            parents[second] = first
        else:
            parents[first] = second


@numba.njit(cache=True, nogil=True)
def _flatten(parents: np.ndarray) -> None:
    for node in range(len(parents)):  # A parent is less than its child.
        parents[node] = parents[parents[node]]
