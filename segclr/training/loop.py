"""(6) Loop: batches, steps, checkpoints, summaries.

Everything that is drawn comes from one seed, and everything that a step depends
on is in a checkpoint, so that a training that was stopped gives the weights of
one that was not: on CPUs, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import math
import time
from typing import Any

import numpy as np

from ffn_tf.program import HeldBack
from ffn_tf.training.checkpoints import Checkpoints
from ffn_tf.training.pace import Clock, Progress, Window
from ffn_tf.training.summaries import Summaries
from segclr import model
from segclr.training.probe import Probe
from segclr.training.step import TrainStep
from segclr.training.views import Batches

# Embeddings that all but coincide for so many steps will not part again.
_COLLAPSED = 1e-3
_PATIENCE = 100

Tell = Callable[[Progress], None]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When what is done.

    Attributes:
      max_steps: of the optimizer.
      checkpoint_s, summary_s: seconds between checkpoints and summaries.
      tell_s: seconds between lines for people; the first is earlier.
    """

    max_steps: int
    checkpoint_s: float
    summary_s: float
    tell_s: float = 10.0


class Training:
    """One training, from its beginning or from a checkpoint.

    Args:
      step: what is trained.
      checkpoints, summaries: where to.
      batch_size: pairs of a step.
      origin: kept with the encoder.
      probe: asked whenever a checkpoint is written; None: nobody.

    Attributes:
      steps: made.
    """

    def __init__(
        self,
        step: TrainStep,
        checkpoints: Checkpoints,
        summaries: Summaries,
        batch_size: int,
        origin: dict[str, Any],
        probe: Probe | None = None,
    ) -> None:
        self._probe, self._probed = probe, math.nan
        self._step, self._batch_size = step, batch_size
        self._checkpoints, self._summaries = checkpoints, summaries
        self._origin = origin
        self._alike = 0  # Steps in a row, with embeddings that coincide.
        self.steps = 0

    def restore(self) -> bool:
        """Goes on from the newest checkpoint; whether there is one.

        Raises:
          ValueError: it is damaged, or of another encoder or optimizer.
        """
        found = self._checkpoints.all()
        if not found:
            return False
        _, path = found[-1]
        progress, arrays = self._checkpoints.restore(path)
        try:
            self._step.restore(arrays)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        self.steps = progress["step"]
        self._alike = progress["alike"]
        return True

    def run(
        self,
        batches: Batches,
        schedule: Schedule,
        tell: Tell = lambda _: None,
    ) -> None:
        """Trains until the last step; a signal that ends it saves first.

        Args:
          batches: from `steps` on.
          tell: called every few seconds.

        Raises:
          ValueError: the loss is not finite, or embeddings have collapsed;
            pairs that cannot be read.
          OSError: reading or writing failed.
        """
        clock = Clock(
            schedule.tell_s, schedule.summary_s, schedule.checkpoint_s
        )
        told, summed = (Window(schedule.max_steps) for _ in range(2))
        scores: dict[str, list[float]] = {}
        with HeldBack() as signals:
            while self.steps < schedule.max_steps and not signals.is_due:
                begin = time.monotonic()
                views = next(batches)
                waited = time.monotonic() - begin
                found = self._step(views, self.steps)
                self._check(found)
                self.steps += 1
                for window in (told, summed):
                    window.count(found["loss"], self._batch_size, waited)
                for name, value in found.items():
                    scores.setdefault(name, []).append(value)
                if clock.is_due("tell"):
                    tell(told.progress(self.steps, self._scores(scores)))
                if clock.is_due("summary"):
                    self._summarise(summed, scores)
                if clock.is_due("checkpoint"):
                    self._save()
            found_steps = [number for number, _ in self._checkpoints.all()]
            if found_steps[-1:] != [self.steps]:
                self._save()
            if not told.is_empty:
                tell(told.progress(self.steps, self._scores(scores)))
            self._summarise(summed, scores)

    def _scores(self, scores: dict[str, list[float]]) -> dict[str, float]:
        """Means; and what the probe said last."""
        probed = {} if math.isnan(self._probed) else {"probe": self._probed}
        return _means(scores) | probed

    def _check(self, found: dict[str, float]) -> None:
        if not math.isfinite(found["loss"]):
            raise ValueError(
                f"The loss is {found['loss']} at step {self.steps}: training "
                f"has diverged. Begin again in another --train_dir with a "
                f"lower --learning_rate, or more --warmup_steps."
            )
        self._alike = self._alike + 1 if found["spread"] < _COLLAPSED else 0
        if self._alike >= _PATIENCE:
            raise ValueError(
                f"The embeddings have collapsed: in {_PATIENCE} steps up to "
                f"step {self.steps} all were the same (spread "
                f"{found['spread']:.1e}). Begin again in another --train_dir "
                f"with a lower --learning_rate or a larger --batch_size; are "
                f"the cutouts empty (wrong --segmentation)?"
            )

    def _save(self) -> None:
        self._checkpoints.save(
            self._step.state(),
            {"step": self.steps, "alike": self._alike},
            lambda folder: model.save(self._step.encoder, folder, self._origin),
        )
        if self._probe is not None:
            self._probed = self._probe.macro_f1(self._step.encoder)
            self._summaries.add(self.steps, {"probe/macro_f1": self._probed})

    def _summarise(
        self, window: Window, scores: dict[str, list[float]]
    ) -> None:
        if window.is_empty:
            return
        means = _means(scores)
        progress = window.progress(self.steps, means)
        self._summaries.add(
            self.steps,
            means
            | {
                "learning_rate": self._step.learning_rate,
                "speed/steps_per_s": progress.steps_per_s,
                "speed/pairs_per_s": progress.examples_per_s,
                "speed/wait_share": progress.wait_share,
            },
        )
        scores.clear()


def _means(scores: dict[str, list[float]]) -> dict[str, float]:
    return {name: float(np.mean(found)) for name, found in scores.items()}
