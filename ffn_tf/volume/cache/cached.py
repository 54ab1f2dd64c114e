"""Remote volumes whose chunks are kept on a local disk (disk.py).

    read   box -> chunks -> in memory? -> on disk, and unchanged? -> server
                               |                  |                    |
                               +--- encoded chunks, in memory ---------+
                                                  |
                                       TensorStore decodes them

A chunk that is on disk is used if it is still what the server has: one
request that the server answers with "not modified" (If-None-Match), for each
chunk, or for each shard, once while the volume is open. What was true when it
was asked stays true until the volume is closed. With `trust` the server
is not asked, so a volume that changed reads as it was, chunk by chunk.

Encoded chunks are handed to TensorStore in memory, as a store of the same
metadata without shards; it decodes, crops, transposes, and keeps what it
decoded in the cache of the process (place.py). They stay there up to
HELD_BYTES, so that what is read again and again does not pass the disk.

Many chunks are asked for ahead while others are decoded. A server that names
no generation (no ETag) cannot be asked: then nothing is kept without
`trust`.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
import dataclasses
import hashlib
import json
import os
import re
from typing import Any

import numpy as np
import tensorstore as ts

from ffn_tf.volume import failures, grid
from ffn_tf.volume.box import Box, triple
from ffn_tf.volume.cache import disk, fetch, held
from ffn_tf.volume.cache.disk import CacheOptions
from ffn_tf.volume.cache.fetch import Asked, CacheStatistics
from ffn_tf.volume.failures import CorruptError, Deadline, Outcome
from ffn_tf.volume.formats import chunk_table
from ffn_tf.volume.formats.chunk_table import Chunk
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
        self._grid_origin = triple(
            n or 0 for n in view.chunk_layout.grid_origin or ()
        )
        self._table = chunk_table.of(view)
        self._disk = disk.opened(options)
        files = view.kvstore
        assert files is not None
        self._held = held.Held(self._table.unsharded, _url(files), HELD_BYTES)
        self._fetcher = fetch.Fetcher(
            self._table,
            files,
            self._disk,
            _prefix(view, files),
            options.trust,
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
        reading = _Reading(self._where, self._held, self._fetcher)
        deadline = Deadline(self._deadline_s)
        found = reading.outcomes(boxes, self._parts(boxes), deadline)
        return failures.voxels(self._where, found)

    def _parts(self, boxes: Sequence[Box]) -> Iterator[_Part]:
        for index, box in enumerate(boxes):
            ends = self._table.ends(box)
            if self._table.count(*ends) <= _PART_CHUNKS:
                yield _Part(index, box, box, self._table.within(*ends))
                continue
            for tile in self._tiles(box):
                chunks = self._table.within(*self._table.ends(tile))
                yield _Part(index, box, tile, chunks)

    def _tiles(self, box: Box) -> Iterator[Box]:
        """Parts of a box, of whole chunks, not many of them."""
        chunk = self.info.chunk_zyx
        whole = box.aligned(chunk, self._grid_origin)
        left, size = _PART_CHUNKS, [0, 0, 0]
        for axis in (2, 1, 0):
            count = min(left, whole.size[axis] // chunk[axis])
            size[axis], left = count * chunk[axis], left // count
        return grid.aligned(box, chunk, self._grid_origin, size)

    def write(self, box: Box, array: np.ndarray) -> None:
        raise ValueError(f"{self._where}: read through a cache, so read-only.")

    def close(self) -> None:
        self._disk.flush()


def _is_named(chunk: str, text: str) -> bool:
    """Whether a text has the name, and not within a longer one."""
    return bool(re.search(rf"(?<![\w.-]){re.escape(chunk)}(?![\w-])", text))


def _url(files: ts.KvStore) -> str:
    """Of the folder of a store, for messages."""
    try:
        return files.url
    except NotImplementedError:  # S3 that is not Amazon's.
        return files.path


def _prefix(view: ts.TensorStore, files: ts.KvStore) -> str:
    """Says which store, of which metadata, a chunk belongs to."""
    spec = view.spec().to_json()
    said = {key: spec.get(key) for key in _METADATA if key in spec}
    if "attributes" in said.get("metadata", {}):
        del said["metadata"]["attributes"]
    place = files.spec().to_json()
    if place["driver"] == "gcs":  # Whose spec does not say which server.
        said["server"] = os.environ.get("TENSORSTORE_GCS_HTTP_URL", "")
    text = json.dumps([place, said], sort_keys=True)
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
      missing: names of those that were not in memory.
      asked: those of them that nobody had asked for.
      future: its voxels.
    """

    index: int
    whole: Box
    box: Box
    chunks: list[Chunk]
    missing: list[str] = dataclasses.field(default_factory=list)
    asked: list[Asked] = dataclasses.field(default_factory=list)
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
        self._fetcher = fetcher
        self._deadline = Deadline()
        self._voxels: list[np.ndarray | None] = []
        self._errors: dict[int, failures.ReadError] = {}
        self._coming: set[str] = set()
        self._failed: dict[str, Asked] = {}
        self._waiting: collections.deque[_Part] = collections.deque()
        self._decoding: collections.deque[_Part] = collections.deque()

    def outcomes(
        self, boxes: Sequence[Box], parts: Iterator[_Part], deadline: Deadline
    ) -> list[Outcome]:
        """What became of each box, of which `parts` are the parts."""
        self._deadline = deadline
        self._voxels = [None] * len(boxes)
        try:
            for part in parts:
                self._begin(part)
                while self._waiting and self._is_next_due():
                    self._decode()
            while self._waiting:
                self._decode()
            while self._decoding:
                self._end()
        finally:
            for part in (*self._waiting, *self._decoding):
                self._held.unpin(part.names)
        return [
            self._errors.get(index)
            or (
                np.empty(box.size, self._held.dtype) if found is None else found
            )
            for index, (box, found) in enumerate(zip(boxes, self._voxels))
        ]

    def _is_next_due(self) -> bool:
        """Whether its chunks are here, or enough is on its way behind it."""
        on_their_way = max(len(self._coming), len(self._waiting))
        return on_their_way > _AHEAD_CHUNKS or all(
            one.is_answered for one in self._waiting[0].asked
        )

    def _begin(self, part: _Part) -> None:
        """Asks for what is not here and not on its way."""
        if self._deadline.left() == 0:
            self._fail(part, TimeoutError())
            return
        part.missing = self._held.pin(part.names)
        self._waiting.append(part)
        new = set(part.missing) - self._coming
        part.asked = self._fetcher.begin(
            [chunk for chunk in part.chunks if chunk.name in new]
        )
        self._coming |= new

    def _decode(self) -> None:
        """Gives the decoder the next part, once its chunks are here."""
        part = self._waiting[0]
        self._fetcher.end(part.asked, self._deadline)
        for one in part.asked:
            name = one.chunk.name
            self._coming.remove(name)
            self._failed.pop(name, None)
            if one.entry is None:
                self._failed[name] = one
            else:
                self._held.put(name, one.entry.value)
        failed = [
            self._failed[name] for name in part.missing if name in self._failed
        ]
        if failed:
            self._fail(part, failed[0].error, failed[0].chunk)
            self._held.unpin(part.names)
        else:
            part.future = self._held.read(part.box, self._space(part))
            self._decoding.append(part)
        self._waiting.popleft()
        while len(self._decoding) > _DECODING_PARTS:
            self._end()

    def _space(self, part: _Part) -> np.ndarray:
        """Where the voxels of a part belong."""
        whole = self._voxels[part.index]
        if whole is None:
            whole = np.empty(part.whole.size, self._held.dtype)
            self._voxels[part.index] = whole
        if part.box is part.whole:
            return whole
        return whole[part.box.relative_to(part.whole.start).slices]

    def _end(self) -> None:
        """Waits for the part that was given to the decoder first."""
        part = self._decoding[0]
        try:
            part.future.result()  # It never hangs: all is in memory.
        except (ValueError, OSError) as error:
            named = [c for c in part.chunks if _is_named(c.name, str(error))]
            told = self._fail(part, error, *named[:1])
            if isinstance(told, CorruptError):
                # Perhaps only on its way here: it is not kept.
                self._held.forget([chunk.name for chunk in named])
                self._fetcher.forget(named)
        self._held.unpin(part.names)
        self._decoding.popleft()

    def _fail(
        self, part: _Part, error: Exception | None, chunk: Chunk | None = None
    ) -> failures.ReadError:
        """Keeps the first failure of a box."""
        assert error is not None
        about = ""
        if chunk is not None:
            about = f"chunk {chunk.name}"
            if chunk.file != chunk.name:
                about += f" in {chunk.file}"
        told = failures.of(self._where, part.whole, error, about)
        self._errors.setdefault(part.index, told)
        return told
