"""Precomputed skeletons: Neuroglancer's format, a file for each segment.

    info   {"@type": "neuroglancer_skeletons", "vertex_attributes": [...]}
    ID     [n] uint32, [m] uint32, vertices [n, 3] float32 x, y, z nm, edges
           [m, 2] uint32, then each attribute: `radius` [n] float32, nm

As CloudVolume writes them, files may be gzipped (`ID.gz`), and `info` may have
a transformation of what is stored into nanometres. Sharded ones are not read
(github.com/google/neuroglancer, datasource/precomputed/skeletons.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import gzip
import json
import pathlib
from typing import Any

import numpy as np

from ffn_tf.skeleton.graph import Skeleton, reversed_columns

TYPE = "neuroglancer_skeletons"
_IDENTITY = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
RADIUS = {"id": "radius", "data_type": "float32", "num_components": 1}


def info(has_radii: bool) -> dict[str, Any]:
    """What `info` says of files that `encode` makes."""
    return {
        "@type": TYPE,
        "transform": list(_IDENTITY),  # CloudVolume wants it.
        "vertex_attributes": [RADIUS] if has_radii else [],
    }


def encode(skeleton: Skeleton) -> bytes:
    """The file of a skeleton; with its radii, if it has them."""
    xyz = reversed_columns(skeleton.vertices_nm_zyx)
    radii = skeleton.radii_nm
    return b"".join(
        [
            np.array([len(xyz), len(skeleton.edges)], "<u4").tobytes(),
            xyz.astype("<f4").tobytes(),
            skeleton.edges.astype("<u4").tobytes(),
            b"" if radii is None else radii.astype("<f4").tobytes(),
        ]
    )


def decode(
    data: bytes,
    id_: int,
    name: str,
    attributes: Sequence[Mapping[str, Any]] = (RADIUS,),
    transform: Sequence[float] = _IDENTITY,
) -> Skeleton:
    """The skeleton in a file.

    Args:
      data: the file.
      id_: of the segment.
      name: of the file, for messages.
      attributes: of vertices, as `info` has them.
      transform: [12], of what is stored into nanometres, x first.

    Raises:
      ValueError: it is damaged.
    """
    if len(data) < 8:
        raise ValueError(f"{name}: damaged: only {len(data)} bytes.")
    n, m = (int(count) for count in np.frombuffer(data, "<u4", 2))
    at = 8 + 12 * n + 8 * m
    if len(data) < at:
        raise ValueError(
            f"{name}: damaged: {n} vertices and {m} edges take {at} bytes, "
            f"found {len(data)}."
        )
    stored = np.frombuffer(data, "<f4", 3 * n, offset=8).reshape(n, 3)
    edges = np.frombuffer(data, "<u4", 2 * m, offset=8 + 12 * n)
    matrix = np.array(transform, np.float64).reshape(3, 4)
    xyz = stored @ matrix[:, :3].T + matrix[:, 3]
    return Skeleton(
        id_,
        reversed_columns(xyz),
        edges.reshape(m, 2).astype(np.int64),
        _radii(data[at:], n, attributes),
    )


def _radii(
    data: bytes, count: int, attributes: Sequence[Mapping[str, Any]]
) -> np.ndarray | None:
    """[n] float32, if they are there, behind other attributes or not."""
    at = 0
    for attribute in attributes:
        kind = np.dtype(attribute["data_type"]).newbyteorder("<")
        parts = int(attribute["num_components"])
        is_radius = attribute == RADIUS
        if is_radius and len(data) >= at + kind.itemsize * count:
            return np.frombuffer(data, kind, count, offset=at)
        at += kind.itemsize * parts * count
    return None


def read(folder: pathlib.Path) -> Iterator[Skeleton]:
    """The skeletons in a folder of this machine.

    Raises:
      ValueError: it has none, or damaged ones, or they are sharded.
    """
    try:
        told = json.loads((folder / "info").read_text())
    except ValueError as error:
        raise ValueError(f"{folder}/info: not JSON: {error}") from error
    found = told.get("@type") if isinstance(told, dict) else None
    if found != TYPE:
        raise ValueError(
            f"{folder}/info: expected @type {TYPE}, found {found}. Name the "
            f"folder of the skeletons, not of the volume."
        )
    if told.get("sharding"):
        raise ValueError(
            f"{folder}: sharded skeletons are not read; write them unsharded "
            f"with igneous or CloudVolume, or as SWC."
        )
    attributes = _attributes(told, f"{folder}/info")
    transform = told.get("transform", _IDENTITY)
    for path in folder.iterdir():
        name = path.name.removesuffix(".gz")
        if name.isascii() and name.isdigit():
            data = _unzipped(path)
            yield decode(data, int(name), str(path), attributes, transform)


def _attributes(told: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = told.get("vertex_attributes") or []
    try:
        for attribute in found:
            np.dtype(attribute["data_type"])
            int(attribute["num_components"])
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{name}: expected vertex_attributes with data_type and "
            f"num_components, found {found}."
        ) from error
    return list(found)


def _unzipped(path: pathlib.Path) -> bytes:
    data = path.read_bytes()
    if path.suffix != ".gz":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError) as error:
        raise ValueError(f"{path}: damaged: {error}") from error
