"""Damaged chunks are filled, counted and listed, where that is asked for.

    source = tolerance.TolerantSource(source, "em")
    source.read(box)             # chunks that are damaged read as 0
    source.tolerated()           # ... and this is which, and why

Without this wrapper a damaged chunk is a CorruptError that names it. With
it, a box whose reading fails so is read again chunk by chunk, and the chunks
that fail once more are filled; what was damaged only on its way here is whole
this time. Nothing else is tolerated: not missing chunks (?missing=zero is for
them), nor a network that is down, nor a time-out.

More damaged chunks than `at_most` are an error, so that a volume that is
lost does not pass for an empty one. Damage that nobody can notice is in
failures.py.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import threading
from typing import Any

import numpy as np

from ffn_tf import program
from ffn_tf.volume import failures, grid
from ffn_tf.volume.box import Box
from ffn_tf.volume.failures import CorruptError, Outcome, ReadError, ReadsFailed
from ffn_tf.volume.source import Nanometres, Source

AT_MOST = 1000
_LISTED = 20


@dataclasses.dataclass(frozen=True)
class Tolerated:
    """What was filled.

    Attributes:
      chunks: the damaged chunks, in the order in which they were met.
      reasons: why, for each of them.
      num_voxels: how many voxels of what was read are fill; a voxel that was
        read twice counts twice.
    """

    chunks: tuple[Box, ...] = ()
    reasons: tuple[str, ...] = ()
    num_voxels: int = 0

    def __str__(self) -> str:
        if not self.chunks:
            return "no damaged chunks"
        lines = [
            f"{len(self.chunks)} damaged chunks, {self.num_voxels} voxels "
            f"filled:"
        ]
        pairs = list(zip(self.chunks, self.reasons))
        lines += [f"  {chunk}: {reason}" for chunk, reason in pairs[:_LISTED]]
        if len(pairs) > _LISTED:
            lines.append(f"  and {len(pairs) - _LISTED} more")
        return "\n".join(lines)


class TolerantSource:
    """A source whose damaged chunks are filled.

    Args:
      source: whose damage is tolerated.
      where: its name, for messages.
      at_most: more damaged chunks than this are an error all the same.
      fill: what they are filled with.
      origin: a corner of the chunk grid, zyx; the volume's first voxel, if
        not given.
    """

    def __init__(
        self,
        source: Source,
        where: str,
        *,
        at_most: int = AT_MOST,
        fill: int = 0,
        origin: Sequence[int] | None = None,
    ) -> None:
        self.info = source.info
        self._source = source
        self._where = where
        self._at_most = at_most
        self._fill = fill
        self._origin = source.info.domain.start if origin is None else origin
        self._reasons: dict[Box, str] = {}
        self._num_voxels = 0
        self._lock = threading.Lock()

    @property
    def attributes(self) -> dict[str, Any]:
        return self._source.attributes

    @property
    def scales_nm(self) -> tuple[Nanometres, ...]:
        """As the source has it."""
        own = (self.info.voxel_size_nm,)
        return getattr(self._source, "scales_nm", own)

    def report(self) -> list[str]:
        """Lines for the end of a program; those of the source too."""
        said: list[str] = getattr(self._source, "report", list)()
        return [*said, str(self.tolerated())]

    def tolerated(self) -> Tolerated:
        """What was filled until now."""
        with self._lock:
            return Tolerated(
                tuple(self._reasons),
                tuple(self._reasons.values()),
                self._num_voxels,
            )

    def read(self, box: Box) -> np.ndarray:
        return self.read_many([box])[0]

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        outcomes = outcomes_of(self._source, boxes)
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, CorruptError):
                outcomes[index] = self._patched(boxes[index], outcome)
        where = next(
            (o.where for o in outcomes if isinstance(o, ReadError)), ""
        )
        return failures.voxels(where, outcomes)

    def _patched(self, box: Box, error: CorruptError) -> Outcome:
        """What can be read of a box, and fill."""
        chunk = self.info.chunk_zyx
        tiles = list(grid.aligned(box, chunk, self._origin, 1))
        voxels = np.full(box.size, self._fill, self.info.dtype)
        for tile, outcome in zip(tiles, outcomes_of(self._source, tiles)):
            if isinstance(outcome, np.ndarray):
                voxels[tile.relative_to(box.start).slices] = outcome
            elif isinstance(outcome, CorruptError):
                self._count(tile, outcome)
            else:
                return outcome
        return self._too_many(error) or voxels

    def _count(self, tile: Box, error: CorruptError) -> None:
        whole = tile.aligned(self.info.chunk_zyx, self._origin)
        with self._lock:
            self._num_voxels += tile.num_voxels
            if len(self._reasons) <= self._at_most:
                chunk = whole.clipped(self.info.domain)
                self._reasons.setdefault(chunk, error.reason.rstrip("."))

    def _too_many(self, error: CorruptError) -> CorruptError | None:
        most = self._at_most
        if len(self._reasons) <= most:
            return None
        return CorruptError(
            error.where,
            error.box,
            f"more than {most} chunks are damaged, and no more are "
            f"tolerated; this one: {error.reason}",
        )

    def write(self, box: Box, array: np.ndarray) -> None:
        self._source.write(box, array)

    def close(self) -> None:
        """Also warns of what was filled, so that every program tells it."""
        found = self.tolerated()
        if found.chunks:
            program.warn(f"{self._where}: {found}")
        self._source.close()


def outcomes_of(source: Source, boxes: Sequence[Box]) -> list[Outcome]:
    """Voxels of each box, or why there are none.

    Raises:
      OSError: what is not about a box.
    """
    try:
        return list(source.read_many(boxes))
    except ReadsFailed as error:
        return error.outcomes
    except ReadError as error:
        if len(boxes) == 1:
            return [error]
    # A source that stops at the first failure.
    return [outcomes_of(source, [box])[0] for box in boxes]
