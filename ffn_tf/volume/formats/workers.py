"""Boxes that are read by threads, until time is up.

For libraries that keep no deadline. What is late when time is up is left to
its thread, which ends when its library gives up: nobody sees what it reads,
and it does not keep the process from ending.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from concurrent import futures
import threading

import numpy as np

from ffn_tf.volume import failures
from ffn_tf.volume.box import Box

_THREADS = 8
_Read = Callable[[Box], np.ndarray]
_Work = collections.deque[tuple[Box, futures.Future[np.ndarray]]]


def read_many(
    where: str, read: _Read, boxes: Sequence[Box], seconds: float | None
) -> list[np.ndarray]:
    """What `read` makes of each box, a few of them at a time.

    Raises:
      ReadError, ReadsFailed: as failures.voxels.
    """
    pending: list[futures.Future[np.ndarray]] = [
        futures.Future() for _ in boxes
    ]
    work: _Work = collections.deque(zip(boxes, pending))
    deadline = failures.Deadline(seconds)
    for _ in range(min(_THREADS, len(boxes))):
        threading.Thread(target=_do, args=(read, work), daemon=True).start()
    try:
        found = failures.settled(where, boxes, pending, deadline)
    finally:
        work.clear()
    return failures.voxels(where, found)


def _do(read: _Read, work: _Work) -> None:
    while work:
        try:
            box, future = work.popleft()
        except IndexError:  # Another thread was faster.
            return
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(read(box))
        except BaseException as error:  # noqa: BLE001 - told to who waits.
            future.set_exception(error)
