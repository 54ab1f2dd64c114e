"""Encoded chunks, from the disk cache if they are still true, or the server.

    asked = fetcher.begin(chunks)     # all questions are on their way
    fetcher.end(asked, deadline)      # each has its `entry`, or its `error`

A chunk that is on disk is compared with the server once, by the generation of
its file; what the server said then is remembered, and good until the volume
is closed:

    unsharded   a conditional request for the chunk: "not modified", or the
                new chunk in the same answer
    sharded     a conditional request for the first byte of the shard, once
                for all its chunks; then, if it has changed, for the chunk

Chunks of shards that are asked for together are fetched together, where they
lie side by side.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
import contextlib
import dataclasses
import threading
import time
from typing import Any

import tensorstore as ts

from ffn_tf.volume.cache.disk import DiskCache, Entry
from ffn_tf.volume.failures import Deadline
from ffn_tf.volume.formats.chunk_table import Chunk, ChunkTable

# Generations that are remembered; then all are forgotten, and asked again.
_MOST_REMEMBERED = 1_000_000


@dataclasses.dataclass(frozen=True)
class CacheStatistics:
    """Where chunks came from, since the volume was opened.

    Attributes:
      hits: chunks from the disk.
      misses: chunks from the server.
      stale: the misses that were on disk, and no longer true.
      absent: chunks of which the server said that there are none.
      checks: questions that the server answered with "not modified".
      disk_bytes, remote_bytes: of hits and of misses, encoded.
    """

    hits: int = 0
    misses: int = 0
    stale: int = 0
    absent: int = 0
    checks: int = 0
    disk_bytes: int = 0
    remote_bytes: int = 0

    @property
    def hit_rate(self) -> float:
        """Hits among hits and misses; 0 if there were none."""
        return self.hits / max(1, self.hits + self.misses)

    def __str__(self) -> str:
        return (
            f"disk cache: {self.hits} of {self.hits + self.misses} chunks "
            f"({self.hit_rate:.1%}), {self.disk_bytes / 1e6:.1f} MB; fetched "
            f"{self.misses} chunks ({self.stale} had changed), "
            f"{self.remote_bytes / 1e6:.1f} MB; {self.checks} found unchanged"
        )


@dataclasses.dataclass(frozen=True)
class _Check:
    """The question whether a shard still has a generation."""

    future: Any
    generation: bytes


@dataclasses.dataclass
class Asked:
    """One chunk that is wanted.

    Attributes:
      chunk: which.
      entry: what it is, once it is known.
      error: why it cannot be known.
      on_disk: what it was.
      check, request: questions that are on their way.
    """

    chunk: Chunk
    entry: Entry | None = None
    error: Exception | None = None
    on_disk: Entry | None = None
    check: _Check | None = None
    request: Any = None

    @property
    def is_answered(self) -> bool:
        """Whether `end` need not wait, unless a shard has changed."""
        if self.entry is not None or self.error is not None:
            return True
        future = self.check.future if self.check else self.request
        return future.done()


class Fetcher:
    """The chunks of one open volume. Any thread may use it.

    Args:
      table: where the chunks lie.
      files: the folder of the store.
      disk: the cache.
      prefix: of the keys in the cache: says which store, of which metadata.
      trust: what is on disk is true.
    """

    def __init__(
        self,
        table: ChunkTable,
        files: ts.KvStore,
        disk: DiskCache,
        prefix: str,
        trust: bool,
    ) -> None:
        self._table = table
        self._files = files
        self._disk = disk
        self._prefix = prefix
        self._trust = trust
        self._since = time.time()
        self._generations: dict[str, bytes] = {}
        self._checks: dict[str, _Check] = {}
        self._counts: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()

    def statistics(self) -> CacheStatistics:
        with self._lock:
            return CacheStatistics(**self._counts)

    def begin(self, chunks: Sequence[Chunk]) -> list[Asked]:
        """Asks for chunks, each once."""
        asked = [
            Asked(chunk, on_disk=self._disk.get(self._prefix + chunk.name))
            for chunk in chunks
        ]
        self._fetch([a for a in asked if not self._is_answered(a)])
        return asked

    def _is_answered(self, asked: Asked) -> bool:
        """Whether it need not be fetched, or not before a check."""
        entry, file = asked.on_disk, asked.chunk.file
        if entry is None:
            return False
        known = self._generations.get(file)
        if self._trust or known == entry.generation:
            asked.entry = entry
            return True
        if known is not None or not asked.chunk.inner:
            return False  # It has changed; or its request is the check.
        asked.check = self._check(file, entry.generation)
        return True

    def _check(self, file: str, generation: bytes) -> _Check:
        with self._lock:
            if file not in self._checks:
                future = self._files.read(
                    file, if_not_equal=generation, byte_range=slice(0, 1)
                )
                self._checks[file] = _Check(future, generation)
            return self._checks[file]

    def _fetch(self, wanted: Sequence[Asked]) -> None:
        if self._table.shard is None:
            for asked in wanted:
                entry = asked.on_disk
                asked.request = self._files.read(
                    asked.chunk.file,
                    if_not_equal=entry.generation if entry else None,
                )
        elif wanted:
            batch = ts.Batch()
            for asked in wanted:
                asked.request = self._table.shard(asked.chunk.file).read(
                    asked.chunk.inner,
                    staleness_bound=self._since,
                    batch=batch,
                )
            batch.submit()

    def end(self, asked: Sequence[Asked], deadline: Deadline) -> None:
        """Waits for what `begin` asked."""
        checked = [one for one in asked if one.check is not None]
        for one in checked:
            self._end_check(one, deadline)
        self._fetch([one for one in checked if one.entry is None])
        for one in asked:
            if one.request is not None:
                try:
                    self._end_request(one, one.request.result(deadline.left()))
                except (ValueError, OSError) as error:
                    one.request.cancel()
                    one.error = error
        for one in asked:
            self._count(one)

    def _end_check(self, asked: Asked, deadline: Deadline) -> None:
        assert asked.on_disk is not None and asked.check is not None
        file, check = asked.chunk.file, asked.check
        with contextlib.suppress(ValueError, OSError):
            # An error: the request for the chunk will say what is wrong.
            result = check.future.result(deadline.left())
            if result.state == "unspecified":
                self._remember(file, check.generation)
            elif result.stamp.generation != check.generation:
                self._remember(file, result.stamp.generation)
            with self._lock:
                if self._checks.pop(file, None):
                    self._counts["checks"] += result.state == "unspecified"
        if self._generations.get(file) == asked.on_disk.generation:
            asked.entry = asked.on_disk

    def _end_request(self, asked: Asked, result: Any) -> None:
        chunk, generation = asked.chunk, result.stamp.generation
        if result.state == "unspecified":
            asked.entry = asked.on_disk
        else:
            value = result.value if result.state == "value" else None
            asked.entry = Entry(generation, value)
            if self._trust or _is_told(generation):
                self._disk.put(self._prefix + chunk.name, asked.entry)
        self._remember(chunk.file, generation)

    def _count(self, asked: Asked) -> None:
        entry = asked.entry
        if entry is None:
            return
        size = len(entry.value or b"")
        with self._lock:
            if entry is asked.on_disk:
                self._counts["hits"] += 1
                self._counts["disk_bytes"] += size
                self._counts["checks"] += asked.request is not None
            elif entry.value is None:
                self._counts["absent"] += 1
            else:
                self._counts["misses"] += 1
                self._counts["stale"] += asked.on_disk is not None
                self._counts["remote_bytes"] += size

    def _remember(self, file: str, generation: bytes) -> None:
        if not _is_told(generation):
            return
        if len(self._generations) >= _MOST_REMEMBERED:
            self._generations.clear()
        self._generations[file] = generation

    def forget(self, chunks: Sequence[Chunk]) -> None:
        """Chunks that cannot be decoded are not kept."""
        for chunk in chunks:
            self._disk.forget(self._prefix + chunk.name)


def _is_told(generation: bytes) -> bool:
    """Whether the server named a generation."""
    return len(generation) > 1
