"""(2) Tables: means of all nodes of a table.

Nodes that have been left out have no edges; what they joined is apart.
"""

from __future__ import annotations

import numpy as np

from segclr.aggregation import geodesic
from segclr.embedding.places import Edges
from segclr.embedding.table import Nodes


def means(nodes: Nodes, edges: Edges, radius_um: float) -> np.ndarray:
    """The mean of each node's neighbourhood: [n, d] float32.

    Args:
      nodes: in order of segments and nodes; of each segment all.
      edges: of them, and perhaps of others.
      radius_um: along the neurite.

    Raises:
      ValueError: see geodesic.means.
    """
    made, lengths = links(nodes, edges)
    return geodesic.means(nodes.embedding, made, lengths, 1000 * radius_um)


def links(nodes: Nodes, edges: Edges) -> tuple[np.ndarray, np.ndarray]:
    """Edges among nodes, as places among them.

    Args:
      nodes, edges: see `means`.

    Returns:
      [m, 2] int64, and their lengths [m] float32, nm.
    """
    segment, node = nodes.segment, nodes.node
    if not len(segment):
        return np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    mine = (edges.segment >= segment[0]) & (edges.segment <= segment[-1])
    first = np.searchsorted(segment, edges.segment[mine])
    last = np.searchsorted(segment, edges.segment[mine], side="right")
    ends, is_there = [], np.ones(int(mine.sum()), bool)
    for column in edges.nodes[mine].T:
        place = _found(node, first, last, column)
        is_there &= place >= 0
        ends.append(place)
    return np.stack(ends, axis=1)[is_there], edges.length_nm[mine][is_there]


def _found(
    node: np.ndarray, first: np.ndarray, last: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """The place of each wanted node within its segment's; -1: not there.

    By halving, for all at once.
    """
    low, high = first.copy(), last.copy()
    while (low < high).any():
        middle = (low + high) // 2
        is_left = node[np.minimum(middle, len(node) - 1)] < wanted
        go = low < high
        low = np.where(go & is_left, middle + 1, low)
        high = np.where(go & ~is_left, middle, high)
    at = np.minimum(low, len(node) - 1)
    return np.where((low < last) & (node[at] == wanted), low, -1)
