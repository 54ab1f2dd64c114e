"""Results of run_inference whose truth is known, for tests of what reads them.

labels [z, y, x] ---> overlapping blocks, each with ids of its own
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import os
import pathlib
from typing import Any

import numpy as np

from ffn_tf import volume
from ffn_tf.inference import subvolume
from ffn_tf.volume import grid

# Half of it is 2, the least overlap.
FOV = (5, 5, 5)
MADE = {
    "voxel_size_nm": (40.0, 8.0, 4.0),
    "fov_size_zyx": FOV,
    "model_checkpoint": "sha256:1",
}


def save(
    folder: str | os.PathLike[str],
    start: Sequence[int],
    labels: np.ndarray,
    seeds: Mapping[int, Sequence[int]] | None = None,
    made: Mapping[str, Any] = MADE,
) -> pathlib.Path:
    """One file, with `seeds` of the volume, {id: zyx}."""
    box = volume.Box.from_size(start, labels.shape)
    origins = {
        label: subvolume.OriginInfo(
            tuple(int(s - o) for s, o in zip(seed, start)), 1
        )
        for label, seed in (seeds or {}).items()
    }
    where = {"start_zyx": box.start, "size_zyx": box.size}
    found = subvolume.Subvolume(
        box, labels, origins, provenance={**made, **where}
    )
    return subvolume.save(folder, found)


def cut(
    folder: str | os.PathLike[str],
    labels: np.ndarray,
    size: Sequence[int],
    overlap: Sequence[int],
    *,
    seed: int | None = None,
    start: Sequence[int] = (0, 0, 0),
    largest: int = 0,
    made: Mapping[str, Any] = MADE,
) -> list[pathlib.Path]:
    """Files of blocks that cover `labels`; ids by chance, if there is a seed.

    Args:
      folder: where to.
      labels: the truth.
      size, overlap: of the blocks, zyx.
      seed: of the ids.
      start: the first voxel of `labels`.
      largest: ids are up to this; by default, they have no gaps.
    """
    rng = np.random.default_rng(seed)
    paths = []
    domain = volume.Box.from_shape(labels.shape)
    for box in grid.tile(domain, size, overlap=overlap):
        block = labels[box.slices]
        if seed is not None:
            block, old = volume.labels.contiguous(block)
            count = len(old) - 1
            ids = rng.permutation(count) + 1
            if largest:
                ids = rng.choice(largest, count, replace=False) + 1
            block = np.append(np.uint64(0), ids.astype(np.uint64))[block]
        corner = box.translated(start).start
        paths.append(save(folder, corner, block, made=made))
    return paths


def same(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether ids of two arrays differ by their names alone."""
    table = volume.contingency.count(first, second)
    is_0 = (table.truth_ids == 0) == (table.segment_ids == 0)
    return (
        bool(is_0.all())
        and len(np.unique(table.truth_ids)) == len(table)
        and len(np.unique(table.segment_ids)) == len(table)
    )
