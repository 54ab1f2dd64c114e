"""Writing into volumes of chunks: in which units, and many boxes at once.

The unit of writing is a chunk or, where chunks share a file, a shard. A write
of part of a unit reads the unit, changes it, and writes it whole, on the
condition that nobody else has changed it meanwhile; if somebody has, all is
done again. So processes may write into one chunk or shard at the same time,
on disks, in gs:// and in s3://: voxels that one of them wrote are never lost.
It costs time, though (a box of 64^3 in a shard of 512^3 some hundred times
what it costs in whole shards), and jpeg loses something each time.

`together` collects boxes and writes each unit once:

    with writing.together(labels) as filling:
        for box in boxes_of_a_shard:
            filling.write(box, voxels)

What it does not do: make several units change at one moment. Disks and
buckets replace one file at a time. Who is killed inside the block has written
nothing, but who is killed at its end has written some units and not others,
each of them whole (but for chunks of zeros in shards of precomputed, which
follow, and are missing until then), and who reads at that moment sees the same.
Repeat the block: it gives the same again. (TensorStore's database format,
OCDBT, does change many chunks at one moment; we do not write it, because
viewers and other libraries cannot read it.) HDF5 and .npy files are written at
once, as if there were no `together`; HDF5 files have one writer, by their lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
from typing import Any

import numpy as np
import tensorstore as ts

from ffn_tf.volume import place
from ffn_tf.volume.box import Box, Triple, triple
from ffn_tf.volume.formats import zeros
from ffn_tf.volume.store import Volume


def _view(target: Volume) -> ts.TensorStore | None:
    """The store [z, y, x] behind a volume of chunks."""
    view: Any = getattr(target.source, "view", None)
    return view if isinstance(view, ts.TensorStore) else None


def unit(target: Volume) -> Triple:
    """What is written at a time: a shard or a chunk, zyx."""
    view = _view(target)
    shape = view.chunk_layout.write_chunk.shape if view is not None else None
    return triple(n or 1 for n in shape) if shape else target.info.chunk_zyx


def loses(target: Volume) -> bool:
    """Whether voxels change when they are stored (jpeg)."""
    view = _view(target)
    codec = view.codec if view is not None else None
    return codec is not None and codec.to_json().get("encoding") == "jpeg"


def stored(target: Volume) -> Volume:
    """The volume as the storage has it, without what this process keeps.

    What this process wrote as jpeg it would otherwise read from its cache, as
    it was before it was stored, if it is still there.
    """
    view = _view(target)
    if view is None:
        return target
    anew = ts.open(view.spec(), read=True, context=ts.Context()).result()
    source: Any = target.source
    source = source.with_view(anew, zeros=zeros.of(anew))
    return Volume(source, target.address, writable=False, info=target.info)


class _Collecting:
    """A source that takes boxes, and does not tell what it has."""

    def __init__(
        self, source: Any, where: str, held: zeros.Zeros | None
    ) -> None:
        self.info = source.info
        self.attributes = source.attributes
        self.blank: list[Box] = []  # Chunks that were made of zeros.
        self._source = source
        self._where = where
        self._held = held

    def write(self, box: Box, array: np.ndarray) -> None:
        self._source.write(box, array)
        if self._held is not None:
            self.blank = [
                part for part in self.blank if part.clipped(box).is_empty
            ]
            self.blank += self._held.blank(box, array)

    def read(self, box: Box) -> np.ndarray:
        raise ValueError(
            f"{self._where}: is written together, and can be read when that "
            f"has ended; found a read of {box} before."
        )

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        return [self.read(box) for box in boxes]

    def close(self) -> None:
        pass


@contextlib.contextmanager
def together(target: Volume) -> Iterator[Volume]:
    """A volume whose writes reach `target` at the end of the block.

    Until then they are in memory, not compressed, all of them. An exception
    drops them. The volume can be written, not read.

    Raises:
      OSError: at the end: they could not be written, or not all of them.
    """
    view = _view(target)
    if view is None:
        yield target
        return
    transaction = ts.Transaction()
    source: Any = target.source
    inside = source.with_view(view.with_transaction(transaction))
    held = zeros.of(view)
    collecting = _Collecting(inside, target.address, held)
    try:
        yield Volume(collecting, target.address, writable=target._writable)
    except BaseException:
        transaction.abort()
        raise
    try:
        transaction.commit_sync()
        for part in collecting.blank:
            assert held is not None
            held.store(part, np.zeros(part.size, target.dtype))
    except (ValueError, OSError) as error:
        raise OSError(
            f"{target.address}: cannot be written: {place.short(error)}."
        ) from error
