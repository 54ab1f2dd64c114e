"""The scheduler: many canvases, one engine, no threads.

Each canvas in flight has one request waiting. A round takes the canvases that
have waited longest, predicts their requests as one batch, and sends each its
logits. A canvas sees only its own logits, so results do not depend on how
many are in flight or on who shares a batch.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Generator, Iterable, Iterator
import dataclasses

import numpy as np

from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import field


@dataclasses.dataclass
class _InFlight:
    canvas: canvas_lib.Canvas
    flood: Generator[field.Request, np.ndarray, None]
    request: field.Request


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
      after_round: called with the canvases in flight after each batch.
    """
    source = iter(canvases)
    waiting: collections.deque[_InFlight] = collections.deque()
    while True:
        while len(waiting) < in_flight:
            canvas = next(source, None)
            if canvas is None:
                break
            flood = canvas.segment_all()
            request = next(flood, None)
            if request is None:
                yield canvas
            else:
                waiting.append(_InFlight(canvas, flood, request))
            # A finished canvas must be gone before the next one is made.
            del canvas, flood, request
        if not waiting:
            return
        yield from _round(waiting, engine)
        after_round([item.canvas for item in waiting])


def _round(
    waiting: collections.deque[_InFlight], engine: engine_lib.Engine
) -> Iterator[canvas_lib.Canvas]:
    """Answers one batch; yields the canvases that it finishes."""
    size = min(engine.batch_size, len(waiting))
    batch = [waiting.popleft() for _ in range(size)]
    logits = engine.predict(
        [item.request.image for item in batch],
        [item.request.seed for item in batch],
    )
    for item, answer in zip(batch, logits):
        try:
            item.request = item.flood.send(answer)
        except StopIteration:
            yield item.canvas
        else:
            waiting.append(item)
