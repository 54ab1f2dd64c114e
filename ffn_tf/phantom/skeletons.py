"""Skeletons: centre lines and types of the neurites of a phantom.

Centre lines are where the image shows them (bent, moved with their sections),
cut at the faces of the volume. Every vertex lies in a voxel of its neurite.

On disk, `truth.npz`:
  vertices_nm   [n, 3] float32, z, y, x, from the corner of voxel (0, 0, 0)
  radius_nm     [n] float32
  neurite       [n] uint64, the label, not decreasing
  edges         [m, 2] int64, into vertices_nm; in order of neurites, and
                no edge joins two
  type_neurite  [k] uint64; type_name [k] str: every neurite's type
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
import os

import numpy as np

from ffn_tf import volume
from ffn_tf.phantom import cells, voxels, warp
from ffn_tf.phantom import options as options_lib
from ffn_tf.phantom import tissue as tissue_lib

# Vertices are at most this far apart.
_SPACING_NM = 60.0


@dataclasses.dataclass(frozen=True, eq=False)
class Skeleton:
    """Centre lines of one neurite, in one piece or several.

    Attributes:
      vertices_nm: [n, 3] float32, zyx.
      radius_nm: [n] float32, of the tube that it was grown as.
      edges: [m, 2] int64.
    """

    vertices_nm: np.ndarray
    radius_nm: np.ndarray
    edges: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Truth:
    """What is known about the neurites of a phantom.

    Attributes:
      skeletons: by label; neurites whose centre lines stay outside the volume
        have none, though they may have voxels.
      types: by label, for all labels: "axon", "dendrite" or "glia"; with two
        types of cells "axon a", "axon b", "dendrite a", ..., and "soma".
    """

    skeletons: Mapping[int, Skeleton]
    types: Mapping[int, str]


def truth(options: options_lib.Options) -> Truth:
    """The truth about the phantom `options`."""
    tissue = tissue_lib.of(options)
    grown = [_subdivided(tissue, k) for k in range(len(tissue.kinds))]
    counts = np.cumsum([len(s.vertices_nm) for s in grown])[:-1]
    points = warp.physical_at(
        options.seed, np.concatenate([s.vertices_nm for s in grown])
    )
    shown, inside = _shown(options, points)
    skeletons = {}
    for index, (skeleton, vertices, keep) in enumerate(
        zip(grown, np.split(shown, counts), np.split(inside, counts))
    ):
        if keep.any():
            moved = dataclasses.replace(skeleton, vertices_nm=vertices)
            skeletons[index + 1] = _cut(moved, keep)
    types = [
        cells.label(kind, cell, options.cell_types)
        for kind, cell in zip(tissue.kinds, tissue.cells)
    ]
    return Truth(skeletons, dict(enumerate(types, 1)))


def _subdivided(tissue: tissue_lib.Tissue, index: int) -> Skeleton:
    """The centre lines of neurite index + 1 as grown, finer."""
    owner = tissue.tubes.owner
    tubes = tissue.tubes[slice(*np.searchsorted(owner, (index + 1, index + 2)))]
    parents = tissue.parents[index]
    length = np.sqrt(((tubes.b - tubes.a) ** 2).sum(1))
    count = np.maximum(np.ceil(length / _SPACING_NM), 1).astype(np.int64)
    # Vertex of a node: the last of the pieces of the edge that ends there.
    last = np.cumsum(count) - 1
    which = np.repeat(np.arange(len(tubes)), count)
    turn = np.arange(len(which)) - (last - count + 1)[which] + 1
    t = (turn / count[which])[:, None]
    vertices = tubes.a[which] * (1 - t) + tubes.b[which] * t
    radius = tubes.ra[which] * (1 - t[:, 0]) + tubes.rb[which] * t[:, 0]
    before = np.arange(len(which)) - 1
    first = turn == 1
    before[first] = np.where(parents < 0, -1, last[parents])[which[first]]
    edges = np.stack([before, np.arange(len(which))], 1)[before >= 0]
    return Skeleton(vertices, radius.astype(np.float32), edges)


def _shown(
    options: options_lib.Options, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the image shows physical points [n, 3], and which are in it."""
    voxel = np.array(options.voxel_size_nm)
    size = np.array(options.size_zyx)
    section = np.floor(points[:, 0] / voxel[0]).astype(np.int64)
    section = np.clip(section, 0, size[0] - 1)
    shown = points.copy()
    shown[:, 1:] += voxels.section_shifts(options)[section] * voxel[1:]
    shown = shown.astype(np.float32)
    index = np.floor(shown / voxel)
    return shown, ((index >= 0) & (index < size)).all(1)


def _cut(skeleton: Skeleton, keep: np.ndarray) -> Skeleton:
    number = np.cumsum(keep) - 1
    edges = skeleton.edges[keep[skeleton.edges].all(1)]
    return Skeleton(
        skeleton.vertices_nm[keep], skeleton.radius_nm[keep], number[edges]
    )


def save(path: str | os.PathLike[str], found: Truth) -> None:
    """Writes `truth.npz`, whole or not at all."""
    empty = Skeleton(
        np.empty((0, 3), np.float32),
        np.empty(0, np.float32),
        np.empty((0, 2), np.int64),
    )
    parts = [empty, *found.skeletons.values()]
    sizes = np.array([len(part.vertices_nm) for part in parts])
    starts = np.cumsum(sizes) - sizes
    with volume.files.atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            vertices_nm=np.concatenate([p.vertices_nm for p in parts]),
            radius_nm=np.concatenate([p.radius_nm for p in parts]),
            neurite=np.repeat(
                np.array([0, *found.skeletons], np.uint64), sizes
            ),
            edges=np.concatenate([p.edges + s for p, s in zip(parts, starts)]),
            type_neurite=np.array(list(found.types), np.uint64),
            type_name=np.array(list(found.types.values()), np.str_),
        )


def load(path: str | os.PathLike[str]) -> Truth:
    """Reads what `save` wrote."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    names = zip(arrays["type_neurite"].tolist(), arrays["type_name"].tolist())
    return Truth(dict(_split(arrays)), dict(names))


def _split(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[int, Skeleton]]:
    neurites, starts, counts = np.unique(
        arrays["neurite"], return_index=True, return_counts=True
    )
    # Edges are in the order of their vertices' neurites.
    owner = arrays["neurite"][arrays["edges"][:, 0]]
    first = np.searchsorted(owner, neurites, "left")
    last = np.searchsorted(owner, neurites, "right")
    for neurite, start, count, f, e in zip(
        neurites, starts, counts, first, last
    ):
        part = slice(start, start + count)
        yield (
            int(neurite),
            Skeleton(
                arrays["vertices_nm"][part],
                arrays["radius_nm"][part],
                arrays["edges"][f:e] - start,
            ),
        )
