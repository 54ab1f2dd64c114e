"""How a stream ends: Statistics if well, StreamError if not.

A StreamError is also a ValueError, OSError or NotImplementedError where its
cause is one, so that programs tell it as they tell those.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
from typing import Literal

from ffn_tf.volume.box import Box

Step = Literal["read", "process", "write"]


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What has been written.

    Attributes:
      boxes: how many.
      bytes: of their voxels, uncompressed.
      seconds: since the beginning.
    """

    boxes: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @property
    def bytes_per_s(self) -> float:
        return self.bytes / self.seconds if self.seconds else 0.0


class StreamError(Exception):
    """A step failed at a box; the reason is also its `__cause__`.

    Attributes:
      step: read, process or write.
      box: what it was given.
      reason: why.
      statistics: what had been written, where the stream ended in `write`.
    """

    def __init__(self, step: Step, box: Box, reason: Exception) -> None:
        self.args = (step, box, reason)  # What pickle makes it from.
        self.step = step
        self.box = box
        self.reason = reason
        self.statistics = Statistics()

    def __str__(self) -> str:
        reason = str(self.reason) or type(self.reason).__name__
        where = "" if str(self.box) in reason else f" {self.box}"
        return f"{self.step}{where}: {reason}"


class StreamValueError(StreamError, ValueError):
    """The voxels, or what was asked, cannot be right."""


class StreamOSError(StreamError, OSError):
    """A volume could not be read or written."""


class StreamNotImplementedError(StreamError, NotImplementedError):
    """A volume cannot do this."""


_KINDS: dict[type[Exception], type[StreamError]] = {
    ValueError: StreamValueError,
    OSError: StreamOSError,
    NotImplementedError: StreamNotImplementedError,
    Exception: StreamError,
}


@contextlib.contextmanager
def naming(step: Step, box: Box) -> Iterator[None]:
    """Makes what is raised inside a StreamError."""
    try:
        yield
    except Exception as error:
        kind = next(
            ours for kind, ours in _KINDS.items() if isinstance(error, kind)
        )
        raise kind(step, box, error) from error
