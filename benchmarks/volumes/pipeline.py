"""Bar 2: tf.data pipelines over Python, cutouts of 49^3 in batches of 64.

    batched        positions -> batch -> one call: read_many -> stack
    one per call   positions -> one call each: read -> batch

Both with parallel calls as tf.data chooses them, and prefetched; the second
also with as many threads as would suit it, which tf.data does not choose.
A call is a tf.py_function (a tf.numpy_function would spare 15 us of each).
The last is a plain numpy gather out of memory, without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import Any

import numpy as np

from ffn_tf import volume
from ffn_tf.program import quiet
from volumes import remote, table, turns
from volumes.workplace import Workplace

_EDGE, _BATCH = 49, 64
_CACHED_EDGE = 256
_BATCHED, _SINGLE = "one call a batch", "one call a cutout"
_THREADED = "one call a cutout, 64 threads"
_GATHER = "numpy gather out of memory"

# Of an open volume and positions: a tf.data.Dataset of batches.
_Pipeline = Callable[[volume.Volume, np.ndarray], Any]


def run(place: Workplace) -> dict[str, float | None]:
    quiet.import_tensorflow()
    place.server.set(latency_ms=remote.LATENCY_MS)
    try:
        slow = _case(
            place,
            "over HTTP, 20 ms per request, nothing cached",
            lambda: f"precomputed://{place.url(place.anew(place.em))}",
            place.pick(8, 2),
            place.pick(2, 1),
        )
    finally:
        place.server.reset()
    local = _case(
        place,
        "from local files, nothing cached",
        lambda: f"precomputed://{place.folder / place.anew(place.em)}",
        place.pick(12, 3),
        place.pick(12, 3),
    )
    return {
        "tfdata_http_speedup": slow[_BATCHED].rate / slow[_SINGLE].rate,
        "tfdata_local_speedup": local[_BATCHED].rate / local[_SINGLE].rate,
        "tfdata_cached_share": _cached(place),
    }


def batched(opened: volume.Volume, starts: np.ndarray) -> Any:
    """A batch is one call."""
    import tensorflow as tf

    def read(batch: Any) -> np.ndarray:
        starts = batch.numpy().tolist()
        boxes = [volume.Box.from_size(s, _EDGE) for s in starts]
        return np.stack(opened.read_many(boxes))

    return (
        tf.data.Dataset.from_tensor_slices(starts)
        .batch(_BATCH)
        .map(
            lambda batch: tf.py_function(read, [batch], tf.uint8),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .prefetch(tf.data.AUTOTUNE)
    )


def single(
    opened: volume.Volume, starts: np.ndarray, threads: int | None = None
) -> Any:
    """A cutout is one call; `threads` are tf.data's own, if given."""
    import tensorflow as tf

    def read(start: Any) -> np.ndarray:
        box = volume.Box.from_size(start.numpy().tolist(), _EDGE)
        return opened.read(box)

    found = (
        tf.data.Dataset.from_tensor_slices(starts)
        .map(
            lambda start: tf.py_function(read, [start], tf.uint8),
            num_parallel_calls=threads or tf.data.AUTOTUNE,
        )
        .batch(_BATCH)
        .prefetch(tf.data.AUTOTUNE)
    )
    options = tf.data.Options()
    if threads:
        options.threading.private_threadpool_size = threads
    return found.with_options(options)


def _consumed(dataset: Any) -> turns.Work:
    def work() -> int:
        return sum(int(batch.shape[0]) for batch in dataset)

    return work


def _starts(place: Workplace, batches: int, within: int) -> np.ndarray:
    boxes = place.boxes(_EDGE, batches * _BATCH, within)
    return np.array([box.start for box in boxes], np.int64)


def _case(
    place: Workplace,
    name: str,
    address: Callable[[], str],
    batches: int,
    batches_of_single: int,
) -> dict[str, turns.Times]:
    table.heading(f"tf.data, cutouts of {_EDGE}^3 {name}")
    ways: dict[str, tuple[_Pipeline, int]] = {
        _BATCHED: (batched, batches),
        _SINGLE: (single, batches_of_single),
    }
    if not place.quick:
        ways[_THREADED] = (functools.partial(single, threads=64), batches)

    def prepare(way: _Pipeline, count: int) -> turns.Work:
        starts = _starts(place, count, place.edge)
        return _consumed(way(volume.open(address()), starts))

    return _shown(
        {
            side: turns.Side(
                functools.partial(prepare, way, count), count * _BATCH
            )
            for side, (way, count) in ways.items()
        },
        place,
    )


def _cached(place: Workplace) -> float:
    """The share of a numpy gather that batches reach."""
    table.heading(f"tf.data, cutouts of {_EDGE}^3, all cached")
    batches = place.pick(128, 64)  # To start an iterator takes a while.
    starts = _starts(place, batches, _CACHED_EDGE)
    opened = volume.open(f"precomputed://{place.folder / place.anew(place.em)}")
    region = volume.Box.from_shape((_CACHED_EDGE,) * 3)
    opened.read(region)
    voxels = np.ascontiguousarray(place.voxels[region.slices])

    parts = [volume.Box.from_size(s, _EDGE).slices for s in starts.tolist()]

    def gather() -> None:
        for at in range(0, len(parts), _BATCH):
            np.stack([voxels[part] for part in parts[at : at + _BATCH]])

    count = batches * _BATCH
    times = _shown(
        {
            _BATCHED: turns.Side(
                lambda: _consumed(batched(opened, starts)), count
            ),
            _SINGLE: turns.Side(
                lambda: _consumed(single(opened, starts)), count
            ),
            _GATHER: turns.Side(lambda: gather, count),
        },
        place,
    )
    return times[_BATCHED].rate / times[_GATHER].rate


def _shown(
    sides: dict[str, turns.Side], place: Workplace
) -> dict[str, turns.Times]:
    times = turns.taken(sides, place.pick(5, 3))
    mine = times[_BATCHED].rate
    for name, side in times.items():
        note = f"{mine / side.rate:.2g}x" if name != _BATCHED else ""
        table.times(name, side, "cutouts/s", note)
    return times
