import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

from ffn_tf.inference.seeds import brightness

SHAPE = (4, 14, 17)

# Bright points in slices: z, y, x and how bright.
POINTS = ((0, 5, 6, 8), (0, 5, 8, 6), (1, 8, 9, 9), (3, 4, 12, 5), (3, 9, 4, 7))


@pytest.fixture
def points():
    image = np.zeros(SHAPE, np.float32)
    for z, y, x, value in POINTS:
        image[z, y, x] = value
    return image


IMAGES = hnp.arrays(np.float32, (3, 4, 5), elements=st.integers(-4, 4))


@hypothesis.given(IMAGES)
def test_max_is_every_voxel_once_the_brightest_first(image):
    found = brightness.max_first(image)
    values = image[tuple(found.T)]
    assert (np.diff(values) <= 0).all()
    flat = np.ravel_multi_index(tuple(found.T), image.shape)
    assert sorted(flat.tolist()) == list(range(image.size))
    # Of equals, the last is first.
    assert (np.diff(flat)[np.diff(values) == 0] < 0).all()


def test_max_of_three_voxels():
    image = np.array([[[1, 7, 3]]], np.float32)
    found = brightness.max_first(image)
    assert found.dtype == np.int64
    assert found.tolist() == [[0, 0, 1], [0, 0, 2], [0, 0, 0]]


def max_peaks(image, excluded=(), taken=(), **arguments):
    """As brightness.max_peaks, of a slice that is as thick as needed."""
    hidden, segmentation = np.zeros(image.shape, bool), np.zeros(image.shape)
    for position in excluded:
        hidden[position] = True
    for position in taken:
        segmentation[position] = 2
    return brightness.max_peaks(
        image, hidden, segmentation, **arguments
    ).tolist()


@pytest.fixture
def spots():
    image = np.zeros((20, 21, 22), np.float32)
    for position, value in (
        ((14, 9, 4), 9),
        ((5, 15, 6), 8),
        ((5, 15, 8), 7),
        ((5, 6, 12), 3),
    ):
        image[position] = value
    return image


def test_max_peaks_are_ascending_and_apart(spots):
    high = [[5, 6, 12], [5, 15, 6], [14, 9, 4]]
    assert max_peaks(spots, threshold_abs=1) == high
    both = max_peaks(spots, threshold_abs=1, min_distance=1)
    assert both == [[5, 6, 12], [5, 15, 6], [5, 15, 8], [14, 9, 4]]


def test_max_peaks_thresholds(spots):
    assert max_peaks(spots, threshold_abs=3.5) == [[5, 15, 6], [14, 9, 4]]
    found = max_peaks(spots, threshold_rel=0.4)
    assert found == [[5, 15, 6], [14, 9, 4]]
    # Noise breaks ties, so that flat ground has maxima too.
    assert len(max_peaks(spots)) > 10


def test_max_peaks_are_where_they_may_be(spots):
    arguments = {"threshold_abs": 1}
    found = max_peaks(spots, excluded=[(5, 15, 6)], **arguments)
    assert found == [[5, 6, 12], [5, 15, 8], [14, 9, 4]]
    found = max_peaks(spots, taken=[(14, 9, 4)], **arguments)
    assert found == [[5, 6, 12], [5, 15, 6]]


def test_peaks_of_the_volume_before_those_of_slices(spots):
    found = brightness.image_peaks_3d_2d(spots).tolist()
    in_3d = [[14, 9, 4], [5, 15, 6], [5, 6, 12]]
    # Slice by slice, the brightest first; (5, 15, 8) is too near to another.
    in_2d = [[5, 15, 6], [5, 6, 12], [14, 9, 4]]
    assert found == in_3d + in_2d
    only = {"min_distance_2d": -1}
    assert brightness.image_peaks_3d_2d(spots, **only).tolist() == in_3d
    only = {"min_distance_3d": -1}
    assert brightness.image_peaks_3d_2d(spots, **only).tolist() == in_2d
    none = brightness.image_peaks_3d_2d(spots, -1, -1)
    assert none.shape == (0, 3)


def test_brightest_of_a_disk(points):
    # 6 is more than half of 8, but 2 pixels from it; a distance of 2 will do.
    expected = [[z, y, x] for z, y, x, _ in POINTS]
    expected[3:] = [expected[4], expected[3]]
    found = brightness.image_peaks_2d_disk(points, min_distance_2d=2)
    assert found.tolist() == expected
    found = brightness.image_peaks_2d_disk(points)
    assert found.tolist() == [p for p in expected if p != [0, 5, 8]]
    # 5 is less than 0.8 of 7.
    found = brightness.image_peaks_2d_disk(points, threshold_rel=0.8)
    assert [3, 4, 12] not in found.tolist() and len(found) == 3
    found = brightness.image_peaks_2d_disk(
        points, min_distance_2d=1, threshold_rel=0.1, disk_radius=2
    )
    assert [0, 5, 8] not in found.tolist()


def test_seeds_of_a_slice_are_apart_as_the_crow_flies():
    image = np.zeros((1, 14, 17), np.float32)
    image[0, 5, 6] = image[0, 8, 9] = 1  # 3 rows and columns, 4.24 pixels.
    for distance, expected in ((4, 2), (5, 1)):
        found = brightness.image_peaks_2d_disk(image, distance)
        assert len(found) == expected


def test_dense_is_all_above_the_threshold(points):
    found = brightness.dense(points, threshold=6)
    assert found.tolist() == [[0, 5, 6], [1, 8, 9], [3, 9, 4]]
    below = brightness.dense(points, threshold=6, invert=True)
    assert len(below) == points.size - 3
    assert not (points[tuple(below.T)] > 6).any()


def test_dense_without_its_outer_layers():
    image = np.zeros((9, 10, 11), np.float32)
    image[1:8, 2:9, 0:5] = 1
    shell = image.copy()
    # The volume's own face x = 0 is no surface.
    shell[2:7, 3:8, 0:4] = 2
    found = brightness.dense(image, num_erosions=1)
    np.testing.assert_array_equal(found, np.argwhere(shell == 2))
    found = brightness.dense(image, num_erosions=3).tolist()
    assert found == [[4, 5, 0], [4, 5, 1]]
