"""Where the chunks of a sharded precomputed volume lie.

A chunk has a number: the bits of its place in the grid, interleaved (a
compressed Morton code). A hash of it names a shard and a minishard in it:

    KEY/SHARD.shard   [index: start, end of each minishard's index]
                      [chunks, minishard indices]
    minishard index   number, place and length of each of its chunks

so a chunk takes three reads, of which the first two are kept: the hash, and
the reading of an index, are cloud-volume's; how bytes are read is the
caller's. An index that was read is taken to stay as it is. What cannot be read
is told where it would be, so that one lost shard does not hide the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import gzip
import threading
import zlib

import numpy as np

from ffn_tf.volume.address import reversed_axes
from ffn_tf.volume.box import Box
from ffn_tf.volume.formats.precomputed import Scale

_KEPT_INDICES = 1024
_ENTRY = 16  # Bytes of the index for one minishard.
_NOTHING = np.zeros((0, 3), np.uint64)


@dataclasses.dataclass(frozen=True)
class Part:
    """Bytes `start` to `end` of a file in the volume's folder; None: all."""

    path: str
    start: int | None = None
    end: int | None = None

    def __str__(self) -> str:
        if self.start is None:
            return self.path
        return f"{self.path}, bytes {self.start}..{self.end}"


class DamagedError(OSError):
    """A file does not hold what should be in it."""


# Of a part: its bytes; None where the file is missing; or why there are none.
Answer = bytes | None | OSError
Read = Callable[[Sequence[Part]], list[Answer]]
_Minishard = tuple[str, int]
_Index = np.ndarray | OSError


def answers(read: Read, parts: Sequence[Part | OSError | None]) -> list[Answer]:
    """What is read of the parts that there are; the others as they are."""
    there = [part for part in parts if isinstance(part, Part)]
    found = dict(zip(there, read(there)))
    return [found[p] if isinstance(p, Part) else p for p in parts]


class ShardIndex:
    """The shards of one scale."""

    def __init__(self, scale: Scale, read: Read) -> None:
        from cloudvolume.datasource.precomputed import common, sharding

        found = dict(scale.sharding or {})
        self._scale = scale
        self._read = read
        self._morton = common.compressed_morton_code
        self._spec = sharding.ShardingSpecification.from_dict(found)
        # Only to decode indices, which are unpacked here.
        found["minishard_index_encoding"] = "raw"
        self._reader = sharding.ShardReader(
            None, None, sharding.ShardingSpecification.from_dict(found)
        )
        self._known: dict[_Minishard, np.ndarray] = {}
        self._lock = threading.Lock()

    def parts(self, chunks: Sequence[Box]) -> list[Part | OSError | None]:
        """Where each chunk's data lies; None where a chunk is missing.

        Or why its index cannot be read; a DamagedError names the shard.
        """
        numbers = self._numbers(chunks)
        places = [self._minishard(number) for number in numbers]
        known = self._indices(places)
        return [_part(at, known[at], n) for at, n in zip(places, numbers)]

    def unpacked(self, data: bytes) -> bytes:
        """A chunk without the compression of its shard.

        Raises:
          ValueError: it is damaged.
        """
        is_packed = self._spec.data_encoding == "gzip"
        return _gunzip(data) if is_packed else data

    def _numbers(self, chunks: Sequence[Box]) -> list[int]:
        if not chunks:
            return []
        places = [reversed_axes(self._scale.index_of(c)) for c in chunks]
        size = np.array(reversed_axes(self._scale.grid_zyx))
        return [int(number) for number in self._morton(places, size)]

    def _minishard(self, number: int) -> _Minishard:
        found = self._spec.compute_shard_location(number)
        path = self._scale.path(f"{found.shard_number}.shard")
        return path, int(found.minishard_number)

    def _indices(
        self, places: Iterable[_Minishard]
    ) -> dict[_Minishard, _Index]:
        """The minishard indices; those that are new are read."""
        found: dict[_Minishard, _Index] = {}
        with self._lock:
            found |= {p: self._known[p] for p in places if p in self._known}
        unknown = sorted(set(places) - found.keys())
        new = dict(zip(unknown, self._read_indices(unknown)))
        with self._lock:
            for place, index in new.items():
                if isinstance(index, np.ndarray):
                    self._known[place] = index
            for place in list(self._known)[:-_KEPT_INDICES]:
                del self._known[place]
        return found | new

    def _read_indices(self, places: list[_Minishard]) -> list[_Index]:
        entries = self._read(
            [Part(p, n * _ENTRY, (n + 1) * _ENTRY) for p, n in places]
        )
        paths = [path for path, _ in places]
        parts = [self._part_of(p, entry) for p, entry in zip(paths, entries)]
        found = answers(self._read, parts)
        return [self._decoded(path, data) for path, data in zip(paths, found)]

    def _part_of(self, path: str, entry: Answer) -> Part | OSError | None:
        """Where in its shard an index lies; None if there is none."""
        if not isinstance(entry, bytes):
            return entry
        start, end = (int(place) for place in np.frombuffer(entry, "<u8"))
        header = self._spec.index_length()
        return Part(path, header + start, header + end) if end > start else None

    def _decoded(self, path: str, data: Answer) -> _Index:
        """[chunk, 3]: number, place, length."""
        if data is None:
            return _NOTHING
        if isinstance(data, OSError):
            return data
        try:
            if self._spec.minishard_index_encoding == "gzip":
                data = _gunzip(data)
            return self._reader.decode_minishard_index(data)
        except ValueError as error:
            return DamagedError(f"{path}: a damaged index: {error}")


def _part(
    place: _Minishard, index: _Index, number: int
) -> Part | OSError | None:
    if isinstance(index, OSError):
        return index
    rows = np.flatnonzero(index[:, 0] == number)
    if not rows.size:
        return None
    _, start, size = (int(value) for value in index[rows[0]])
    return Part(place[0], start, start + size)


def _gunzip(data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"gzip: {error}") from error
