"""The layers of chunks that have been written of a volume.

    bounds   [----------------------)- - - >      may grow along z
    chunks   [=====)[=====)[==  )[==)             3rd layer: chunks are missing
    complete [------------)                       4th: the bounds cut it

A layer is complete if it is inside the bounds, none of its chunks is missing,
and the layers before it are complete. That is all that can be seen, so a chunk
must be written once and whole, or be one section thick: planes that are still
to be written into a chunk that is there read as zeros. Where bounds grow
through a chunk that is there, that is noticed, and an error.

To look is to read each chunk, which is in the cache then. Call it in a thread,
one at a time.
"""

from __future__ import annotations

import dataclasses

from ffn_tf.volume import address as address_lib
from ffn_tf.volume import grid, store
from ffn_tf.volume.box import Box
from ffn_tf.volume.store import Volume

_CHUNKED = (*address_lib.SCHEMES, "spec")


class ArrivingChunks:
    """Layers of chunks; the volume is opened anew to see more of it."""

    def __init__(self, address: str, sections: int | None) -> None:
        where = address_lib.parse(address, creating=True)
        if where.format not in _CHUNKED:
            raise ValueError(
                f"{address}: cannot be read while it grows; expected a "
                f"volume of chunks ({', '.join(_CHUNKED)})."
            )
        if where.missing_is_zero:
            raise ValueError(
                f"{address}: while a volume grows, a missing chunk is one that "
                f"has not come yet; remove missing=zero."
            )
        self.complete = 0
        self.changes = 0
        self.volume: Volume | None = None
        self.doubt: Exception | None = None
        self._address = address
        self._sections = sections
        self._is_cut = False

    def look(self, wanted: int, *, final: bool) -> None:
        """See live.Arrivals."""
        while self.complete < wanted and self._take(final):
            pass
        if self.complete < wanted:
            self._open(final)
            while self.complete < wanted and self._take(final):
                pass

    def _open(self, final: bool) -> None:
        try:
            found = store.open(self._address)
        except OSError as error:
            # Not there yet, or its metadata are just being written.
            if final:
                raise
            self.doubt = error
            return
        before = self.volume
        if before is not None:
            self._check_growth(before, found)
        if before is None or before.domain != found.domain:
            self.changes += 1
        self.volume = found

    def _check_growth(self, before: Volume, found: Volume) -> None:
        longer = _until(before.domain, found.domain.end[0])
        if dataclasses.replace(before.info, domain=longer) != found.info:
            raise ValueError(
                f"{self._address}: was {before.info}, is {found.info}; a "
                f"volume grows at the end of z, and else stays what it is."
            )
        if self._is_cut and longer != before.domain:
            raise ValueError(
                f"{self._address}: has grown from {before.domain} to "
                f"{found.domain}, inside chunks of {found.info.chunk_zyx} that "
                f"were there before, so it cannot be told when they are "
                f"complete; let it grow by whole chunks, or make chunks one "
                f"section thick."
            )

    def _take(self, final: bool) -> bool:
        """Whether the next layer of chunks is complete; if so, it is counted.

        A layer that the volume's bounds cut is not, unless they will not grow.
        """
        volume = self.volume
        if volume is None:
            return False
        self.doubt = None
        domain, chunk = volume.domain, volume.info.chunk_zyx
        start = domain.start[0] + self.complete
        end = min(start + chunk[0], domain.end[0])
        if start == end:
            return False
        layer = Box((start, *domain.start[1:]), (end, *domain.end[1:]))
        self.doubt = _missing(volume, layer)
        if self.doubt is not None:
            return False
        last = end - domain.start[0] == self._sections
        self._is_cut = end < start + chunk[0] and not (final or last)
        if self._is_cut:
            return False
        if not final:
            # What has been read of a chunk may be from before it came: in a
            # shard, zeros. Opened now, it is read again.
            self._open(final)
            if self.doubt is not None:
                return False
        self.complete = end - domain.start[0]
        self.changes += 1
        return True


def _until(box: Box, end: int) -> Box:
    """The same box, with another end along z."""
    if end < box.end[0]:
        return box
    return Box(box.start, (end, *box.end[1:]))


def _missing(volume: Volume, layer: Box) -> OSError | None:
    """What a missing chunk of a layer raises, if there is one.

    Reads each chunk, which is in the cache then.
    """
    chunk = volume.info.chunk_zyx
    for row in grid.tile(layer, (chunk[0], chunk[1], max(1, layer.size[2]))):
        corners = [Box.from_size(c.start, 1) for c in grid.tile(row, chunk)]
        try:
            volume.read_many(corners)
        except OSError as error:
            said = str(error)  # Of a chunk, or of one in a shard.
            if "NOT_FOUND" not in said and " is missing" not in said:
                raise
            return error
    return None
