"""(4) Fitting: a head's weights from examples; whole epochs in one call.

Heads are small and fitted often, so what surrounds a step must cost little: the
examples are in memory, and an epoch is one compiled function.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ffn_tf import program
from segclr.classification import heads

_STEPS = 1000  # Of a fit without validation.


@dataclasses.dataclass(frozen=True)
class Options:
    """The head, and how it is fitted."""

    head: str = program.option(
        "sngp",
        help="Its kind; sngp knows what it does not.",
        choices=heads.KINDS,
    )
    hidden: int = program.option(128, help="Numbers between its layers.")
    blocks: int = program.option(2, help="Residual blocks, two layers each.")
    learning_rate: float = program.option(1e-3, help="Of Adam.")
    batch_size: int = program.option(128, help="Examples of a step.")
    max_epochs: int = program.option(1000, help="At most.")
    patience: int = program.option(
        20, help="Epochs without a better validation, after which it ends."
    )
    balance: bool = program.option(
        True, help="Weigh each class alike, however many examples it has."
    )

    def __post_init__(self) -> None:
        if min(self.batch_size, self.max_epochs, self.patience) < 1:
            raise ValueError(
                f"--batch_size, --max_epochs, --patience: expected 1 or more, "
                f"found {self.batch_size}, {self.max_epochs}, {self.patience}."
            )
        if not 0 < self.learning_rate < np.inf:
            raise ValueError(
                f"--learning_rate must be positive, found {self.learning_rate}."
            )


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """What a head learns from.

    Attributes:
      x: [n, features] float32, standardised.
      y: [n] int32, classes.
      weight: [n] float32, of each in the loss.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


def weights(y: np.ndarray, classes: int, balance: bool) -> np.ndarray:
    """[n] float32 with a mean of 1: alike, or each class alike."""
    if not balance:
        return np.ones(len(y), np.float32)
    counts = np.bincount(y, minlength=classes)
    return (len(y) / ((counts > 0).sum() * counts[y])).astype(np.float32)


def fit(
    head: heads.Head,
    train: Examples,
    valid: Examples | None,
    options: Options,
    seed: int,
) -> int:
    """Fits a head; with validation, its best weights are kept.

    Args:
      head: built.
      train: to learn from.
      valid: whose loss says when to end; None: after a thousand steps.
      options: how.
      seed: of the order.

    Returns:
      Epochs.

    Raises:
      ValueError: the loss is not finite.
    """
    batch = min(options.batch_size, len(train))
    steps = len(train) // batch
    epochs = options.max_epochs if valid else -(-_STEPS // steps)
    learner = _Learner(head, options.learning_rate, train, valid)
    rng = np.random.default_rng([seed, 7])
    best, kept, worse, epoch = np.inf, head.get_weights(), 0, 0
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(train))[: steps * batch]
        loss = learner.epoch(order.reshape(steps, batch))
        if not np.isfinite(loss):
            raise ValueError(
                f"The loss of the classifier is {loss} in epoch {epoch}: try "
                f"a lower --learning_rate."
            )
        if valid is None:
            continue
        found = learner.validated()
        worse = 0 if found < best else worse + 1
        if found < best:
            best, kept = found, head.get_weights()
        if worse >= options.patience:
            break
    if valid is not None:
        head.set_weights(kept)
    return epoch


class _Learner:
    """Compiled functions of one fit."""

    def __init__(
        self,
        head: heads.Head,
        learning_rate: float,
        train: Examples,
        valid: Examples | None,
    ) -> None:
        self._head = head
        self._optimizer = keras.optimizers.Adam(learning_rate)
        self._optimizer.build(head.trainable_variables)
        self._train = [tf.constant(a) for a in dataclasses.astuple(train)]
        self._valid: list[Any] = []
        if valid is not None:
            self._valid = [tf.constant(a) for a in dataclasses.astuple(valid)]
        self._validated = tf.function(
            lambda: _cross_entropy(head(self._valid[0]), *self._valid[1:])
        )
        self._epoch = tf.function(
            self._run, input_signature=[tf.TensorSpec((None, None), tf.int64)]
        )

    def epoch(self, order: np.ndarray) -> float:
        """Steps, one for each row of `order` [steps, batch]; the last loss."""
        return float(self._epoch(tf.constant(order, tf.int64)))

    def validated(self) -> float:
        """The loss of the examples to validate on."""
        return float(self._validated())

    def _run(self, order: Any) -> Any:
        loss = tf.constant(0.0)
        for step in tf.range(tf.shape(order)[0]):
            x, y, weight = (tf.gather(a, order[step]) for a in self._train)
            with tf.GradientTape() as tape:
                loss = _cross_entropy(self._head(x, training=True), y, weight)
                total = tf.add_n([loss, *self._head.losses])
            variables = self._head.trainable_variables
            gradients = tape.gradient(total, [v.value for v in variables])
            self._optimizer.apply(gradients, variables)
        return loss


def _cross_entropy(logits: Any, y: Any, weight: Any) -> Any:
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
    return tf.reduce_mean(each * weight)
