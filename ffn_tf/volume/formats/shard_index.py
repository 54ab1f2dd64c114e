"""Where the chunks of a sharded precomputed volume lie.

A chunk has a number: the bits of its place in the grid, interleaved (a
compressed Morton code). A hash of it names a shard and a minishard in it:

    KEY/SHARD.shard   [index: start, end of each minishard's index]
                      [chunks, minishard indices]
    minishard index   number, place and length of each of its chunks

so a chunk takes three reads. The first says which generation of the shard
there is, and the others are of that one: an index and a chunk always belong
together. Minishard indices are kept, and used while the generation is the
same. The hash, and the reading of an index, are cloud-volume's; how bytes are
read is the caller's. What cannot be read is told where it would be, so that
one lost shard does not hide the others.
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


@dataclasses.dataclass(frozen=True)
class Part:
    """Bytes `start` to `end` of a file in the volume's folder; None: all.

    Of one generation of the file, if that is given, and of no other.
    """

    path: str
    start: int | None = None
    end: int | None = None
    generation: str | None = None

    def __str__(self) -> str:
        if self.start is None:
            return self.path
        return f"{self.path}, bytes {self.start}..{self.end}"


class DamagedError(OSError):
    """A file does not hold what should be in it."""


class ReplacedError(OSError):
    """The generation of a file that was asked for is no more."""


@dataclasses.dataclass(frozen=True)
class Stored:
    """Bytes of a file, and of which generation of it."""

    data: bytes
    generation: str


# Of a part; None where the file is missing; or why there are no bytes.
Answer = Stored | None | OSError
Read = Callable[[Sequence[Part]], list[Answer]]
_Minishard = tuple[str, int]
_Index = np.ndarray | OSError
_Place = Part | None | OSError


def answers(read: Read, parts: Sequence[_Place]) -> list[Answer]:
    """What is read of the parts that there are; the others as they are."""
    there = [part for part in parts if isinstance(part, Part)]
    found = dict(zip(there, read(there)))
    return [found[p] if isinstance(p, Part) else p for p in parts]


class ShardIndex:
    """The shards of one scale."""

    def __init__(self, scale: Scale) -> None:
        from cloudvolume.datasource.precomputed import common, sharding

        found = dict(scale.sharding or {})
        self._scale = scale
        self._morton = common.compressed_morton_code
        self._spec = sharding.ShardingSpecification.from_dict(found)
        # Only to decode indices, which are unpacked here.
        found["minishard_index_encoding"] = "raw"
        self._reader = sharding.ShardReader(
            None, None, sharding.ShardingSpecification.from_dict(found)
        )
        self._known: dict[Part, np.ndarray] = {}
        self._lock = threading.Lock()

    def parts(self, chunks: Sequence[Box], read: Read) -> list[_Place]:
        """Where each chunk's data lies now; None where a chunk is missing.

        Or why its index cannot be read; a DamagedError names the shard.
        """
        numbers = self._numbers(chunks)
        minishards = [self._minishard(number) for number in numbers]
        unique = sorted(set(minishards))
        places = dict(zip(unique, self._places(unique, read)))
        indices = self._indices(places.values(), read)
        found = [places[minishard] for minishard in minishards]
        return [
            _part(place, indices[place], number)
            if isinstance(place, Part)
            else place
            for place, number in zip(found, numbers)
        ]

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

    def _places(
        self, minishards: Sequence[_Minishard], read: Read
    ) -> list[_Place]:
        """Where their indices lie; None if there is none."""
        entries = [
            Part(path, number * _ENTRY, (number + 1) * _ENTRY)
            for path, number in minishards
        ]
        return [self._place(p.path, e) for p, e in zip(entries, read(entries))]

    def _place(self, path: str, entry: Answer) -> _Place:
        if not isinstance(entry, Stored):
            return entry
        start, end = (int(place) for place in np.frombuffer(entry.data, "<u8"))
        if end <= start:
            return None
        header = self._spec.index_length()
        return Part(path, header + start, header + end, entry.generation)

    def _indices(
        self, places: Iterable[_Place], read: Read
    ) -> dict[Part, _Index]:
        """The minishard indices that there are; those that are new are read."""
        asked = [place for place in places if isinstance(place, Part)]
        with self._lock:
            found: dict[Part, _Index] = {
                p: self._known[p] for p in asked if p in self._known
            }
        new = [place for place in asked if place not in found]
        found |= {p: self._decoded(p.path, a) for p, a in zip(new, read(new))}
        with self._lock:
            for place in new:
                if isinstance(index := found[place], np.ndarray):
                    self._known[place] = index
            for place in list(self._known)[:-_KEPT_INDICES]:
                del self._known[place]
        return found

    def _decoded(self, path: str, answer: Answer) -> _Index:
        """[chunk, 3]: number, place, length."""
        if not isinstance(answer, Stored):
            return answer or ReplacedError(f"{path}: gone while it was read.")
        data = answer.data
        try:
            if self._spec.minishard_index_encoding == "gzip":
                data = _gunzip(data)
            return self._reader.decode_minishard_index(data)
        except ValueError as error:
            return DamagedError(f"{path}: a damaged index: {error}")


def _part(place: Part, index: _Index, number: int) -> _Place:
    """Where a chunk lies, if the index at `place` has it."""
    if isinstance(index, OSError):
        return index
    rows = np.flatnonzero(index[:, 0] == number)
    if not rows.size:
        return None
    _, start, size = (int(value) for value in index[rows[0]])
    return dataclasses.replace(place, start=start, end=start + size)


def _gunzip(data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"gzip: {error}") from error
