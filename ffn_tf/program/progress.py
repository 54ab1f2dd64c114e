"""How far a long program is, on standard error.

    Counting:  34 %  41 of 120 blocks  5.4/s  00:08 gone, 00:15 left

A terminal has one line, written anew each second; a file or a pipe has a plain
line after five seconds, and then each half minute. What is done sooner says
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import sys
import time
from typing import TypeVar

T = TypeVar("T")


class Line:
    """A line on standard error that is shown when it is time to.

    Attributes:
      interval: seconds between two showings.
    """

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self.interval = 1.0 if self._is_terminal else 30.0
        self._wait = min(5.0, self.interval)
        self._started = self._shown = time.monotonic()
        self._is_open = False

    def due(self) -> float | None:
        """Seconds since the start, if it is time to show something."""
        now = time.monotonic()
        if now - self._shown < self._wait:
            return None
        self._shown, self._wait = now, self.interval
        return now - self._started

    def show(self, text: str) -> None:
        if self._is_terminal:  # Blanks, should the last one be longer.
            print(f"\r{text:<79}", end="", file=sys.stderr, flush=True)
            self._is_open = True
        else:
            print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        """What is shown next begins a new line."""
        if self._is_open:
            print(file=sys.stderr, flush=True)
            self._is_open = False


class Progress:
    """A context manager; its end ends the line.

    Args:
      title: what goes on, such as "Counting".
      unit: of what, such as "blocks".
    """

    def __init__(self, title: str, unit: str) -> None:
        self._title, self._unit = title, unit
        self._line = Line()

    def update(self, done: float, total: float, before: float = 0) -> None:
        """Shows that `done` of `total` is done, if it is time to.

        `before` of that was done by earlier runs, and does not tell the rate.
        """
        gone = self._line.due()
        if gone is None:
            return
        rate = (done - before) / gone
        left = clock((total - done) / rate) if rate > 0 else "?"
        self._line.show(
            f"{self._title}: {100 * done / total:3.0f} %  "
            f"{short(done)} of {short(total)} {self._unit}  "
            f"{short(float(rate))}/s  {clock(gone)} gone, {left} left"
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.end()


def watched(
    items: Iterable[T], total: int, title: str, unit: str
) -> Iterator[T]:
    """The items, one by one, with their progress."""
    with Progress(title, unit) as progress:
        for number, item in enumerate(items, 1):
            yield item
            progress.update(number, total)


def short(number: float) -> str:
    """Five figures at most up to 10^18."""
    if isinstance(number, int) and number < 10_000:
        return f"{number}"
    if number < 1:
        return f"{number:.2g}"
    for prefix in ("", "k", "M", "G", "T", "P"):
        if number < 999.95 or prefix == "P":
            break
        number /= 1000
    return f"{number:.1f} {prefix}".rstrip()


def clock(seconds: float) -> str:
    """MM:SS, or H:MM:SS."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minute:02d}:{second:02d}"
    return f"{minute:02d}:{second:02d}"
