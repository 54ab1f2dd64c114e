"""Ahead: what is made of the next things, while the first is in use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
import time
from typing import Generic, TypeVar

Thing = TypeVar("Thing")
Made = TypeVar("Made")


class Ahead(Generic[Thing, Made]):
    """Makes things in a thread, one after the other, and gives them in order.

    Memory is bounded: of what is made there are three at most, one in use, one
    that waits, and one that is being made.

    Args:
      make: what is made of a thing.
      things: of these.

    Attributes:
      waited: seconds in which there was none yet.
    """

    def __init__(
        self, make: Callable[[Thing], Made], things: Iterable[Thing]
    ) -> None:
        self._make, self._things = make, things
        self.waited = 0.0

    def __iter__(self) -> Iterator[Made]:
        running: deque[futures.Future[Made]] = deque()
        with futures.ThreadPoolExecutor(1, "ahead") as pool:
            try:
                for thing in self._things:
                    running.append(pool.submit(self._make, thing))
                    if len(running) > 2:
                        yield self._taken(running)
                while running:
                    yield self._taken(running)
            finally:
                for future in running:
                    future.cancel()

    def _taken(self, running: deque[futures.Future[Made]]) -> Made:
        start = time.perf_counter()
        made = running.popleft().result()
        self.waited += time.perf_counter() - start
        return made
