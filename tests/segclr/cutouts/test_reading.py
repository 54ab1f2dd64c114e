"""Cutouts: where they are, what is masked, scales, borders, bad input."""

import numpy as np
import pytest

from ffn_tf import volume
from segclr.cutouts import agglomeration, reading

NM = (30.0, 10.0, 10.0)
SHAPE = (12, 30, 40)
SIZE = (5, 7, 9)


def make(path, array, size=NM, start=(0, 0, 0)):
    info = volume.VolumeInfo(
        volume.Box.from_size(start, array.shape), array.dtype, size
    )
    with volume.create(str(path), info) as target:
        target.write(info.domain, array)
    return str(path)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    image = rng.integers(1, 256, SHAPE).astype(np.uint8)
    segments = np.kron(
        rng.integers(1, 4, (4, 6, 8)), np.ones((3, 5, 5))
    ).astype(np.uint64)
    return image, segments


@pytest.fixture
def opened(arrays, tmp_path):
    image, segments = arrays
    addresses = (
        make(tmp_path / "em.zarr", image),
        make(tmp_path / "segments.zarr", segments),
    )

    def opener(**changes):
        return reading.Cutouts(*addresses, SIZE, **changes)

    return opener


def cut(array, middle):
    """By hand: 0 outside."""
    padded = np.pad(array, 9)
    start = [m + 9 - n // 2 for m, n in zip(middle, SIZE)]
    return padded[tuple(slice(s, s + n) for s, n in zip(start, SIZE))]


PLACES = np.array([[6, 15, 20], [0, 0, 0], [11, 29, 39], [2, 8, 38]])


@pytest.mark.parametrize("kind", reading.KINDS)
def test_what_is_seen(opened, arrays, kind):
    image, segments = arrays
    ids = segments[tuple(PLACES.T)]
    with opened() as cutouts:
        found = cutouts.read(PLACES, ids)
    seen = found.cutouts(kind)
    assert seen.dtype == np.float32
    assert seen.shape == (4, *SIZE)
    for i, (place, wanted) in enumerate(zip(PLACES, ids)):
        grey = cut(image, place) / np.float32(255)
        mask = cut(segments, place) == wanted
        expected = {"em": grey, "seg": mask, "masked_em": grey * mask}[kind]
        np.testing.assert_array_equal(seen[i], expected)
    assert found.is_inside.all()


def test_places_are_truncated(opened):
    with opened() as cutouts:
        found = cutouts.voxels_zyx([[29.9, 19.9, 0.0], [30.0, 20.0, 399.9]])
    np.testing.assert_array_equal(found, [[0, 1, 0], [1, 2, 39]])


@pytest.mark.parametrize("place", [[-31, 5, 5], [5, 300, 5], [5, 5, 4000]])
def test_a_place_outside(opened, place):
    with (
        opened() as cutouts,
        pytest.raises(
            ValueError, match=r"Place 1 is z, y, x = .*in other units"
        ),
    ):
        cutouts.voxels_zyx([[5, 5, 5], place])


def test_another_segment_is_there(opened, arrays):
    _, segments = arrays
    with opened() as cutouts:
        found = cutouts.read(PLACES[:1], [segments[tuple(PLACES[0])] % 3 + 1])
        nothing = cutouts.read(PLACES[:1], [77])
    assert not found.is_inside[0]
    assert not nothing.cutouts("masked_em").any()


def test_objects_of_several_segments(opened, arrays):
    _, segments = arrays
    table = agglomeration.Agglomeration(np.array([1, 2]), np.array([50, 50]))
    with opened(objects=table) as cutouts:
        found = cutouts.read(PLACES[:1], [50])
    np.testing.assert_array_equal(
        found.mask[0], np.isin(cut(segments, PLACES[0]), [1, 2])
    )


@pytest.mark.parametrize("times", [(1, 2, 2), (2, 3, 1)])
@pytest.mark.parametrize("is_finer", [True, False])
def test_voxels_of_another_size(tmp_path, arrays, times, is_finer):
    """The segment at the centre of each voxel of the image."""
    image, segments = arrays
    if is_finer:
        other = np.kron(segments, np.ones(times)).astype(np.uint64)
        size = tuple(n / t for n, t in zip(NM, times))
        expected = segments
    else:
        other = segments[tuple(slice(None, None, t) for t in times)]
        size = tuple(n * t for n, t in zip(NM, times))
        index = [np.arange(n) // t for n, t in zip(SHAPE, times)]
        expected = other[np.ix_(*index)]
    addresses = (
        make(tmp_path / "em.zarr", image),
        make(tmp_path / "segments.zarr", other, size),
    )
    with reading.Cutouts(*addresses, SIZE) as cutouts:
        found = cutouts.read(PLACES, np.full(4, 2))
    for place, seen in zip(PLACES, found.mask):
        np.testing.assert_array_equal(seen, cut(expected == 2, place))


def test_the_segmentation_may_be_smaller(tmp_path, arrays):
    """And elsewhere: what it does not have is background."""
    image, segments = arrays
    part = segments[3:9, 5:25, 10:30]
    addresses = (
        make(tmp_path / "em.zarr", image),
        make(tmp_path / "s.zarr", part, start=(3, 5, 10)),
    )
    known = np.zeros_like(segments)
    known[3:9, 5:25, 10:30] = part
    with reading.Cutouts(*addresses, SIZE) as cutouts:
        found = cutouts.read(PLACES, np.full(4, 2))
    for place, seen in zip(PLACES, found.mask):
        np.testing.assert_array_equal(seen, cut(known == 2, place))


def test_floats_are_taken_as_they_are(tmp_path, arrays):
    image, segments = arrays
    addresses = (
        make(tmp_path / "em.zarr", (image / 255).astype(np.float32)),
        make(tmp_path / "s.zarr", segments),
    )
    with reading.Cutouts(*addresses, SIZE) as cutouts:
        found = cutouts.read(PLACES[:1], [1])
    np.testing.assert_allclose(
        found.image[0], cut(image, PLACES[0]) / 255, rtol=1e-6
    )


def test_voxels_that_the_encoder_is_not_made_for(opened):
    message = r"made for \(33.0, 32.0, 32.0\) nm. Name the scale that fits"
    with pytest.raises(ValueError, match=message):
        opened(voxel_size_nm=(33.0, 32.0, 32.0))


def test_volumes_that_do_not_fit(tmp_path, arrays):
    image, segments = arrays
    em = make(tmp_path / "em.zarr", image)
    far = make(tmp_path / "far.zarr", segments, start=(500, 0, 0))
    np.save(tmp_path / "bare.npy", segments)
    with pytest.raises(ValueError, match="do not overlap"):
        reading.Cutouts(em, far, SIZE)
    with pytest.raises(
        ValueError,
        match=r"does not say how large .*--voxel_size_nm=z,y,x to ffn_tf\.ing",
    ):
        reading.Cutouts(em, f"{tmp_path}/bare.npy", SIZE)
    floats = make(tmp_path / "floats.zarr", segments.astype(np.float32))
    with pytest.raises(ValueError, match="segments are integers"):
        reading.Cutouts(em, floats, SIZE)
    with pytest.raises(ValueError, match="expected odd sizes"):
        reading.Cutouts(em, em, (5, 6, 7))


def test_the_encoder_s_voxels(opened):
    with opened(voxel_size_nm=(31.0, 10.5, 9.8)) as cutouts:
        assert cutouts.image.voxel_size_nm == NM
