"""Masks: segments a little thinner or thicker than they are.

Segmentations differ in where they put the border of a neurite, and an encoder
that has only seen one kind of border looks for it.
"""

from __future__ import annotations

import tensorflow as tf

from ffn_tf.training.augmentation import draws


def changed(
    mask: tf.Tensor, seed: tf.Tensor, probability: float, most: int
) -> tf.Tensor:
    """A mask, eroded or dilated if so drawn.

    Args:
      mask: [z, y, x] float32, 0 or 1; the shape is static.
      seed: [2] int32; the same seed gives the same mask.
      probability: of a change; erosion and dilation are alike.
      most: voxels by which a border moves at most, at least 1.
    """
    if not probability:
        return mask
    draw = draws.Draws(seed, draws.Stream.MASK)
    happens = draw.happens(probability)
    thicker = draw.happens(0.5)
    voxels = tf.cast(draw.uniform((), 1.0, most + 1.0), tf.int32)

    def moved() -> tf.Tensor:
        # To erode is to dilate what is outside.
        outside = tf.where(thicker, mask, 1 - mask)
        grown = tf.switch_case(
            voxels - 1,
            [lambda n=n: _dilated(outside, n) for n in range(1, most + 1)],
        )
        return tf.where(thicker, grown, 1 - grown)

    return tf.ensure_shape(tf.cond(happens, moved, lambda: mask), mask.shape)


def _dilated(mask: tf.Tensor, voxels: int) -> tf.Tensor:
    """By a cube, axis by axis."""
    found = mask[None, ..., None]
    for axis in range(3):
        size = [1, 1, 1, 1, 1]
        size[axis + 1] = 2 * voxels + 1
        found = tf.nn.max_pool3d(found, size, [1] * 5, "SAME")
    return found[0, ..., 0]
