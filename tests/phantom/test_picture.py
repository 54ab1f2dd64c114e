"""The picture's planes, its layout, and the spectrum."""

from __future__ import annotations

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.phantom import picture


def test_planes_are_the_middle_ones():
    array = np.arange(6 * 8 * 10).reshape(6, 8, 10).astype(np.uint8)
    xy, xz, yz = picture.real_planes(volume.from_array(array))
    np.testing.assert_array_equal(xy, array[3, 1:7, 2:8])
    np.testing.assert_array_equal(xz, array[0:6, 4, 2:8])
    np.testing.assert_array_equal(yz, array[0:6, 1:7, 5])


def test_only_bytes_are_compared():
    opened = volume.from_array(np.zeros((4, 4, 4), np.float32))
    with pytest.raises(ValueError, match="only uint8 images"):
        picture.real_planes(opened)


def test_phantom_planes_are_its_voxels(options, whole):
    image, labels = picture.phantom_planes(options)
    edge = min(options.size_zyx)
    z, y, x = (
        slice(n // 2 - edge // 2, n // 2 - edge // 2 + edge)
        for n in options.size_zyx
    )
    middle = [n // 2 for n in options.size_zyx]
    np.testing.assert_array_equal(image[0], whole.image[middle[0], y, x])
    np.testing.assert_array_equal(labels[1], whole.labels[z, middle[1], x])
    np.testing.assert_array_equal(image[2], whole.image[z, y, middle[2]])


def test_rows_and_columns():
    planes = [np.full((10, 10), grey, np.uint8) for grey in (50, 100, 150)]
    labels = [np.ones((10, 10), np.uint64)] * 3
    real = [np.full((8, 8), 200, np.uint8)] * 3
    assert picture.draw(planes, labels, None).width == 3 * 18 * 2
    sheet = np.asarray(picture.draw(planes, labels, real))
    assert sheet.shape[1] == 3 * 16 * 2
    sheet, caption = np.split(sheet, [3 * 16 * 2])
    assert caption.min() < 50 and caption.max() == 255
    middles = sheet[16::32, 16::32]
    assert middles[0, :, 0].tolist() == [50, 100, 150]
    assert middles[1, :, 0].tolist() == [200, 200, 200]


def test_the_caption_says_what_the_rows_are():
    without = "Rows: the phantom; the phantom with its labels,"
    assert without in picture.caption(False)
    assert "the real volume" in picture.caption(True)


def test_spectrum():
    rng = np.random.default_rng(0)
    white = rng.normal(128, 10, (256, 256))
    flat = picture.spectrum_db([white])
    assert flat.shape == (6,)
    assert np.ptp(flat[2:]) < 1
    twice = picture.spectrum_db([128 + 2 * (white - 128)])
    np.testing.assert_allclose(twice - flat, 20 * np.log10(2), atol=1e-6)
    wave = 128 + 50 * np.sin(np.arange(256) * 2 * np.pi * 0.1)
    peak = picture.spectrum_db([np.tile(wave, (256, 1))])
    assert int(np.argmax(peak)) == 3
