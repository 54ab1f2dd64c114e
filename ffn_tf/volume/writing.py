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
each of them whole, and who reads at that moment sees the same. Repeat the
block: it gives the same again. (TensorStore's database format, OCDBT, does
change many chunks at one moment; we do not write it, because viewers and
other libraries cannot read it.) HDF5 and .npy files are written at once, as if
there were no `together`; HDF5 files have one writer, by their lock.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import copy
from typing import Any

import tensorstore as ts

from ffn_tf.volume import place
from ffn_tf.volume.box import Triple, triple
from ffn_tf.volume.store import Volume


def _view(target: Volume) -> ts.TensorStore | None:
    """The store [z, y, x] behind a volume of chunks."""
    view: Any = getattr(target._source, "_view", None)
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


@contextlib.contextmanager
def together(target: Volume) -> Iterator[Volume]:
    """A volume whose writes reach `target` at the end of the block.

    Until then they are in memory, not compressed, all of them; reads of the
    new volume see them, others do not. An exception drops them.

    Raises:
      OSError: at the end: they could not be written, or not all of them.
    """
    view = _view(target)
    if view is None:
        yield target
        return
    transaction = ts.Transaction()
    source = copy.copy(target._source)
    source._view = view.with_transaction(transaction)  # type: ignore[attr-defined]
    try:
        yield Volume(source, target.address, writable=target._writable)
    except BaseException:
        transaction.abort()
        raise
    try:
        transaction.commit_sync()
    except (ValueError, OSError) as error:
        raise OSError(
            f"{target.address}: cannot be written: {place.short(error)}."
        ) from error
