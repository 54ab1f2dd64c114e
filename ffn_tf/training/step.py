"""(4) Step: one position of a batch of examples, and one step of the optimizer.

    loss       mean over voxels of weight * sigmoid cross entropy of the logits
               and the soft labels
    gradient   clipped, each element, to +-0.7
    average    of the weights (EMA), for who uses the network

What google/ffn does. Shapes are static, so that XLA can compile the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from ffn_tf import model, program
from ffn_tf.training import state as state_lib
from ffn_tf.training.moves import View

DTYPES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
OPTIMIZERS = ("sgd", "momentum", "adagrad", "adam", "adamw", "rmsprop")
SCHEDULES = ("constant", "cosine")


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    """How weights follow gradients; google/ffn's names where it has them."""

    optimizer: str = program.option(
        "sgd", help="Which optimizer.", choices=OPTIMIZERS
    )
    learning_rate: float = program.option(0.001, help="At the beginning.")
    learning_rate_decay_factor: float | None = program.option(
        None, help="Factor of the learning rate every --decay_steps."
    )
    decay_steps: int | None = program.option(
        None, help="Steps between such changes."
    )
    learning_rate_schedule: str = program.option(
        "constant",
        help="constant (but for --decay_steps), or cosine: falls to 0 until "
        "--max_steps.",
        choices=SCHEDULES,
    )
    warmup_steps: int = program.option(
        0, help="Steps over which the learning rate rises from 0."
    )
    momentum: float = program.option(0.9, help="Of momentum and rmsprop.")
    rmsprop_decay: float = program.option(0.9, help="Of rmsprop.")
    adam_beta1: float = program.option(0.9, help="Of adam and adamw.")
    adam_beta2: float = program.option(0.999, help="Of adam and adamw.")
    epsilon: float = program.option(1e-8, help="Of adam, adamw and rmsprop.")
    weight_decay: float = program.option(0.0, help="Of adamw.")
    gradient_clip: float = program.option(
        0.7, help="Each element of a gradient is clipped to +- this."
    )
    ema_decay: float = program.option(
        0.0,
        help="Of the average of the weights, which is what is used after "
        "training; 0: no average. 0.999 averages the last thousand steps.",
    )

    def __post_init__(self) -> None:
        both = (self.learning_rate_decay_factor, self.decay_steps)
        if (both[0] is None) != (both[1] is None):
            raise ValueError(
                "--learning_rate_decay_factor and --decay_steps go together: "
                "give both or neither."
            )
        if both[0] is not None and self.learning_rate_schedule != "constant":
            raise ValueError(
                "--decay_steps is for the constant schedule; found "
                f"--learning_rate_schedule={self.learning_rate_schedule}."
            )
        if not all(value is None or value > 0 for value in both):
            raise ValueError(
                "--decay_steps and --learning_rate_decay_factor must be "
                f"positive: found {both[1]} and {both[0]}."
            )
        if not (0 < self.learning_rate < math.inf and self.gradient_clip > 0):
            raise ValueError(
                "--learning_rate and --gradient_clip must be positive: found "
                f"{self.learning_rate:g} and {self.gradient_clip:g}."
            )
        for name in ("warmup_steps", "weight_decay", "epsilon"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"--{name}: expected at least 0, found "
                    f"{getattr(self, name)}."
                )
        for name in ("momentum", "rmsprop_decay", "adam_beta1", "adam_beta2"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"--{name}: expected 0 to 1, found {getattr(self, name)}."
                )
        if not 0 <= self.ema_decay < 1:
            raise ValueError(
                f"--ema_decay: expected 0 <= decay < 1, found {self.ema_decay}."
            )

    def rate(self, step: int, max_steps: int) -> float:
        """The learning rate of a step."""
        rate = self.learning_rate
        if self.decay_steps and self.learning_rate_decay_factor:
            times = step // self.decay_steps
            rate *= self.learning_rate_decay_factor**times
        if self.learning_rate_schedule == "cosine":
            rate *= (1 + math.cos(math.pi * min(step / max_steps, 1))) / 2
        if self.warmup_steps:
            rate *= min((step + 1) / self.warmup_steps, 1)
        return rate

    def made(self) -> keras.optimizers.Optimizer:
        """A new optimizer; its rate is set before each step."""
        rate = self.learning_rate
        match self.optimizer:
            case "sgd":
                return keras.optimizers.SGD(rate)
            case "momentum":
                return keras.optimizers.SGD(rate, momentum=self.momentum)
            case "adagrad":
                return keras.optimizers.Adagrad(
                    rate, initial_accumulator_value=0.1, epsilon=0.0
                )
            case "rmsprop":
                return keras.optimizers.RMSprop(
                    rate,
                    rho=self.rmsprop_decay,
                    momentum=self.momentum,
                    epsilon=self.epsilon,
                )
        betas = {"beta_1": self.adam_beta1, "beta_2": self.adam_beta2}
        if self.optimizer == "adam":
            return keras.optimizers.Adam(rate, epsilon=self.epsilon, **betas)
        return keras.optimizers.AdamW(
            rate,
            weight_decay=self.weight_decay,
            epsilon=self.epsilon,
            **betas,
        )


class TrainStep:
    """A network and its optimizer.

    Attributes:
      network: what is trained.
      average: the weights, averaged over steps, in the order of the network's;
        without an average, the weights.
    """

    def __init__(
        self,
        network: model.ConvStack,
        options: OptimizerOptions,
        batch_size: int,
        max_steps: int,
        *,
        compile_xla: bool = False,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        """
        Args:
          network: built, in the scope of the strategy.
          options: of the optimizer.
          batch_size: views of one step, of one device.
          max_steps: that will be made.
          compile_xla: see TrainOptions.xla.
          strategy: where the step runs; None: here.
        """
        strategy = strategy or tf.distribute.get_strategy()
        self.network = network
        self._options = options
        self._max_steps = max_steps
        self._weights = network.trainable_variables
        self._shadow: list[tf.Variable] = []
        with strategy.scope():
            self._optimizer = options.made()
            self._optimizer.build(self._weights)
            if options.ema_decay:
                self._shadow = [
                    tf.Variable(w.value, trainable=False) for w in self._weights
                ]
        self._state = state_lib.State(network, self._optimizer, self._shadow)
        shape = tf.TensorSpec((batch_size, *network.view.size, 1), tf.float32)
        self._compiled = tf.function(
            lambda *views: strategy.run(self._step, views),
            input_signature=[shape] * 4,
            jit_compile=compile_xla,
        )

    def __call__(
        self, views: Sequence[View], step: int
    ) -> tuple[np.ndarray, float]:
        """Logits [batch, z, y, x] before the step, and the loss.

        Args:
          views: as many as the batch has.
          step: how many there have been.
        """
        self._optimizer.learning_rate.assign(
            self._options.rate(step, self._max_steps)
        )
        stacked = [np.stack(part)[..., np.newaxis] for part in zip(*views)]
        logits, loss = self._compiled(*stacked)
        return logits.numpy()[..., 0], float(loss)

    def _step(
        self,
        image: tf.Tensor,
        seed: tf.Tensor,
        labels: tf.Tensor,
        weights: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = self.network([image, seed], training=True)
            entropy = tf.nn.sigmoid_cross_entropy_with_logits(
                labels=labels, logits=logits
            )
            loss = tf.reduce_mean(entropy * weights)
        clip = self._options.gradient_clip
        values = [w.value for w in self._weights]
        gradients = [
            tf.clip_by_value(gradient, -clip, clip)
            for gradient in tape.gradient(loss, values)
        ]
        self._optimizer.apply(gradients, self._weights)
        decay = self._options.ema_decay
        for shadow, weight in zip(self._shadow, self._weights):
            shadow.assign(decay * shadow + (1 - decay) * weight.value)
        return logits, loss

    @property
    def average(self) -> list[np.ndarray]:
        if self._shadow:
            return [shadow.numpy() for shadow in self._shadow]
        return [np.asarray(weight.value) for weight in self._weights]

    @property
    def learning_rate(self) -> float:
        return float(self._optimizer.learning_rate.numpy())

    def state(self) -> dict[str, np.ndarray]:
        """Everything that `restore` needs."""
        return self._state.arrays()

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Goes on from an earlier `state`.

        Raises:
          ValueError: the state of another network or optimizer.
        """
        self._state.restore(state)
