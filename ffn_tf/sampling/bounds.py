"""What google/ffn notes about partitions, in attributes of an HDF5 dataset.

    bounding_boxes     [n, 2, 3] int64: (start, size) xyz of what was annotated,
                       without the margin that has no class
    partition_counts   [2, m] int64: classes, and the voxels of each, of the
                       volume without its margin

The first is made of those of the labels: of every attribute whose name begins
with bounding_boxes, rows of (start, size) xyz; where there is none, of the
whole volume. It is for people to read, and no program does. Volumes that are
not in HDF5 have neither.
"""

from __future__ import annotations

import numpy as np

from ffn_tf import volume
from ffn_tf.volume.box import Triple
from ffn_tf.volume.formats import hdf5_attributes


def annotated(address: str, labels: volume.Volume) -> list[volume.Box]:
    """Boxes that the labels say they annotate, else their domain.

    Raises:
      ValueError: an attribute bounding_boxes that is not of such rows.
    """
    found = []
    for name, value in sorted(hdf5_attributes.read(address).items()):
        if not name.startswith("bounding_boxes"):
            continue
        rows = np.asarray(value)
        if rows.size % 6 or rows.dtype.kind not in "iu":
            raise ValueError(
                f"{address}: attribute {name} is of shape {rows.shape} and "
                f"{rows.dtype}, expected integers [n, 2, 3], (start, size) in "
                f"x, y, z."
            )
        for (x, y, z), (width, height, depth) in rows.reshape(-1, 2, 3):
            found.append(
                volume.Box.from_size((z, y, x), (depth, height, width))
            )
    return found or [labels.domain]


def record(
    address: str,
    boxes: list[volume.Box],
    radius_zyx: Triple,
    voxels: dict[int, int],
) -> None:
    """Writes the attributes to a dataset of partitions.

    Args:
      boxes: annotated.
      radius_zyx: of the margin that has no class.
      voxels: of each class inside the margin.
    """
    inner = [
        box.padded(-r for r in radius_zyx)
        for box in boxes
        if all(n > 2 * r for n, r in zip(box.size, radius_zyx))
    ]
    rows = [
        [
            (b.start[2], b.start[1], b.start[0]),
            (b.size[2], b.size[1], b.size[0]),
        ]
        for b in inner
    ]
    hdf5_attributes.write(
        address,
        {
            "bounding_boxes": np.array(rows, np.int64).reshape(-1, 2, 3),
            "partition_counts": np.array(
                [list(voxels), list(voxels.values())], np.int64
            ),
        },
    )
