"""Fields: where the logits of an object in progress are, and are stepped.

A canvas decides where to go; its field holds the image and the logits, and has
steps predicted. There are two:

    HostField         arrays here; a step's field of view goes to the engine
    ResidentField     arrays on the device; only numbers come back

Logits are [z, y, x] float32; NaN = untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
import dataclasses
import functools
from typing import Any, Protocol

import numpy as np

from ffn_tf.inference import keepsakes
from ffn_tf.inference import options as options_lib
from ffn_tf.model import fov

Position = tuple[int, int, int]
Slices = tuple[slice, ...]

# Voxels that a step watches. More positions than that in a row are rarely given
# up; each one more is a look at the device.
WATCHED = 16


@dataclasses.dataclass(frozen=True)
class Rule:
    """How a step changes the logits; all fields of a run have one.

    Attributes:
      size, deltas: of the field of view, and of its movement, zyx.
      init: what an object starts with.
      pad: what the network is shown where it has not been.
      move: from which logit on a voxel counts as moving on.
      most_moving: voxels of a field of view; if more of them count, no voxel
        below p = 0.5 may rise. None: all may.
    """

    size: tuple[int, int, int]
    deltas: tuple[int, int, int]
    init: np.float32
    pad: np.float32
    move: np.float32
    most_moving: int | None

    @classmethod
    def of(
        cls,
        options: options_lib.InferenceOptions,
        size: tuple[int, int, int],
        deltas: tuple[int, int, int],
    ) -> Rule:
        least = options.disco_seed_threshold
        shares = np.arange(np.prod(size) + 1) / np.prod(size)
        return cls(
            size,
            deltas,
            options.logit("init_activation"),
            options.logit("pad_value"),
            options.logit("move_threshold"),
            int(np.count_nonzero(shares <= least)) - 1 if least >= 0 else None,
        )

    @functools.cached_property
    def faces(self) -> fov.Faces:
        return fov.Faces(self.deltas, self.size)

    def meet(self, one: Position, other: Position) -> bool:
        """Whether two fields of view have a voxel in common."""
        return all(abs(a - b) < n for a, b, n in zip(one, other, self.size))

    def around(self, position: Position) -> Slices:
        """The field of view at a position."""
        return tuple(
            slice(p - n // 2, p + n // 2 + 1)
            for p, n in zip(position, self.size)
        )


@dataclasses.dataclass(frozen=True)
class Request:
    """One step to be predicted.

    Attributes:
      image: [z, y, x] float32, a view into the canvas; do not write.
      seed: [z, y, x] float32 logits, without NaN; the receiver may keep it.
    """

    image: np.ndarray
    seed: np.ndarray


@dataclasses.dataclass(frozen=True)
class Found:
    """What a step came to.

    Attributes:
      strongest: of its logits; see fov.Faces.
      deleted: how many voxels it took out; see keepsakes.
    """

    strongest: list[tuple[float, int]]
    deleted: int


def together(
    steps: Sequence[Generator[Any, Any, Found]],
) -> Generator[list[Any], Sequence[Any], list[Found]]:
    """Has several steps predicted at once: yields a list, is sent a list."""
    answers = yield [next(step) for step in steps]
    return [_ended(s, answer) for s, answer in zip(steps, answers, strict=True)]


def _ended(step: Generator[Any, Any, Found], answer: Any) -> Found:
    try:
        step.send(answer)
    except StopIteration as end:
        found: Found = end.value
        return found
    raise AssertionError("A step asks once.")


class Field(Protocol):
    """The logits of one canvas."""

    def begin(self, position: Position) -> None:
        """An object starts here; everything is untouched."""

    def at(self, position: Position) -> np.float32:
        """The logit of a voxel."""

    def step(
        self, position: Position, watched: Callable[[], list[Position]]
    ) -> Generator[Any, Any, Found]:
        """Has the field of view at `position` predicted, by who iterates.

        Args:
          watched: gives the positions whose logits may be asked for next.
        """

    def read(self, where: Slices) -> np.ndarray:
        """The logits of a part; do not write."""

    def write(self, where: Slices, logits: np.ndarray) -> None:
        """Sets a part, where all is untouched."""

    def clear(self, where: Slices) -> None:
        """Makes a part untouched."""

    def close(self) -> None:
        """No object will follow."""


class HostField:
    """See the module; it yields `Request`s, and is sent logits [z, y, x].

    Args:
      image: [z, y, x] float32, normalised.
      rule: of its steps.
    """

    def __init__(self, image: np.ndarray, rule: Rule) -> None:
        self._image, self._rule = image, rule

    @functools.cached_property
    def logits(self) -> np.ndarray:
        return np.full(self._image.shape, np.nan, np.float32)

    def begin(self, position: Position) -> None:
        self.logits[position] = self._rule.init

    def at(self, position: Position) -> np.float32:
        return self.logits[position]

    def step(
        self, position: Position, watched: Callable[[], list[Position]]
    ) -> Generator[Request, np.ndarray, Found]:
        del watched
        around = self._rule.around(position)
        before = self.logits[around]
        seed = np.where(np.isnan(before), self._rule.pad, before)
        logits = yield Request(self._image[around], seed)
        self._freeze(before, logits)
        deleted = keepsakes.deleted(before, logits)
        self.logits[around] = logits
        return Found(self._rule.faces.strongest(logits), deleted)

    def _freeze(self, before: np.ndarray, logits: np.ndarray) -> None:
        """Undoes in `logits` the rises that are not allowed."""
        most = self._rule.most_moving
        if most is None:
            return
        if np.count_nonzero(logits >= self._rule.move) > most:
            # A comparison with NaN is false, so untouched voxels are exempt.
            rose = (before < 0) & (logits > before)
            np.copyto(logits, before, where=rose)

    def read(self, where: Slices) -> np.ndarray:
        return self.logits[where]

    def write(self, where: Slices, logits: np.ndarray) -> None:
        self.logits[where] = logits

    def clear(self, where: Slices) -> None:
        self.logits[where] = np.nan

    def close(self) -> None:
        """Nothing is to be given back."""
