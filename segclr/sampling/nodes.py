"""(1) Nodes: places along a skeleton, a spacing apart.

    skeleton  o-o-o-o-o-o-o-o-o-o-o-o       vertices, a voxel apart
                        └─o-o-o-o-o
    nodes     O-------O-------O----         each with the way to the one before

From the end of a piece outwards, a vertex becomes a node when the last node is
a spacing behind it; so each piece has one at least, and no place is further
than that from a node. Nodes are vertices of the skeleton: they lie within the
segment, where its traced lines do.

Traced lines go zigzag from voxel to voxel, twice as long as the neurite at
worst. So ways are measured along a smoothed line, in which each vertex is drawn
to the middle of its neighbours.
"""

from __future__ import annotations

import dataclasses

import numba
import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from ffn_tf.skeleton import Skeleton

_SMOOTHINGS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Nodes:
    """Places on one neurite.

    Attributes:
      skeleton: of the nodes: edges lead to the node before, along the neurite.
      lengths_nm: [m] float64, of the edges, along the neurite.
    """

    skeleton: Skeleton
    lengths_nm: np.ndarray

    def __len__(self) -> int:
        return len(self.skeleton.vertices_nm_zyx)

    def distances_nm(self, places: np.ndarray, limit_nm: float) -> np.ndarray:
        """Along the neurite, from some nodes to all.

        Args:
          places: [k] numbers of nodes.
          limit_nm: what is further counts as unreachable.

        Returns:
          [k, n] float64; inf where there is no way, or a longer one.
        """
        count = len(self)
        graph = sparse.csr_array(
            (
                # 0 would be no edge at all.
                np.maximum(self.lengths_nm, 1e-3),
                self.skeleton.edges.T,
            ),
            shape=(count, count),
        )
        found: np.ndarray = csgraph.dijkstra(
            graph, directed=False, indices=places, limit=limit_nm
        )
        return found


def place(skeleton: Skeleton, spacing_nm: float) -> Nodes:
    """The nodes of a skeleton.

    Args:
      skeleton: of one neurite, in any number of pieces.
      spacing_nm: between nodes, above 0.

    Raises:
      ValueError: no spacing.
    """
    if not spacing_nm > 0:
        raise ValueError(
            f"--spacing_nm: expected more than 0, found {spacing_nm}."
        )
    count = len(skeleton.vertices_nm_zyx)
    edges = skeleton.edges
    graph = sparse.csr_array(
        (np.ones(len(edges)), edges.T), shape=(count, count)
    )
    graph = graph + graph.T
    smooth = _smoothed(skeleton.vertices_nm_zyx.astype(np.float64), graph)
    order, parents = _outwards(graph)
    steps = np.linalg.norm(smooth - smooth[np.maximum(parents, 0)], axis=1)
    node, way = _placed(order, parents, steps, spacing_nm)
    kept = np.flatnonzero(node == np.arange(count))
    number = np.searchsorted(kept, node)
    before = parents[kept]
    has_one = before >= 0
    made = Skeleton(
        skeleton.id,
        skeleton.vertices_nm_zyx[kept],
        np.stack(
            [np.flatnonzero(has_one), number[before[has_one]]], axis=1
        ).astype(np.int64),
        None if skeleton.radii_nm is None else skeleton.radii_nm[kept],
    )
    return Nodes(made, way[kept][has_one])


def _smoothed(vertices: np.ndarray, graph: sparse.csr_array) -> np.ndarray:
    """[n, 3]: each vertex halfway to the middle of its neighbours, again and
    again; ends stay where they are."""
    degree = np.diff(graph.indptr)
    middle = sparse.diags_array(1 / np.maximum(degree, 1)) @ graph
    inner = (degree > 1)[:, None]
    for _ in range(_SMOOTHINGS):
        vertices = np.where(inner, (vertices + middle @ vertices) / 2, vertices)
    return vertices


def _outwards(graph: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """All vertices, parents first; and their parents, -1 at the roots.

    A piece's root is its first end, or, of a ring, its first vertex.
    """
    count = graph.shape[0]
    _, piece = csgraph.connected_components(graph, directed=False)
    is_inner = np.diff(graph.indptr) > 1
    first = np.lexsort((np.arange(count), is_inner, piece))
    _, at = np.unique(piece[first], return_index=True)
    roots = first[at]
    # One more vertex, that leads to all roots: one search for all pieces.
    links = sparse.csr_array(
        (np.ones(len(roots)), (np.zeros(len(roots), int), roots)),
        shape=(1, count),
    )
    whole = sparse.block_array([[None, links], [links.T, graph]], format="csr")
    order, parents = csgraph.breadth_first_order(whole, 0, directed=False)
    parents = parents[1:] - 1
    return order[1:] - 1, np.where(parents < 0, -1, parents)


@numba.njit(cache=True)
def _placed(order, parents, steps, spacing):
    """Each vertex's node, and the way back to it, or of nodes, to the last."""
    node = np.empty(len(order), np.int64)
    way = np.zeros(len(order))
    for vertex in order:
        parent = parents[vertex]
        if parent < 0:
            node[vertex] = vertex
            continue
        behind = 0.0 if node[parent] == parent else way[parent]
        way[vertex] = behind + steps[vertex]
        is_node = way[vertex] >= spacing
        node[vertex] = vertex if is_node else node[parent]
    return node, way
