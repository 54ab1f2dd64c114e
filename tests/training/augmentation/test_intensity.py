"""Intensity: fixed points, bounds, one amount or one for each section."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from ffn_tf.training.augmentation import AugmentOptions, intensity

GREY = tf.constant([[[0.0, 51.0, 127.5, 204.0, 255.0]]])


def changed(image, **changes):
    options = AugmentOptions(**changes)
    return intensity.regraded(image, tf.constant([0, 1]), options).numpy()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"contrast_probability": 1.0, "contrast_range": (0.5, 0.5)},
            [63.75, 89.25, 127.5, 165.75, 191.25],
        ),
        (
            {"contrast_probability": 1.0, "contrast_range": (1.5, 1.5)},
            [0, 12.75, 127.5, 242.25, 255],
        ),
        (
            {"brightness_probability": 1.0, "brightness_range": (0.1, 0.1)},
            [25.5, 76.5, 153, 229.5, 255],
        ),
        (
            {"brightness_probability": 1.0, "brightness_range": (-0.3, -0.3)},
            [0, 0, 51, 127.5, 178.5],
        ),
        (
            {"gamma_probability": 1.0, "gamma_range": (2.0, 2.0)},
            [0, 10.2, 63.75, 163.2, 255],
        ),
        (
            {
                "contrast_probability": 1.0,
                "contrast_range": (1.0, 1.0),
                "brightness_probability": 1.0,
                "brightness_range": (0.0, 0.0),
                "gamma_probability": 1.0,
                "gamma_range": (1.0, 1.0),
            },
            GREY[0, 0],
        ),
    ],
)
def test_known_amounts(changes, expected):
    found = changed(GREY, **changes)
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-3)


def test_off_is_the_image_exactly(numbered):
    image = numbered((3, 5, 7)).image
    np.testing.assert_array_equal(changed(image), image)


def test_black_and_white_may_be_others():
    """Grey values of 16 bits, from 1000 to 3000; 900 and 4000 are beyond."""
    image = tf.constant([[[900.0, 1000.0, 1500.0, 3000.0, 4000.0]]])
    found = changed(
        image,
        grey_range=(1000.0, 3000.0),
        gamma_probability=1.0,
        gamma_range=(1.5, 1.5),
    )
    expected = [1000, 1000, 1250, 3000, 3000]
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("by_section", [0.0, 1.0, 0.5])
def test_amounts(by_section, results):
    """Amounts are read off the image: what was added, in its bounds."""
    options = AugmentOptions(
        permutable_axes=(),
        reflectable_axes=(),
        brightness_probability=1.0,
        brightness_range=(-0.1, 0.3),
        grey_range=(-1000.0, 1000.0),
        intensity_by_section=by_section,
    )
    example, found = results(options, (5, 3, 3), 300)
    added = (found.image - example.image.numpy()) / 2000
    np.testing.assert_allclose(
        added, np.broadcast_to(added[..., :1, :1], added.shape), atol=1e-5
    )
    amounts = added[..., 0, 0]
    assert -0.1 - 1e-5 <= amounts.min() < -0.09
    assert 0.29 < amounts.max() <= 0.3 + 1e-5
    several = np.ptp(amounts, axis=1) > 1e-3
    assert by_section * 300 - 35 <= several.sum() <= by_section * 300 + 35
    if by_section in (0, 1):
        assert several.all() == several.any() == bool(by_section)


def test_exponents_are_alike_up_and_down(results):
    """2 to the power of something symmetric: as often above 1 as below."""
    options = AugmentOptions(
        permutable_axes=(),
        reflectable_axes=(),
        gamma_probability=1.0,
        intensity_by_section=0.0,
    )
    example, found = results(options, (3, 3, 3), 300)
    grey = example.image.numpy()[0, 0, 0] / 255
    exponents = np.log(found.image[:, 0, 0, 0] / 255) / np.log(grey)
    assert 0.5 <= exponents.min() < 0.53 and 1.9 < exponents.max() <= 2.001
    assert 110 < (exponents > 1).sum() < 190
