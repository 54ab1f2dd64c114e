"""How reads fail: one error for a box, one for a batch of them.

    ReadError          a box could not be read: the network, the disk, rights
      CorruptError     ... because what is stored is damaged; it is named
      MissingError     ... because a chunk was never written
      OverdueError     ... because time was up; also a TimeoutError
    ReadsFailed        some boxes of a batch could not be read; raised when all
                       have ended, with the voxels of those that could

All are OSErrors. What TensorStore says of a damaged chunk, whatever the
format and the place, begins with FAILED_PRECONDITION or DATA_LOSS, or with
OUT_OF_RANGE where a shard ends before the chunk does, and names the file, and
the chunk in it if the file is a shard (seen for local files, HTTP and GCS).

Damage that nobody can notice, because the format says nothing of what was
stored, and that reads as wrong voxels without an error:

    raw                            any change that keeps the length
    jpeg                           a changed byte behind the header
    compressed_segmentation        a changed byte of its tables of values, if
                                   it is not in a gzipped shard
    blosc, zstd without checksum   a changed byte that still unpacks
    data behind a whole chunk      ignored by jpeg and by shards

gzip and zlib (n5, zarr 2, gzipped shards), png and the crc32c of zarr 3 see
every such change. A truncated chunk is seen in every format, unless only the
end of its checksum is lost (zlib, png).
"""

from __future__ import annotations

from collections.abc import Sequence
import re
import time
import typing
from typing import Protocol

import numpy as np

from ffn_tf.volume import place
from ffn_tf.volume.box import Box

# TensorStore's messages begin with a code, but for INVALID_ARGUMENT.
_CODE = re.compile(r"([A-Z_]+): ")
_CORRUPT = {"FAILED_PRECONDITION", "DATA_LOSS", "OUT_OF_RANGE"}
_LISTED = 5
IF_BACKGROUND = (
    "If chunks that were never written mean background, add ?missing=zero to "
    "the address."
)


class ReadError(OSError):
    """A box could not be read.

    Attributes:
      box: of the volume, that was asked for.
      reason: why, in one sentence, which names file and chunk if known.
    """

    def __init__(self, where: str, box: Box, reason: str) -> None:
        super().__init__(f"{where}: cannot read {box}: {reason}")
        self.where = where
        self.box = box
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, Box, str]]:
        return type(self), (self.where, self.box, self.reason)


class CorruptError(ReadError):
    """What is stored of a box is damaged."""


class MissingError(ReadError):
    """A chunk of a box was never written."""


class OverdueError(ReadError, TimeoutError):
    """A box had not been read when time was up."""


Outcome = np.ndarray | ReadError


class ReadsFailed(OSError):
    """Some boxes of a batch could not be read.

    Attributes:
      outcomes: for each box of the batch, in order: voxels [z, y, x], or why
        there are none.
    """

    def __init__(self, where: str, outcomes: Sequence[Outcome]) -> None:
        super().__init__(_told(where, outcomes))
        self.where = where
        self.outcomes = list(outcomes)

    def __reduce__(self) -> tuple[type, tuple[str, list[Outcome]]]:
        return type(self), (self.where, self.outcomes)


class OverdueReads(ReadsFailed, TimeoutError):
    """Some boxes of a batch had not been read when time was up."""


def _told(where: str, outcomes: Sequence[Outcome]) -> str:
    errors = [error for error in outcomes if isinstance(error, ReadError)]
    listed = [f"{error.box}: {error.reason}" for error in errors[:_LISTED]]
    more = len(errors) - len(listed)
    return (
        f"{where}: cannot read {len(errors)} of {len(outcomes)} boxes: "
        f"{'; '.join(listed)}{f'; and {more} more' if more else ''}. The "
        f"other {len(outcomes) - len(errors)} were read."
    )


def of(
    where: str, box: Box, error: BaseException, about: str = ""
) -> ReadError:
    """What TensorStore's `error` means for the reading of `box`.

    Args:
      about: what was read, where the error does not say it.
    """
    if isinstance(error, ReadError):
        return error
    if isinstance(error, TimeoutError):
        return OverdueError(where, box, "time was up.")
    text = place.short(error)
    if about and about not in text:
        text = f"{text} ({about})"
    found = _CODE.match(text)
    code = found[1] if found else ""
    if code in _CORRUPT:
        return CorruptError(where, box, f"{text}.")
    if code == "NOT_FOUND":
        return MissingError(
            where, box, f"{text}. A chunk is missing. {IF_BACKGROUND}"
        )
    return ReadError(where, box, f"{text}.")


class Future(Protocol):
    """Voxels to come; TensorStore's are such."""

    def result(self, timeout: float | None = None) -> np.ndarray: ...

    def cancel(self) -> bool: ...


class Deadline:
    """When time is up, counted from now."""

    def __init__(self, seconds: float | None = None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds, at least 0; None if there is no end."""
        if self._end is None:
            return None
        return max(0.0, self._end - time.monotonic())


def settled(
    where: str,
    boxes: Sequence[Box],
    pending: Sequence[Future],
    deadline: Deadline,
) -> list[Outcome]:
    """What became of each box, once all have ended or time is up."""
    outcomes: list[Outcome] = []
    for box, future in zip(boxes, pending):
        try:
            outcomes.append(future.result(deadline.left()))
        except (ValueError, OSError) as error:
            future.cancel()
            outcomes.append(of(where, box, error))
    return outcomes


def voxels(where: str, outcomes: list[Outcome]) -> list[np.ndarray]:
    """The voxels, if all could be read.

    Raises:
      ReadError: of a batch of one.
      ReadsFailed: some could not be read; OverdueReads if for lack of time.
    """
    errors = [error for error in outcomes if isinstance(error, ReadError)]
    if not errors:
        return typing.cast(list[np.ndarray], outcomes)
    if len(outcomes) == 1:
        raise errors[0]
    if any(isinstance(error, OverdueError) for error in errors):
        raise OverdueReads(where, outcomes)
    raise ReadsFailed(where, outcomes)
