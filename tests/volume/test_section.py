"""Pictures of a section, and of the labels over it."""

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import section

Box = volume.Box


def test_the_section_in_the_middle_of_tiles():
    voxels = np.arange(7 * 5 * 6).reshape(7, 5, 6)
    box = Box.from_size((3, 10, 20), voxels.shape)
    tiles = list(volume.grid.tile(box, (2, 3, 4)))
    found = [voxels[tile.relative_to(box.start).slices] for tile in tiles]
    where, pixels = section.middle(box, tiles, found)
    np.testing.assert_array_equal(pixels, voxels[3])
    assert where == Box((6, 10, 20), (7, 15, 26))


def made(size=(4, 6), nm=(30.0, 4.0, 4.0), start=(10, 20, 30)):
    box = Box.from_size(start, (1, *size))
    pixels = np.arange(box.num_voxels).reshape(size)
    return section.Section("em", nm, box, pixels)


def test_labels_of_other_voxels_and_another_extent():
    ids = np.arange(1, 6 * 9 * 40 + 1, dtype=np.uint64).reshape(6, 9, 40)
    labels = volume.from_array(ids, voxel_size_nm=(10, 8, 4), start=(28, 3, 31))
    found = section.labels_over(made(), labels)
    # z: 10.5 * 30 / 10 is in 31. y: 20.5 * 4 / 8 is in 10, and 24 in 11.
    expected = np.zeros((4, 6), np.uint64)
    expected[:, 1:] = ids[3, 7:9, :5].repeat(2, axis=0)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("size_nm", "start"),
    [((30, 4, 4), (11, 20, 30)), ((1, 1, 1), (10, 20, 30))],
)
def test_labels_that_lie_elsewhere(size_nm, start):
    ids = np.ones((5, 5, 5), np.uint8)
    labels = volume.from_array(ids, voxel_size_nm=size_nm, start=start)
    assert section.labels_over(made(), labels) is None


def test_each_pixel_is_seen_and_square():
    one = made((4, 6), (30.0, 8.0, 4.0))
    page = np.asarray(section.draw(one))
    by = -(-512 // 6)
    panel = page[32 : 32 + 4 * 2 * by, 12 : 12 + 6 * by]
    assert page.shape[1] == 12 + 6 * by + 12
    expected = section.grey(one.pixels).repeat(2 * by, 0).repeat(by, 1)
    np.testing.assert_array_equal(panel[..., 0], expected)


@pytest.mark.parametrize(
    ("nm", "columns", "width", "expected"),
    [
        (4.0, 4, 512, (100, "100 nm")),
        (33.0, 1, 700, (152, "5,000 nm")),
        (1.0, 8, 560, (160, "20 voxels")),
    ],
)
def test_a_scale_bar(nm, columns, width, expected):
    one = made(nm=(nm, nm, nm))
    assert section._scale_bar(one, columns, width) == expected


def test_labels_are_colours_and_none_is_the_image():
    one = made()
    labels = np.zeros((4, 6), np.uint64)
    labels[1], labels[2:] = 2**60, 7
    alone = np.asarray(section.draw(one))
    both = np.asarray(section.draw(one, labels, "ids"))
    by = -(-512 // 6)
    width = 6 * by + 12
    np.testing.assert_array_equal(alone[32:-40, 12:-12], both[32:-40, 12:width])
    panel = both[32 : 32 + 4 * by : by, 12 + width :: by][:, :6].astype(int)
    image = alone[32 : 32 + 4 * by : by, 12::by][:, :6]
    np.testing.assert_array_equal(panel[0], image[0])
    spread = panel.max(-1) - panel.min(-1)
    assert (spread[1:] > 20).all()
    assert not np.array_equal(panel[1] - image[1], panel[2] - image[2])


def test_what_is_not_finite_is_black():
    pixels = np.array([[np.nan, 1.0], [np.inf, 3.0]])
    np.testing.assert_array_equal(section.grey(pixels), [[0, 0], [0, 255]])
    assert not section.grey(np.full((2, 2), np.nan)).any()
