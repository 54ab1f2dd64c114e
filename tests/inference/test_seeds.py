import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.inference import seeds

# Corner (zyx) and edge of bright cubes in the dark, in the order in which
# their centres are found; neither the sizes nor x are ascending.
CUBES = (((3, 21, 20), 9), ((4, 20, 3), 7), ((16, 3, 4), 11))
CENTERS = [[7, 23, 6], [7, 25, 24], [21, 8, 9]]


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
    found = seeds.peaks(image, excluded=~cubes)
    assert found.dtype == np.int64
    assert found.tolist() == CENTERS


def test_no_seed_in_excluded_voxels(image, cubes):
    excluded = ~cubes
    excluded[4:11, 20:27, 3:10] = True
    assert seeds.peaks(image, excluded).tolist() == CENTERS[1:]
    assert len(seeds.peaks(image, np.ones(image.shape, bool))) == 0


def test_bright_or_dark_does_not_matter(cubes):
    free = np.zeros(cubes.shape, bool)
    # Around the cubes the distance grows up to the image's faces, where no
    # seed is taken.
    assert seeds.peaks(cubes, free).tolist() == CENTERS
    assert seeds.peaks(~cubes, free).tolist() == CENTERS


def test_texture_has_seeds_in_ascending_order():
    image = np.random.default_rng(0).random((30, 31, 32))
    found = seeds.peaks(image, np.zeros(image.shape, bool)).tolist()
    assert len(found) > 20
    assert found == sorted(found)


@pytest.mark.parametrize("value", [7.0, np.nan], ids=["no edge", "all edge"])
def test_an_image_without_edges_or_without_interior(value):
    image = np.full((20, 20, 20), value, np.float32)
    excluded = np.zeros(image.shape, bool)
    excluded[10, 10, 10] = True
    found = seeds.peaks(image, excluded)
    assert found.shape == (0, 3)
    assert seeds.interior(found, image.shape, (2, 2, 2)).shape == (0, 3)


def test_flat_voxels_far_from_any_edge_are_interior():
    image = np.zeros((15, 15, 121), np.float32)
    image[..., 5:116] = 1
    # From x = 39 to x = 81 the local mean is as flat as the image itself.
    found = seeds.peaks(image, np.zeros(image.shape, bool))
    assert set(found[:, 2].tolist()) == {60}


def test_ties_neither_use_nor_change_numpys_global_state():
    image = np.random.default_rng(1).random((20, 21, 22)) > 0.5
    free = np.zeros(image.shape, bool)
    found = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002 (the state that must not matter)
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        found.append(seeds.peaks(image, free).tolist())
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
    found = seeds.peaks(beam, ~beam).tolist()
    assert {x for _, _, x in found} == {7}
    # With voxels that are ten times as long in x, only z and y count.
    found = seeds.peaks(beam, ~beam, voxel_size_zyx=(1, 1, 10)).tolist()
    assert {(z, y) for z, y, _ in found} == {(7, 7)}
    assert {x for _, _, x in found} != {7}


def test_a_field_of_view_must_fit():
    shape, margin = (10, 12, 14), (2, 3, 4)
    fits = [[2, 3, 4], [7, 8, 9], [4, 5, 6]]
    outside = [
        [1, 3, 4],
        [2, 2, 4],
        [2, 3, 3],
        [8, 8, 9],
        [7, 9, 9],
        [7, 8, 10],
    ]
    positions = np.array([p for pair in zip(fits, outside) for p in pair])
    found = seeds.interior(positions, shape, margin)
    assert found.tolist() == fits
    assert len(seeds.interior(np.array(outside), shape, margin)) == 0


def test_find_is_policy_and_margin(image, cubes, beam):
    found = seeds.find("PolicyPeaks", image, ~cubes, (7, 7, 7))
    assert found.tolist() == CENTERS[1:]
    arguments = {"voxel_size_zyx": (1, 1, 10)}
    found = seeds.find("PolicyPeaks", beam, ~beam, (7, 7, 1), **arguments)
    np.testing.assert_array_equal(found, seeds.peaks(beam, ~beam, **arguments))


def test_unknown_policy_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'PolicyMax'.*\['PolicyPeaks'\]"):
        seeds.find("PolicyMax", np.zeros((3, 3, 3)), np.zeros(3), (1, 1, 1))
