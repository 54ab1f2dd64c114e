"""(5) CSV-zips: embeddings as they were released for H01 and MICrONS.

    FOLDER/{shard}.zip
        {segment id}.csv     node id, x, y, z, e0, e1, ...; no header

A segment's shard is the md5 of its id, little-endian in `bytewidth` bytes, as a
little-endian number, modulo the number of shards:

    h01 c3, MICrONS v117, m343      bytewidth 64, 10,000 shards, 64 columns
    MICrONS m943                    bytewidth 8, 50,000 shards, 128 columns

x, y, z are nanometres or voxels; the release says which. Some files end with an
empty line, and some have a row twice; neither counts. Segments can have a
gigabyte of rows, so they are read in blocks, from a bucket too; a few blocks at
once, each in a thread (csv_numbers.py), and what that leaves, by pyarrow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent import futures
import contextlib
import dataclasses
import functools
import hashlib
import io
import operator
import os
import pathlib
import re
from typing import IO
import zipfile

import fsspec
import numpy as np
import pyarrow as pa
from pyarrow import csv

from ffn_tf.volume import files
from segclr.embedding import csv_numbers, zip_members

_LEADING = csv_numbers.LEADING
_BLOCK_BYTES = 1 << 22
_AT_ONCE = 2  # Blocks that are parsed, while the next is uncompressed.
_SMALL_BYTES = 1 << 18  # Not worth a thread.
_EPOCH = (1980, 1, 1, 0, 0, 0)  # Of all members: same rows, same bytes.


@dataclasses.dataclass(frozen=True)
class Layout:
    """How segments are spread over zips.

    Attributes:
      num_shards: zips.
      bytewidth: of an id that is hashed.
    """

    num_shards: int = 10_000
    bytewidth: int = 64

    def __post_init__(self) -> None:
        if self.num_shards < 1 or self.bytewidth < 8:
            raise ValueError(
                f"Expected 1 or more shards and ids of 8 or more bytes, found "
                f"{self.num_shards} and {self.bytewidth}."
            )

    def shard(self, segment: int) -> int:
        """The number of the zip that a segment is in.

        Raises:
          ValueError: an id that has no room in so many bytes.
        """
        id_ = operator.index(segment)
        if not 0 <= id_ < 1 << 8 * self.bytewidth:
            raise ValueError(
                f"Segment {id_}: expected an id from 0 on of {self.bytewidth} "
                f"bytes; is --bytewidth that of the release?"
            )
        digest = hashlib.md5(id_.to_bytes(self.bytewidth, "little"))
        return int.from_bytes(digest.digest(), "little") % self.num_shards


@dataclasses.dataclass(frozen=True)
class Rows:
    """Embeddings of some nodes of a segment.

    Attributes:
      node_ids: [n] int64, of its skeleton.
      positions_xyz: [n, 3] float64, nanometres or voxels.
      vectors: [n, d] float32.
    """

    node_ids: np.ndarray
    positions_xyz: np.ndarray
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.node_ids)


def joined(blocks: Iterable[Rows]) -> Rows:
    """All blocks of a segment as one, each node once.

    Raises:
      ValueError: a node has two different embeddings; or there is none.
    """
    every = list(blocks)
    if not every:
        raise ValueError("no embeddings: the file has no rows")
    rows = Rows(
        *(
            np.concatenate([getattr(one, field.name) for one in every])
            for field in dataclasses.fields(Rows)
        )
    )
    ids, first, number = np.unique(
        rows.node_ids, return_index=True, return_inverse=True
    )
    if len(ids) == len(rows):
        return rows
    differs = (rows.vectors != rows.vectors[first][number]).any(axis=1)
    if differs.any():
        raise ValueError(
            f"node {rows.node_ids[differs][0]} has two different embeddings"
        )
    kept = np.sort(first)
    return Rows(
        rows.node_ids[kept], rows.positions_xyz[kept], rows.vectors[kept]
    )


class Reader:
    """Embeddings in a folder of zips, here or in a bucket.

    Args:
      folder: a path, or a URL that fsspec knows (gs://, https://).
      layout: of the release.
      columns: numbers of an embedding; None: whatever is there.
    """

    def __init__(
        self,
        folder: str,
        layout: Layout | None = None,
        columns: int | None = None,
    ) -> None:
        self._folder, self._columns = folder.rstrip("/"), columns
        self.layout = layout or Layout()
        self._listed: zip_members.Directory | None = None  # The latest one.

    def get(self, segment: int) -> Rows:
        """All embeddings of a segment.

        Raises:
          KeyError: it has none.
          ValueError: damaged, or not as expected.
          OSError: it cannot be read.
        """
        with self._named(segment):
            return joined(self._blocks(segment))

    def blocks(self, segment: int) -> Iterator[Rows]:
        """The embeddings of a segment, a few megabytes at a time.

        Raises:
          as `get`.
        """
        with self._named(segment):
            yield from self._blocks(segment)

    def _blocks(self, segment: int) -> Iterator[Rows]:
        shard = self.layout.shard(segment)
        with self._opened(shard) as (file, directory):
            member = directory.members.get(f"{segment}.csv")
            if member is None:
                raise KeyError(
                    f"Segment {segment} has no embeddings in "
                    f"{self._name(shard)} (bytewidth {self.layout.bytewidth}, "
                    f"{self.layout.num_shards:,} shards: is that this release?)"
                )
            yield from _parsed(file, member, self._columns)

    def segments(self, shard: int) -> Iterator[tuple[int, Iterator[Rows]]]:
        """All segments of a zip, each with its blocks, to be read in turn.

        Folders in the zip are passed over.

        Raises:
          ValueError, OSError: as `get`.
        """
        with self._opened(shard) as (file, directory):
            for name, member in directory.members.items():
                if member.is_dir():
                    continue
                if not _MEMBER.fullmatch(name):
                    raise ValueError(
                        f"{self._name(shard)}: expected files named ID.csv, "
                        f"found {name!r}. Is it of another release, or packed "
                        f"anew? Leave such files out of it."
                    )
                segment = int(name.removesuffix(".csv"))
                yield segment, self._of_member(file, member, shard, segment)

    def _of_member(
        self, file: IO[bytes], member: zipfile.ZipInfo, shard: int, segment: int
    ) -> Iterator[Rows]:
        with self._named(segment, shard):
            yield from _parsed(file, member, self._columns)

    @contextlib.contextmanager
    def _named(self, segment: int, shard: int | None = None) -> Iterator[None]:
        """Errors say which file they are of."""
        if shard is None:
            shard = self.layout.shard(segment)
        try:
            yield
        except (ValueError, *zip_members.DAMAGED) as error:
            kind = "" if isinstance(error, ValueError) else "damaged: "
            raise ValueError(
                f"{self._name(shard)}, {segment}.csv: {kind}{error}"
            ) from error

    def _name(self, shard: int) -> str:
        return f"{self._folder}/{shard}.zip"

    @contextlib.contextmanager
    def _opened(
        self, shard: int
    ) -> Iterator[tuple[IO[bytes], zip_members.Directory]]:
        name, listed = self._name(shard), self._listed
        try:
            if listed is None or listed.path != name or not listed.is_current:
                listed = zip_members.listed(name)
            file = fsspec.open(name, "rb").open()
        except FileNotFoundError:
            raise KeyError(f"{name}: no such zip, so no embeddings.") from None
        except zip_members.DAMAGED as error:
            raise ValueError(f"{name}: damaged: {error}") from error
        self._listed = listed
        with file:
            yield file, listed


# As `write_shard` names them: a number in its shortest form.
_MEMBER = re.compile(r"(0|[1-9][0-9]*)\.csv")


def _parsed(
    file: IO[bytes], member: zipfile.ZipInfo, columns: int | None
) -> Iterator[Rows]:
    """Rows of a CSV file, in order.

    Raises:
      ValueError: other columns than expected, or what is no number.
    """
    found = 0
    running: deque[futures.Future[Rows]] = deque()
    for text in _lines(zip_members.pieces(file, member, _BLOCK_BYTES)):
        if not found:
            first = text.lstrip()[:_BLOCK_BYTES].partition(b"\n")[0]
            found = first.count(b",") + 1 - _LEADING
            if not first:
                continue
            if found < 1 or (columns is not None and found != columns):
                raise ValueError(
                    f"expected node id, x, y, z and "
                    f"{'an embedding' if columns is None else columns} in "
                    f"each row, found {found + _LEADING} columns"
                )
        if len(text) < _SMALL_BYTES and not running:
            yield _rows(text, found)
            continue
        if len(running) > _AT_ONCE:
            yield running.popleft().result()
        running.append(_threads().submit(_rows, text, found))
    for future in running:
        yield future.result()


@functools.cache
def _threads() -> futures.ThreadPoolExecutor:
    return futures.ThreadPoolExecutor(_AT_ONCE, "csvzip")


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, in pieces of whole lines."""
    rest = b""
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end]
            rest = piece[end:]
        else:
            rest += piece
    if rest:
        yield rest


def _rows(text: bytes, columns: int) -> Rows:
    """Rows of whole lines.

    Raises:
      ValueError: other columns, or what is no number.
    """
    found = csv_numbers.parsed(text, columns)
    return Rows(*found) if found else _slowly(text, columns)


def _slowly(text: bytes, columns: int) -> Rows:
    """The same by pyarrow, which knows more ways to write a number."""
    names = [f"{i}" for i in range(columns + _LEADING)]
    kinds = [pa.int64()] + [pa.float64()] * 3 + [pa.float32()] * columns
    try:
        table = csv.read_csv(
            io.BytesIO(text),
            # By one thread, which reports the first error of all.
            csv.ReadOptions(column_names=names, use_threads=False),
            # Not guessed: a column may begin with whole numbers.
            convert_options=csv.ConvertOptions(
                column_types=dict(zip(names, kinds)), null_values=[]
            ),
        )
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"expected rows of node id, x, y, z and {columns} numbers: "
            f"{str(error).splitlines()[0]}"
        ) from error
    ids, *numbers = (column.to_numpy() for column in table.columns)
    if not all(np.isfinite(part).all() for part in numbers):
        raise ValueError("a position or an embedding is not finite")
    return Rows(
        ids,
        np.stack(numbers[: _LEADING - 1], axis=1),
        np.stack(numbers[_LEADING - 1 :], axis=1),
    )


def write_shard(
    folder: str | os.PathLike[str],
    shard: int,
    segments: Iterable[tuple[int, Iterable[Rows]]],
    layout: Layout | None = None,
) -> int:
    """Writes a zip of a folder on this machine; whole, or not at all.

    Args:
      folder: made if missing.
      shard: its number.
      segments: (id, blocks), those of this zip; in any order, which is kept.
      layout: of the folder.

    Returns:
      How many rows.

    Raises:
      ValueError: a segment belongs into another zip.
      OSError: it cannot be written.
    """
    layout = layout or Layout()
    root = pathlib.Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    count = 0
    with (
        files.atomic_path(root / f"{shard}.zip") as path,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for segment, blocks in segments:
            if layout.shard(segment) != shard:
                raise ValueError(
                    f"Segment {segment} belongs into "
                    f"{layout.shard(segment)}.zip, not into {shard}.zip."
                )
            info = zipfile.ZipInfo(f"{segment}.csv", _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as member:
                for rows in blocks:
                    _write(member, rows)
                    count += len(rows)
    return count


def _write(member: IO[bytes], rows: Rows) -> None:
    positions = rows.positions_xyz
    if (positions == np.rint(positions)).all():
        positions = positions.astype(np.int64)  # "7", not "7.0".
    columns = [rows.node_ids, *positions.T, *rows.vectors.astype("<f4").T]
    table = pa.table({f"{i}": column for i, column in enumerate(columns)})
    csv.write_csv(table, member, csv.WriteOptions(include_header=False))
