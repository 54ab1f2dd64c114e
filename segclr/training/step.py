"""(4) Step: a batch of pairs, and one step of the optimizer.

    both views together ─ encoder ─ projection ─ NT-Xent

The norms of the encoder see all views of a batch together. Shapes are static,
so that XLA can compile the step.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ffn_tf import program
from ffn_tf.training import state as state_lib
from segclr import model
from segclr.training import lars, objective
from segclr.training.views import Views

OPTIMIZERS = ("lars", "adamw")


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    """How weights follow gradients."""

    optimizer: str = program.option(
        "lars",
        help="lars, as published, or adamw, which small batches need.",
        choices=OPTIMIZERS,
    )
    learning_rate: float = program.option(
        0.01, help="At its highest; then it falls to 0, as a cosine."
    )
    warmup_steps: int = program.option(
        0, help="Steps over which the learning rate rises from 0."
    )
    weight_decay: float = program.option(
        1e-4, help="Of weights that are neither biases nor norms."
    )
    momentum: float = program.option(0.9, help="Of lars.")
    temperature: float = program.option(
        0.1, help="Of the loss: how much nearer a partner must be."
    )
    mask_same_segment: bool = program.option(
        True,
        help="Other pairs of the same segment are no negatives of a pair.",
    )

    def __post_init__(self) -> None:
        for name in ("learning_rate", "temperature"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ValueError(f"--{name} must be positive, found {value}.")
        for name in ("warmup_steps", "weight_decay", "momentum"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"--{name}: expected 0 or more, found "
                    f"{getattr(self, name)}."
                )

    def rate(self, step: int, max_steps: int) -> float:
        """The learning rate of a step."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = step - self.warmup_steps
        share = min(done / max(max_steps - self.warmup_steps, 1), 1)
        return self.learning_rate * (1 + math.cos(math.pi * share)) / 2

    def made(self, encoder: model.Encoder) -> keras.optimizers.Optimizer:
        """A new optimizer; its rate is set before each step."""
        plain = lars.biases_and_norms(encoder)
        if self.optimizer == "lars":
            made = lars.LARS(
                self.learning_rate, self.momentum, self.weight_decay
            )
            made.leave_plain(plain)
            return made
        adamw = keras.optimizers.AdamW(
            self.learning_rate, weight_decay=self.weight_decay
        )
        adamw.exclude_from_weight_decay(var_list=plain)
        return adamw


class TrainStep:
    """An encoder and its optimizer.

    Args:
      encoder: built, in the scope of the strategy.
      options: of the optimizer.
      batch_size: pairs of one step, of one device.
      max_steps: that will be made.
      compile_xla: whether XLA compiles the step.
      strategy: where the step runs; None: here.
    """

    def __init__(
        self,
        encoder: model.Encoder,
        options: OptimizerOptions,
        batch_size: int,
        max_steps: int,
        *,
        compile_xla: bool = False,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        strategy = strategy or tf.distribute.get_strategy()
        self.encoder = encoder
        self._options, self._max_steps = options, max_steps
        self._weights = encoder.trainable_variables
        with strategy.scope():
            self._optimizer = options.made(encoder)
            self._optimizer.build(self._weights)
        self._state = state_lib.State(encoder, self._optimizer)
        shape = (batch_size, *encoder.size_zyx, 1)
        self._compiled = tf.function(
            lambda *batch: strategy.run(self._step, batch),
            input_signature=[
                tf.TensorSpec(shape, tf.float32),
                tf.TensorSpec(shape, tf.float32),
                tf.TensorSpec((batch_size,), tf.int64),
            ],
            jit_compile=compile_xla,
        )

    def __call__(self, views: Views, step: int) -> dict[str, float]:
        """Makes a step.

        Args:
          views: as many pairs as the batch has.
          step: how many steps there have been.

        Returns:
          "loss", before the step; "accuracy": how often the nearest view is
          the partner's; "spread" of the embeddings: 0 if they are all alike.
        """
        self._optimizer.learning_rate.assign(
            self._options.rate(step, self._max_steps)
        )
        found = self._compiled(*views)
        return {name: float(value) for name, value in found.items()}

    def _step(self, first: Any, second: Any, segments: Any) -> dict[str, Any]:
        count = first.shape[0]
        with tf.GradientTape() as tape:
            embeddings = self.encoder(
                tf.concat([first, second], axis=0), training=True
            )
            projected = self.encoder.project(embeddings, training=True)
            parts = projected[:count], projected[count:]
            same = self._options.mask_same_segment
            loss = objective.nt_xent(
                *parts,
                self._options.temperature,
                neurites=(segments, segments) if same else None,
            )
        gradients = tape.gradient(loss, [w.value for w in self._weights])
        self._optimizer.apply(gradients, self._weights)
        return {
            "loss": loss,
            "accuracy": objective.accuracy(*parts),
            "spread": objective.spread(embeddings),
        }

    @property
    def learning_rate(self) -> float:
        return float(self._optimizer.learning_rate.numpy())

    def state(self) -> dict[str, np.ndarray]:
        """Everything that `restore` needs."""
        return self._state.arrays()

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Goes on from an earlier `state`.

        Raises:
          ValueError: the state of another encoder or optimizer.
        """
        self._state.restore(state)
