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
      a line for a vertex: number, type, x, y, z, radius, parent (or -1), in
      nanometres, as CloudVolume and kimimaro write them. The name is the id.
    A folder of Neuroglancer's precomputed skeletons, not sharded
      its `info`, and a file for each id, which may be gzipped (`.gz`)

All are counted from the corner of voxel (0, 0, 0) (graph.py). Other arrays of
an .npz, types and radii are not looked at. Ids are positive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import gzip
import itertools
import json
import os
import pathlib
import tokenize
import warnings
import zipfile
import zlib

import numpy as np

from ffn_tf.skeleton.graph import Skeleton

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
_ZYX_OF_XYZ = [2, 1, 0]
_IDENTITY = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)


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
        return _read_precomputed(path)
    if path.is_dir():
        return (_read_swc(file) for file in sorted(path.glob("*.swc")))
    if path.suffix == ".swc":
        return iter([_read_swc(path)])
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
        Skeleton(int(id_), vertex[:, _ZYX_OF_XYZ], edge.astype(np.int64))
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


# -----------------------------------------------------------------------------
# SWC
# -----------------------------------------------------------------------------


def _read_swc(path: pathlib.Path) -> Skeleton:
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
    xyz = rows[:, 2:5]
    edges = np.stack([children, found], axis=1)
    return Skeleton(_id_of(path), xyz[:, _ZYX_OF_XYZ], edges)


def _id_of(path: pathlib.Path) -> int:
    name = path.name.removesuffix(".swc")
    if not (name.isascii() and name.isdigit()):
        raise ValueError(
            f"{path}: expected a name like 17.swc, 17 being its id."
        )
    return int(name)


# -----------------------------------------------------------------------------
# Precomputed
# -----------------------------------------------------------------------------


def _read_precomputed(folder: pathlib.Path) -> Iterator[Skeleton]:
    try:
        info = json.loads((folder / "info").read_text())
    except ValueError as error:
        raise ValueError(f"{folder}/info: not JSON: {error}") from error
    found = info.get("@type") if isinstance(info, dict) else None
    if found != "neuroglancer_skeletons":
        raise ValueError(
            f"{folder}/info: expected @type neuroglancer_skeletons, found "
            f"{found}. Name the folder of the skeletons, not of the volume."
        )
    if info.get("sharding"):
        raise ValueError(
            f"{folder}: sharded skeletons are not read; write them unsharded "
            f"with igneous or CloudVolume, or as SWC."
        )
    transform = np.array(info.get("transform", _IDENTITY), np.float64)
    for path in folder.iterdir():
        name = path.name.removesuffix(".gz")
        if name.isascii() and name.isdigit():
            yield _decoded(path, int(name), transform.reshape(3, 4))


def _decoded(path: pathlib.Path, id_: int, transform: np.ndarray) -> Skeleton:
    """[n] uint32, [m] uint32, vertices xyz float32, edges uint32, the rest."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise ValueError(f"{path}: damaged: {error}") from error
    if len(data) < 8:
        raise ValueError(f"{path}: damaged: only {len(data)} bytes.")
    n, m = (int(count) for count in np.frombuffer(data, "<u4", 2))
    if len(data) < 8 + 12 * n + 8 * m:
        raise ValueError(
            f"{path}: damaged: {n} vertices and {m} edges take "
            f"{8 + 12 * n + 8 * m} bytes, found {len(data)}."
        )
    stored = np.frombuffer(data, "<f4", 3 * n, offset=8).reshape(n, 3)
    edges = np.frombuffer(data, "<u4", 2 * m, offset=8 + 12 * n)
    xyz = stored @ transform[:, :3].T + transform[:, 3]
    pairs = edges.reshape(m, 2).astype(np.int64)
    return Skeleton(id_, xyz[:, _ZYX_OF_XYZ], pairs)
