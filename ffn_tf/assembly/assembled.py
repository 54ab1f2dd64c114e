"""(6) Assembled: all pieces as one volume of global ids.

A Source like those of storage formats: read by boxes, out of the cores that
they meet. Voxels of missing pieces are 0. Copies of it (volume.conversion) are
the segmentation; read piece by piece (`order`), each file is decoded about
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ffn_tf import volume
from ffn_tf.assembly.cores import Loader
from ffn_tf.assembly.pieces import Pieces
from ffn_tf.volume.box import Box


class Assembled:
    """A Source of uint64 ids.

    Args:
      pieces: what it is made of.
      loader: of them.

    Attributes:
      of_numbers: for each piece [n + 1] uint64, see GlobalIds; to be set before
        anything is read.
    """

    def __init__(self, pieces: Pieces, loader: Loader) -> None:
        self.info = volume.VolumeInfo(
            pieces.domain,
            np.dtype(np.uint64),
            pieces.voxel_size_nm,
            kind="segmentation",
        )
        self.attributes: dict[str, Any] = {}
        self._pieces, self._loader = pieces, loader
        self.of_numbers: Sequence[np.ndarray] = ()

    def read(self, box: Box) -> np.ndarray:
        found = np.zeros(box.size, np.uint64)
        for index in self._pieces.with_core_in(box):
            part = box.clipped(self._pieces.all[index].core)
            numbers = self._loader.core(index).part(part)
            where = part.relative_to(box.start).slices
            np.take(self.of_numbers[index], numbers, out=found[where])
        return found

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        return [self.read(box) for box in boxes]

    def order(self, box: Box) -> int:
        """By which boxes are sorted, so that a piece's follow each other."""
        first = Box.from_size(box.start, (1, 1, 1))
        return next(
            iter(self._pieces.with_core_in(first)), len(self._pieces.all)
        )

    def write(self, box: Box, array: np.ndarray) -> None:
        raise ValueError("Assembled pieces are only read.")

    def close(self) -> None:
        pass
