"""Tilings: a box cut into smaller boxes.

    domain   [---------------------)
    size     [------)[------)[-----)     overlap 0: each voxel exactly once
             [------)
                  [------)
                       [------)
                            [--)         overlap 2: neighbours share 2 voxels

Tiles start at the domain's first voxel, step by `size - overlap`, and are
clipped at its end. Order: z slowest, x fastest.

Laws (tests/volume/test_grid.py):
    without overlap every voxel of the domain is in exactly one tile;
    with overlap every voxel is in at least one, and two neighbours along an
    axis share exactly `overlap` planes there, except that the last may be
    clipped; no tile lies wholly inside its neighbour;
    aligned(...) tiles end on chunk borders, except at the domain's faces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
import itertools
import math

import numpy as np

from ffn_tf.volume.box import Box, Triple, triple


def _starts(length: int, size: int, overlap: int) -> range:
    """Offsets of the tiles along an axis of `length` voxels."""
    if length == 0:
        return range(0)
    step = size - overlap
    # A tile that begins in the last `overlap` voxels would add nothing.
    return range(0, max(length - overlap, 1), step)


def _checked(
    size: int | Iterable[int], overlap: int | Iterable[int]
) -> tuple[Triple, Triple]:
    extent, shared = triple(size, "size"), triple(overlap, "overlap")
    if min(extent) < 1 or min(shared) < 0:
        raise ValueError(
            f"Tiles need a size of at least 1 and an overlap of at least 0: "
            f"found size_zyx {extent}, overlap_zyx {shared}."
        )
    if any(o >= s for s, o in zip(extent, shared)):
        raise ValueError(
            f"Tiles must be larger than their overlap on every axis: found "
            f"size_zyx {extent}, overlap_zyx {shared}."
        )
    return extent, shared


def tile(
    domain: Box,
    size: int | Iterable[int],
    *,
    overlap: int | Iterable[int] = (0, 0, 0),
) -> Iterator[Box]:
    """Tiles of `size` (zyx) that cover `domain`, clipped to it.

    Raises:
      ValueError: a size below 1, or an overlap that is not below the size.
    """
    extent, shared = _checked(size, overlap)
    axes = [_starts(n, s, o) for n, s, o in zip(domain.size, extent, shared)]
    for corner in itertools.product(*axes):
        start = [d + c for d, c in zip(domain.start, corner)]
        yield Box.from_size(start, extent).clipped(domain)


def intervals(
    domain: Box,
    size: int | Iterable[int],
    *,
    overlap: int | Iterable[int] = (0, 0, 0),
) -> list[list[tuple[int, int]]]:
    """First voxel and end along each axis, whose products are the tiles."""
    extent, shared = _checked(size, overlap)
    return [
        [(d + c, d + min(c + s, n)) for c in _starts(n, s, o)]
        for d, n, s, o in zip(domain.start, domain.size, extent, shared)
    ]


def count(
    domain: Box,
    size: int | Iterable[int],
    *,
    overlap: int | Iterable[int] = (0, 0, 0),
) -> int:
    """How many boxes `tile` yields."""
    extent, shared = _checked(size, overlap)
    return math.prod(
        len(_starts(n, s, o)) for n, s, o in zip(domain.size, extent, shared)
    )


def any_within(
    values: np.ndarray, axis: int, first: np.ndarray, last: np.ndarray
) -> np.ndarray:
    """Whether any of values[first[i] .. last[i]] along an axis is true.

    Args:
      values: [z, y, x] bool.
      axis: along which `first` and `last` [n] count; what is beyond is false.

    Returns:
      bool, n along that axis.
    """
    length = values.shape[axis]
    counts = np.cumsum(values, axis=axis, dtype=np.int32)
    nothing = np.zeros_like(counts.take([0], axis))
    counts = np.concatenate([nothing, counts], axis)
    low = np.clip(first, 0, length)
    high = np.clip(last + 1, low, length)
    found: np.ndarray = counts.take(high, axis) != counts.take(low, axis)
    return found


def aligned(
    domain: Box,
    chunk: int | Iterable[int],
    origin: Sequence[int],
    at_least: int | Iterable[int],
) -> Iterator[Box]:
    """Tiles of whole chunks, so that no two of them write one chunk.

    Args:
      domain: what to cover.
      chunk: chunk size of the storage, zyx.
      origin: a corner of its chunk grid, zyx (a volume's first voxel).
      at_least: smallest tile size, zyx; rounded up to whole chunks.
    """
    step = triple(chunk, "chunk")
    size = triple(
        -(-n // c) * c for n, c in zip(triple(at_least, "at_least"), step)
    )
    for box in tile(domain.aligned(step, origin), size):
        clipped = box.clipped(domain)
        if not clipped.is_empty:
            yield clipped
