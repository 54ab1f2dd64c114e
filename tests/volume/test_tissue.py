"""Tissue masks, by hand and against a loop over subvolumes."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import grid, tissue


def mask(array, voxel_size_nm, start=(0, 0, 0)):
    return volume.from_array(array, voxel_size_nm=voxel_size_nm, start=start)


@hypothesis.settings(deadline=None)
@hypothesis.given(
    bits=st.lists(st.booleans(), min_size=60, max_size=60),
    start=st.tuples(*[st.integers(0, 3)] * 3),
)
def test_a_subvolume_is_touched_if_a_voxel_of_it_is_tissue(bits, start):
    coarse = np.array(bits).reshape(3, 4, 5)
    by = (2, 3, 4)
    found = tissue.Tissue(
        mask(coarse.astype(np.uint8), (8, 3, 4), start), (4, 1, 1)
    )
    domain = volume.Box((1, 2, 5), (14, 20, 31))
    size, overlap = (5, 6, 9), (1, 2, 3)
    touched = found.touched(domain, size, overlap)
    fine = np.zeros((40, 40, 40), bool)
    wide = coarse.repeat(2, 0).repeat(3, 1).repeat(4, 2)
    corner = [s * b for s, b in zip(start, by)]
    where = tuple(slice(c, c + n) for c, n in zip(corner, wide.shape))
    fine[where] = wide
    boxes = list(grid.tile(domain, size, overlap=overlap))
    expected = [fine[box.slices].any() for box in boxes]
    assert touched.ravel().tolist() == expected


def test_the_share_of_a_box_is_about_that_of_its_voxels():
    coarse = np.zeros((4, 4, 4), np.uint8)
    coarse[:1] = 1
    found = tissue.Tissue(mask(coarse, (8, 8, 8)), (4, 4, 4))
    assert found.share(volume.Box.from_shape((8, 8, 8))) == 0.25
    assert found.share(volume.Box.from_shape((2, 8, 8))) == 1
    assert found.share(volume.Box((2, 0, 0), (8, 8, 8))) == 0


def test_a_mask_that_is_finer_than_the_image_is_refused():
    with pytest.raises(ValueError, match="smaller than the image's"):
        tissue.Tissue(mask(np.ones((2, 2, 2), np.uint8), (4, 4, 3)), (4, 4, 4))


def test_a_mask_that_is_too_large_to_read_is_refused(monkeypatch):
    monkeypatch.setattr(tissue, "_MOST_VOXELS", 7)
    with pytest.raises(ValueError, match="8 voxels; it is read whole"):
        tissue.Tissue(mask(np.ones((2, 2, 2), np.uint8), (8, 8, 8)), (4, 4, 4))


def test_no_address_is_no_mask():
    image = mask(np.ones((2, 2, 2), np.uint8), (4, 4, 4))
    assert tissue.opened("", image) is None
