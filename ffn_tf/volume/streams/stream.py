"""Streams: read -> process -> write, in bounded memory.

    items = stream.read(em, boxes)
    items = stream.process(items, sharpened)
    written = await stream.write(target, items)

    written = stream.copy(em, target, boxes, sharpened)    # the same, in one

A stream is an asynchronous iterator of items (box, voxels [z, y, x]). A step
takes an item from the step before it when it has room, so the slowest step
sets the pace, and the voxels in memory are bounded whatever the volumes' size:

    boxes ---> read ---------> process -------> write
               in_flight       2 x workers      in_flight     arrays at most
               arrays          (in and out)     arrays

`boxes` may be an asynchronous iterator too, of boxes that come to be while the
stream runs (live.py). The work is done by threads, `read` and `write` in those
of TensorStore besides: Python code of `process` runs one thread at a time,
numpy's loops over large arrays and compiled libraries run at once. A coroutine
function is awaited instead.

Failures. The first one ends the stream: a `StreamError` that says which step
failed at which box, and that is a ValueError, OSError or NotImplementedError
where its cause is. With it, with a cancellation, with KeyboardInterrupt, or
when the consumer closes the stream, every step stops: nothing more is begun,
and what has begun (a box per thread) is waited for. Written boxes remain
written; `StreamError.statistics` counts them.

A consumer that leaves an `async for` early closes the stream behind it with
`contextlib.aclosing`; without it, the stream closes itself a little later.

Laws (tests/volume/streams/test_stream.py):
    in order, a stream gives what a loop gives: the same items, and, written,
    the same voxels, even if boxes overlap;
    out of order, the same items in some order.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
)
import contextlib
import functools
import inspect
import os
import threading
import time
from typing import Any, Protocol

import numpy as np

from ffn_tf.volume.box import Box
from ffn_tf.volume.source import VolumeInfo
from ffn_tf.volume.streams import outcome, tasks

Item = tuple[Box, np.ndarray]
Function = Callable[[Box, np.ndarray], Item | Awaitable[Item]]


class Readable(Protocol):
    """A volume, or something else that has voxels."""

    def read(self, box: Box) -> np.ndarray: ...


class Writable(Protocol):
    """A volume that is open for writing."""

    @property
    def info(self) -> VolumeInfo: ...

    def write(self, box: Box, array: np.ndarray) -> None: ...


Progress = Callable[[outcome.Statistics], None]


# -----------------------------------------------------------------------------
# The steps
# -----------------------------------------------------------------------------


def read(
    volume: Readable,
    boxes: tasks.AnyIterable[Box],
    *,
    in_flight: int = 8,
    ordered: bool = True,
) -> AsyncGenerator[Item, None]:
    """(1) The voxels of boxes.

    Args:
      volume: what to read.
      boxes: inside its domain; taken one by one, when there is room.
      in_flight: boxes that are being read, or wait to be consumed. Over a
        latency, as many as the server takes requests.
      ordered: keep the order of the boxes, or give each as soon as it is read.
    """

    def voxels_of(box: Box) -> Item:
        with outcome.naming("read", box):
            return box, volume.read(box)

    return tasks.mapped(boxes, voxels_of, limit=in_flight, ordered=ordered)


def process(
    items: tasks.AnyIterable[Item],
    function: Function,
    *,
    workers: int | None = None,
    ordered: bool = True,
) -> AsyncGenerator[Item, None]:
    """(2) Each item made into another.

    Args:
      items: taken one by one, when there is room.
      function: takes a box and its voxels, and returns a box and its voxels:
        the same box, or another one, such as the inner part that a filter
        with a margin gives. Called in threads; awaited if a coroutine function.
      workers: items that are worked on, or wait to be consumed; by default
        one for each processor.
      ordered: keep the order of the items, or give each as soon as it is made.
    """
    of_item = (
        functools.partial(_awaited, function)
        if inspect.iscoroutinefunction(function)
        else functools.partial(_called, function)
    )
    limit = (os.cpu_count() or 1) if workers is None else workers
    return tasks.mapped(items, of_item, limit=limit, ordered=ordered)


def _called(function: Callable[..., Any], item: Item) -> Item:
    with outcome.naming("process", item[0]):
        return _checked(function(*item))


async def _awaited(function: Callable[..., Any], item: Item) -> Item:
    with outcome.naming("process", item[0]):
        return _checked(await function(*item))


def _checked(item: Any) -> Item:
    match item:
        case (Box(), np.ndarray()):
            return item
    raise TypeError(
        f"the function returns a pair (box, voxels), found "
        f"{type(item).__name__}."
    )


async def write(
    volume: Writable,
    items: tasks.AnyIterable[Item],
    *,
    in_flight: int = 4,
    progress: Progress | None = None,
) -> outcome.Statistics:
    """(3) Writes each item.

    Two writes that touch one chunk are never under way at once, and follow
    each other in the order of the items; so do all that overlap. So cut boxes
    along chunks (grid.aligned), and where chunks share a shard along shards
    (writing.unit): others are as safe, but wait for each other. Chunks are
    counted from the volume's first voxel. In a volume that is cropped inside
    of chunks they are others, and writes that share one are safe, but slow.

    Args:
      volume: opened for writing; every box is inside its domain.
      items: taken one by one, when there is room.
      in_flight: items that are being written, or wait for a chunk.
      progress: called after each box, in the thread of the event loop.
    """
    tally = _Tally()
    chunks = _Chunks(volume.info)

    def store(box: Box, voxels: np.ndarray) -> None:
        with outcome.naming("write", box):
            volume.write(box, voxels)
        tally.add(voxels)

    async def stored(item: Item) -> None:
        async with chunks.alone(item[0]):
            await threads.call(store, *item)

    with tasks.Threads(in_flight) as threads:
        written = tasks.mapped(items, stored, limit=in_flight, ordered=False)
        try:
            async with contextlib.aclosing(written):
                async for _ in written:
                    if progress is not None:
                        progress(tally.statistics())
        except outcome.StreamError as error:
            error.statistics = tally.statistics()
            raise
    return tally.statistics()


class _Tally:
    """Counts in threads, so that what ends after a failure counts too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begin = time.monotonic()
        self._boxes = self._bytes = 0

    def add(self, voxels: np.ndarray) -> None:
        with self._lock:
            self._boxes += 1
            self._bytes += voxels.nbytes

    def statistics(self) -> outcome.Statistics:
        seconds = time.monotonic() - self._begin
        with self._lock:
            return outcome.Statistics(self._boxes, self._bytes, seconds)


class _Chunks:
    """Who writes which chunks, and who waits for them."""

    def __init__(self, info: VolumeInfo) -> None:
        self._info = info
        self._writes: list[tuple[Box, asyncio.Event]] = []

    @contextlib.asynccontextmanager
    async def alone(self, box: Box) -> AsyncIterator[None]:
        """Begins when no earlier box that shares a chunk is being written."""
        mine = box.aligned(self._info.chunk_zyx, self._info.domain.start)
        before = [
            ended
            for other, ended in self._writes
            if not mine.intersected(other).is_empty
        ]
        entry = (mine, asyncio.Event())
        self._writes.append(entry)
        for ended in before:
            await ended.wait()
        yield
        # Not after a failure: the stream ends, and who waits is cancelled.
        self._writes.remove(entry)
        entry[1].set()


# -----------------------------------------------------------------------------
# For programs, which do not await
# -----------------------------------------------------------------------------


def copy(
    source: Readable,
    target: Writable,
    boxes: tasks.AnyIterable[Box],
    function: Function | None = None,
    *,
    in_flight: int = 8,
    workers: int | None = None,
    ordered: bool = True,
    progress: Progress | None = None,
) -> outcome.Statistics:
    """Reads boxes of a volume, applies a function, writes another volume.

    Args:
      source: what to read.
      target: opened for writing; holds the dtype that is read or made.
      boxes: inside the domains of both.
      function: see `process`.
      in_flight: boxes to read ahead; half as many are written at a time.
      workers: see `process`.
      ordered: write in the order of the boxes; matters where they overlap.
      progress: called after each box that has been written.
    """
    items = read(source, boxes, in_flight=in_flight, ordered=ordered)
    if function is not None:
        items = process(items, function, workers=workers, ordered=ordered)
    writes = max(1, in_flight // 2)
    return tasks.run(write(target, items, in_flight=writes, progress=progress))
