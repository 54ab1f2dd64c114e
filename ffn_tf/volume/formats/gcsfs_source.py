"""Precomputed volumes of gs://, read through gcsfs: the last resort.

Nothing of TensorStore's is used, and of cloud-volume only its codecs and its
reading of shards. Chunks are fetched many at a time, whole or as parts of
shards, and decoded one by one; nothing is kept but the indices of shards.

Without credentials, so of public buckets only. Requests are retried six
times with growing pauses; a server that is silent for 30 s counts as failed.
STORAGE_EMULATOR_HOST names another server than Google's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
from ffn_tf.volume.failures import CorruptError, MissingError
from ffn_tf.volume.formats import decoding, precomputed, shard_index
from ffn_tf.volume.formats.shard_index import Part

_REQUESTS = 64  # At once, and so many chunks are in memory undecoded.
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
            self._shards = shard_index.ShardIndex(self._scale, bucket.read)

    def read(self, box: Box) -> np.ndarray:
        return self.read_many([box])[0]

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        voxels = [np.zeros(box.size, self.info.dtype) for box in boxes]
        readers: dict[Box, list[int]] = {}
        for number, box in enumerate(boxes):
            for chunk in self._scale.chunks(box):
                readers.setdefault(chunk, []).append(number)
        for chunk, found in self._chunks(readers):
            for number in readers[chunk]:
                _paste(voxels[number], boxes[number], found, chunk)
        return voxels

    def _chunks(
        self, chunks: Iterable[Box]
    ) -> Iterator[tuple[Box, np.ndarray]]:
        """Chunks with their voxels [z, y, x], without those missing."""
        chunks = iter(chunks)
        while batch := list(itertools.islice(chunks, _REQUESTS)):
            for chunk, part, data in self._fetched(batch):
                if data is not None:
                    yield chunk, self._decoded(chunk, part, data)
                elif not self._address.missing_is_zero:
                    raise MissingError(
                        self._address.text,
                        chunk,
                        f"{self._told(chunk, part)} is missing. "
                        f"{failures.IF_BACKGROUND}",
                    )

    def _fetched(
        self, chunks: list[Box]
    ) -> list[tuple[Box, Part | None, bytes | None]]:
        parts: list[Part | None]
        try:
            if self._shards is None:
                parts = [Part(self._scale.name_of(chunk)) for chunk in chunks]
            else:
                parts = self._shards.parts(chunks)
            there = [part for part in parts if part is not None]
            found = dict(zip(there, self._bucket.read(there)))
        except (ValueError, _TruncatedError) as error:
            raise CorruptError(
                self._address.text, chunks[0], str(error)
            ) from error
        return [(c, p, found[p] if p else None) for c, p in zip(chunks, parts)]

    def _decoded(
        self, chunk: Box, part: Part | None, data: bytes
    ) -> np.ndarray:
        try:
            if self._shards is not None:
                data = self._shards.unpacked(data)
            return decoding.decoded(
                data, self._scale, chunk, self._address.channel
            )
        except ValueError as error:
            raise CorruptError(
                self._address.text,
                chunk,
                f"{self._told(chunk, part)} is damaged: {error}.",
            ) from error

    def _told(self, chunk: Box, part: Part | None) -> str:
        text = f"chunk {self._scale.name_of(chunk)}"
        return f"{text} ({part})" if part and self._shards else text

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


class _TruncatedError(OSError):
    """A file ends before a part that should be in it."""


class Bucket:
    """The folder of a volume in a bucket."""

    def __init__(self, url: str) -> None:
        self._folder = url.removeprefix("gs://").rstrip("/")
        self._files = _file_system()

    def read(self, parts: Sequence[Part]) -> list[bytes | None]:
        """The bytes of each part, many at the same time; None if missing.

        Raises:
          OSError: the server cannot be asked, refuses, or sends less.
        """
        if not parts:
            return []
        paths = [posixpath.join(self._folder, part.path) for part in parts]
        answers = self._files.cat_ranges(
            [posixpath.normpath(path) for path in paths],
            [part.start for part in parts],
            [part.end for part in parts],
            batch_size=_REQUESTS,
            on_error="return",
        )
        return [self._checked(p, a) for p, a in zip(parts, answers)]

    def _checked(self, part: Part, answer: Any) -> bytes | None:
        if isinstance(answer, FileNotFoundError):
            return None
        where = f"gs://{self._folder}/{part}"
        if isinstance(answer, Exception):
            raise OSError(f"{where}: cannot be read: {answer!r}") from answer
        expected = None if part.end is None else part.end - (part.start or 0)
        if expected not in (None, len(answer)):
            raise _TruncatedError(
                f"{where}: {len(answer)} bytes came; the file is truncated."
            )
        return answer

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A JSON object in a file; None if the file is missing.

        Raises:
          OSError: as `read`; or the file holds something else.
        """
        (data,) = self.read([Part(name)])
        try:
            found = None if data is None else json.loads(data)
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
