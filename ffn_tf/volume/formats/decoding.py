"""Chunks of precomputed volumes, decoded by cloud-volume's codecs.

What they do by themselves, and we do not let them:

    an empty chunk decodes to zeros, silently: an error
    compressed_segmentation reads past the end of a truncated chunk, which
    gives other ids or ends the process: checked first, word by word
    colours of jpeg and png come out as if each were a slice: put in order
    png takes another package: read by Pillow

A chunk of fpzip that is truncated may still end the process.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from ffn_tf.volume.box import Box
from ffn_tf.volume.formats.precomputed import Scale

# Encodings of which cloud-volume decodes several channels in order.
PLANAR = ("raw", "compressed_segmentation", "fpzip", "kempressed")
_INTERLEAVED = ("jpeg", "png")
_SEGMENTATION_BITS = (0, 1, 2, 4, 8, 16, 32)


class UnsupportedError(OSError):
    """A method that cannot read such a volume, or is not installed."""


def load(what_for: str) -> Any:
    """cloud-volume's codecs: a second to import, so only when needed.

    Raises:
      UnsupportedError: it is not installed.
    """
    try:
        from cloudvolume import chunks
    except ImportError as error:
        raise UnsupportedError(
            f"{what_for}: cloud-volume cannot be imported ({error}); "
            f"pip install cloud-volume."
        ) from error
    return chunks


def refuse_unreadable(scale: Scale) -> None:
    """Raises unless `decoded` can read the chunks of a scale.

    Raises:
      UnsupportedError: it cannot; says why.
    """
    encoding, channels = scale.encoding, scale.channels
    codecs = load(f"encoding {encoding}")
    if encoding not in codecs.SUPPORTED_ENCODINGS:
        raise UnsupportedError(
            f"encoding {encoding}: not known to cloud-volume, which knows "
            f"{', '.join(codecs.SUPPORTED_ENCODINGS)}."
        )
    if channels > 1 and encoding not in (*PLANAR, *_INTERLEAVED):
        raise UnsupportedError(
            f"encoding {encoding} with {channels} channels: cloud-volume "
            f"mixes the channels up."
        )
    if encoding != "png":
        refuse_uninstalled(encoding)
    elif scale.info.dtype.itemsize > 1 and channels > 1:
        raise UnsupportedError(
            f"encoding png with {channels} channels of {scale.info.dtype}: "
            f"Pillow reads 8 bits or one channel."
        )


def refuse_uninstalled(encoding: str) -> None:
    """Raises unless cloud-volume has the package for an encoding.

    Raises:
      UnsupportedError: it has not; says which one it is.
    """
    try:
        load(encoding).check_installed(encoding)
    except ImportError as error:
        raise UnsupportedError(f"encoding {encoding}: {error}.") from error


def decoded(data: bytes, scale: Scale, chunk: Box, channel: int) -> np.ndarray:
    """The voxels [z, y, x] of one channel of a chunk.

    Raises:
      ValueError: the data is damaged.
    """
    z, y, x = chunk.size
    shape = (x, y, z, scale.channels)
    if not data:
        raise ValueError("it is empty")
    try:
        if scale.encoding == "png":
            voxels = _png(data, shape)
        else:
            voxels = _decoded(data, scale, shape)
    except Exception as error:  # Each codec has its own.
        raise ValueError(str(error) or repr(error)) from error
    if voxels.dtype != scale.info.dtype:
        raise ValueError(f"it holds {voxels.dtype}, not {scale.info.dtype}")
    return voxels[..., channel].T


def _decoded(data: bytes, scale: Scale, shape: tuple[int, ...]) -> np.ndarray:
    """[x, y, z, channel], x fastest."""
    if scale.encoding == "compressed_segmentation":
        check_segmentation(data, shape, scale.info.dtype, scale.block_xyz)
    voxels = load(scale.encoding).decode(
        data,
        scale.encoding,
        shape=shape,
        dtype=scale.info.dtype,
        block_size=scale.block_xyz,
    )
    if scale.encoding in _INTERLEAVED and shape[-1] > 1:
        return _planar(voxels.ravel(order="F"), shape)
    return voxels


def _png(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return _planar(np.asarray(image).ravel(), shape)


def _planar(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[x, y, z, channel] of values whose channel changes fastest."""
    *xyz, channels = shape
    return np.moveaxis(values.reshape((channels, *xyz), order="F"), 0, -1)


def check_segmentation(
    data: bytes,
    shape_xyzc: tuple[int, ...],
    dtype: np.dtype,
    block_xyz: tuple[int, ...],
) -> None:
    """Raises unless compressed_segmentation stays inside `data`.

    The format is little-endian words of 32 bits:

        one word a channel          where its headers begin
        two words a block           table (24 bits), bits an index; indices
        indices                     packed, x fastest, of the whole block
        table                       the ids, of one word or two

    with places in words, from the beginning of the channel's headers.

    Raises:
      ValueError: something lies past the end of `data`.
    """
    *shape, channels = shape_xyzc
    words = np.frombuffer(data, "<u4", len(data) // 4).astype(np.int64)
    if len(data) % 4 or len(words) < channels:
        raise ValueError(f"{len(data)} bytes: no whole number of words")
    blocks = int(np.prod([-(-n // b) for n, b in zip(shape, block_xyz)]))
    for start in words[:channels]:
        headers = words[start : start + 2 * blocks]
        if headers.size < 2 * blocks:
            raise ValueError(f"truncated: {blocks} blocks expected")
        table, bits = headers[::2] & 0xFFFFFF, headers[::2] >> 24
        _check_blocks(
            words,
            start + table,
            bits,
            start + headers[1::2],
            entry=np.dtype(dtype).itemsize // 4,
            voxels=int(np.prod(block_xyz)),
        )


def _check_blocks(
    words: np.ndarray,
    tables: np.ndarray,
    bits: np.ndarray,
    places: np.ndarray,
    *,
    entry: int,
    voxels: int,
) -> None:
    """The blocks of one channel: indices and the ids that they point at."""
    if not np.isin(bits, _SEGMENTATION_BITS).all():
        raise ValueError("damaged: an index of unknown size")
    ends = places + -(-bits * voxels // 32)
    if (np.where(bits > 0, ends, 0) > len(words)).any():
        raise ValueError("truncated: indices are missing")
    # Only a block whose largest table would not fit has to be looked into.
    near = tables + entry * (1 << bits) > len(words)
    for size in np.unique(bits[near]):
        here = near & (bits == size)
        largest = _largest_index(words, places[here], int(size), voxels)
        if (tables[here] + entry * (largest + 1) > len(words)).any():
            raise ValueError("truncated: ids are missing")


def _largest_index(
    words: np.ndarray, places: np.ndarray, bits: int, voxels: int
) -> np.ndarray:
    """[block]: the largest index of each block that begins at `places`."""
    if bits == 0:
        return np.zeros(len(places), np.int64)
    count = -(-bits * voxels // 32)
    packed = words[places[:, np.newaxis] + np.arange(count)]
    shifts = np.arange(0, 32, bits)
    indices = packed[..., np.newaxis] >> shifts & ((1 << bits) - 1)
    return indices.reshape(len(places), -1)[:, :voxels].max(axis=1)
