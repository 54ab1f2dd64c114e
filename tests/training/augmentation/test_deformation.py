"""Deformation: turns that are known, warps that do not fold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import transform
import tensorflow as tf

from ffn_tf.training.augmentation import (
    AugmentOptions,
    Example,
    deformation,
    draws,
)

SIDE = 9
CUBE = (SIDE, SIDE, SIDE)
QUARTER = np.pi / 2
AXES = np.eye(3, dtype=np.float32)


def turned(example, angle, axis, size, in_space=True, voxel=(1.0, 1.0, 1.0)):
    matrix = deformation.rotation(tf.constant(angle, tf.float32), axis, voxel)
    points = deformation.turned(matrix, example.size, size, in_space)
    return deformation.sampled(example, points, size)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("quarters", [1, 2, 3, -1])
def test_quarter_turns(numbered, axis, quarters):
    example = numbered(CUBE)
    found = turned(example, quarters * QUARTER, AXES[axis], CUBE)
    plane = tuple(other for other in range(3) if other != axis)
    # About y, the axes that turn are z, x in the other order.
    plane = plane[::-1] if axis == 1 else plane
    for one, other in zip(example, found):
        expected = np.rot90(one, -quarters, plane)
        np.testing.assert_allclose(other, expected, rtol=1e-4)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_within_sections(numbered, quarters):
    example = numbered((5, SIDE, SIDE))
    found = turned(
        example, quarters * QUARTER, AXES[0], example.size, in_space=False
    )
    for one, other in zip(example, found):
        expected = np.rot90(one, -quarters, (1, 2))
        np.testing.assert_allclose(other, expected, rtol=1e-4)


def test_no_turn_is_the_middle_exactly(numbered):
    example = numbered((7, 9, 11))
    for in_space in (True, False):
        size = (3 if in_space else 7, 5, 7)
        found = turned(example, 0.0, AXES[0], size, in_space)
        for one, other in zip(example.cropped(size), found):
            np.testing.assert_array_equal(one, other)


def test_sections_and_space_agree_on_a_turn_about_z(numbered):
    example = numbered((5, 13, 15))
    one = turned(example, 0.7, AXES[0], (5, 7, 9), in_space=False)
    other = turned(example, 0.7, AXES[0], (5, 7, 9), in_space=True)
    for a, b in zip(one, other):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_rotations_are_those_of_scipy():
    rng = np.random.default_rng(0)
    for _ in range(10):
        vector = rng.normal(size=3)
        angle = float(np.linalg.norm(vector))
        found = deformation.rotation(
            tf.constant(angle, tf.float32), vector / angle, (1.0, 1.0, 1.0)
        )
        expected = transform.Rotation.from_rotvec(vector).as_matrix()
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_turn_of_physical_space(numbered):
    """A ramp in nanometres turns into the ramp that geometry says.

    Linear interpolation is exact on a ramp, whatever the voxels are.
    """
    voxel = np.array([40.0, 8.0, 10.0])
    slope = np.array([0.1, 0.3, -0.2])
    vector = np.array([0.3, -0.5, 0.8])

    def ramp(size, matrix):
        grid = np.indices(size).reshape(3, -1).T
        away = (grid - np.array(size) // 2) * voxel
        return (away @ matrix.T @ slope).reshape(size)

    source = (11, 33, 27)
    image = tf.constant(ramp(source, np.eye(3)), tf.float32)
    example = numbered(source)._replace(image=image)
    angle = float(np.linalg.norm(vector))
    size = (3, 9, 7)
    found = turned(example, angle, vector / angle, size, voxel=tuple(voxel))
    turn = transform.Rotation.from_rotvec(vector).as_matrix()
    assert (found.weights.numpy() == 1).all()
    np.testing.assert_allclose(found.image, ramp(size, turn), atol=1e-3)


def test_what_comes_from_outside_has_weight_0(numbered):
    """An eighth of a turn without context: the corners come from outside."""
    example = numbered((3, SIDE, SIDE))
    found = turned(example, QUARTER / 2, AXES[0], example.size, in_space=False)
    y, x = np.indices((SIDE, SIDE)) - SIDE // 2
    reach = np.maximum(np.abs(y + x), np.abs(y - x)) / np.sqrt(2)
    expected = np.broadcast_to(reach < SIDE / 2, example.size)
    np.testing.assert_array_equal(found.weights, expected)
    assert 0.5 < np.mean(found.weights) < 0.95
    assert np.isfinite(found.image).all()


def test_weights_move_with_the_image(numbered):
    """Unlabelled voxels stay unlabelled wherever they go."""
    example = numbered(CUBE)
    known = np.ones(CUBE, np.float32)
    known[2, 3, 1] = 0
    example = example._replace(weights=tf.constant(known))
    found = turned(example, QUARTER, AXES[0], CUBE)
    expected = np.rot90(known, -1, (1, 2))
    np.testing.assert_array_equal(found.weights, expected)


def warps(count=40, size=(3, 33, 41), **changes):
    options = AugmentOptions(elastic_probability=1.0, **changes)
    return options, np.array(
        [
            deformation.elastic(
                draws.Draws(tf.constant([0, n]), draws.Stream.ELASTIC),
                options,
                size,
            )
            for n in range(count)
        ]
    )


@pytest.mark.parametrize(
    "changes",
    [{}, {"elastic_spacing": 5, "elastic_displacement": 2.5}],
    ids=["default", "fine"],
)
def test_warps_are_smooth_and_keep_the_centre(changes):
    options, found = warps(**changes)
    assert found.shape == (40, 3, 33, 41)
    assert (found[:, 0] == 0).all()  # Nothing moves along z.
    assert (found[..., 16, 20] == 0).all()
    most = np.abs(found).max()
    assert 0.4 * options.elastic_displacement < most
    assert most <= options.elastic_displacement
    # What is shown is nowhere folded: the Jacobian stays positive.
    dy, dx = np.gradient(found[:, 1:], axis=(2, 3))
    jacobian = (1 + dy[:, 0]) * (1 + dx[:, 1]) - dx[:, 0] * dy[:, 1]
    assert jacobian.min() > 0
    curve = np.abs(np.diff(found, 2, axis=3)).max()
    assert curve < 4 * options.elastic_displacement / (
        options.elastic_spacing**2
    )


def test_no_displacement_is_the_middle_exactly(results):
    options = AugmentOptions(
        permutable_axes=(),
        reflectable_axes=(),
        elastic_probability=1.0,
        elastic_displacement=0.0,
    )
    example, found = results(options, (5, 7, 9), 2)
    np.testing.assert_array_equal(found.image[1], example.image)


def test_warps_are_alike_in_all_sections(numbered):
    """Columns stay columns, displaced by what `elastic` says."""
    size, source = (5, 9, 9), (5, 15, 15)
    _, (warp,) = warps(1, size, elastic_displacement=3.0)
    rows = tf.range(15.0)[None, :, None] + tf.zeros(source)
    example = Example(rows, numbered(source).labels, tf.ones(source))
    points = deformation.turned(tf.eye(3), source, size, False) + warp[1:]
    found = deformation.sampled(example, points, size).image
    for section in found:
        expected = np.arange(9)[:, None] + 3 + warp[1]
        np.testing.assert_allclose(section, expected, atol=1e-4)
