"""(1) Orientation: axes permuted and reflected, as google/ffn does.

One draw for each example: `permutable_axes` in any order, each alike, then
each of `reflectable_axes` reversed or not, alike. The centre stays where it
is, for sizes are odd and permutable axes are of one size.
"""

from __future__ import annotations

import tensorflow as tf

from ffn_tf.training.augmentation import draws
from ffn_tf.training.augmentation.example import Example
from ffn_tf.training.augmentation.options import AugmentOptions


def oriented(
    example: Example, seed: tf.Tensor, options: AugmentOptions
) -> Example:
    """The example in one of its orientations."""
    if options.permutable_axes:
        example = permuted(example, permutation(seed, options))
    if options.reflectable_axes:
        example = reflected(example, reflections(seed, options))
    return example


def permutation(seed: tf.Tensor, options: AugmentOptions) -> tf.Tensor:
    """[3] int32: the axis of the input that each axis of the result is."""
    axes = sorted(options.permutable_axes)
    stream = draws.Draws(seed, draws.Stream.PERMUTE)
    order = tf.argsort(stream.uniform((len(axes),)))
    shuffled = tf.gather(tf.constant(axes, tf.int32), order)
    return tf.tensor_scatter_nd_update(
        tf.range(3), [[axis] for axis in axes], shuffled
    )


def reflections(seed: tf.Tensor, options: AugmentOptions) -> tf.Tensor:
    """[3] bool: the axes that are reversed."""
    stream = draws.Draws(seed, draws.Stream.REFLECT)
    allowed = [axis in options.reflectable_axes for axis in range(3)]
    return (stream.uniform((3,)) < 0.5) & tf.constant(allowed)


def permuted(example: Example, order: tf.Tensor) -> Example:
    """Axes in another order, among axes of one size."""
    return example.each(
        lambda array: tf.ensure_shape(tf.transpose(array, order), array.shape)
    )


def reflected(example: Example, which: tf.Tensor) -> Example:
    """Some axes reversed; which: [3] bool."""
    axes = tf.reshape(tf.where(which), [-1])
    return example.each(lambda array: tf.reverse(array, axes))
