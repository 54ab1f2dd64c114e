"""Bar 3: bytes on disk against raw, and what jpeg does to EM.

Labels: written by `volume.create` with its defaults for a segmentation of
uint64 in precomputed (compressed_segmentation in gzipped shards) and read
back, which must give every voxel. Raw is 8 bytes a voxel, also for labels
that come with 32 bits. All files of the volume count, metadata too.

EM: the same for each way of storing it; PSNR in decibels, of 255 over the
root of the mean squared error. Last, what EM and labels of one volume take
together, of the 9 bytes a voxel that they have raw.
"""

from __future__ import annotations

import math

import fib25
import numpy as np
import pinky40

from ffn_tf import volume
from ffn_tf.volume import address, writing
from ffn_tf.volume.formats import codec, layout
from volumes import table
from volumes.workplace import CHUNK, Workplace, size_of

_QUALITIES = (40, 60, 75, 80, 90, 95)
_QUICK_EDGE = 128


def run(place: Workplace) -> dict[str, float | None]:
    table.heading("Labels on disk, uint64, against raw (8 bytes a voxel)")
    with volume.open(fib25.TRUTH) as source:
        truth = source.read().astype(np.uint64)
    labels = _labels(place, "fib25, truth", truth)
    if place.quick:
        truth = truth[:_QUICK_EDGE, :_QUICK_EDGE, :_QUICK_EDGE]
    _others(place, "fib25, truth", truth)
    of_pinky40 = _pinky40(place)
    for name, image in _images(place).items():
        together = 9 / (1 / image + 8 / labels)
        table.rate(f"fib25, EM ({name}) and labels", together, "x")
    return {"labels_ratio_fib25": labels, "labels_ratio_pinky40": of_pinky40}


def _labels(place: Workplace, name: str, voxels: np.ndarray) -> float:
    """The ratio of the defaults."""
    return _stored(place, name, voxels, "precomputed", codec.Codec())


def _others(place: Workplace, name: str, voxels: np.ndarray) -> None:
    """Ratios of other ways, printed only."""
    for scheme, wanted in (
        ("precomputed", codec.Codec(sharded="no")),
        ("zarr3", codec.Codec()),
        ("n5", codec.Codec()),
    ):
        _stored(place, name, voxels, scheme, wanted)


def _pinky40(place: Workplace) -> float | None:
    """The ratio; None where the labels are not there."""
    found = pinky40.labels()
    if found is None:
        table.remark(pinky40.MISSING)
        return None
    voxels = found.astype(np.uint64)
    if place.quick:
        voxels = voxels[: 2 * _QUICK_EDGE, : 2 * _QUICK_EDGE, : 2 * _QUICK_EDGE]
    return _labels(place, "pinky40", voxels)


def _images(place: Workplace) -> dict[str, float]:
    """Ratios by names of encodings."""
    table.heading("EM on disk (fib25, 8 bits) against raw, and PSNR")
    with volume.open(fib25.IMAGE) as source:
        voxels = source.read()
    if place.quick:
        voxels = voxels[:_QUICK_EDGE, :_QUICK_EDGE, :_QUICK_EDGE]
    ways = {
        "png": ("precomputed", codec.Codec(encoding="png")),
        "gzip": ("precomputed", codec.Codec(encoding="gzip", sharded="yes")),
        "zstd": ("zarr3", codec.Codec(sharded="no")),
    }
    for quality in _QUALITIES:
        wanted = codec.Codec(encoding="jpeg", jpeg_quality=quality)
        ways[f"jpeg {quality}"] = ("precomputed", wanted)
    return {
        name: _stored(place, "fib25, EM", voxels, *way)
        for name, way in ways.items()
    }


def _stored(
    place: Workplace,
    name: str,
    voxels: np.ndarray,
    scheme: str,
    wanted: codec.Codec,
) -> float:
    """Writes, reads back, prints; the ratio of raw to what is on disk.

    Raises:
      ValueError: voxels have changed that must not.
    """
    folder = place.folder / place.unused("stored")
    text = f"{scheme}://{folder}"
    info = volume.VolumeInfo(
        volume.Box.from_shape(voxels.shape),
        voxels.dtype,
        (10, 10, 10),
        (CHUNK,) * 3,
    )
    where = address.parse(text, creating=True)
    layout.create_chunked(where, info, {}, wanted)
    with volume.open(text, mode="r+") as target:
        target.write(info.domain, voxels)
        there = writing.stored(target).read()
    ratio = voxels.nbytes / size_of(folder)
    if wanted.encoding != "jpeg" and not np.array_equal(there, voxels):
        raise ValueError(f"{name}: {scheme}, {wanted}: voxels have changed.")
    storage = codec.chosen(wanted, scheme, info)
    decibels = _psnr(voxels, there) if wanted.encoding == "jpeg" else None
    _print(name, scheme, storage, ratio, decibels)
    return ratio


def _print(
    name: str,
    scheme: str,
    storage: codec.Storage,
    ratio: float,
    psnr: float | None,
) -> None:
    said = f"{name}: {scheme} {storage.encoding}"
    said += f" {storage.level}" if storage.level else ""
    said += ", shards" if storage.division else ""
    quality = "without loss" if psnr is None else f"{psnr:.1f} dB"
    table.rate(said, ratio, "x", quality)


def _psnr(voxels: np.ndarray, there: np.ndarray) -> float:
    """Decibels, of 8 bits."""
    difference = voxels.astype(np.float32) - there.astype(np.float32)
    error = float(np.mean(np.square(difference), dtype=np.float64))
    return 10 * math.log10(255**2 / error)
