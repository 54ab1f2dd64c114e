"""Scales: the same volume in coarser and coarser voxels.

Each scale is made of the one before it. A step doubles the voxel along the
axes on which it is short, until it is about a cube, then along all:

    33 x 8 x 8  ->  33 x 16 x 16  ->  33 x 32 x 32  ->  66 x 64 x 64  nm

and ends with the scale that fits in one chunk. An axis of one voxel stays.

Cells of voxels are counted from voxel 0, not from the first that there is, so
that scales lie exactly over each other wherever a volume begins:

    scale 0, domain 3..8       . . . 3 4 5 6 7 . .
    cells of 2                [ 0 | 1 | 2 | 3 | 4 ]
    scale 1, domain 1..4           1   2   3

A cell that reaches out of the domain, as 1 does here, is made of the voxels
that exist:

    images         their mean, rounded, halves to the even number
    segmentations  the most frequent of them; of several, the smallest that is
                   not 0, so that thin objects do not dissolve; booleans too

Laws (tests/volume/formats/test_scales.py):
    a volume made coarser in parts, of whole cells, is the volume made coarser
    the coarser box of a box is the box of the cells that it touches
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
import tensorstore as ts

from ffn_tf.volume import grid, place
from ffn_tf.volume.box import Box, Triple, triple
from ffn_tf.volume.source import VolumeInfo

# Voxels of the finer scale that are worked on at a time.
_AT_ONCE = 2**24
_ONE = (1, 1, 1)


def plan(
    info: VolumeInfo, num_scales: int | None = None
) -> tuple[VolumeInfo, ...]:
    """The scales of a volume, the finest first.

    Args:
      info: the finest.
      num_scales: how many there shall be, if there are voxels to halve; by
        default, until one fits in a chunk.

    Raises:
      ValueError: num_scales below 1.
    """
    if num_scales is not None and num_scales < 1:
        raise ValueError(
            f"num_scales: expected at least 1, the volume itself, found "
            f"{num_scales}."
        )
    scales = [info]
    while len(scales) != num_scales:
        last = scales[-1]
        fits = all(n <= c for n, c in zip(last.domain.size, last.chunk_zyx))
        if (num_scales is None and fits) or last.domain.num_voxels == 1:
            break
        following = _next(last)
        if following.domain == last.domain:  # A voxel on each side of 0.
            break
        scales.append(following)
    return tuple(scales)


def _next(info: VolumeInfo) -> VolumeInfo:
    extents = info.domain.size
    shortest = min(v for v, n in zip(info.voxel_size_nm, extents) if n > 1)
    by = triple(
        2 if n > 1 and v <= math.sqrt(2) * shortest else 1
        for v, n in zip(info.voxel_size_nm, extents)
    )
    z, y, x = (v * f for v, f in zip(info.voxel_size_nm, by))
    return dataclasses.replace(
        info, domain=info.domain.scaled(_ONE, by), voxel_size_nm=(z, y, x)
    )


def factors(fine: VolumeInfo, coarse: VolumeInfo) -> Triple:
    """How many voxels of `fine` make one of `coarse`, zyx.

    Raises:
      ValueError: not a whole number, or domains that do not go together.
    """
    ratios = [c / f for f, c in zip(fine.voxel_size_nm, coarse.voxel_size_nm)]
    by = triple(max(1, round(ratio)) for ratio in ratios)
    expected = fine.domain.scaled(_ONE, by)
    if not np.allclose(ratios, by, rtol=1e-3) or expected != coarse.domain:
        raise ValueError(
            f"a scale of {coarse.voxel_size_nm} nm, {coarse.domain}, is not "
            f"made of whole cells of the one of {fine.voxel_size_nm} nm, "
            f"{fine.domain}."
        )
    return by


def is_whole(box: Box, by: Triple, domain: Box) -> bool:
    """Whether all cells that `box` touches have their voxels in it.

    Voxels of the cells that are not in `domain` do not exist.
    """
    return box.scaled(_ONE, by).scaled(by, _ONE).clipped(domain) == box


def coarser(
    voxels: np.ndarray, box: Box, by: Triple, info: VolumeInfo
) -> tuple[np.ndarray, Box]:
    """Voxels of a box of whole cells, and the box, at the next scale.

    Args:
      voxels: [z, y, x] of `box`.
      box: where they are in the finer scale.
      by: voxels in a cell, zyx.
      info: of the volume; its kind and dtype decide how.
    """
    there = box.scaled(_ONE, by)
    result = np.empty(there.size, voxels.dtype)
    thick = max(1, _AT_ONCE // (by[0] * voxels.shape[1] * voxels.shape[2]))
    for slab in grid.tile(there, (thick, *there.size[1:])):
        part = slab.scaled(by, _ONE).clipped(box)
        found = _reduced(
            voxels[part.relative_to(box.start).slices], part.start, by, info
        )
        result[slab.relative_to(there.start).slices] = found
    return result, there


def _reduced(
    voxels: np.ndarray, start: Triple, by: Triple, info: VolumeInfo
) -> np.ndarray:
    if info.kind == "image" and voxels.dtype.kind != "b":
        return _downsampled(voxels, start, by, "mean")
    if voxels.dtype.kind == "f":
        return _downsampled(voxels, start, by, "mode")
    # TensorStore's mode is the smallest of several. One less, 0 is the largest.
    unsigned = voxels.view(f"u{voxels.dtype.itemsize}")
    found = _downsampled(unsigned - unsigned.dtype.type(1), start, by, "mode")
    return (found + unsigned.dtype.type(1)).view(voxels.dtype)


def _downsampled(
    voxels: np.ndarray,
    start: Triple,
    by: Triple,
    method: Literal["mean", "mode"],
) -> np.ndarray:
    array = ts.array(voxels, context=place.context())
    array = array[ts.d[:].translate_to[start]]
    return ts.downsample(array, by, method).read().result()
