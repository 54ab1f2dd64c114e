"""Label arrays: what segmentations and ground truths are made of.

A label array [z, y, x] of integers gives each voxel the id of its object; 0
is background, belongs to no object, and stays 0 in everything here. Two
voxels touch when they share a face. Nothing changes its input.

Laws (tests/volume/test_labels.py):
    contiguous(a): equal voxels stay equal, different ones different; ids are
    1..n without gaps; mapping[new] is the old id, so mapping[array] == a
    components(a) refines a: voxels of one component have one id in a
    without_small(a, 1) == a; what remains is unchanged
"""

from __future__ import annotations

import cc3d
import fastremap
import numpy as np


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


def without_small(labels: np.ndarray, min_voxels: int) -> np.ndarray:
    """Ids with fewer than `min_voxels` voxels in all become 0."""
    small = [i for i, n in count_voxels(labels).items() if n < min_voxels]
    return fastremap.mask(labels, small) if small else labels.copy()


def without_small_parts(labels: np.ndarray, min_voxels: int) -> np.ndarray:
    """Connected parts with fewer than `min_voxels` voxels become 0."""
    parts = components(labels)
    counts = np.bincount(parts.ravel())
    return np.where((counts < min_voxels)[parts], labels.dtype.type(0), labels)
