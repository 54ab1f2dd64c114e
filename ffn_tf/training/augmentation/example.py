"""Example: image, labels and weights of one place, and its cuts.

Sizes are static, odd, and zyx voxels: the centre is a voxel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

Triple = tuple[int, int, int]


class Example(NamedTuple):
    """What a network is shown, what it should say, and where that counts.

    Attributes:
      image: [z, y, x] float32, raw grey values.
      labels: [z, y, x] of any integer type: object mask or ids.
      weights: [z, y, x] float32, 0 where nothing is known.
    """

    image: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor

    @property
    def size(self) -> Triple:
        z, y, x = self.image.shape.as_list()
        return z, y, x

    def each(self, move: Callable[[tf.Tensor], tf.Tensor]) -> Example:
        """The same move for all three."""
        return Example(*map(move, self))

    def cropped(self, size: Triple) -> Example:
        """The middle of the example."""
        if size == self.size:
            return self
        start = [(have - want) // 2 for have, want in zip(self.size, size)]
        return self.each(lambda array: tf.slice(array, start, size))


def check(example: Example, size: Triple) -> None:
    """Raises a ValueError unless all three arrays are of `size`, as typed."""
    for name, array in example._asdict().items():
        if tuple(array.shape) != size:
            raise ValueError(
                f"{name}: expected an array of padded_size {size}, found "
                f"{array.shape}."
            )
        is_right = (
            array.dtype.is_integer
            if name == "labels"
            else array.dtype == "float32"
        )
        if not is_right:
            expected = "integers" if name == "labels" else "float32"
            raise ValueError(
                f"{name}: expected {expected}, found {array.dtype.name}."
            )
