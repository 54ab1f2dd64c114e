"""Pace: when something is due in a training, and how fast it goes."""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np

_FIRST_S = 5.0  # Until the first line for people.


@dataclasses.dataclass(frozen=True)
class Progress:
    """How a training is going.

    Attributes:
      step: steps made, of max_steps.
      loss: mean since the last time.
      steps_per_s, examples_per_s: since the last time; what of a batch is
        one example is the training's to say: a field of view, a pair.
      wait_share: share of the time that was spent waiting for examples.
      scores: what else is measured.
    """

    step: int
    max_steps: int
    loss: float
    steps_per_s: float
    examples_per_s: float
    wait_share: float
    scores: dict[str, float]


class Clock:
    """Says when something is due."""

    def __init__(
        self, tell_s: float, summary_s: float, checkpoint_s: float
    ) -> None:
        self._every = {
            "tell": tell_s,
            "summary": summary_s,
            "checkpoint": checkpoint_s,
        }
        self._last = dict.fromkeys(self._every, time.monotonic())
        # The first line is early: it says that all is well.
        self._last["tell"] -= max(0, tell_s - _FIRST_S)

    def begin(self, what: str) -> None:
        """Seconds count from now."""
        self._last[what] = time.monotonic()

    def is_due(self, what: str) -> bool:
        """Once in each span: "tell", "summary", "checkpoint"."""
        now = time.monotonic()
        if now - self._last[what] < self._every[what]:
            return False
        self._last[what] = now
        return True


class Window:
    """What has been since the last time that somebody asked."""

    def __init__(self, max_steps: int) -> None:
        self._max_steps = max_steps
        self._begin()

    def _begin(self) -> None:
        self._since = time.monotonic()
        self._waited = 0.0
        self._losses: list[float] = []
        self._examples = 0

    @property
    def is_empty(self) -> bool:
        """No step since the last time."""
        return not self._losses

    def count(self, loss: float, examples: int, waited: float) -> None:
        """A step: its loss, its examples, the wait for them in seconds."""
        self._losses.append(loss)
        self._examples += examples
        self._waited += waited

    def leave_out(self, seconds: float) -> None:
        """That were not for training."""
        self._since += seconds

    def progress(self, step: int, scores: dict[str, float]) -> Progress:
        """Since the last time; begins anew."""
        seconds = max(time.monotonic() - self._since, 1e-9)
        found = Progress(
            step,
            self._max_steps,
            float(np.mean(self._losses)) if self._losses else math.nan,
            len(self._losses) / seconds,
            self._examples / seconds,
            self._waited / seconds,
            scores,
        )
        self._begin()
        return found
