"""(1) How much of a voxel's surroundings belongs to the voxel's own object.

Around a voxel lies a box of `2 * radius + 1` voxels, in which google/ffn calls
the voxels with the same label the local object mask (LOM). Their share of the
box is the active fraction: about 1 inside a soma, 0.1 inside a thin axon.

    labels      . . 7 7 7 . .      radius 2, at the middle 7: 3 of 5 = 0.6
                    ^

One pass over the voxels serves all labels at once. A histogram of the labels in
the box slides over the volume, as a sum of sums that slide as well:

    columns[y, x, label]   voxels of the label in 2 * radius_z + 1 sections
    rows[x, label]         ... of 2 * radius_y + 1 columns
    box[label]             ... of 2 * radius_x + 1 rows

so that a step costs a few additions for each label that occurs nearby, whatever
the radius. google/ffn makes a summed volume of everything for each label.

Laws (tests/sampling/test_active_fraction.py):
    the counts that comparing each voxel with each of its box has
    other names of the same labels give the same counts
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent import futures
import itertools
import os
from typing import Any

import fastremap
import numba
import numpy as np

from ffn_tf.volume.box import Triple, triple

# Voxels along y and x that share a histogram: few, so that few labels occur
# and the sums stay in the processor's cache; not so few that the surroundings
# of neighbours, which are read twice, outweigh them.
TILE = 64


def count_same(
    labels: np.ndarray, radius_zyx: int | Iterable[int]
) -> np.ndarray:
    """Voxels in the box around each voxel that have its label.

    On all processors.

    Args:
      labels: [z, y, x] of integers; 0 is a label like the others.
      radius_zyx: of the box, which has `2 * radius + 1` voxels on each edge.

    Returns:
      [z - 2 * radius, ...] uint32, for the voxels whose whole box is there.

    Raises:
      ValueError: an array that is smaller than the box.
    """
    radius = triple(radius_zyx, "radius_zyx")
    shape = [n - 2 * r for n, r in zip(labels.shape, radius)]
    if labels.ndim != 3 or min(shape) < 1 or min(radius) < 0:
        raise ValueError(
            f"Labels of shape {labels.shape} hold no box of radius_zyx "
            f"{radius}."
        )
    counts = np.empty(shape, np.uint32)

    def count(part: tuple[Any, Any]) -> None:
        tile, whole = part
        _count(labels[whole], radius, counts[tile])

    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        # list: so that an exception is not lost.
        list(pool.map(count, _tiles(counts.shape, radius)))
    return counts


def _tiles(
    shape: tuple[int, ...], radius: Triple
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Parts of the counts, each with the part of the labels that it needs."""
    _, height, width = shape
    for y, x in itertools.product(
        range(0, height, TILE), range(0, width, TILE)
    ):
        y_end, x_end = min(y + TILE, height), min(x + TILE, width)
        yield (
            (slice(None), slice(y, y_end), slice(x, x_end)),
            (
                slice(None),
                slice(y, y_end + 2 * radius[1]),
                slice(x, x_end + 2 * radius[2]),
            ),
        )


def _count(labels: np.ndarray, radius: Triple, counts: np.ndarray) -> None:
    """`count_same` of a small array, into `counts`."""
    local, names = fastremap.renumber(np.ascontiguousarray(labels))
    wide = local.astype(np.uint16 if len(names) < 2**16 else np.uint32)
    _slide(wide, int(wide.max()) + 1, *radius, counts)


@numba.njit(cache=True, nogil=True)
def _slide(labels, num_labels, radius_z, radius_y, radius_x, counts):
    depth, height, width = labels.shape
    columns = np.zeros((height, width, num_labels), np.uint16)
    rows = np.zeros((width, num_labels), np.uint32)
    box = np.zeros(num_labels, np.uint32)
    across_z, across_y, across_x = 2 * radius_z, 2 * radius_y, 2 * radius_x
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                columns[y, x, labels[z, y, x]] += 1
                if z > across_z:
                    columns[y, x, labels[z - across_z - 1, y, x]] -= 1
        if z < across_z:
            continue
        rows[:] = 0
        for y in range(height):
            for x in range(width):
                for k in range(num_labels):
                    rows[x, k] += columns[y, x, k]
            if y > across_y:
                for x in range(width):
                    for k in range(num_labels):
                        rows[x, k] -= columns[y - across_y - 1, x, k]
            if y < across_y:
                continue
            box[:] = 0
            for x in range(width):
                for k in range(num_labels):
                    box[k] += rows[x, k]
                if x > across_x:
                    for k in range(num_labels):
                        box[k] -= rows[x - across_x - 1, k]
                if x >= across_x:
                    here = labels[z - radius_z, y - radius_y, x - radius_x]
                    counts[z - across_z, y - across_y, x - across_x] = box[here]
