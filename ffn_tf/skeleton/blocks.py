"""Blocks: all segments of a volume traced, in two passes.

    (1) each block: the pieces of segments in it    .partial/pieces/7/0-256_...
    (2) each segment: its pieces, put together      7

The folder is one of precomputed skeletons (precomputed.py); of a precomputed
segmentation it is in its folder, and its `info` names it, so that viewers and
CloudVolume find it. Same input, same bytes, whoever works; what is done is not
done again (volume/object_files.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from ffn_tf import program, volume
from ffn_tf.skeleton import precomputed, tracing
from ffn_tf.volume import object_files, place
from ffn_tf.volume.box import Box

_GROUP = 64  # Segments that are put together at a time.


@dataclasses.dataclass(frozen=True)
class Options:
    """Which segments are traced, and in which blocks."""

    dust_threshold: int = program.option(
        1000, help="Voxels of a segment, at least, for it to be traced."
    )
    block_zyx: tuple[int, int, int] = program.option(
        (256, 256, 256), help="Voxels that are traced at a time, z,y,x."
    )


class Skeletonizing:
    """Traces the segments of a volume, or goes on with it.

    Args:
      address: of the segmentation, or of a scale of it.
      output_dir: a folder of skeletons; empty: in the segmentation's.
      options, how: see there.

    Attributes:
      blocks: all of them.
      folder: of the skeletons.

    Raises:
      FileExistsError: other skeletons are there.
      FileNotFoundError: no such volume.
      ValueError: no segmentation; or it cannot have skeletons in its folder.
      OSError: it cannot be read.
    """

    def __init__(
        self,
        address: str,
        output_dir: str,
        options: Options,
        how: tracing.Options,
    ) -> None:
        self._source = volume.open(address)
        if self._source.dtype.kind not in "iu":
            raise ValueError(
                f"{address}: segments are integers, found {self._source.dtype}."
            )
        self._options, self._how = options, how
        made_by = {
            "program": "ffn_tf.skeletonize",
            "code": program.describe_code(),
            "input": address,
            "options": dataclasses.asdict(options)
            | dataclasses.asdict(how)
            | {"voxel_size_nm": self._source.voxel_size_nm},
        }
        self.folder = _folder(address, output_dir, made_by)
        self.blocks = list(
            volume.grid.tile(self._source.domain, options.block_zyx)
        )
        self._ids = np.zeros(0, np.uint64)

    # -- (1) -----------------------------------------------------------------

    def begin(self) -> list[Box]:
        """The blocks that are to be done; finds out which segments are large.

        Raises:
          OSError: voxels cannot be read.
        """
        self._ids = self.folder.begin(
            self._source, self._options.dust_threshold
        )
        return self.folder.todo(self.blocks)

    def trace(self, box: Box) -> None:
        """The pieces in a block.

        Raises:
          OSError: voxels cannot be read, or files not written.
        """
        read = tracing.extended(box, self._source.domain)
        found, old = volume.labels.contiguous(self._source.read(read))
        kept = np.isin(old.astype(np.uint64), self._ids)
        numbers = np.where(kept, np.cumsum(kept), 0).astype(np.uint32)
        names = old[kept]
        pieces = tracing.trace(
            numbers[found], read.start, self._source.voxel_size_nm, self._how
        )
        files = {
            _piece(int(names[number - 1]), box): precomputed.encode(one)
            for number, one in pieces.items()
        }
        self.folder.write_files(files)
        self.folder.done(box, [int(names[number - 1]) for number in pieces])

    # -- (2) -----------------------------------------------------------------

    def groups(self) -> list[tuple[tuple[int, tuple[int, ...]], ...]]:
        """What is to be put together: segments, with their blocks.

        Raises:
          FileNotFoundError: a block is not done.
        """
        segments, blocks = self.folder.blocks_of_segments(self.blocks)
        names = [f"{segment}" for segment in segments.tolist()]
        there = self.folder.present()
        todo = [
            (int(name), tuple(part.tolist()))
            for name, part in zip(names, blocks)
            if name not in there
        ]
        return [
            tuple(todo[i : i + _GROUP]) for i in range(0, len(todo), _GROUP)
        ]

    def join(self, group: Sequence[tuple[int, Sequence[int]]]) -> None:
        """Puts segments together.

        Raises:
          OSError: files cannot be read or written.
        """
        made = {}
        for segment, blocks in group:
            names = [_piece(segment, self.blocks[block]) for block in blocks]
            found = self.folder.read_files(names)
            if None in found:
                raise FileNotFoundError(
                    f"{self.folder.name}: {names[found.index(None)]} is gone; "
                    f"has another process finished the skeletons?"
                )
            pieces = [
                precomputed.decode(data or b"", segment, name)
                for name, data in zip(names, found)
            ]
            whole = tracing.join(pieces, self._source.voxel_size_nm, self._how)
            made[f"{segment}"] = precomputed.encode(whole)
        self.folder.write_files(made)

    def finish(self) -> int:
        """Makes the skeletons known to viewers; how many there are."""
        segments, _ = self.folder.blocks_of_segments(self.blocks)
        self.folder.complete(precomputed.info(has_radii=True))
        return len(segments)


def _folder(
    address: str, output_dir: str, made_by: Mapping[str, Any]
) -> object_files.ObjectFolder:
    if not output_dir:
        where = object_files.of_segmentation(
            address,
            "skeletons in their folder (--output_dir puts them elsewhere)",
        )
        return object_files.ObjectFolder(
            where, "skeletons", "skeletons", made_by, "skeletons"
        )
    parent = place.Place(output_dir).parent
    if parent is None:
        raise ValueError(
            f"--output_dir={output_dir}: expected a folder in another one."
        )
    above, name = parent
    return object_files.ObjectFolder(
        place.Place(above), name, "skeletons", made_by, None
    )


def _piece(segment: int, box: Box) -> str:
    return f"{object_files.NOTES}pieces/{segment}/{object_files.span(box)}"
