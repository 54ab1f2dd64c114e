"""Slabs: some sections of a volume, whole, each chunk of it read once.

    source                     slab
    sections of a stack,  ---> [z, y, x], thick as asked and as wide as the
    chunks of any size         volume; from 1 GiB on in a temporary file

For what must see whole sections, and for sources that are kept in them: to cut
64 of them into boxes would decode each of them once for every box. A file
without a name (in TMPDIR) holds what memory need not; it is gone when the slab
is, and also when the process is killed.
"""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
import math
import os
import tempfile

import numpy as np

from ffn_tf.volume import grid, store
from ffn_tf.volume.box import Box, Triple, triple
from ffn_tf.volume.source import VolumeInfo
from ffn_tf.volume.store import Volume
from ffn_tf.volume.streams import stream

_IN_MEMORY = 2**30
_IN_FLIGHT = 2**29  # Bytes of boxes that are read ahead.
_READ = 2**24  # Bytes of a box that is read at a time.
# Bytes for each voxel of what a function makes on the way, about.
_OF_FUNCTION = 40


def grown(
    unit: Triple, info: VolumeInfo, limit: int, *, flat: bool = False
) -> Triple:
    """Whole units of at most `limit` bytes, about a cube in nanometres.

    Args:
      unit: zyx; the result is larger than the limit only if this is.
      info: what is cut.
      flat: along z only where the sections are spanned.
    """
    size, extents = list(unit), info.domain.size
    while math.prod(size) * info.dtype.itemsize * 2 <= limit:
        can = [axis for axis in (0, 1, 2) if size[axis] < extents[axis]]
        if flat and can != [0]:
            can = [axis for axis in can if axis]
        if not can:
            break
        axis = min(can, key=lambda a: size[a] * info.voxel_size_nm[a])
        size[axis] *= 2
    return triple(size)


def streamed(
    source: stream.Readable,
    target: stream.Writable,
    boxes: Iterable[Box],
    size: int,
    function: stream.Function | None = None,
) -> None:
    """stream.copy of boxes that take `size` bytes, in bounded memory."""
    in_flight = max(2, min(8, _IN_FLIGHT // max(1, size)))
    stream.copy(
        source,
        target,
        boxes,
        function,
        in_flight=in_flight,
        workers=min(in_flight, os.cpu_count() or 1),
        ordered=False,
    )


def read(
    source: Volume,
    slab: Box,
    dtype: np.dtype | None = None,
    function: stream.Function | None = None,
) -> Volume:
    """The voxels of a slab.

    Args:
      source: has them.
      slab: inside its domain.
      dtype: of what the function makes.
      function: (box of a section, voxels [1, y, x]) -> (the same box, others).

    Raises:
      StreamError: of a section (outcome.py).
      OSError: no room for a temporary file.
    """
    chunk = source.info.chunk_zyx
    part = dataclasses.replace(source.info, domain=slab)
    size = grown(chunk, part, _READ)
    tiles = grid.aligned(slab, chunk, source.domain.start, size)
    found = _room(slab, source.dtype, chunk)
    streamed(source, found, tiles, math.prod(size) * source.dtype.itemsize)
    if function is None:
        return found
    section = (1, *slab.size[1:])
    made = _room(slab, dtype or source.dtype, section)
    sections = grid.tile(slab, section)
    cost = math.prod(section) * _OF_FUNCTION
    streamed(found, made, sections, cost, function)
    return made


def _room(box: Box, dtype: np.dtype, chunk_zyx: Triple) -> Volume:
    """A volume in memory or, if it is large, in a file."""
    size = box.num_voxels * dtype.itemsize
    if size <= _IN_MEMORY:
        array = np.empty(box.size, dtype)
    else:
        with tempfile.TemporaryFile() as file:
            # A full disk is an error here, not a crash at some voxel.
            os.posix_fallocate(file.fileno(), 0, size)
            array = np.memmap(file, dtype, "r+", shape=box.size)
    found = store.from_array(array, start=box.start)
    return found.described(chunk_zyx=chunk_zyx)
