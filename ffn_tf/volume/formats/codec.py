"""Codecs: how voxels are stored, chosen by what they are.

                  precomputed              zarr           zarr3    n5     hdf5
    image         raw                      blosc zstd 3   zstd 3   gzip   gzip
    segmentation  compressed_segmentation  blosc zstd 5   zstd 9   gzip   gzip

is what `auto` means; zarr3 adds a checksum (crc32c). Only jpeg loses anything,
only images of bytes can have it, and only if asked.

Shards (sharding.py) exist in precomputed and zarr3. `auto` makes them
    in zarr3         where there would be more than 10,000 files;
    in precomputed   of segmentations from 128^3 voxels on, because gzip on top
                     of compressed_segmentation, which makes files four times
                     smaller, exists only inside shards.
A shard is then the unit of writing: to change one chunk rewrites the shard.
Coarser scales have smaller shards, so that what is written at a time, made
coarser, is whole shards again; where that is less than a chunk, there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import math

import numpy as np

from ffn_tf import program
from ffn_tf.volume.box import Triple, triple
from ffn_tf.volume.formats import scales as scales_lib
from ffn_tf.volume.formats import sharding
from ffn_tf.volume.source import VolumeInfo

ENCODINGS = {
    "precomputed": ("raw", "gzip", "png", "jpeg", "compressed_segmentation"),
    "zarr": ("raw", "gzip", "zstd", "blosc"),
    "zarr3": ("raw", "gzip", "zstd", "blosc"),
    "n5": ("raw", "gzip", "zstd", "blosc"),
    "hdf5": ("gzip",),
    "npy": ("raw",),
}
_SHARDED = ("precomputed", "zarr3")
_BYTES = (np.uint8,)
_IDS = (np.uint32, np.uint64)
_DTYPES = {
    "jpeg": _BYTES,
    "png": (np.uint8, np.uint16),
    "compressed_segmentation": _IDS,
}
# Measured on fib25 and pinky40: labels shrink by a quarter more than at 3, at
# half the speed; EM does not shrink at all.
_LEVELS = {
    "image": {"gzip": 1, "zstd": 3, "blosc": 3},
    "segmentation": {"gzip": 6, "zstd": 9, "blosc": 5},
}
_JPEG_QUALITY = 90
_WORTH_SHARDS = 128**3  # voxels
_MANY_FILES = 10_000
_MOST_BYTES = 2**31  # Of a chunk: no codec takes more, and few memories.


@dataclasses.dataclass(frozen=True)
class Codec:
    """What is asked for."""

    encoding: str = program.option(
        "auto",
        help="how the output is compressed; auto: without loss, as suits its "
        "kind and format",
        choices=(
            "auto",
            "raw",
            "gzip",
            "zstd",
            "blosc",
            "png",
            "jpeg",
            "compressed_segmentation",
        ),
    )
    jpeg_quality: int | None = program.option(
        None,
        help=f"1 to 100, of encoding jpeg; by default {_JPEG_QUALITY}",
    )
    sharded: str = program.option(
        "auto",
        help="whether many chunks share a file (precomputed, zarr3)",
        choices=("auto", "yes", "no"),
    )


@dataclasses.dataclass(frozen=True)
class Storage:
    """How one scale of a volume is stored.

    Attributes:
      encoding: one of the format's ENCODINGS.
      level: effort of gzip, zstd and blosc; quality of jpeg; else 0.
      chunk_zyx: the unit of reading.
      division: None where each chunk is a file.
    """

    encoding: str
    level: int
    chunk_zyx: Triple
    division: sharding.Division | None = None

    @property
    def write_zyx(self) -> Triple:
        """The unit of writing: a shard, or a chunk."""
        in_shard = self.division.chunks_zyx if self.division else (1, 1, 1)
        return triple(c * n for c, n in zip(self.chunk_zyx, in_shard))


def chosen(codec: Codec, volume_format: str, info: VolumeInfo) -> Storage:
    """What a format makes of a codec for a volume of one scale.

    Raises:
      ValueError: the format, the dtype or the kind does not go with it.
    """
    _check_chunk(info)
    sharded = _sharded(codec, volume_format, info)
    encoding = _encoding(codec, volume_format, info, sharded)
    level = _LEVELS[info.kind or "image"].get(encoding, 0)
    if encoding == "jpeg":
        level = codec.jpeg_quality or _JPEG_QUALITY
    divided = None
    if sharded:
        divided = _divided(info, _grid(info))
    return Storage(encoding, level, info.chunk_zyx, divided)


def _check_chunk(info: VolumeInfo) -> None:
    size = math.prod(info.chunk_zyx) * info.dtype.itemsize
    if size >= _MOST_BYTES:
        raise ValueError(
            f"chunk_zyx: a chunk of {info.chunk_zyx} voxels of {info.dtype} "
            f"takes {size:.3g} bytes, expected less than 2 GiB; choose "
            f"smaller chunks, such as 64,64,64."
        )


def chosen_for_scales(
    codec: Codec, volume_format: str, scales: Sequence[VolumeInfo]
) -> tuple[Storage, ...]:
    """Likewise for all scales of a volume, the finest first."""
    base = chosen(codec, volume_format, scales[0])
    return base, *(_coarser(base, scales[0], scale) for scale in scales[1:])


def _coarser(base: Storage, fine: VolumeInfo, info: VolumeInfo) -> Storage:
    """The same with shards that a base shard fills when made coarser."""
    if not base.division:
        return base
    grid, by = _grid(info), scales_lib.factors(fine, info)
    within = [
        # Where one shard is all along an axis, it is all here, too.
        count * 2 if unit >= extent else unit // (factor * chunk)
        for count, unit, extent, factor, chunk in zip(
            grid, base.write_zyx, fine.domain.size, by, info.chunk_zyx
        )
    ]
    divided = _divided(info, grid, triple(within)) if all(within) else None
    if divided and divided.chunks_zyx == (1, 1, 1):
        divided = None
    return dataclasses.replace(base, division=divided)


def _grid(info: VolumeInfo) -> Triple:
    return triple(-(-n // c) for n, c in zip(info.domain.size, info.chunk_zyx))


def _divided(
    info: VolumeInfo, grid: Triple, within: Triple | None = None
) -> sharding.Division:
    of_chunk = math.prod(info.chunk_zyx) * info.dtype.itemsize
    most = max(1, sharding.SHARD_BYTES // of_chunk)
    return sharding.divided(grid, most, within or (most, most, most))


def _sharded(codec: Codec, volume_format: str, info: VolumeInfo) -> bool:
    if codec.sharded not in ("auto", "yes", "no"):
        raise ValueError(
            f"sharded: expected auto, yes or no, found {codec.sharded!r}."
        )
    if volume_format not in _SHARDED:
        if codec.sharded == "yes":
            raise ValueError(
                f"sharded=yes: {volume_format} has no shards; only "
                f"{' and '.join(_SHARDED)} have."
            )
        return False
    if codec.sharded != "auto":
        return codec.sharded == "yes"
    if volume_format == "zarr3":
        return math.prod(_grid(info)) > _MANY_FILES
    is_labels = codec.encoding == "auto" and info.kind == "segmentation"
    gains = is_labels or codec.encoding in ("gzip", "compressed_segmentation")
    return gains and info.domain.num_voxels >= _WORTH_SHARDS


def _encoding(
    codec: Codec, volume_format: str, info: VolumeInfo, sharded: bool
) -> str:
    if codec.encoding == "auto":
        encoding = _by_kind(volume_format, info, sharded)
    else:
        encoding = codec.encoding
        _check_encoding(codec, volume_format, info, sharded)
    if codec.jpeg_quality is not None:
        if encoding != "jpeg":
            raise ValueError(
                f"jpeg_quality: means nothing for encoding {encoding}; remove "
                f"it, or set the encoding to jpeg."
            )
        if not 1 <= codec.jpeg_quality <= 100:
            raise ValueError(
                f"jpeg_quality: expected 1 to 100, found {codec.jpeg_quality}."
            )
    return encoding


def _by_kind(volume_format: str, info: VolumeInfo, sharded: bool) -> str:
    if volume_format == "precomputed":
        if info.kind == "image":
            return "raw"
        if info.dtype in _IDS:
            return "compressed_segmentation"
        return "gzip" if sharded else "raw"
    return {
        "zarr": "blosc",
        "zarr3": "zstd",
        "n5": "gzip",
        "hdf5": "gzip",
        "npy": "raw",
    }[volume_format]


def _check_encoding(
    codec: Codec, volume_format: str, info: VolumeInfo, sharded: bool
) -> None:
    encoding = codec.encoding
    can = ENCODINGS[volume_format]
    if encoding not in can:
        raise ValueError(
            f"encoding {encoding}: not one of {volume_format}'s, which are "
            f"auto, {', '.join(can)}."
        )
    dtypes = _DTYPES.get(encoding, (info.dtype.type,))
    if info.dtype.type not in dtypes:
        raise ValueError(
            f"encoding {encoding}: holds "
            f"{' and '.join(dtype.__name__ for dtype in dtypes)}, found "
            f"{info.dtype}; choose another of auto, {', '.join(can)}."
        )
    if encoding == "jpeg" and info.kind == "segmentation":
        raise ValueError(
            "encoding jpeg: changes voxels, and these are labels, which must "
            "not change; choose another, or say that it is an image."
        )
    if (volume_format, encoding, sharded) == ("precomputed", "gzip", False):
        raise ValueError(
            "encoding gzip: precomputed has it in shards only; set "
            "sharded=yes, or choose raw."
        )
