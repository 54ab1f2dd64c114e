"""Orientation: transposes and flips, shared by all three arrays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from ffn_tf.training.augmentation import AugmentOptions, orientation


def test_permuted(numbered):
    example = numbered((3, 5, 5))
    found = orientation.permuted(example, tf.constant([0, 2, 1]))
    for one, other in zip(example, found):
        np.testing.assert_array_equal(np.swapaxes(one, 1, 2), other)


@pytest.mark.parametrize(
    "which", list(itertools.product((False, True), repeat=3))
)
def test_reflected(numbered, which):
    example = numbered((3, 5, 7))
    found = orientation.reflected(example, tf.constant(which))
    axes = tuple(np.flatnonzero(which))
    for one, other in zip(example, found):
        np.testing.assert_array_equal(np.flip(one, axes), other)


@pytest.mark.parametrize(
    ("permutable", "reflectable"),
    [
        ((1, 2), (0, 1, 2)),
        ((0, 1, 2), (0, 1, 2)),
        ((2, 0), (1,)),
        ((), (0, 2)),
        ((0, 1), ()),
        ((1,), ()),
    ],
)
def test_each_orientation_that_is_allowed_comes_and_no_other(
    numbered, results, permutable, reflectable
):
    options = AugmentOptions(
        permutable_axes=permutable, reflectable_axes=reflectable
    )
    example, found = results(options, (5, 5, 5), 600)
    labels = example.labels.numpy()
    orders = {
        tuple(dict(zip(permutable, order)).get(axis, axis) for axis in range(3))
        for order in itertools.permutations(permutable)
    }
    flips = [
        flip
        for length in range(len(reflectable) + 1)
        for flip in itertools.combinations(reflectable, length)
    ]
    expected = {
        np.flip(labels.transpose(order), flip).tobytes()
        for order in orders
        for flip in flips
    }
    arrived = [one.tobytes() for one in found.labels]
    assert set(arrived) == expected
    # Alike: each at least a third as often as the average.
    least = min(arrived.count(one) for one in expected)
    assert least > 600 / len(expected) / 3


def test_one_draw_for_all_three(results):
    _, found = results(AugmentOptions(), (5, 5, 5), 20)
    image, labels = found.image, found.labels
    np.testing.assert_allclose(image, 1 + (labels - 1) * (253 / 125), rtol=1e-5)
