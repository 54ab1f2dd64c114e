"""(8) Meshing: the surfaces of segments, block by block.

    voxels     |  0  1  2  3 | 4  5  6  7 |        two blocks of an axis
    cells     [-|--|--|--|--|]                     of the first
                            [|--|--|--|--|-]       of the second

A surface runs through the cells between eight voxel centres (marching cubes,
zmesh). A block has the cells that begin at its voxels, at the first face of the
volume also those before; so it reads one plane of voxels of the next block, and
beyond the volume is background: every surface is closed. Triangles are made
fewer within a block; vertices on its faces stay where they are, so that the
pieces of a segment fit without gaps, bit by bit.

Positions are x, y, z in nanometres; the corner of voxel 0, 0, 0 is the origin,
its centre is half a voxel further.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses

import numpy as np
import zmesh

from ffn_tf import program, volume
from ffn_tf.volume import mesh_files
from ffn_tf.volume.address import reversed_axes
from ffn_tf.volume.box import Box, triple

# Fewer triangles by this factor at most, if the error allows it.
_REDUCTION = 100
# Vertices are whole multiples of this part of a voxel, so that the same one
# has the same bits in two blocks.
_PART = 1 / 1024


@dataclasses.dataclass(frozen=True)
class Options:
    """How meshes are made."""

    max_error_nm: float | None = program.option(
        None,
        help="How far triangles may be from the surface, for there to be fewer "
        "of them; 0: all of them. By default, the longest edge of a voxel.",
    )
    dust_threshold: int = program.option(
        1000,
        help="Voxels of a segment, at least, for it to get a mesh; of the "
        "scale that is meshed.",
    )
    block_zyx: tuple[int, int, int] = program.option(
        (256, 256, 256), help="Voxels that are meshed at a time, z,y,x."
    )

    def __post_init__(self) -> None:
        if self.max_error_nm is not None and self.max_error_nm < 0:
            raise ValueError(
                f"--max_error_nm: expected 0 or more, found "
                f"{self.max_error_nm}."
            )


class Meshing:
    """Makes the meshes of a segmentation, or goes on with it.

    Args:
      address: of a precomputed segmentation; `?mip=1` takes coarser voxels.
      options: how.

    Attributes:
      blocks: all of them.
      folder: of the meshes.

    Raises:
      FileExistsError: other meshes are there.
      FileNotFoundError: no such volume.
      ValueError: not a precomputed segmentation.
      OSError: it cannot be read.
    """

    def __init__(self, address: str, options: Options) -> None:
        self._source = volume.open(address)
        if self._source.dtype.kind not in "iu":
            raise ValueError(
                f"{address}: segments are integers, found {self._source.dtype}."
            )
        size = self._source.voxel_size_nm
        error = options.max_error_nm
        self._max_error = max(size) if error is None else error
        decides = {"max_error_nm": self._max_error, "voxel_size_nm": size}
        self.folder = mesh_files.MeshFolder(
            address,
            {
                "program": "ffn_tf.mesh",
                "code": program.describe_code(),
                "options": dataclasses.asdict(options) | decides,
            },
        )
        self._threshold = options.dust_threshold
        self.blocks = list(
            volume.grid.tile(self._source.domain, options.block_zyx)
        )
        self._ids = np.zeros(0, np.uint64)

    def begin(self) -> list[Box]:
        """The blocks that are to be done; finds out which segments are large.

        Raises:
          OSError: voxels cannot be read.
        """
        self._ids = self.folder.begin(self._source, self._threshold)
        return self.folder.todo(self.blocks)

    def make(self, box: Box) -> None:
        """The pieces in a block.

        Raises:
          OSError: voxels cannot be read, or files not written.
        """
        self.folder.write(box, dict(self._pieces(box)))

    def _pieces(self, box: Box) -> Iterator[tuple[int, mesh_files.Mesh]]:
        labels, old, start = self._labels(box)
        if len(old) == 1:
            return
        size = reversed_axes(self._source.voxel_size_nm)
        mesher = zmesh.Mesher(size)
        mesher.mesh(labels.T)
        for number in sorted(mesher.ids()):
            mesh = mesher.get(
                number,
                reduction_factor=_REDUCTION if self._max_error else 0,
                max_error=self._max_error,
            )
            mesher.erase(number)
            voxels = mesh.vertices / np.array(size)  # From the first centre.
            voxels = np.round(voxels / _PART) * _PART + start + 0.5
            yield int(old[number]), (voxels * size, mesh.faces)

    def _labels(self, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a block's cells need.

        Returns:
          labels: [z, y, x] uint32, 1..n of those that are meshed.
          old: [n + 1] their ids.
          start: x, y, z of the first voxel.
        """
        domain = self._source.domain
        read = Box(box.start, triple(e + 1 for e in box.end)).clipped(domain)
        found, old = volume.labels.contiguous(self._source.read(read))
        kept = np.isin(old.astype(np.uint64), self._ids)
        numbers = np.where(kept, np.cumsum(kept), 0).astype(np.uint32)
        before = np.equal(box.start, domain.start)
        after = np.equal(box.end, domain.end)
        labels = np.pad(
            numbers[found], np.stack([before, after], 1).astype(int)
        )
        ids = np.concatenate([np.zeros(1, np.uint64), old[kept]])
        start = reversed_axes((np.array(box.start) - before).tolist())
        return labels, ids, np.array(start)

    def finish(self) -> tuple[int, int]:
        """Makes the meshes known to viewers; see `MeshFolder.finish`."""
        return self.folder.finish(self.blocks)
