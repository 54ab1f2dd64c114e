"""Signals that end a run, held back until its state is whole.

A signal's handler may be called between any two instructions: in the middle of
a step, too, when the state is torn. So the first SIGINT or SIGTERM only leaves
a mark, and its own handler is called at a time of the run's choosing. The
second one is not held back.

What a handler of Python does is held back, and nothing else: a signal that is
ignored (SIGINT under nohup) or that ends the process by itself remains so.
"""

from __future__ import annotations

from collections.abc import Callable
import os
import signal
import threading
from typing import Any

_NOTE = b"\nStopping after this step (a second signal: at once) ...\n"


class HeldBack:
    """A context in which signals wait for `deliver`, or for its end."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._handlers: dict[int, Callable[[int, Any], Any]] = {}

    @property
    def is_due(self) -> bool:
        """Whether a signal waits."""
        return self._first is not None

    def deliver(self) -> None:
        """Does what the signal that waits would have done, if there is one."""
        if self._first is not None:
            self._handlers[self._first](self._first, None)

    def __enter__(self) -> HeldBack:
        # Python allows no other thread to set handlers, nor calls them there.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._hold)
        return self

    def _hold(self, number: int, frame: Any) -> None:
        if self._first is not None:
            self._handlers[number](number, frame)
        self._first = number
        os.write(2, _NOTE)  # print may be what was interrupted.

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if kind is None:
            self.deliver()
