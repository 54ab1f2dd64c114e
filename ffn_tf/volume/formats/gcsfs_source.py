"""Precomputed volumes of gs://, read through gcsfs: the last resort.

Nothing of TensorStore's is used, and of cloud-volume only its codecs and its
reading of shards. Chunks are fetched many at a time, whole or as parts of
shards, and decoded one by one; nothing is kept but the indices of shards. If
a shard is replaced meanwhile, its chunks are read anew, a few times.

Without credentials, so of public buckets only. Requests are retried six
times with growing pauses; a server that is silent for 30 s counts as failed.
STORAGE_EMULATOR_HOST names another server than Google's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import itertools
import json
import logging
import os
import posixpath
from typing import Any

import numpy as np

from ffn_tf.volume import failures
from ffn_tf.volume.address import Address
from ffn_tf.volume.box import Box
from ffn_tf.volume.failures import (
    CorruptError,
    MissingError,
    Outcome,
    ReadError,
)
from ffn_tf.volume.formats import (
    decoding,
    precomputed,
    shard_index,
    workers,
)
from ffn_tf.volume.formats.shard_index import (
    Answer,
    DamagedError,
    Part,
    ReplacedError,
    Stored,
)

_REQUESTS = 64  # At once, and so many chunks are in memory undecoded.
_ATTEMPTS = 4  # At shards that are replaced.
_SILENCE_SECONDS = 30


class GcsfsSource:
    """One scale and channel of a precomputed volume, read through gcsfs."""

    def __init__(self, bucket: Bucket, address: Address) -> None:
        info = bucket.read_json("info")
        if info is None:
            raise FileNotFoundError(
                f"{address.text}: no precomputed volume: there is no "
                f"{address.place.name('info')}."
            )
        self._scale = precomputed.scale_of(address, info)
        decoding.refuse_unreadable(self._scale)
        self.info = self._scale.info
        self.scales_nm = self._scale.scales_nm
        self.attributes = precomputed.attributes_of(
            bucket.read_json("provenance")
        )
        self._address = address
        self._bucket = bucket
        self._shards = None
        if self._scale.sharding is not None:
            self._shards = shard_index.ShardIndex(self._scale)

    def read(self, box: Box) -> np.ndarray:
        return self.read_many([box])[0]

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        where, seconds = self._address.text, self._address.deadline_s
        if seconds is None:
            return self._together(boxes)
        # Each box on its own, so that one that is late is the only one.
        return workers.read_many(
            where, lambda box: self._together([box])[0], boxes, seconds
        )

    def _together(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        """Fetches chunks that several boxes touch once."""
        outcomes: list[Outcome] = [
            np.zeros(box.size, self.info.dtype) for box in boxes
        ]
        readers: dict[Box, list[int]] = {}
        for number, box in enumerate(boxes):
            for chunk in self._scale.chunks(box):
                readers.setdefault(chunk, []).append(number)
        wanted = (
            chunk
            for chunk, numbers in readers.items()
            if any(isinstance(outcomes[n], np.ndarray) for n in numbers)
        )
        for chunk, found in self._chunks(wanted):
            for number in readers[chunk]:
                box, voxels = boxes[number], outcomes[number]
                if isinstance(voxels, ReadError):
                    continue
                if isinstance(found, ReadError):
                    failed = type(found)(found.where, box, found.reason)
                    outcomes[number] = failed
                else:
                    _paste(voxels, box, found, chunk)
        return failures.voxels(self._address.text, outcomes)

    def _chunks(self, chunks: Iterator[Box]) -> Iterator[tuple[Box, Outcome]]:
        """Chunks with their voxels [z, y, x]; not those that read as 0."""
        while batch := list(itertools.islice(chunks, _REQUESTS)):
            for _ in range(_ATTEMPTS):
                parts: list[Part | OSError | None] = [
                    Part(self._scale.name_of(chunk)) for chunk in batch
                ]
                if self._shards is not None:
                    parts = self._shards.parts(batch, self._bucket.read)
                found = shard_index.answers(self._bucket.read, parts)
                if not any(isinstance(a, ReplacedError) for a in found):
                    break
            for chunk, part, answer in zip(batch, parts, found):
                if answer is not None or not self._address.missing_is_zero:
                    yield chunk, self._outcome(chunk, part, answer)

    def _outcome(
        self, chunk: Box, part: Part | OSError | None, answer: Answer
    ) -> Outcome:
        """The voxels of a chunk, or why there are none."""
        told = f"chunk {self._scale.name_of(chunk)}"
        if self._shards is not None and isinstance(part, Part):
            told += f" ({part})"
        where = self._address.text
        if answer is None:
            reason = f"{told} is missing. {failures.IF_BACKGROUND}"
            return MissingError(where, chunk, reason)
        if isinstance(answer, DamagedError):
            return CorruptError(where, chunk, f"{told} is damaged: {answer}")
        if isinstance(answer, OSError):
            return ReadError(where, chunk, f"{told}: {answer}")
        try:
            return self._decoded(chunk, answer.data)
        except ValueError as error:
            reason = f"{told} is damaged: {error}."
            return CorruptError(where, chunk, reason)

    def _decoded(self, chunk: Box, data: bytes) -> np.ndarray:
        if self._shards is not None:
            data = self._shards.unpacked(data)
        return decoding.decoded(data, self._scale, chunk, self._address.channel)

    def write(self, box: Box, array: np.ndarray) -> None:
        raise ValueError(f"{self._address.text}: gcsfs only reads.")

    def close(self) -> None:
        pass


def _paste(
    to: np.ndarray, box: Box, chunk_voxels: np.ndarray, chunk: Box
) -> None:
    """Copies the voxels of a chunk that are in `box` to its array."""
    both = box.intersected(chunk)
    to[both.relative_to(box.start).slices] = chunk_voxels[
        both.relative_to(chunk.start).slices
    ]


class Bucket:
    """The folder of a volume in a bucket."""

    def __init__(self, url: str) -> None:
        self._folder = url.removeprefix("gs://").rstrip("/")
        self._files = _file_system()

    def read(self, parts: Sequence[Part]) -> list[Answer]:
        """The bytes of each part, many at the same time; None if missing.

        Or an OSError: the server cannot be asked, refuses, or sends less.
        """
        from fsspec import asyn

        answers = asyn.sync(
            self._files.loop,
            asyn._run_coros_in_chunks,
            [self._fetched(part) for part in parts],
            batch_size=_REQUESTS,
            return_exceptions=True,
        )
        return [self._checked(p, a) for p, a in zip(parts, answers)]

    async def _fetched(self, part: Part) -> Stored:
        """As gcsfs reads a file, but that it loses the generation."""
        path = posixpath.normpath(posixpath.join(self._folder, part.path))
        url = self._files.url(path, generation=part.generation)
        wanted = {}
        if part.start is not None and part.end is not None:
            wanted = {"Range": f"bytes={part.start}-{part.end - 1}"}
        said, data = await self._files._call("GET", url, headers=wanted)
        return Stored(data, said["X-Goog-Generation"])

    def _checked(self, part: Part, answer: Any) -> Answer:
        if isinstance(answer, FileNotFoundError):
            if part.generation is None:
                return None
            return ReplacedError(f"{part}: replaced while it was read.")
        where = f"gs://{self._folder}/{part}"
        if str(getattr(answer, "code", "")) == "416":  # No such range.
            return DamagedError(f"{where}: not there; the file is truncated.")
        if isinstance(answer, Exception):
            return OSError(f"{where}: cannot be read: {answer!r}.")
        expected = None if part.end is None else part.end - (part.start or 0)
        came = len(answer.data)
        if expected not in (None, came):
            return DamagedError(
                f"{where}: {came} bytes came; the file is truncated."
            )
        return answer

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A JSON object in a file; None if the file is missing.

        Raises:
          OSError: as `read`; or the file holds something else.
        """
        (answer,) = self.read([Part(name)])
        if isinstance(answer, OSError):
            raise answer
        try:
            found = None if answer is None else json.loads(answer.data)
        except (ValueError, RecursionError) as error:
            raise OSError(f"{name} is not JSON: {error}.") from error
        if found is not None and not isinstance(found, dict):
            raise OSError(f"{name} is not a JSON object.")
        return found


def open_gcsfs(address: Address) -> GcsfsSource:
    """Opens a precomputed volume of gs:// for reading.

    Raises:
      FileNotFoundError: it is not there.
      ValueError: another format or place, or no such scale or channel.
      OSError: gcsfs or a codec is missing; the server fails.
    """
    if address.format != "precomputed" or address.place.scheme != "gs":
        raise ValueError(
            f"{address.text}: gcsfs reads precomputed volumes of gs:// only."
        )
    return GcsfsSource(Bucket(address.path), address)


def _file_system() -> Any:
    # Else gcsfs asks another service what kind of bucket it is, and waits for
    # a minute where there is none.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    try:
        import aiohttp
        from gcsfs import core
    except ImportError as error:
        raise decoding.UnsupportedError(
            f"gcsfs cannot be imported ({error}); pip install gcsfs."
        ) from error
    # What it would log, with a trace, is raised.
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    return core.GCSFileSystem(
        token="anon",
        access="read_only",
        use_listings_cache=False,
        requests_timeout=aiohttp.ClientTimeout(
            total=None,
            sock_connect=_SILENCE_SECONDS,
            sock_read=_SILENCE_SECONDS,
        ),
    )
