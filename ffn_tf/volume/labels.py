"""Labels: what segmentations and ground truths are made of.

A label array [z, y, x] of integers gives each voxel the id of its object; 0
is background, belongs to no object, and stays 0 in everything here. Two
voxels touch when they share a face. Nothing changes its input.

The first half works on arrays; the second, `*_volume`, on volumes that need
not fit in memory, block by block, from a source into a target.

Laws (tests/volume/test_labels.py):
    contiguous(a): equal voxels stay equal, different ones different; ids are
    1..n without gaps; mapping[new] is the old id, so mapping[array] == a
    components(a) refines a: voxels of one component have one id in a
    without_small(a, 1) == a; what remains is unchanged
    a volume gives what its array gives, whatever the block size (components:
    up to their numbering)
"""

from __future__ import annotations

from collections.abc import Iterator

import cc3d
import fastremap
import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from ffn_tf.volume import grid
from ffn_tf.volume.box import Box, Triple
from ffn_tf.volume.store import Volume


def _checked(labels: np.ndarray) -> np.ndarray:
    if labels.ndim != 3 or labels.dtype.kind not in "bui":
        raise ValueError(
            f"Labels are an array [z, y, x] of integers: found "
            f"{labels.ndim} axes of {labels.dtype}."
        )
    return labels


def count_voxels(labels: np.ndarray) -> dict[int, int]:
    """Voxels of each id but 0."""
    ids, counts = fastremap.unique(_checked(labels), return_counts=True)
    found = dict(zip(ids.tolist(), counts.tolist()))
    found.pop(0, None)
    return found


def contiguous(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids 1..n in the order of the old ones.

    Returns:
      [z, y, x] of the smallest unsigned dtype that holds n, and
      [n + 1] the old id of each new one (0 for 0).
    """
    ids = fastremap.unique(_checked(labels))
    old = np.concatenate([np.zeros(1, ids.dtype), ids[ids != 0]])
    dtype = np.min_scalar_type(len(old) - 1)
    mapping = {int(o): n for n, o in enumerate(old.tolist())}
    wide = np.promote_types(labels.dtype, dtype)
    new = fastremap.remap(labels.astype(wide), mapping, in_place=True)
    return new.astype(dtype), old


def components(labels: np.ndarray) -> np.ndarray:
    """Connected parts of equal labels: [z, y, x] uint32, ids 1..n."""
    parts = cc3d.connected_components(
        np.ascontiguousarray(_checked(labels)),
        connectivity=6,  # through faces
    )
    return parts.astype(np.uint32, copy=False)


def borders(labels: np.ndarray) -> np.ndarray:
    """Voxels [z, y, x] bool that touch a voxel with another id, or 0."""
    found = np.zeros(_checked(labels).shape, bool)
    for axis in range(3):
        ids = np.moveaxis(labels, axis, 0)
        at = np.moveaxis(found, axis, 0)
        differs = ids[1:] != ids[:-1]
        at[1:] |= differs
        at[:-1] |= differs
    return found


def without_small(labels: np.ndarray, min_voxels: int) -> np.ndarray:
    """Ids with fewer than `min_voxels` voxels in all become 0."""
    small = [i for i, n in count_voxels(labels).items() if n < min_voxels]
    return fastremap.mask(labels, small) if small else labels.copy()


def without_small_parts(labels: np.ndarray, min_voxels: int) -> np.ndarray:
    """Connected parts with fewer than `min_voxels` voxels become 0."""
    parts = components(labels)
    counts = np.bincount(parts.ravel())
    return np.where((counts < min_voxels)[parts], labels.dtype.type(0), labels)


def count_voxels_volume(
    source: Volume, block_zyx: Triple = (256, 256, 256)
) -> tuple[np.ndarray, np.ndarray]:
    """Ids of a volume, sorted, without 0, and the voxels of each: [n], [n]."""
    ids = np.zeros(0, source.dtype)
    counts = np.zeros(0, np.int64)
    for box in grid.tile(source.domain, block_zyx):
        found, voxels = fastremap.unique(source.read(box), return_counts=True)
        ids, places = np.unique(
            np.concatenate([ids, found]), return_inverse=True
        )
        total = np.zeros(len(ids), np.int64)
        np.add.at(total, places, np.concatenate([counts, voxels]))
        counts = total
    return ids[ids != 0], counts[ids != 0]


def relabel_volume(
    source: Volume,
    target: Volume,
    ids: np.ndarray,
    new_ids: np.ndarray,
    block_zyx: Triple = (256, 256, 256),
) -> None:
    """Writes each voxel's new id; ids that are not listed become 0.

    With the ids that `count_voxels_volume` counts often enough, this removes
    dust; with 1..n as new ids, it makes them contiguous.

    Args:
      source: what to relabel.
      target: where to; of the same domain.
      ids: [n] old ids, sorted.
      new_ids: [n] the new one of each.
    """
    # One more than there are, so that the last place is a valid index.
    old = np.append(ids, ids[-1:])
    new = np.append(new_ids, np.zeros(1, new_ids.dtype)).astype(target.dtype)
    for box in grid.tile(source.domain, block_zyx):
        found, places = np.unique(source.read(box), return_inverse=True)
        if not len(ids):
            voxels = np.zeros(box.size, target.dtype)
        else:
            at = np.searchsorted(ids, found)
            known = (old[at] == found) & (found != 0)
            mapped = np.where(known, new[at], target.dtype.type(0))
            voxels = mapped[places].reshape(box.size)
        target.write(box, voxels)


def components_volume(
    source: Volume, target: Volume, block_zyx: Triple = (256, 256, 256)
) -> int:
    """Writes the connected parts of equal labels, ids 1..n; returns n.

    (1) Blocks are labelled one by one, with ids that no other block has;
    (2) parts that continue across a block's lower faces are paired; (3) all
    voxels get the number of their set of pairs.

    Args:
      source: labels.
      target: where to; of the same domain, able to hold one id per part of
        every block.
    """
    pairs = [np.zeros((0, 2), np.int64)]
    count = 0
    for box in grid.tile(source.domain, block_zyx):
        parts = components(source.read(box)).astype(np.int64)
        largest = int(parts.max(initial=0))
        if count + largest > np.iinfo(target.dtype).max:
            raise ValueError(
                f"{target.address}: {target.dtype} cannot hold more than "
                f"{count} parts; use a wider dtype."
            )
        parts[parts > 0] += count
        count += largest
        target.write(box, parts.astype(target.dtype))
        for here, before in _lower_faces(box, source.domain):
            pairs.append(_continued(source, target, here, before))
    edges = np.concatenate(pairs)
    graph = sparse.coo_array(
        (np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])),
        shape=(count + 1, count + 1),
    )
    # 0 is in no pair, hence alone, and the first set: it stays 0.
    number, sets = csgraph.connected_components(graph, directed=False)
    new = sets.astype(target.dtype)
    for box in grid.tile(source.domain, block_zyx):
        target.write(box, new[target.read(box)])
    return number - 1


def _lower_faces(box: Box, domain: Box) -> Iterator[tuple[Box, Box]]:
    """First planes of `box`, each with the plane before it in the domain."""
    for axis in range(3):
        if box.start[axis] == domain.start[axis]:
            continue
        end = list(box.end)
        end[axis] = box.start[axis] + 1
        here = Box(box.start, (end[0], end[1], end[2]))
        yield here, here.translated(-int(axis == other) for other in range(3))


def _continued(
    source: Volume, target: Volume, here: Box, before: Box
) -> np.ndarray:
    """Ids [n, 2] in the target of parts that touch between two planes."""
    mine, other = source.read_many([here, before])
    touch = (mine == other) & (mine != 0)
    ids = [target.read(plane)[touch] for plane in (here, before)]
    return np.unique(np.stack(ids, axis=1).astype(np.int64), axis=0)
