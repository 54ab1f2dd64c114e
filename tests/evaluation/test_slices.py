"""Slices: the right voxels, the right way round, at the right size."""

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.evaluation import slices

SHAPE = (3, 5, 7)
START = (10, 20, 30)


def read(truth, segmentation, image=None, size_nm=(1, 1, 1)):
    opened = [
        None if array is None else volume.from_array(array, start=START)
        for array in (truth, segmentation, image)
    ]
    return slices.read_middle(*opened, opened[0].domain, size_nm)


def test_middle_slices_across_each_axis():
    truth = np.arange(105, dtype=np.uint64).reshape(SHAPE)
    segmentation = truth + 1000
    image = truth.astype(np.uint8)

    views = read(truth, segmentation, image, size_nm=(40, 4, 8))

    assert [view.title for view in views] == ["z = 11", "y = 22", "x = 33"]
    assert [view.axes for view in views] == ["yx", "zx", "zy"]
    assert [view.pixel_nm for view in views] == [(4, 8), (40, 8), (40, 4)]
    expected = [truth[1], truth[:, 2], truth[:, :, 3]]
    for view, plane in zip(views, expected, strict=True):
        np.testing.assert_array_equal(view.truth, plane)
        np.testing.assert_array_equal(view.segmentation, plane + 1000)
        np.testing.assert_array_equal(view.image, plane)
        assert view.image.dtype == np.uint8


def test_only_the_middle_of_a_large_box_is_read(monkeypatch):
    monkeypatch.setattr(slices, "LARGEST", 4)
    truth = np.arange(1000, dtype=np.uint64).reshape(10, 10, 10)

    view = read(truth, truth)[0]

    assert view.title == "z = 15"
    np.testing.assert_array_equal(view.truth, truth[5, 3:7, 3:7])


def test_every_axis_shows_the_same_length(monkeypatch):
    monkeypatch.setattr(slices, "LARGEST", 8)
    box = volume.Box.from_size(START, (20, 20, 20))
    part = slices.shown_part(box, (10, 4, 40))
    assert part == volume.Box.from_size((19, 26, 40), (3, 8, 1))


def test_other_images_are_stretched_alike_over_all_slices():
    labels = np.ones((2, 2, 2), np.uint8)
    image = np.linspace(-1.0, 1.0, 8).reshape(2, 2, 2)
    image[0, 0, 0] = np.nan
    views = read(labels, labels, image)
    grey = np.stack([view.image for view in views])
    assert grey.dtype == np.uint8
    assert (grey.min(), grey.max()) == (0, 255)
    assert views[0].image[1, 1] == views[1].image[1, 1] == 255


@pytest.mark.parametrize("value", [7.0, np.nan, np.inf])
def test_an_image_without_contrast_is_black(value):
    labels = np.ones((2, 2, 2), np.uint8)
    image = np.full((2, 2, 2), value)
    assert read(labels, labels, image)[0].image.max() == 0


def test_an_image_elsewhere_is_refused():
    labels = volume.from_array(np.ones((4, 4, 4), np.uint8))
    image = volume.from_array(np.ones((4, 4, 4), np.uint8), start=(9, 9, 9))
    with pytest.raises(ValueError, match="is not inside the volume"):
        slices.read_middle(labels, labels, image, labels.domain, (1, 1, 1))


def test_one_scale_has_square_pixels():
    truth = np.arange(105, dtype=np.uint64).reshape(SHAPE)
    views = read(truth, truth, size_nm=(40, 8, 8))

    enlarged = slices.at_one_scale(views, 30)

    # The longest edge is 3 z of 40 nm = 15 pixels of 8 nm; twice that is 30.
    shapes = [view.truth.shape for view in enlarged]
    assert shapes == [(10, 14), (30, 14), (30, 10)]
    assert {view.pixel_nm for view in enlarged} == {(4.0, 4.0)}
    np.testing.assert_array_equal(
        enlarged[1].truth, truth[:, 2].repeat(10, 0).repeat(2, 1)
    )
    assert enlarged[1].image is None


def test_no_panel_is_large_however_long_a_voxel():
    truth = np.ones(SHAPE, np.uint64)
    views = read(truth, truth, size_nm=(1e6, 8, 8))
    shapes = [view.truth.shape for view in slices.at_one_scale(views, 30)]
    assert shapes == [(1, 1), (1024, 1), (1024, 1)]
