"""(1) CSV-zips: embeddings as they were released for H01 and MICrONS.

    FOLDER/{shard}.zip
        {segment id}.csv     node id, x, y, z, e0, e1, ...; no header

A segment's shard is the md5 of its id, little-endian in `bytewidth` bytes, as a
little-endian number, modulo the number of shards:

    h01 c3, MICrONS v117, m343      bytewidth 64, 10,000 shards, 64 columns
    MICrONS m943                    bytewidth 8, 50,000 shards, 128 columns

x, y, z are nanometres or voxels; the release says which. Some files end with an
empty line, and some have a row twice; neither counts. Segments can have a
gigabyte of rows, so they are read in blocks, from a bucket too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import contextlib
import dataclasses
import hashlib
import io
import os
import pathlib
from typing import IO, Any
import zipfile
import zlib

import fsspec
import numpy as np
import pyarrow as pa
from pyarrow import csv

from ffn_tf.volume import files

_LEADING = 4  # Columns before the embedding.
_BLOCK_BYTES = 1 << 22
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
        """The number of the zip that a segment is in."""
        digest = hashlib.md5(segment.to_bytes(self.bytewidth, "little"))
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

    def get(self, segment: int) -> Rows:
        """All embeddings of a segment.

        Raises:
          KeyError: it has none.
          ValueError: damaged, or not as expected.
          OSError: it cannot be read.
        """
        try:
            return joined(self.blocks(segment))
        except ValueError as error:
            shard = self._name(self.layout.shard(segment))
            raise ValueError(f"{shard}, {segment}.csv: {error}") from error

    def blocks(self, segment: int) -> Iterator[Rows]:
        """The embeddings of a segment, a few megabytes at a time.

        Raises:
          as `get`.
        """
        shard = self.layout.shard(segment)
        with self._opened(shard) as archive:
            try:
                member = archive.open(f"{segment}.csv")
            except KeyError:
                raise KeyError(
                    f"Segment {segment} has no embeddings in "
                    f"{self._name(shard)} (bytewidth {self.layout.bytewidth}, "
                    f"{self.layout.num_shards:,} shards: is that this release?)"
                ) from None
            with member:
                yield from _parsed(member, self._columns)

    def segments(self, shard: int) -> Iterator[tuple[int, Iterator[Rows]]]:
        """All segments of a zip, each with its blocks, to be read in turn.

        Raises:
          ValueError, OSError: as `get`.
        """
        with self._opened(shard) as archive:
            for name in archive.namelist():
                number, dot, kind = name.partition(".")
                if (dot, kind) != (".", "csv") or not number.isdigit():
                    raise ValueError(
                        f"{self._name(shard)}: expected files named ID.csv, "
                        f"found {name!r}."
                    )
                with archive.open(name) as member:
                    yield int(number), _parsed(member, self._columns)

    def _name(self, shard: int) -> str:
        return f"{self._folder}/{shard}.zip"

    @contextlib.contextmanager
    def _opened(self, shard: int) -> Iterator[zipfile.ZipFile]:
        name = self._name(shard)
        try:
            with fsspec.open(name, "rb") as file, zipfile.ZipFile(file) as zip_:
                yield zip_
        except FileNotFoundError:
            raise KeyError(f"{name}: no such zip, so no embeddings.") from None
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ValueError(f"{name}: damaged: {error}") from error


def _parsed(member: IO[bytes], columns: int | None) -> Iterator[Rows]:
    """Rows of a CSV file.

    Raises:
      ValueError: other columns than expected, or what is no number.
    """
    start = io.BufferedReader(member, _BLOCK_BYTES)  # type: ignore[type-var]
    first = start.peek(1).partition(b"\n")[0].strip()
    if not first:
        return
    found = first.count(b",") + 1 - _LEADING
    if found < 1 or (columns is not None and found != columns):
        raise ValueError(
            f"expected node id, x, y, z and "
            f"{'an embedding' if columns is None else columns} in each row, "
            f"found {found + _LEADING} columns"
        )
    names = [f"{i}" for i in range(found + _LEADING)]
    kinds = [pa.int64()] + [pa.float64()] * 3 + [pa.float32()] * found
    try:
        reader = csv.open_csv(
            start,
            csv.ReadOptions(column_names=names, block_size=_BLOCK_BYTES),
            # Not guessed: a column may begin with whole numbers.
            convert_options=csv.ConvertOptions(
                column_types=dict(zip(names, kinds)), null_values=[]
            ),
        )
        for batch in reader:
            yield _rows(batch)
    except pa.ArrowInvalid as error:
        raise ValueError(_short(error)) from error


def _rows(batch: Any) -> Rows:
    ids, *numbers = (column.to_numpy() for column in batch.columns)
    made = Rows(
        ids,
        np.stack(numbers[: _LEADING - 1], axis=1),
        np.stack(numbers[_LEADING - 1 :], axis=1),
    )
    if not all(np.isfinite(part).all() for part in numbers):
        raise ValueError("a position or an embedding is not finite")
    return made


def _short(error: Exception) -> str:
    return str(error).splitlines()[0]


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
