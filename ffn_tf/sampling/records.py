"""(4) TFRecords of centres, as google/ffn's training reads them.

One `tf.train.Example` for each example:

    center              int64 [3]   x, y, z, voxels of the volume
    label_volume_name   bytes       which volume, by its name in the flags

framed as TFRecords are (length, its checksum, the message, its checksum; the
checksums are masked crc32c), and compressed as a whole (GZIP).

TensorFlow writes these one by one; here a compiled loop makes a million of them
in half a second.
"""

from __future__ import annotations

from collections.abc import Sequence
import gzip

import numba
import numpy as np

_LEVEL = 4  # Of zlib: smaller by a tenth at 6, in twice the time.


def _crc_table() -> np.ndarray:
    """[256] uint32: crc32c (Castagnoli, reflected) of one byte."""
    table = np.arange(256)
    for _ in range(8):
        table = (table >> 1) ^ ((table & 1) * 0x82F63B78)
    return table.astype(np.uint32)


_CRC = _crc_table()


def shards(path: str) -> list[str]:
    """The files of PATH@N, PATH-00000-of-0000N and so on, or of PATH alone.

    Raises:
      ValueError: N is not a number above 0.
    """
    base, at, number = path.rpartition("@")
    if not at or "/" in number:  # A folder may have an @ in its name, too.
        return [path]
    if not number.isdigit() or not 0 < int(number) < 100_000:
        raise ValueError(
            f"{path}: after @ comes the number of files, found {number!r}."
        )
    count = int(number)
    return [f"{base}-{i:05d}-of-{count:05d}" for i in range(count)]


def check_names(names: Sequence[str]) -> None:
    """Raises a ValueError unless records can hold the names of volumes."""
    for name in names:
        if not 0 < len(name.encode()) <= 50:
            raise ValueError(
                f"A volume's name has 1 to 50 bytes: found {name!r}."
            )


def encoded(
    centers_xyz: np.ndarray, volumes: np.ndarray, names: Sequence[str]
) -> bytes:
    """The records, framed, not compressed.

    Args:
      centers_xyz: [n, 3] int64.
      volumes: [n] which of `names` each is in.
      names: of the volumes.

    Raises:
      ValueError: a name of more than 50 bytes, or without any.
    """
    check_names(names)
    texts = [name.encode() for name in names]
    ends = np.cumsum([0] + [len(text) for text in texts])
    joined = np.frombuffer(b"".join(texts), np.uint8)
    # At most: frame 16, center 47, the rest of the message 28 and the name.
    room = np.empty(len(centers_xyz) * (16 + 47 + 28 + 50), np.uint8)
    size = _encode(
        np.ascontiguousarray(centers_xyz, np.int64),
        np.ascontiguousarray(volumes, np.int64),
        joined,
        ends,
        _CRC,
        room,
    )
    return room[:size].tobytes()


def compressed(records: bytes) -> bytes:
    """A member of a GZIP file: such members may be put one after another."""
    return gzip.compress(records, _LEVEL, mtime=0)


@numba.njit(cache=True, nogil=True)
def _crc32c(data, start, end, table):
    crc = np.uint32(0xFFFFFFFF)
    for i in range(start, end):
        index = (crc ^ np.uint32(data[i])) & np.uint32(0xFF)
        crc = table[index] ^ (crc >> np.uint32(8))
    crc = crc ^ np.uint32(0xFFFFFFFF)
    # As TFRecords mask it: turned by 15 bits, and a constant added.
    turned = (crc >> np.uint32(15)) | (crc << np.uint32(17))
    return np.uint32(turned + np.uint32(0xA282EAD8))


@numba.njit(cache=True, nogil=True)
def _put(data, at, value, count):
    """`count` bytes of `value`, the lowest first."""
    rest = np.uint64(value)
    for i in range(count):
        data[at + i] = np.uint8(rest & np.uint64(0xFF))
        rest = rest >> np.uint64(8)
    return at + count


@numba.njit(cache=True, nogil=True)
def _put_varint(data, at, value):
    """Seven bits a byte, the lowest first; negative ones take ten bytes."""
    rest = np.uint64(value)
    while rest >= np.uint64(0x80):
        data[at] = np.uint8((rest & np.uint64(0x7F)) | np.uint64(0x80))
        rest = rest >> np.uint64(7)
        at += 1
    data[at] = np.uint8(rest)
    return at + 1


@numba.njit(cache=True, nogil=True)
def _put_bytes(data, at, text, start, end):
    for i in range(start, end):
        data[at] = text[i]
        at += 1
    return at


_CENTER = np.frombuffer(b"center", np.uint8)
_NAME = np.frombuffer(b"label_volume_name", np.uint8)


@numba.njit(cache=True, nogil=True)
def _put_example(data, at, center, names, start, end):
    """The message, from the inside out: each length is known only then.

    Example { features { feature { key, value { int64_list { value } } } } }
    """
    numbers = np.empty(30, np.uint8)
    size = 0
    for axis in range(3):
        size = _put_varint(numbers, size, center[axis])
    length = end - start
    first = 8 + 2 + (2 + (2 + size))  # key, value, int64_list, packed value
    second = 19 + 2 + (2 + (2 + length))  # key, value, bytes_list, value
    at = _put(data, at, 0x0A, 1)  # features
    at = _put_varint(data, at, 2 + first + 2 + second)
    at = _put(data, at, 0x0A, 1)  # feature
    at = _put(data, at, first, 1)
    at = _put(data, at, 0x060A, 2)  # key
    at = _put_bytes(data, at, _CENTER, 0, 6)
    at = _put(data, at, 0x12, 1)  # value
    at = _put(data, at, 4 + size, 1)
    at = _put(data, at, 0x1A, 1)  # int64_list
    at = _put(data, at, 2 + size, 1)
    at = _put(data, at, 0x0A, 1)  # value, packed
    at = _put(data, at, size, 1)
    at = _put_bytes(data, at, numbers, 0, size)
    at = _put(data, at, 0x0A, 1)  # feature
    at = _put(data, at, second, 1)
    at = _put(data, at, 0x110A, 2)  # key
    at = _put_bytes(data, at, _NAME, 0, 17)
    at = _put(data, at, 0x12, 1)  # value
    at = _put(data, at, 4 + length, 1)
    at = _put(data, at, 0x0A, 1)  # bytes_list
    at = _put(data, at, 2 + length, 1)
    at = _put(data, at, 0x0A, 1)  # value
    at = _put(data, at, length, 1)
    return _put_bytes(data, at, names, start, end)


@numba.njit(cache=True, nogil=True)
def _encode(centers, volumes, names, ends, table, data):
    at = 0
    for i in range(len(centers)):
        v = volumes[i]
        begin = at + 12
        end = _put_example(data, begin, centers[i], names, ends[v], ends[v + 1])
        _put(data, at, end - begin, 8)
        _put(data, at + 8, _crc32c(data, at, at + 8, table), 4)
        at = _put(data, end, _crc32c(data, begin, end, table), 4)
    return at
