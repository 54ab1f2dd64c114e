"""Sections that slip, drift, blur, or are lost; the middle one never."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
import tensorflow as tf

from ffn_tf.training.augmentation import AugmentOptions, sections

OFF = {"permutable_axes": (), "reflectable_axes": ()}
SIZE = (7, 9, 11)
MIDDLE = 3


# -----------------------------------------------------------------------------
# Misalignment
# -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "slips", "expected"),
    [
        (0, True, [0]),
        (2, True, [2]),
        (4, True, [4]),
        (0, False, [0]),
        (2, False, [0, 1, 2]),
        (4, False, [4, 5, 6]),
        (6, False, [6]),
    ],
)
def test_moved_sections(section, slips, expected):
    found = sections.moved_sections(7, tf.constant(section), tf.constant(slips))
    assert np.flatnonzero(found).tolist() == expected


def test_shifted(numbered):
    example = numbered((7, 13, 15))
    which = tf.constant([True, True, False, False, False, False, True])
    found = sections.shifted(example, which, tf.constant([1, -2]), SIZE)
    for one, other in zip(example, found):
        expected = one.numpy()[:, 2:11, 2:13].copy()
        expected[[0, 1, 6]] = one.numpy()[[0, 1, 6], 3:12, 0:11]
        np.testing.assert_array_equal(other, expected)


@pytest.mark.parametrize("slips", [1.0, 0.0])
def test_misalignments(results, slips):
    """All of them are one shift, of one section or all behind it."""
    options = AugmentOptions(
        **OFF,
        misalignment_probability=1.0,
        misalignment_slips=slips,
        misalignment_voxels=2,
    )
    example, found = results(options, SIZE, 300)
    whole = example.labels.numpy()
    shifts, moved = set(), set()
    for labels, image in zip(found.labels, found.image):
        seen = []
        for z, section in enumerate(labels):
            (place,) = np.argwhere(whole[z] == section[0, 0])
            shift = tuple(int(p) - 2 for p in place)
            y, x = place
            np.testing.assert_array_equal(
                section, whole[z, y : y + 9, x : x + 11]
            )
            np.testing.assert_array_equal(
                image[z], example.image[z, y : y + 9, x : x + 11]
            )
            if shift != (0, 0):
                seen.append(z)
                shifts.add(shift)
        moved.add(tuple(seen))
    assert len(shifts) == 24  # All of 5 x 5 but none.
    if slips:
        assert moved == {(), (0,), (1,), (2,), (4,), (5,), (6,)}
    else:
        assert moved == {
            (),
            (0,),
            (0, 1),
            (0, 1, 2),
            (4, 5, 6),
            (5, 6),
            (6,),
        }


# -----------------------------------------------------------------------------
# Focus
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blurred_is_a_gaussian(sigma):
    image = np.zeros((2, 21, 23), np.float32)
    image[0, 10, 11] = 100
    image[1, 10:, 4:] = 50
    found = sections.blurred(tf.constant(image), tf.constant(sigma))
    expected = ndimage.gaussian_filter(
        image, (0, sigma, sigma), truncate=8, mode="nearest"
    )
    np.testing.assert_allclose(found[0], expected[0], atol=1e-2)
    inner = np.s_[8:13, 8:15]
    np.testing.assert_allclose(found[1][inner], expected[1][inner], atol=0.05)


def test_blurred_keeps_what_is_even_up_to_the_edge():
    even = tf.fill((2, 5, 7), 200.0)
    for sigma in (0.0, 0.3, 10.0):
        found = sections.blurred(even, tf.constant(sigma))
        np.testing.assert_allclose(found, even, rtol=1e-5)


def test_sharp_is_the_image_exactly(numbered):
    image = numbered(SIZE).image
    found = sections.blurred(image, tf.constant(0.0))
    np.testing.assert_array_equal(found, image)


def test_out_of_focus(results):
    options = AugmentOptions(
        **OFF, out_of_focus_probability=1.0, out_of_focus_sections=3
    )
    example, found = results(options, SIZE, 60)
    image = example.image.numpy()
    changed = (found.image != image).any((2, 3))
    assert set(changed.sum(1)) <= {0, 1, 2, 3} and changed.sum() > 80
    assert not changed[:, MIDDLE].any()
    assert changed.any(0).sum() == 6
    assert (found.labels == example.labels.numpy()).all()
    # Blur takes from the spread of white noise, and adds nothing.
    spread = found.image.std((2, 3)) / image.std((1, 2))
    assert spread.max() < 1 + 1e-5
    assert np.median(spread[changed]) < 0.4


# -----------------------------------------------------------------------------
# Missing sections
# -----------------------------------------------------------------------------


def test_in_quadrants():
    quadrants = np.array(
        [
            [True, False, False, False],
            [False, True, False, False],
            [False, False, True, True],
            [False, False, False, False],
        ]
    )
    rows, columns = tf.constant([2, 1, 3, 0]), tf.constant([4, 2, 1, 0])
    found = sections.in_quadrants(
        (4, 5, 7), tf.constant(quadrants), rows, columns
    )
    expected = np.zeros((4, 5, 7), bool)
    expected[0, :2, :4] = True
    expected[1, :1, 2:] = True
    expected[2, 3:] = True
    np.testing.assert_array_equal(found, expected)


def missing(results, partial, value=-7.0):
    options = AugmentOptions(
        **OFF,
        missing_section_probability=1.0,
        missing_sections=3,
        missing_section_partial=partial,
        missing_section_value=value,
    )
    example, found = results(options, SIZE, 150)
    lost = found.image == value
    kept = np.broadcast_to(example.image, found.image.shape)[~lost]
    np.testing.assert_array_equal(found.image[~lost], kept)
    assert (found.labels == example.labels.numpy()).all()
    assert (found.weights == 1).all()
    assert not lost[:, MIDDLE].any()
    return lost


def test_whole_sections_missing(results):
    lost = missing(results, 0.0)
    whole = lost.all((2, 3))
    np.testing.assert_array_equal(whole, lost.any((2, 3)))
    assert set(whole.sum(1)) == {1, 2, 3}
    assert whole.any(0).sum() == 6


def test_quadrants_missing(results):
    lost = missing(results, 1.0)
    share = lost.mean((2, 3))[lost.any((2, 3))]
    assert 0.3 < share.mean() < 0.8
    assert (share < 1).sum() > 0.6 * len(share)
    # A hole has corners at one place only: few distinct rows.
    for hole in lost.reshape(-1, *SIZE[1:]):
        assert len(np.unique(hole, axis=0)) <= 2
        assert len(np.unique(hole, axis=1)[0]) <= 2


def test_some_whole_some_in_part(results):
    lost = missing(results, 0.5)
    touched = lost.any((2, 3))
    share = lost.all((2, 3))[touched].mean()
    assert 0.4 < share < 0.8
