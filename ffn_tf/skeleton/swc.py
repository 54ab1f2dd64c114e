"""SWC: a skeleton as lines of text, one for each vertex.

    number type x y z radius parent

x, y, z and radius in nanometres, as CloudVolume and kimimaro write them; the
parent is the number of another line, or -1. A radius of 0 is none. Lines that
begin with # are comments. The file's name is the id: `17.swc`.

A tree has a parent for each vertex but its root, so a loop cannot be stored.
"""

from __future__ import annotations

import pathlib
import warnings

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from ffn_tf.skeleton.graph import Skeleton, reversed_columns


def read(path: pathlib.Path) -> Skeleton:
    """The skeleton in a file.

    Raises:
      ValueError: it is none.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # That it is empty.
            rows = np.loadtxt(path, comments="#", ndmin=2)
        if rows.shape[1] != 7 or not np.isfinite(rows).all():
            raise ValueError(f"found {rows.shape} numbers, or some not finite")
    except ValueError as error:
        raise ValueError(
            f"{path}: expected lines of 7 numbers (number, type, x, y, z, "
            f"radius, parent): {error}"
        ) from error
    numbers, parents = rows[:, 0].astype(np.int64), rows[:, 6].astype(np.int64)
    order = np.argsort(numbers)
    children = np.flatnonzero(parents >= 0)
    place = np.searchsorted(numbers[order], parents[children])
    found = order[np.minimum(place, len(order) - 1)]
    missing = numbers[found] != parents[children]
    if missing.any():
        raise ValueError(
            f"{path}: vertex {numbers[children[missing][0]]} has the parent "
            f"{parents[children[missing][0]]}, which is not there."
        )
    edges = np.stack([children, found], axis=1)
    vertices, radii = reversed_columns(rows[:, 2:5]), rows[:, 5]
    return Skeleton(
        _id_of(path), vertices, edges, radii if radii.any() else None
    )


def _id_of(path: pathlib.Path) -> int:
    name = path.name.removesuffix(".swc")
    if not (name.isascii() and name.isdigit()):
        raise ValueError(
            f"{path}: expected a name like 17.swc, 17 being its id."
        )
    return int(name)


def encode(skeleton: Skeleton) -> bytes:
    """The text of a skeleton; each of its pieces is a tree from its first
    vertex, so of a loop the edge that closes it is lost."""
    count = len(skeleton.vertices_nm_zyx)
    parents = _parents(count, skeleton.edges)
    xyz = reversed_columns(skeleton.vertices_nm_zyx)
    radii = np.zeros(count) if skeleton.radii_nm is None else skeleton.radii_nm
    lines = [
        f"{number} 0 {x:.3f} {y:.3f} {z:.3f} {radius:.3f} {parent}"
        for number, ((x, y, z), radius, parent) in enumerate(
            zip(xyz.tolist(), radii.tolist(), parents.tolist())
        )
    ]
    return "\n".join(
        ["# number type x y z radius parent; nm", *lines, ""]
    ).encode()


def _parents(count: int, edges: np.ndarray) -> np.ndarray:
    """[n] int64: each vertex's, -1 at roots."""
    ones = np.ones(len(edges), bool)
    graph = sparse.csr_array((ones, edges.T), shape=(count, count))
    _, piece = csgraph.connected_components(graph, directed=False)
    parents = np.full(count, -1, np.int64)
    for root in np.unique(piece, return_index=True)[1]:
        order, before = csgraph.breadth_first_order(graph, root, directed=False)
        parents[order[1:]] = before[order[1:]]
    return parents
