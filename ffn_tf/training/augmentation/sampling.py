"""Sampling: values of an array between its voxels.

    values: [n1, ..., nk, c]       c values at each point of a grid
    points: k tensors [p] float32  one coordinate each, in voxels
    result: [p, c]

Points outside of the grid take the value of its nearest voxel; `inside` tells
which are. A voxel reaches half a voxel beyond its centre. All operations are
written out, in one order, so that the result is the same bit for bit whoever
runs them.
"""

from __future__ import annotations

from collections.abc import Sequence
import itertools
import math

import tensorflow as tf

Points = Sequence[tf.Tensor]


def nearest(values: tf.Tensor, points: Points) -> tf.Tensor:
    """The nearest voxel."""
    indices = [tf.cast(tf.floor(p + 0.5), tf.int32) for p in points]
    return _gathered(values, _offsets(values, indices))


def inside(size: Sequence[int], points: Points) -> tf.Tensor:
    """[p] bool: the nearest voxel is one of a grid of `size`."""
    return tf.reduce_all(
        [(p >= -0.5) & (p < n - 0.5) for n, p in zip(size, points)], axis=0
    )


def linear(values: tf.Tensor, points: Points) -> tf.Tensor:
    """Linear interpolation along each of the k axes; float32."""
    below = [tf.floor(p) for p in points]
    upper = [p - low for p, low in zip(points, below)]
    corners = [tf.cast(low, tf.int32) for low in below]
    sides = [
        (_offsets(values, corners), [1.0 - share for share in upper]),
        (_offsets(values, [corner + 1 for corner in corners]), upper),
    ]
    terms = []
    for choice in itertools.product((0, 1), repeat=len(points)):
        offset = [sides[side][0][axis] for axis, side in enumerate(choice)]
        share = [sides[side][1][axis] for axis, side in enumerate(choice)]
        weight = math.prod(share[1:], start=share[0])
        terms.append(_gathered(values, offset) * weight[:, None])
    return tf.add_n(terms)


def _offsets(values: tf.Tensor, indices: Points) -> list[tf.Tensor]:
    """What each index adds to the place of a point in the flat array."""
    *size, _ = values.shape.as_list()
    return [
        tf.clip_by_value(index, 0, n - 1) * math.prod(size[axis + 1 :])
        for axis, (n, index) in enumerate(zip(size, indices))
    ]


def _gathered(values: tf.Tensor, offsets: Points) -> tf.Tensor:
    flat = tf.reshape(values, [-1, values.shape[-1]])
    return tf.gather(flat, sum(offsets[1:], start=offsets[0]))
