"""(7) Loop: examples, walks, steps, checkpoints, summaries.

    examples ──> walks (batch_size open ones, or more to choose from)
                   │  one view of each
                   v
                 step ──> logits back to the walks; one that ends is replaced

Everything that is drawn comes from one seed, and everything that a step depends
on is in a checkpoint, so that a training that was stopped gives the weights of
one that was not: on CPUs, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import math
import pathlib
import time
from typing import Any

import numpy as np

from ffn_tf import model
from ffn_tf.program import HeldBack
from ffn_tf.training.checkpoints import Checkpoints
from ffn_tf.training.metrics import Tracker
from ffn_tf.training.moves import Policy, Walk
from ffn_tf.training.pace import Clock, Progress, Window
from ffn_tf.training.pipeline import Examples
from ffn_tf.training.step import TrainStep
from ffn_tf.training.summaries import Summaries

_OPENED_EVERY = 4  # Steps, until as many are open as are asked for.

# What is told of a training, every few seconds.
Tell = Callable[[Progress], None]
# What is done with a new checkpoint: (folder, step, summaries).
Checked = Callable[[pathlib.Path, int, Summaries], None]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When what is done.

    Attributes:
      max_steps: of the optimizer.
      checkpoint_s, summary_s: seconds between checkpoints and summaries.
      checkpoint_steps: there is one every so many steps, too; 0: none.
      warm_radius: voxels of truth that every other canvas starts with at most,
        at first; falls to 0 over `warm_steps`.
      tell_s: seconds between lines for people; the first is earlier.
    """

    max_steps: int
    checkpoint_s: float
    summary_s: float
    checkpoint_steps: int = 0
    warm_radius: float = 0.0
    warm_steps: int = 0
    tell_s: float = 10.0

    def seed_radius(self, step: int, rng: np.random.Generator) -> float:
        """Voxels of truth that a new canvas starts with."""
        if step >= self.warm_steps or rng.random() < 0.5:
            return 0.0
        most = self.warm_radius * (1 - step / self.warm_steps)
        return float(rng.uniform(0, most))


class Training:
    """One training, from its beginning or from a checkpoint."""

    def __init__(
        self,
        step: TrainStep,
        policy: Policy,
        checkpoints: Checkpoints,
        summaries: Summaries,
        *,
        batch_size: int,
        num_open: int,
        seed: int,
        origin: dict[str, Any],
    ) -> None:
        """
        Args:
          step, policy: what is trained, and how it walks.
          checkpoints, summaries: where to.
          batch_size: views of one step.
          num_open: examples that are walked over at a time, at least as many,
            after some steps; of more, those of a step are drawn.
          seed: of that draw.
          origin: kept with the network.
        """
        self._step = step
        self._policy = policy
        self._checkpoints = checkpoints
        self._summaries = summaries
        self._batch_size = batch_size
        self._num_open = num_open
        self._rng = np.random.default_rng(seed)
        self._origin = origin
        self._walks: list[Walk] = []
        self.steps = 0
        self.taken = 0

    def restore(self) -> bool:
        """Goes on from the newest checkpoint; whether there is one."""
        found = self._checkpoints.all()
        if not found:
            return False
        _, path = found[-1]
        progress, arrays = self._checkpoints.restore(path)
        try:
            self._step.restore(_within("step", arrays))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        walks = _within("walk", arrays)
        count = len({name.partition("/")[0] for name in walks})
        self._walks = [
            Walk.restored(_within(f"{i}", walks), self._policy)
            for i in range(count)
        ]
        self.steps = progress["step"]
        self.taken = progress["taken"]
        self._rng.bit_generator.state = progress["random"]
        return True

    def run(
        self,
        examples: Examples,
        schedule: Schedule,
        tell: Tell = lambda _: None,
        checked: Checked = lambda *_: None,
    ) -> None:
        """Trains until the last step; a signal that ends it saves first.

        Args:
          examples: from `taken` on.
          tell: called every few seconds.
          checked: called with each new checkpoint.

        Raises:
          ValueError: the loss is not finite; examples that cannot be made.
          OSError: reading or writing failed.
        """
        clock = Clock(
            schedule.tell_s, schedule.summary_s, schedule.checkpoint_s
        )
        told, summed = (Window(schedule.max_steps) for _ in range(2))
        tracker = Tracker(self._policy)
        with HeldBack() as signals:
            while self.steps < schedule.max_steps and not signals.is_due:
                waited = self._open(examples, tracker, schedule)
                loss = self._one_step(tracker)
                for window in (told, summed):
                    window.count(loss, self._batch_size, waited)
                if clock.is_due("tell"):
                    tell(told.progress(self.steps, {}))
                if clock.is_due("summary"):
                    self._summarise(summed, tracker)
                every = schedule.checkpoint_steps
                is_multiple = every > 0 and self.steps % every == 0
                if clock.is_due("checkpoint") or is_multiple:
                    begin = time.monotonic()
                    self._save(examples, checked)
                    clock.begin("checkpoint")  # `checked` may take long.
                    for window in (told, summed):
                        window.leave_out(time.monotonic() - begin)
            if self._is_ahead():
                # Who stops it will not wait for a validation.
                self._save(examples, None if signals.is_due else checked)
            self._summarise(summed, tracker)

    def _open(
        self, examples: Examples, tracker: Tracker, schedule: Schedule
    ) -> float:
        """Replaces walks that have ended; the seconds of wait for examples."""
        waited = 0.0

        def new() -> Walk:
            nonlocal waited
            begin = time.monotonic()
            example = next(examples)
            waited += time.monotonic() - begin
            radius = schedule.seed_radius(self.steps, self._rng)
            return Walk(example, self._policy, radius)

        for i, walk in enumerate(self._walks):
            if walk.offset is None:
                tracker.add_patch(walk)
                self._walks[i] = new()
        # One by one, so that they do not all begin, and end, together.
        wanted = self._batch_size + self.steps // _OPENED_EVERY
        while len(self._walks) < min(wanted, self._num_open):
            self._walks.append(new())
        return waited

    def _one_step(self, tracker: Tracker) -> float:
        chosen = self._walks
        if len(self._walks) > self._batch_size:
            places = self._rng.choice(
                len(self._walks), self._batch_size, replace=False
            )
            chosen = [self._walks[i] for i in places]
        views = [walk.view() for walk in chosen]
        logits, loss = self._step(views, self.steps)
        if not math.isfinite(loss):
            seen = [tuple(walk.example.place.tolist()) for walk in chosen]
            raise ValueError(
                f"The loss is {loss} at step {self.steps}, examples (volume, "
                f"x, y, z) {seen}: training has diverged, or the image has "
                f"values out of range. Begin again in another --train_dir "
                f"with a lower --learning_rate, and with an earlier checkpoint "
                f"as --init_checkpoint."
            )
        self.steps += 1
        for walk, prediction in zip(chosen, logits):
            walk.update(prediction)
            tracker.add_moves(walk.considered)
            walk.considered = []
        return loss

    def _is_ahead(self) -> bool:
        found = self._checkpoints.all()
        return not found or found[-1][0] < self.steps

    def _save(self, examples: Examples, checked: Checked | None) -> None:
        progress = {
            "step": self.steps,
            "taken": examples.taken,
            "random": self._rng.bit_generator.state,
        }
        arrays = {f"step/{k}": v for k, v in self._step.state().items()}
        for i, walk in enumerate(self._walks):
            for name, value in walk.state().items():
                arrays[f"walk/{i}/{name}"] = value
        path = self._checkpoints.save(
            arrays,
            progress,
            lambda folder: model.save(
                _averaged(self._step), folder, self._origin
            ),
        )
        if checked:
            checked(path, self.steps, self._summaries)

    def _summarise(self, window: Window, tracker: Tracker) -> None:
        if window.is_empty:
            return
        progress = window.progress(self.steps, tracker.scalars())
        scalars = progress.scores | {
            "loss": progress.loss,
            "learning_rate": self._step.learning_rate,
            "speed/steps_per_s": progress.steps_per_s,
            "speed/fovs_per_s": progress.examples_per_s,
            "speed/wait_share": progress.wait_share,
        }
        self._summaries.add(self.steps, scalars, tracker.pictures())
        tracker.clear()


def _within(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Those whose names begin with `name/`, without it."""
    prefix = f"{name}/"
    return {
        key.removeprefix(prefix): value
        for key, value in arrays.items()
        if key.startswith(prefix)
    }


def _averaged(step: TrainStep) -> model.ConvStack:
    """The network with the averaged weights, in float32."""
    config = step.network.get_config()
    network = model.ConvStack(
        depth=config["depth"],
        features=config["features"],
        view=step.network.view,
    )
    network.build()
    for variable, value in zip(network.trainable_variables, step.average):
        variable.assign(value)
    return network
