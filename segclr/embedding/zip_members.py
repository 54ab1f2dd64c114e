"""Members of a zip, uncompressed, here or in a bucket.

Python's zipfile reads the directory. A member is uncompressed at once by
libdeflate, which is twice as fast as zlib; one of more than 64 MB piece by
piece by zlib, so that memory does not grow with it. Its checksum is compared
before its last piece is given.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import os
import struct
from typing import IO
import zipfile
import zlib

import deflate
import fsspec

_WHOLE_BYTES = 1 << 26
_HEADER = struct.Struct("<26xHH")  # Ends with the lengths of name and extra.
# What a damaged zip makes of us.
DAMAGED = (
    zipfile.BadZipFile,
    deflate.DeflateError,
    struct.error,
    zlib.error,
    EOFError,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Directory:
    """What is in a zip.

    Attributes:
      path: a path, or a URL that fsspec knows.
      members: by name, in the order of the file.
      version: of the file, as far as that is known.
    """

    path: str
    members: dict[str, zipfile.ZipInfo]
    version: tuple[int, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether it is still that file."""
        return self.version == _version(self.path)


def listed(path: str) -> Directory:
    """Reads the directory of a zip.

    Raises:
      FileNotFoundError: there is none.
      DAMAGED: it is damaged.
    """
    version = _version(path)
    with fsspec.open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        members = {one.filename: one for one in archive.infolist()}
    return Directory(path, members, version)


def _version(path: str) -> tuple[int, ...]:
    if "://" in path:  # Releases in buckets do not change.
        return ()
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0,)
    return found.st_ino, found.st_size, found.st_mtime_ns


def pieces(
    file: IO[bytes], member: zipfile.ZipInfo, piece_bytes: int
) -> Iterator[bytes]:
    """The bytes of a member, in pieces of about so many.

    Raises:
      ValueError: compressed as we cannot read it.
      DAMAGED: it is damaged.
    """
    if member.flag_bits & 1:
        raise ValueError("it is encrypted; expected deflate")
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if member.compress_type not in kinds:
        raise ValueError(
            f"it is compressed by method {member.compress_type}; expected 8, "
            f"deflate"
        )
    file.seek(member.header_offset)
    header = file.read(_HEADER.size)
    if header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("no member where the directory has one")
    file.seek(sum(_HEADER.unpack(header)), os.SEEK_CUR)
    if member.file_size > _WHOLE_BYTES:
        yield from _in_pieces(file, member, piece_bytes)
        return
    data: bytes | bytearray = file.read(member.compress_size)
    if member.compress_type == zipfile.ZIP_DEFLATED:
        data = deflate.deflate_decompress(data, member.file_size)
    _check(member, len(data), deflate.crc32(data, 0))
    whole = memoryview(data)
    for start in range(0, len(data), piece_bytes):
        yield bytes(whole[start : start + piece_bytes])


def _in_pieces(
    file: IO[bytes], member: zipfile.ZipInfo, piece_bytes: int
) -> Iterator[bytes]:
    """A piece is held back until it is known whether it is the last."""
    left, size, checksum, before = member.compress_size, 0, 0, b""
    inflate = None
    if member.compress_type == zipfile.ZIP_DEFLATED:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    while True:
        data = inflate.unconsumed_tail if inflate else b""
        if not data:
            data = file.read(min(left, piece_bytes))
            left -= len(data)
        is_end = not data
        if inflate:
            data = inflate.decompress(data, piece_bytes)
        if is_end and not data:
            break
        size += len(data)
        checksum = deflate.crc32(data, checksum)
        if before:
            yield before
        before = data
    _check(member, size, checksum)
    yield before


def _check(member: zipfile.ZipInfo, size: int, checksum: int) -> None:
    if size != member.file_size or checksum != member.CRC:
        raise zipfile.BadZipFile(f"the checksum of {member.filename} is wrong")
