"""Restrictions, by hand and against a loop over places."""

from __future__ import annotations

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.inference import request as request_lib
from ffn_tf.inference import restriction

SHAPE = (6, 17, 20)
BOX = volume.Box((1, 2, 3), (6, 15, 18))


@pytest.fixture
def image(tmp_path):
    """Address of an image in which no two voxels are equal."""
    array = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    np.save(tmp_path / "em.npy", array)
    return str(tmp_path / "em.npy")


def of(image, box=BOX, skip_blank=False, view=(3, 3, 3), **masks):
    request = request_lib.InferenceRequest(
        image=image, model_checkpoint="network", **masks
    )
    with (
        volume.open(image) as opened,
        restriction.Restrictor(
            request, opened, view, skip_blank=skip_blank
        ) as restrictor,
    ):
        return restrictor.of(box, opened.read(box))


def expression(text):
    return f'masks {{ coordinate_expression {{ expression: "{text}" }} }}'


def test_nothing_is_restricted_unless_somebody_asks(image):
    found = of(image)
    assert found.blocked.shape == found.unseeded.shape == BOX.size
    assert not found.blocked.any() and not found.unseeded.any()


def test_masks_block_and_seed_masks_only_keep_seeds_away(image):
    z, _, x = np.mgrid[BOX.slices]
    found = of(
        image, masks=expression("x < 7"), seed_masks=expression("z == 2")
    )
    np.testing.assert_array_equal(found.blocked, x < 7)
    np.testing.assert_array_equal(found.unseeded, (x < 7) | (z == 2))


def test_masks_of_grey_values_see_what_is_not_normalised(image):
    with volume.open(image) as opened:
        raw = opened.read(BOX)
    text = "masks { image { channels { min_value: 400 max_value: 900 } } }"
    found = of(image, masks=text)
    np.testing.assert_array_equal(found.blocked, (raw >= 400) & (raw <= 900))
    assert found.blocked.any() and not found.blocked.all()


@pytest.fixture
def shifts(tmp_path):
    """(address, array [2, z, y, x]) of shifts in tiles of 2 x 2 voxels."""
    rng = np.random.default_rng(0)
    array = np.where(rng.random((2, 6, 9, 10)) < 0.02, -5, 3).astype(np.int8)
    np.save(tmp_path / "shifts.npy", array)
    return str(tmp_path / "shifts.npy"), array


@pytest.mark.parametrize(
    ("fov", "first", "last"),
    [
        ("", (-1, -2, -3), (1, 2, 3)),
        (
            "start { x: -3 y: 0 z: -2 } size { x: 5 y: 1 z: 3 }",
            (-2, 0, -3),
            (0, 0, 1),
        ),
    ],
)
def test_large_shifts_block_what_is_around_them(
    image, shifts, fov, first, last
):
    address, array = shifts
    large = np.abs(array.astype(int)).max(axis=0) >= 4
    domain = volume.Box.from_shape(SHAPE)
    expected = np.zeros(SHAPE, bool)
    for place in np.ndindex(*SHAPE):
        low = [max(p + f, 0) for p, f in zip(place, first)]
        high = [p + t for p, t in zip(place, last)]
        expected[place] = large[
            low[0] : high[0] + 1,
            low[1] // 2 : high[1] // 2 + 1,
            low[2] // 2 : high[2] // 2 + 1,
        ].any()
    found = of(
        image,
        domain,
        view=(3, 5, 7),
        shift_mask=address,
        shift_mask_scale=2,
        shift_mask_fov=fov,
    )
    np.testing.assert_array_equal(found.blocked, expected)
    assert expected.any() and not expected.all()


def test_shifts_below_the_threshold_do_not_count(image, shifts):
    found = of(
        image,
        shift_mask=shifts[0],
        shift_mask_scale=2,
        shift_mask_threshold=6,
    )
    assert not found.blocked.any()


def test_tiles_of_one_value_hold_no_data(tmp_path):
    array = np.arange(3 * 20 * 18, dtype=np.uint16).reshape(3, 20, 18)
    array[1] = 7  # A section that was lost.
    array[2, 8:16, :9] = 0  # Beyond the border: one tile, and a bit.
    np.save(tmp_path / "em.npy", array)
    box = volume.Box.from_shape(array.shape)
    expected = np.zeros(array.shape, bool)
    expected[1], expected[2, 8:16, :8] = True, True
    for skip_blank in (True, False):
        found = of(str(tmp_path / "em.npy"), box, skip_blank=skip_blank)
        np.testing.assert_array_equal(found.blocked, expected & skip_blank)


def test_masks_of_other_voxels_or_places_are_refused(tmp_path, image):
    def mask(name, shape, size):
        info = volume.VolumeInfo(
            volume.Box.from_shape(shape), np.dtype(np.uint8), size
        )
        with volume.create(f"zarr://{tmp_path}/{name}", info) as made:
            made.write(info.domain, np.zeros(shape, np.uint8))
        where = f'mask {{ address: "zarr://{tmp_path}/{name}" }}'
        return f"masks {{ volume {{ {where} channels {{ values: 1 }} }} }}"

    info = volume.VolumeInfo(
        volume.Box.from_shape(SHAPE), np.dtype(np.uint8), (8, 4, 4)
    )
    with volume.create(f"zarr://{tmp_path}/em.zarr", info) as made:
        made.write(info.domain, np.ones(SHAPE, np.uint8))
    em = f"zarr://{tmp_path}/em.zarr"
    with pytest.raises(ValueError, match=r"voxels are \(8.0, 8.0, 8.0\) nm"):
        of(em, masks=mask("other", SHAPE, (8, 8, 8)))
    with pytest.raises(ValueError, match="not every voxel has a mask"):
        of(em, seed_masks=mask("small", (6, 17, 19), (8, 4, 4)))
    assert not of(em, masks=mask("right", SHAPE, (8, 4, 4))).blocked.any()


def test_shifts_that_do_not_cover_the_image_are_refused(image, shifts):
    with pytest.raises(ValueError, match="at shift_mask_scale 1"):
        of(image, shift_mask=shifts[0])


def test_an_expression_that_calls_something_is_refused(image):
    with pytest.raises(ValueError, match="is not arithmetic"):
        of(image, masks=expression("open(x)"))
