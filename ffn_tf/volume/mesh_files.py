"""Meshes of a precomputed segmentation, in the format that all viewers read.

    em_segments/mesh/info      {"@type": "neuroglancer_legacy_mesh", ...}
    em_segments/mesh/7:0       {"fragments": [...]}: the pieces of segment 7
    em_segments/mesh/7:0:0-256_0-256_0-64     the one in a block, named by its
                               first and last voxels, x first:
                               uint32 n; n x 3 float32, x, y, z nm; uint32
                               triples of vertices, counted from 0

A piece is of use when its segment names it; the rest is object_files.py's
(github.com/google/neuroglancer, datasource/precomputed/meshes.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import json
from typing import Any

import numpy as np

from ffn_tf.volume import object_files
from ffn_tf.volume.box import Box

Mesh = tuple[np.ndarray, np.ndarray]


class MeshFolder(object_files.ObjectFolder):
    """The meshes of the segmentation at an address, while they are made.

    Args:
      address: of the segmentation, or of a scale of it.
      made_by: "program", "options", and more; JSON values.

    Raises:
      FileExistsError: others are there, or are being made.
      ValueError: not a precomputed volume, or one that is only read.
      OSError: the place cannot be asked.
    """

    def __init__(self, address: str, made_by: Mapping[str, Any]) -> None:
        place = object_files.of_segmentation(address, "meshes")
        super().__init__(place, "mesh", "meshes", made_by, "mesh")

    def write(self, box: Box, meshes: Mapping[int, Mesh]) -> None:
        """Stores the pieces of a block, and then notes it.

        Args:
          box: the block.
          meshes: of each segment in it: vertices [n, 3] x, y, z nm, and
            triangles [m, 3] of vertices.
        """
        self.write_files(
            {
                _piece(segment, box): _encoded(*mesh)
                for segment, mesh in meshes.items()
            }
        )
        self.done(box, meshes)

    def finish(self, boxes: Iterable[Box]) -> tuple[int, int]:
        """Names the pieces of each segment, and the meshes of the volume.

        Args:
          boxes: all blocks.

        Returns:
          segments, pieces: how many there are.

        Raises:
          FileNotFoundError: a block is not done.
        """
        boxes = list(boxes)
        segments, parts = self.blocks_of_segments(boxes)
        for some in object_files.batches(zip(segments.tolist(), parts)):
            self.write_files(
                {
                    f"{segment}:0": _manifest(
                        _piece(segment, boxes[block]) for block in part
                    )
                    for segment, part in some
                }
            )
        self.complete({"@type": "neuroglancer_legacy_mesh"})
        return len(segments), sum(map(len, parts))


def _piece(segment: int, box: Box) -> str:
    return f"{segment}:0:{object_files.span(box)}"


def _manifest(names: Iterable[str]) -> bytes:
    return json.dumps({"fragments": list(names)}).encode()


def _encoded(vertices: np.ndarray, triangles: np.ndarray) -> bytes:
    return (
        np.array(len(vertices), "<u4").tobytes()
        + vertices.astype("<f4").tobytes()
        + triangles.astype("<u4").tobytes()
    )
