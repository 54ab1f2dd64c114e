"""Live volumes: read while they grow, section by section.

    em = live.stack("slices/", until=live.Until(marker="slices/DONE"))
    items = stream.read(em, em.slabs(16))       # as in any stream
    async for box, voxels in items: ...

    slices/ (growing)   |====|====|====|==> z
    slabs                [box)[box)[box)     each when it is complete, in order

A live volume grows along z. What counts as complete, arriving_slices.py and
arriving_chunks.py say; a section that comes before its predecessor waits. The
end is what `Until` says, and everything that is there at the end must be
right: a gap or a damaged section is an error then. After the last slab every
section has been in exactly one, and together they are what `volume.open` gives.

Nothing is looked at ahead of who reads: a slow stream reads a folder that fills
faster as it would read a full one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
import dataclasses
import os
import time
from typing import Protocol

import numpy as np

from ffn_tf.volume.box import Box
from ffn_tf.volume.store import Volume
from ffn_tf.volume.streams import tasks
from ffn_tf.volume.streams.arriving_chunks import ArrivingChunks
from ffn_tf.volume.streams.arriving_slices import ArrivingSlices


class Arrivals(Protocol):
    """What has arrived of a volume, from its first section on.

    Attributes:
      complete: sections that are complete, without a gap.
      changes: counts what has been seen to change.
      volume: what can be read, at least the complete sections; None at first.
      doubt: what is wrong with the next section, unless it is just not there.
    """

    complete: int
    changes: int
    volume: Volume | None
    doubt: Exception | None

    def look(self, wanted: int, *, final: bool) -> None:
        """Looks for more, until `wanted` sections are complete.

        `final` says that nobody is writing any more.
        """


@dataclasses.dataclass(frozen=True)
class Until:
    """When a volume has stopped growing: whatever comes first.

    With none of these a stream goes on until it is cancelled.

    Attributes:
      sections: so many are complete; what comes later is not looked at.
      marker: this file exists. It is written when the sections are.
      silence_s: nothing has changed for so long while somebody was waiting.
      silence_is_end: then the volume is complete; otherwise it is a
        TimeoutError that says what is being waited for.
    """

    sections: int | None = None
    marker: str | os.PathLike[str] | None = None
    silence_s: float | None = None
    silence_is_end: bool = False

    def __post_init__(self) -> None:
        if self.sections is not None and self.sections < 1:
            raise ValueError(
                f"sections: expected at least 1, found {self.sections}."
            )
        if self.silence_s is not None and not self.silence_s > 0:
            raise ValueError(
                f"silence_s: expected more than 0, found {self.silence_s}."
            )
        if self.silence_is_end and self.silence_s is None:
            raise ValueError("silence_is_end: needs silence_s.")


def stack(
    folder: str | os.PathLike[str],
    *,
    until: Until,
    first: int = 0,
    poll_s: float = 1.0,
) -> Live:
    """A folder into which PNG or TIFF sections are written.

    Args:
      folder: need not exist yet. The last number in a file's name counts
        the sections, without gaps.
      until: when it has stopped growing.
      first: number of the first section, which is z = 0.
      poll_s: time between two looks; a file that has not changed in between
        is taken for complete.
    """
    return Live(
        os.fspath(folder), ArrivingSlices(folder, first, poll_s), until, poll_s
    )


def volume(address: str, *, until: Until, poll_s: float = 1.0) -> Live:
    """A volume of chunks that is being written.

    Args:
      address: need not exist yet. Either its bounds grow as it is resized, or
        they are the final ones and chunks that are missing are yet to come.
      until: when it has stopped growing.
      poll_s: time between two looks.
    """
    arrivals = ArrivingChunks(address, until.sections)
    return Live(address, arrivals, until, poll_s)


class Live:
    """A volume that grows; for one stream at a time."""

    def __init__(
        self, address: str, arrivals: Arrivals, until: Until, poll_s: float
    ) -> None:
        if not poll_s > 0:
            raise ValueError(f"poll_s: expected more than 0, found {poll_s}.")
        self.address = address
        self._arrivals = arrivals
        self._until = until
        self._poll_s = poll_s

    async def opened(self) -> Volume:
        """What there is, as soon as there is a section.

        Raises:
          FileNotFoundError: it ended without any.
        """
        await self._complete(1)
        return self._opened()

    def _opened(self) -> Volume:
        if self._arrivals.volume is None:
            raise FileNotFoundError(f"{self.address}: has no section.")
        return self._arrivals.volume

    def read(self, box: Box) -> np.ndarray:
        """Voxels [z, y, x] of a box inside complete sections."""
        return self._opened().read(box)

    async def slabs(
        self, thickness: int | None = None
    ) -> AsyncGenerator[Box, None]:
        """Boxes of whole sections, each when it is complete, in order.

        Args:
          thickness: sections in each but the last, which may be thinner; by
            default those of a chunk.

        Raises:
          OSError: at the end a section is missing or damaged, or there was
            silence.
          ValueError: sections differ.
        """
        if thickness is not None and thickness < 1:
            raise ValueError(
                f"thickness: expected at least 1 section, found {thickness}."
            )
        first = await self.opened()
        if thickness is None:
            thickness = first.info.chunk_zyx[0]
        done, ended = 0, False
        while not ended:
            complete, ended = await self._complete(done + thickness)
            while complete - done >= thickness or (ended and complete > done):
                end = min(done + thickness, complete)
                yield self._slab(done, end)
                done = end

    def _slab(self, start: int, end: int) -> Box:
        domain = self._opened().domain
        z = domain.start[0]
        return Box((z + start, *domain.start[1:]), (z + end, *domain.end[1:]))

    async def _complete(self, wanted: int) -> tuple[int, bool]:
        """Waits for so many sections: (how many there are, is it the end)."""
        arrivals, all_sections = self._arrivals, self._until.sections
        if all_sections is not None:
            wanted = min(wanted, all_sections)
        changes, heard, silent = arrivals.changes, time.monotonic(), False
        with tasks.Threads(1) as threads:
            while True:
                final = await threads.call(self._look, wanted, silent)
                if arrivals.complete >= wanted or final:
                    break
                if arrivals.changes != changes:
                    changes, heard = arrivals.changes, time.monotonic()
                silent = self._is_silent(time.monotonic() - heard)
                if not silent:
                    await asyncio.sleep(self._poll_s)
        ended = arrivals.complete < wanted
        if ended and arrivals.doubt is not None:
            raise arrivals.doubt
        if all_sections is None:
            return arrivals.complete, ended
        complete = min(arrivals.complete, all_sections)
        return complete, ended or complete == all_sections

    def _look(self, wanted: int, silent: bool) -> bool:
        """Looks once; whether that was the last time."""
        # The marker first: what is there when it is, is all there will be.
        marker = self._until.marker
        final = silent or (marker is not None and os.path.exists(marker))
        self._arrivals.look(wanted, final=final)
        return final

    def _is_silent(self, seconds: float) -> bool:
        """Whether silence ends it; an error where it should not.

        Raises:
          TimeoutError: nothing came for too long.
        """
        limit = self._until.silence_s
        if limit is None or seconds < limit:
            return False
        if self._until.silence_is_end:
            return True
        doubt = self._arrivals.doubt or "it has not arrived"
        raise TimeoutError(
            f"{self.address}: nothing has arrived for {limit:g} s; "
            f"{self._arrivals.complete} sections are complete, and the next "
            f"is not: {doubt}"
        )
