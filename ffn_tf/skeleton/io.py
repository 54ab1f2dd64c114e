"""Reading skeletons: one local path names a set of them.

    FILE.npz, kimimaro's skeletons in one file (shared/golden)
      ids               [k] integers
      vertices_nm_xyz   [n, 3], those of the first skeleton first
      edges             [m, 2], into the vertices of their own skeleton
      vertex_count      [k]: vertices of each skeleton
      edge_count        [k]: edges of each
    FILE.npz, a phantom's truth.npz (docs/formats.md)
      vertices_nm       [n, 3] z, y, x
      neurite           [n] ids, not decreasing
      edges             [m, 2], into all vertices, in order of neurites
    FILE.swc, or a folder of them
      a line for a vertex, in nanometres; the name is the id (swc.py)
    A folder of Neuroglancer's precomputed skeletons, not sharded
      its `info`, and a file for each id (precomputed.py)

All are counted from the corner of voxel (0, 0, 0) (graph.py). Other arrays of
an .npz, and types, are not looked at. Ids are positive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import itertools
import os
import pathlib
import tokenize
import zipfile
import zlib

import numpy as np

from ffn_tf.skeleton import precomputed, swc
from ffn_tf.skeleton.graph import Skeleton, reversed_columns

# What numpy makes of a damaged .npz, depending on where it is.
_DAMAGED = (
    ValueError,
    OSError,
    EOFError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
_IN_ONE_FILE = {"ids", "vertices_nm_xyz", "edges", "vertex_count", "edge_count"}
_PHANTOM = {"vertices_nm", "neurite", "edges"}


def read(address: str | os.PathLike[str]) -> list[Skeleton]:
    """The skeletons at a path, in ascending order of ids.

    Raises:
      FileNotFoundError: nothing is there.
      ValueError: what is there is not skeletons, or is damaged; or two have
        one id.
    """
    if "://" in str(address):
        raise ValueError(
            f"{address}: skeletons are read from local files; copy them first."
        )
    path = pathlib.Path(address)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder.")
    found = sorted(_read(path), key=lambda skeleton: skeleton.id)
    ids = [skeleton.id for skeleton in found]
    if not ids:
        raise ValueError(f"{path}: no skeleton in it.")
    if ids[0] < 1:
        raise ValueError(f"{path}: expected positive ids, found {ids[0]}.")
    for one, other in itertools.pairwise(ids):
        if one == other:
            raise ValueError(f"{path}: two skeletons have the id {one}.")
    return found


def _read(path: pathlib.Path) -> Iterator[Skeleton]:
    if path.is_dir() and (path / "info").exists():
        return precomputed.read(path)
    if path.is_dir():
        return (swc.read(file) for file in sorted(path.glob("*.swc")))
    if path.suffix == ".swc":
        return iter([swc.read(path)])
    if path.suffix == ".npz":
        return _read_npz(path)
    raise ValueError(
        f"{path}: expected skeletons as .npz, as .swc, as a folder of .swc, or "
        f"as a folder of precomputed skeletons (with `info`)."
    )


# -----------------------------------------------------------------------------
# .npz
# -----------------------------------------------------------------------------


def _read_npz(path: pathlib.Path) -> Iterator[Skeleton]:
    try:
        # numpy leaves a file open that is damaged.
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            names = set(file.files)
            wanted = _IN_ONE_FILE if names >= _IN_ONE_FILE else _PHANTOM
            arrays = {name: file[name] for name in wanted & names}
    except _DAMAGED as error:
        raise ValueError(f"{path}: not an .npz of arrays: {error}") from error
    if not wanted <= names:
        raise ValueError(
            f"{path}: expected the arrays {sorted(_IN_ONE_FILE)} or "
            f"{sorted(_PHANTOM)}, found {sorted(names)}."
        )
    try:
        if wanted is _IN_ONE_FILE:
            return iter(_split_by_counts(arrays))
        return iter(_split_by_neurite(arrays))
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _split_by_counts(arrays: Mapping[str, np.ndarray]) -> list[Skeleton]:
    ids = arrays["ids"].tolist()
    parts = {"vertices_nm_xyz": "vertex_count", "edges": "edge_count"}
    for name, count in parts.items():
        total, expected = int(arrays[count].sum()), len(arrays[name])
        if total != expected or len(arrays[count]) != len(ids):
            raise ValueError(
                f"expected {count} of {len(ids)} skeletons that add up to "
                f"{expected}, the length of {name}; found "
                f"{len(arrays[count])} that add up to {total}."
            )
    vertices, edges = (
        np.split(arrays[name], np.cumsum(arrays[count])[:-1])
        for name, count in parts.items()
    )
    return [
        Skeleton(int(id_), reversed_columns(vertex), edge.astype(np.int64))
        for id_, vertex, edge in zip(ids, vertices, edges)
    ]


def _split_by_neurite(arrays: Mapping[str, np.ndarray]) -> list[Skeleton]:
    neurite, edges = arrays["neurite"], arrays["edges"]
    owner, other = neurite[edges].T
    unsorted = (neurite[1:] < neurite[:-1]).any()
    if unsorted or (owner[1:] < owner[:-1]).any() or (owner != other).any():
        raise ValueError(
            "expected vertices and edges in order of their neurites, and no "
            "edge between two neurites."
        )
    ids, starts = np.unique(neurite, return_index=True)
    firsts = np.searchsorted(owner, ids)
    return [
        Skeleton(int(id_), vertex, edge.astype(np.int64) - start)
        for id_, start, vertex, edge in zip(
            ids,
            starts,
            np.split(arrays["vertices_nm"], starts[1:]),
            np.split(edges, firsts[1:]),
        )
    ]
