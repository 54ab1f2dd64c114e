import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.inference.seeds import distances

# Corner (zyx) and edge of bright cubes in the dark, in the order in which
# their centres are found; neither the sizes nor x are ascending.
CUBES = (((3, 21, 20), 9), ((4, 20, 3), 7), ((16, 3, 4), 11))
CENTERS = [[7, 23, 6], [7, 25, 24], [21, 8, 9]]


def peaks(image, excluded=None, segmentation=None, **arguments):
    nothing = np.zeros(image.shape, np.int32)
    return distances.peaks(
        image,
        nothing > 0 if excluded is None else excluded,
        nothing if segmentation is None else segmentation,
        **arguments,
    )


@pytest.fixture
def cubes():
    found = np.zeros((30, 33, 36), bool)
    for corner, edge in CUBES:
        found[volume.Box.from_size(corner, (edge,) * 3).slices] = True
    return found


@pytest.fixture
def image(cubes):
    """The cubes, and noise that is no edge where there are real ones."""
    noise = np.random.default_rng(0).normal(size=cubes.shape)
    return (cubes + 1e-4 * noise).astype(np.float32)


def test_the_farthest_voxels_from_edges_in_order(image, cubes):
    found = peaks(image, excluded=~cubes)
    assert found.dtype == np.int64
    assert found.tolist() == CENTERS


def test_no_seed_in_excluded_voxels(image, cubes):
    excluded = ~cubes
    excluded[4:11, 20:27, 3:10] = True
    assert peaks(image, excluded).tolist() == CENTERS[1:]
    assert len(peaks(image, np.ones(image.shape, bool))) == 0


def test_bright_or_dark_does_not_matter(cubes):
    free = np.zeros(cubes.shape, bool)
    # Around the cubes the distance grows up to the image's faces, where no
    # seed is taken.
    assert peaks(cubes, free).tolist() == CENTERS
    assert peaks(~cubes, free).tolist() == CENTERS


def test_texture_has_seeds_in_ascending_order():
    image = np.random.default_rng(0).random((30, 31, 32))
    found = peaks(image, np.zeros(image.shape, bool)).tolist()
    assert len(found) > 20
    assert found == sorted(found)


@pytest.mark.parametrize("value", [7.0, np.nan], ids=["no edge", "all edge"])
def test_an_image_without_edges_or_without_interior(value):
    image = np.full((20, 20, 20), value, np.float32)
    excluded = np.zeros(image.shape, bool)
    excluded[10, 10, 10] = True
    assert peaks(image, excluded).shape == (0, 3)


def test_a_flat_image_has_no_seeds_beside_its_segments():
    image = np.ones((20, 21, 22), np.float32)
    taken = np.zeros(image.shape, np.int32)
    taken[:5] = 1
    assert peaks(image, segmentation=taken).shape == (0, 3)


def test_flat_voxels_far_from_any_edge_are_interior():
    image = np.zeros((15, 15, 121), np.float32)
    image[..., 5:116] = 1
    # From x = 39 to x = 81 the local mean is as flat as the image itself.
    found = peaks(image, np.zeros(image.shape, bool))
    assert set(found[:, 2].tolist()) == {60}


def test_ties_neither_use_nor_change_numpys_global_state():
    image = np.random.default_rng(1).random((20, 21, 22)) > 0.5
    free = np.zeros(image.shape, bool)
    found = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002 (the state that must not matter)
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        found.append(peaks(image, free).tolist())
        after = np.random.get_state()[1]  # noqa: NPY002
        np.testing.assert_array_equal(after, before)
    assert found[0] == found[1]


@pytest.fixture
def beam():
    """Thinnest along x, if voxels are cubes."""
    found = np.zeros((15, 15, 15), bool)
    found[3:12, 3:12, 4:11] = True
    return found


def test_voxels_may_be_anisotropic(beam):
    found = peaks(beam, ~beam).tolist()
    assert {x for _, _, x in found} == {7}
    # With voxels that are ten times as long in x, only z and y count.
    found = peaks(beam, ~beam, voxel_size_zyx=(1, 1, 10)).tolist()
    assert {(z, y) for z, y, _ in found} == {(7, 7)}
    assert {x for _, _, x in found} != {7}


def test_voxels_are_as_long_as_their_shortest_edge():
    image = np.random.default_rng(2).random((20, 21, 22))
    cubes = peaks(image).tolist()
    assert peaks(image, voxel_size_zyx=(33, 33, 33)).tolist() == cubes
    flat = peaks(image, voxel_size_zyx=(5, 1, 1)).tolist()
    assert flat != cubes
    assert peaks(image, voxel_size_zyx=(30, 6, 6)).tolist() == flat


def test_no_seed_in_segments_which_are_no_edges(image, cubes):
    taken = np.where(cubes, -1, 0)
    taken[4:11, 20:24, 3:10] = 5
    found = peaks(image, ~cubes, taken).tolist()
    (moved,) = (p for p in found if p not in CENTERS)
    # Next to the segment: the distance to the cube's faces is as it was.
    assert moved[1] == 24
    assert len(found) == 3


def test_excluded_voxels_are_edges(beam):
    excluded = ~beam
    excluded[:, :, 8:] = True
    found = peaks(beam, excluded).tolist()
    assert {x for _, _, x in found} == {6}


# -----------------------------------------------------------------------------
# Slices
# -----------------------------------------------------------------------------

# Slice, middle (y, x) and half of the edge of squares.
SQUARES = ((1, 10, 12, 5), (1, 27, 21, 4), (2, 20, 25, 6), (4, 9, 30, 2))


@pytest.fixture
def squares():
    found = np.zeros((5, 38, 41), np.float32)
    for z, y, x, half in SQUARES:
        found[z, y - half : y + half + 1, x - half : x + half + 1] = 1
    return found


def peaks_2d(image, excluded, **arguments):
    return distances.peaks_2d(image, excluded, **arguments).tolist()


def test_each_slice_has_its_seeds(squares):
    excluded = squares == 0
    found = peaks_2d(squares, excluded)
    # In a square of half an edge of 2, an edge is within 2 voxels.
    assert found == [[z, y, x] for z, y, x, half in SQUARES if half > 2]
    everything = peaks_2d(squares, excluded, threshold_abs=1)
    assert everything == [[z, y, x] for z, y, x, _ in SQUARES]


def test_slices_may_be_descending(squares):
    found = peaks_2d(squares, squares == 0)
    descending = peaks_2d(squares, squares == 0, sort_cmp=" Descending")
    assert len(found) == 3 and descending == list(reversed(found))


def test_seeds_of_a_slice_keep_their_distance(squares):
    excluded = squares == 0
    near = peaks_2d(squares, excluded, min_distance=2, threshold_abs=0)
    assert len(near) > len(peaks_2d(squares, excluded, threshold_abs=0)) > 3


def test_a_slice_without_edges_has_no_seeds(squares):
    assert distances.peaks_2d(0 * squares, squares > 2).shape == (0, 3)


def test_pixels_may_be_anisotropic(squares):
    image, excluded = squares[1:2], squares[1:2] == 0
    excluded[:, 9:12] = False
    sizes = ((1, 1, 1), (9, 2, 2), (1, 8, 1), (1, 1, 8))
    cubes, flat, tall, wide = (
        peaks_2d(image, excluded, min_distance=3, voxel_size_zyx=size)
        for size in sizes
    )
    assert cubes == flat
    assert len({str(found) for found in (cubes, tall, wide)}) == 3


# -----------------------------------------------------------------------------
# Empty space
# -----------------------------------------------------------------------------


@pytest.fixture
def rooms():
    """Two rooms in a block of segment 7, the second with a rejected seed."""
    found = np.full((20, 24, 40), 7, np.int32)
    found[4:13, 5:16, 4:11] = 0
    found[6:17, 6:17, 20:31] = 0
    found[11, 11, 25] = -1
    return found


def test_the_middle_of_empty_rooms(rooms):
    rooms[11, 11, 25] = 0
    found = distances.fill_empty_space(rooms)
    assert found.dtype == np.int64
    assert [11, 11, 25] in found.tolist()
    assert {tuple(p) for p in found[found[:, 2] < 15, 2:]} == {(7,)}
    assert not rooms[tuple(found.T)].any()


def test_rejected_seeds_are_not_tried_again(rooms):
    found = distances.fill_empty_space(rooms).tolist()
    assert [11, 11, 25] not in found
    assert found == sorted(found)
    assert len([x for _, _, x in found if x > 15]) >= 8


def test_holes_of_one_voxel():
    taken = np.full((9, 10, 11), 3)
    taken[4, 5, 3] = taken[4, 5, 7] = 0
    found = distances.fill_empty_space(taken)
    assert found.tolist() == [[4, 5, 3], [4, 5, 7]]


def test_empty_space_of_anisotropic_voxels(rooms):
    found = distances.fill_empty_space(rooms, voxel_size_zyx=(1, 1, 9))
    first = found[found[:, 2] < 15]
    assert set(first[:, 0].tolist()) == {8}
    thick = distances.fill_empty_space(rooms, voxel_size_zyx=(0.1, 1, 1))
    assert len(thick) and not rooms[tuple(thick.T)].any()


@pytest.mark.parametrize("label", [0, 3])
def test_all_empty_or_all_full(label):
    taken = np.full((9, 10, 11), label)
    assert distances.fill_empty_space(taken).shape == (0, 3)
