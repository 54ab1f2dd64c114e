"""Remote volumes whose chunks are kept on a local disk (cache.py).

    read   box -> chunks -> in memory? -> on disk, and unchanged? -> server
                               |                  |                    |
                               +--- encoded chunks, in memory ---------+
                                                  |
                                       TensorStore decodes them

A chunk that is on disk is used if it is still what the server has: one
request that the server answers with "not modified" (If-None-Match), for each
chunk, or for each shard, once while the volume is open. What was true when it
was asked stays true until the volume is closed. With `cache_trust` the server
is not asked, so a volume that changed reads as it was, chunk by chunk.

Encoded chunks are handed to TensorStore in memory, as a store of the same
metadata without shards; it decodes, crops, transposes, and keeps what it
decoded in the cache of the process (place.py). They stay there up to
HELD_BYTES, so that what is read again and again does not pass the disk.

Many chunks are asked for ahead while others are decoded. A server that names
no generation (no ETag) cannot be asked: then nothing is kept without
`cache_trust`.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
import dataclasses
import hashlib
import json
from typing import Any

import numpy as np
import tensorstore as ts

from ffn_tf.volume import cache, chunk_table, failures, fetch, grid, held
from ffn_tf.volume.box import Box, triple
from ffn_tf.volume.cache import CacheOptions
from ffn_tf.volume.chunk_table import Chunk
from ffn_tf.volume.failures import CorruptError, Deadline, Outcome
from ffn_tf.volume.fetch import Asked, CacheStatistics
from ffn_tf.volume.source import Nanometres, VolumeInfo

HELD_BYTES = 256 * 2**20
_METADATA = (
    "driver",
    "dtype",
    "metadata",
    "multiscale_metadata",
    "scale_metadata",
)
_PART_CHUNKS = 32  # Decoded together, where a box has more.
_AHEAD_CHUNKS = 384  # Asked for and not yet there.
_DECODING_PARTS = 8


class CachedSource:
    """A view [z, y, x] of a remote store, read through a disk cache.

    Args:
      view: of the store; opened for reading.
      info, attributes, where, scales_nm: as of any source.
      options: of the cache.
      deadline_s: for one `read` or `read_many`, as a whole.

    Raises:
      ValueError: chunks of such a store cannot be cached one by one.
    """

    def __init__(
        self,
        view: ts.TensorStore,
        info: VolumeInfo,
        attributes: dict[str, Any],
        where: str,
        options: CacheOptions,
        *,
        scales_nm: tuple[Nanometres, ...] = (),
        deadline_s: float | None = None,
    ) -> None:
        self.info = info
        self.attributes = attributes
        self.scales_nm = scales_nm or (info.voxel_size_nm,)
        self._where = where
        self._deadline_s = deadline_s
        self._axes = _axes(view)
        self._grid_origin = triple(
            n or 0 for n in view.chunk_layout.grid_origin or ()
        )
        self._table = chunk_table.of(view)
        self._disk = cache.opened(options)
        files = view.kvstore
        assert files is not None
        self._held = held.Held(self._table.unsharded, files.url, HELD_BYTES)
        self._fetcher = fetch.Fetcher(
            self._table,
            files,
            self._disk,
            _prefix(view, files),
            options.cache_trust,
        )

    def statistics(self) -> CacheStatistics:
        """Where chunks came from until now."""
        return self._fetcher.statistics()

    def report(self) -> list[str]:
        """Lines for the end of a program."""
        return [str(self.statistics())]

    def read(self, box: Box) -> np.ndarray:
        return self.read_many([box])[0]

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        parts = (
            _Part(index, box, tile, self._chunks(tile))
            for index, box in enumerate(boxes)
            for tile in self._tiles(box)
        )
        reading = _Reading(self._where, self._held, self._fetcher)
        found = reading.outcomes(boxes, parts, Deadline(self._deadline_s))
        return failures.voxels(self._where, found)

    def _chunks(self, box: Box) -> list[Chunk]:
        """The chunks that a box touches."""
        ends = [
            (offset, offset + 1)
            if axis is None
            else (box.start[axis] + offset, box.end[axis] + offset)
            for axis, offset in self._axes
        ]
        return self._table.within(*zip(*ends))

    def _tiles(self, box: Box) -> Iterator[Box]:
        """Parts of a box, of whole chunks, not many of them."""
        chunk = self.info.chunk_zyx
        whole = box.aligned(chunk, self._grid_origin)
        left, size = _PART_CHUNKS, [0, 0, 0]
        for axis in (2, 1, 0):
            count = min(left, whole.size[axis] // chunk[axis]) or 1
            size[axis], left = count * chunk[axis], left // count
        return grid.aligned(box, chunk, self._grid_origin, size)

    def write(self, box: Box, array: np.ndarray) -> None:
        raise ValueError(f"{self._where}: read through a cache, so read-only.")

    def close(self) -> None:
        self._disk.flush()


def _axes(view: ts.TensorStore) -> list[tuple[int | None, int]]:
    """For each axis of a store, that of the view, and what is added to it."""
    axes: list[tuple[int | None, int]] = []
    transform = view.spec().transform
    assert transform is not None
    for output in transform.output:
        if output.method == ts.OutputIndexMethod.constant:
            axes.append((None, output.offset))
        elif output.stride == 1:
            axes.append((output.input_dimension, output.offset))
        else:
            raise ValueError("a view that is more than moved and transposed.")
    return axes


def _prefix(view: ts.TensorStore, files: ts.KvStore) -> str:
    """Says which store, of which metadata, a chunk belongs to."""
    spec = view.spec().to_json()
    said = {key: spec.get(key) for key in _METADATA if key in spec}
    if "attributes" in said.get("metadata", {}):
        del said["metadata"]["attributes"]
    text = json.dumps([files.spec().to_json(), said], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest() + "/"


# -----------------------------------------------------------------------------
# One batch
# -----------------------------------------------------------------------------


@dataclasses.dataclass
class _Part:
    """Some chunks of one box of a batch.

    Attributes:
      index, whole: of the box.
      box: of the part.
      chunks: that it touches.
      asked: the chunks that were asked for because of it.
      needed: these, and those asked for before that it waits for.
      future: its voxels.
    """

    index: int
    whole: Box
    box: Box
    chunks: list[Chunk]
    asked: list[Asked] = dataclasses.field(default_factory=list)
    needed: list[Asked] = dataclasses.field(default_factory=list)
    future: Any = None

    @property
    def names(self) -> list[str]:
        return [chunk.name for chunk in self.chunks]


class _Reading:
    """A batch on its way: asked for, there, decoded; parts in order."""

    def __init__(
        self, where: str, store: held.Held, fetcher: fetch.Fetcher
    ) -> None:
        self._where = where
        self._held = store
        self._dtype = store.store.dtype.numpy_dtype
        self._fetcher = fetcher
        self._deadline = Deadline()
        self._outcomes: list[Outcome] = []
        self._coming: dict[str, Asked] = {}
        self._waiting: collections.deque[_Part] = collections.deque()
        self._decoding: collections.deque[_Part] = collections.deque()

    def outcomes(
        self, boxes: Sequence[Box], parts: Iterator[_Part], deadline: Deadline
    ) -> list[Outcome]:
        """What became of each box, of which `parts` are the parts."""
        self._deadline = deadline
        self._outcomes = [
            np.empty(box.size if box.is_empty else 0, self._dtype)
            for box in boxes
        ]
        try:
            for part in parts:
                self._begin(part)
                while len(self._coming) > _AHEAD_CHUNKS:
                    self._decode()
            while self._waiting:
                self._decode()
            while self._decoding:
                self._end()
        finally:
            for part in (*self._waiting, *self._decoding):
                self._held.unpin(part.names)
        return self._outcomes

    def _begin(self, part: _Part) -> None:
        """Asks for what is not here and not on its way."""
        missing = self._held.pin(part.names)
        self._waiting.append(part)
        absent = set(missing) - self._coming.keys()
        part.asked = self._fetcher.begin(
            [chunk for chunk in part.chunks if chunk.name in absent]
        )
        self._coming |= {one.chunk.name: one for one in part.asked}
        part.needed = [self._coming[name] for name in missing]

    def _decode(self) -> None:
        """Gives the decoder the next part, once its chunks are here."""
        part = self._waiting[0]
        self._fetcher.end(part.asked, self._deadline)
        for one in part.asked:
            if one.entry is not None:
                self._held.put(one.chunk.name, one.entry.value)
            del self._coming[one.chunk.name]
        failed = [one for one in part.needed if one.error is not None]
        if failed:
            self._settle(part, self._explained(part, failed[0]))
            self._held.unpin(part.names)
        else:
            slices = tuple(slice(*e) for e in zip(part.box.start, part.box.end))
            part.future = self._held.store[slices].read()
            self._decoding.append(part)
        self._waiting.popleft()
        while len(self._decoding) > _DECODING_PARTS:
            self._end()

    def _explained(self, part: _Part, asked: Asked) -> failures.ReadError:
        assert asked.error is not None
        chunk = asked.chunk
        about = f"chunk {chunk.name}"
        if chunk.file != chunk.name:
            about += f" in {chunk.file}"
        return failures.of(self._where, part.whole, asked.error, about)

    def _end(self) -> None:
        """Takes the voxels of the part that was given first."""
        part = self._decoding[0]
        (outcome,) = failures.settled(
            self._where, [part.whole], [part.future], self._deadline
        )
        if isinstance(outcome, CorruptError):
            # What is damaged for good is fetched again by the next run only.
            named = [c for c in part.chunks if c.name in outcome.reason]
            self._held.forget([chunk.name for chunk in named])
            self._fetcher.forget(named)
        self._settle(part, outcome)
        self._held.unpin(part.names)
        self._decoding.popleft()

    def _settle(self, part: _Part, outcome: Outcome) -> None:
        """Puts the voxels of a part in their place."""
        so_far = self._outcomes[part.index]
        if isinstance(so_far, failures.ReadError):
            return  # The first failure of a box is told.
        if isinstance(outcome, failures.ReadError) or part.box == part.whole:
            self._outcomes[part.index] = outcome
            return
        if not so_far.size:
            so_far = np.empty(part.whole.size, outcome.dtype)
            self._outcomes[part.index] = so_far
        so_far[part.box.relative_to(part.whole.start).slices] = outcome
