"""Draws: random numbers of a seed, one stream for each operation.

    seed ── fold in the Stream ── fold in a number ── uniform values

Which stream an operation has is fixed here once and for all: an operation that
is switched on, or new, changes no other's draws.
"""

from __future__ import annotations

import enum
from typing import Any

import tensorflow as tf

_ALG = "philox"  # The same numbers on every device.


class Stream(enum.IntEnum):
    """The operations. Never renumber them."""

    PERMUTE = 1
    REFLECT = 2
    ROTATE = 3
    ELASTIC = 4
    MISALIGN = 5
    DEFOCUS = 6
    CONTRAST = 7
    BRIGHTNESS = 8
    GAMMA = 9
    MISSING = 10
    MASK = 11


class Draws:
    """The random numbers of one operation on one example.

    Args:
      seed: [2] int32.
      stream: the operation.
    """

    def __init__(self, seed: tf.Tensor, stream: Stream) -> None:
        self._seed = tf.random.fold_in(seed, int(stream), alg=_ALG)
        self._next = 0

    def uniform(
        self, shape: tuple[int, ...] = (), low: Any = 0.0, high: Any = 1.0
    ) -> tf.Tensor:
        """Values of [low, high), float32, or int32 if the bounds are int."""
        self._next += 1
        return tf.random.stateless_uniform(
            shape,
            tf.random.fold_in(self._seed, self._next, alg=_ALG),
            low,
            high,
            tf.int32 if isinstance(low, int) else tf.float32,
            alg=_ALG,
        )

    def happens(self, probability: float) -> tf.Tensor:
        """A boolean scalar."""
        return self.uniform() < probability

    def direction(self) -> tf.Tensor:
        """[3] float32 of length 1, all directions alike."""
        self._next += 1
        vector = tf.random.stateless_normal(
            (3,),
            tf.random.fold_in(self._seed, self._next, alg=_ALG),
            alg=_ALG,
        )
        return vector / tf.maximum(tf.norm(vector), 1e-6)

    def sections(self, count: int, most: int) -> tf.Tensor:
        """[count] bool: 1 to `most` sections, but never the middle one."""
        score = self.uniform((count,))
        # The middle section is ranked last.
        score += tf.one_hot(count // 2, count, on_value=2.0)
        rank = tf.argsort(tf.argsort(score))
        return rank < self.uniform((), 1, most + 1)
