"""The scheduler: many canvases, one engine, no threads.

Each canvas in flight has one request waiting, or a few. A round takes the
canvases that have waited longest, has their requests predicted as one batch,
and sends each its answers. A canvas sees only its own, so results do not
depend on how many are in flight or on who shares a batch.

Where the engine works on its own (`depth` > 1), the next batch is under way
while the answers of the last one are worked on, if there are canvases for it.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
import dataclasses
import itertools
import time
from typing import Any

from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import engine as engine_lib

# Between two moments at which nothing is under way, so that states can be
# saved.
_MOST_SECONDS = 1.0


@dataclasses.dataclass
class _InFlight:
    canvas: canvas_lib.Canvas
    flood: Generator[list[Any], Sequence[Any], None]
    requests: list[Any]


@dataclasses.dataclass(frozen=True)
class _Batch:
    items: list[_InFlight]
    answers: Callable[[], Iterable[Any]]


def segment(
    canvases: Iterable[canvas_lib.Canvas],
    engine: engine_lib.Engine,
    in_flight: int,
    after_round: Callable[[list[canvas_lib.Canvas]], None],
) -> Iterator[canvas_lib.Canvas]:
    """Segments `canvases`; yields each one when it is done.

    Args:
      canvases: made one by one, as room for them comes up.
      engine: predicts the batches.
      in_flight: how many canvases are held at once.
      after_round: called with the canvases in flight when no batch is under
        way: after each one, or each second if several are.
    """
    source = iter(canvases)
    waiting: collections.deque[_InFlight] = collections.deque()
    under_way: collections.deque[_Batch] = collections.deque()
    paused = time.monotonic()
    while True:
        while len(waiting) + _num_items(under_way) < in_flight:
            canvas = next(source, None)
            if canvas is None:
                break
            engine.adopt(canvas)
            flood = canvas.segment_all()
            requests = next(flood, None)
            if requests is None:
                yield canvas
            else:
                waiting.append(_InFlight(canvas, flood, requests))
            # A finished canvas must be gone before the next one is made.
            del canvas, flood, requests
        if not under_way:
            if not waiting:
                return
            under_way.append(_begun(waiting, engine))
        is_time = time.monotonic() - paused > _MOST_SECONDS
        while (
            len(under_way) < engine.depth
            and _num_requests(waiting) >= engine.batch_size
            and not is_time
        ):
            under_way.append(_begun(waiting, engine))
        yield from _answered(under_way.popleft(), waiting)
        if not under_way:
            after_round([item.canvas for item in waiting])
            paused = time.monotonic()


def _num_items(batches: Iterable[_Batch]) -> int:
    return sum(len(batch.items) for batch in batches)


def _num_requests(items: Iterable[_InFlight]) -> int:
    return sum(len(item.requests) for item in items)


def _begun(
    waiting: collections.deque[_InFlight], engine: engine_lib.Engine
) -> _Batch:
    """A batch of those that have waited longest."""
    items, room = [waiting.popleft()], engine.batch_size
    while waiting and _num_requests([*items, waiting[0]]) <= room:
        items.append(waiting.popleft())
    requests = [request for item in items for request in item.requests]
    return _Batch(items, engine.submit(requests))


def _answered(
    batch: _Batch, waiting: collections.deque[_InFlight]
) -> Iterator[canvas_lib.Canvas]:
    """Sends a batch its answers; yields the canvases that it finishes."""
    answers = iter(batch.answers())
    for item in batch.items:
        try:
            item.requests = item.flood.send(
                list(itertools.islice(answers, len(item.requests)))
            )
        except StopIteration:
            yield item.canvas
        else:
            waiting.append(item)
