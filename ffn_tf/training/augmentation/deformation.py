"""(2) Deformation: rotation and elastic warp, in one interpolation.

A voxel of the result at p reads the input at

    q = c + M (p - c) + w(p)        M = S^-1 R S,  w(c) = 0

where c is the centre, R a rotation of physical space, S the voxel size, and w
a displacement within the plane y, x, the same in every section: a cubic
B-spline over a coarse grid of random nodes. The image is interpolated
linearly, labels and weights are those of the nearest voxel. Without
`rotation_3d`, sections stay sections, and one gather of whole columns moves
them all, which is an order of magnitude faster.
"""

from __future__ import annotations

from collections.abc import Callable
import math

import numpy as np
import tensorflow as tf

from ffn_tf.training.augmentation import draws, sampling
from ffn_tf.training.augmentation.example import Example, Triple
from ffn_tf.training.augmentation.options import AugmentOptions

Sample = Callable[[tf.Tensor, sampling.Points], tf.Tensor]

_EPSILON = 1e-3  # Voxels: what rounding may add to a coordinate.


def padded(
    size: Triple,
    options: AugmentOptions,
    voxel_size_zyx: tuple[float, float, float],
) -> Triple:
    """Sizes of the input that has all that results of `size` can show."""
    half = np.array([n // 2 for n in size], float)
    reach = half.copy()
    if options.rotation_probability:
        physical = half * voxel_size_zyx
        angle = math.radians(options.rotation_degrees)
        free = slice(0, 3) if options.rotation_3d else slice(1, 3)
        radius = float(np.linalg.norm(physical[free]))
        # A turn moves a point by a chord, and keeps it on its sphere.
        chord = 2 * math.sin(angle / 2) * radius
        reach[free] = np.minimum(physical[free] + chord, radius)
        reach[free] /= np.asarray(voxel_size_zyx)[free]
    if options.elastic_probability:
        reach[1:] += options.elastic_displacement
    z, y, x = (2 * math.ceil(r - _EPSILON) + 1 for r in reach)
    return z, y, x


def deformed(
    example: Example,
    seed: tf.Tensor,
    options: AugmentOptions,
    size: Triple,
    voxel_size_zyx: tf.Tensor,
) -> Example:
    """The middle `size` of the example, rotated and warped if so drawn."""
    turn = draws.Draws(seed, draws.Stream.ROTATE)
    bend = draws.Draws(seed, draws.Stream.ELASTIC)
    turns = turn.happens(options.rotation_probability)
    bends = bend.happens(options.elastic_probability)

    def move() -> Example:
        most = math.radians(options.rotation_degrees)
        angle = tf.where(turns, turn.uniform((), -most, most), 0.0)
        axis = turn.direction() if options.rotation_3d else [1.0, 0.0, 0.0]
        matrix = rotation(angle, axis, voxel_size_zyx)
        points = turned(matrix, example.size, size, options.rotation_3d)
        if options.elastic_probability:
            warp = tf.where(bends, elastic(bend, options, size), 0.0)
            points += warp[:, None] if options.rotation_3d else warp[1:]
        return sampled(example, points, size)

    return tf.cond(turns | bends, move, lambda: example.cropped(size))


def rotation(
    angle: tf.Tensor, axis_zyx: tf.Tensor, voxel_size_zyx: tf.Tensor
) -> tf.Tensor:
    """M, [3, 3] float32: a turn about a unit axis, for voxel coordinates.

    M turns the place that is read, so what is shown turns the other way.
    """
    axis = tf.convert_to_tensor(axis_zyx, tf.float32)
    scale = tf.convert_to_tensor(voxel_size_zyx, tf.float32)
    z, y, x = tf.unstack(axis)
    zero = tf.zeros(())
    cross = tf.stack([[zero, -x, y], [x, zero, -z], [-y, z, zero]])
    cosine, sine = tf.cos(angle), tf.sin(angle)
    # A matrix product: a graph may reorder factors of different shapes.
    parallel = axis[:, None] @ axis[None, :]
    turn = tf.add_n(
        [cosine * tf.eye(3), sine * cross, (1.0 - cosine) * parallel]
    )
    return turn * (scale[None, :] * tf.math.reciprocal(scale)[:, None])


def elastic(
    bend: draws.Draws, options: AugmentOptions, size: Triple
) -> tf.Tensor:
    """w, [3, y, x] float32: displacements zyx in voxels, 0 at the centre."""
    rows, columns = (_spline(n, options.elastic_spacing) for n in size[1:])
    reach = options.elastic_displacement / 2
    shape = (2, rows.shape[1], columns.shape[1])
    # B-splines stay within their nodes, and the centre is taken off.
    warp = rows @ bend.uniform(shape, -reach, reach) @ columns.T
    warp -= warp[:, size[1] // 2, None, size[2] // 2, None]
    return tf.pad(warp, [[1, 0], [0, 0], [0, 0]])


def _spline(length: int, spacing: int) -> np.ndarray:
    """[length, nodes] float32: the cubic B-spline of each node."""
    place = (np.arange(length) - length // 2) / spacing
    reach = math.ceil(length // 2 / spacing) + 1
    away = np.abs(place[:, None] - np.arange(-reach, reach + 1))
    near = 2 / 3 - away**2 + away**3 / 2
    far = np.maximum(2 - away, 0) ** 3 / 6
    return np.where(away < 1, near, far).astype(np.float32)


def turned(
    matrix: tf.Tensor, source: Triple, size: Triple, in_space: bool
) -> tf.Tensor:
    """c + M (p - c) for the voxels p of the result.

    Returns:
      [3, z, y, x] float32 if `in_space`, else [2, y, x]: y and x, for all z.
    """
    first = 0 if in_space else 1
    centre = [n // 2 for n in source[first:]]
    axes = [np.arange(n) - n // 2 for n in size[first:]]
    away = np.stack([*np.meshgrid(*axes, indexing="ij"), np.ones(size[first:])])
    # One product, since a graph may reorder sums.
    affine = tf.concat(
        [matrix[first:, first:], tf.constant(centre, tf.float32)[:, None]], 1
    )
    points = affine @ away.reshape(len(away), -1).astype(np.float32)
    return tf.reshape(points, [-1, *size[first:]])


def sampled(example: Example, points: tf.Tensor, size: Triple) -> Example:
    """The example read at the points that `turned` returns, and of `size`."""
    z, y, x = size
    in_space = len(points) == 3
    axes = tf.unstack(tf.reshape(points, [len(points), -1]))
    known = sampling.inside(example.size[-len(axes) :], axes)[:, None]

    def move(array: tf.Tensor, sample: Sample) -> tf.Tensor:
        if in_space:
            return tf.reshape(sample(array[..., None], axes), size)
        columns = sample(tf.transpose(array, [1, 2, 0]), axes)
        return tf.transpose(tf.reshape(columns, [y, x, z]), [2, 0, 1])

    def weight(values: tf.Tensor, axes: sampling.Points) -> tf.Tensor:
        return tf.where(known, sampling.nearest(values, axes), 0.0)

    return Example(
        move(example.image, sampling.linear),
        move(example.labels, sampling.nearest),
        move(example.weights, weight),
    )
