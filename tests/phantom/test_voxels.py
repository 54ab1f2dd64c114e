"""Voxels: a function of options and index, that looks like EM."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import phantom, volume
from ffn_tf.phantom import picture, tissue, voxels


def box_from(fractions, size):
    """A box with its corners at fractions of the volume."""
    corners = [
        sorted(int(f * (n + 1)) for f in pair)
        for pair, n in zip(fractions, size)
    ]
    start = [min(low, n - 1) for (low, _), n in zip(corners, size)]
    end = [max(high, s + 1) for (_, high), s in zip(corners, start)]
    return volume.Box(start, [min(e, n) for e, n in zip(end, size)])


unit = st.floats(0, 0.999)


@settings(max_examples=8, deadline=None)
@given(fractions=st.tuples(*[st.tuples(unit, unit)] * 3))
def test_a_block_is_cut_from_the_whole(options, whole, fractions):
    box = box_from(fractions, options.size_zyx)
    block = phantom.generate(options, box)
    assert block.box == box
    np.testing.assert_array_equal(block.labels, whole.labels[box.slices])
    np.testing.assert_array_equal(block.image, whole.image[box.slices])


def test_what_it_is(options, whole):
    assert whole.image.shape == whole.labels.shape == options.size_zyx
    assert whole.image.dtype == np.uint8
    assert whole.labels.dtype == np.uint64
    assert whole.labels.min() >= 1
    assert len(np.unique(whole.labels)) > 5


def test_another_process_makes_the_same_bytes(options, whole):
    code = (
        "import hashlib\n"
        "from ffn_tf import phantom\n"
        f"block = phantom.generate(phantom.{options!r})\n"
        "data = block.image.tobytes() + block.labels.tobytes()\n"
        "print(hashlib.sha256(data).hexdigest())\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    data = whole.image.tobytes() + whole.labels.tobytes()
    assert found.stdout.strip() == hashlib.sha256(data).hexdigest()


def test_another_seed_is_another_tissue(options, whole):
    other = dataclasses.replace(options, seed=4)
    box = volume.Box((0, 0, 0), (2, 40, 40))
    block = phantom.generate(other, box)
    pair = block.image.ravel(), whole.image[box.slices].ravel()
    assert abs(np.corrcoef(*pair)[0, 1]) < 0.6
    tissue.grow_tissue.cache_clear()


def borders(labels: np.ndarray) -> np.ndarray:
    """Voxels beside one of another label."""
    found = np.zeros(labels.shape, np.bool_)
    for axis in range(3):
        ahead = [slice(None)] * 3
        behind = [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        step = labels[tuple(ahead)] != labels[tuple(behind)]
        found[tuple(ahead)] |= step
        found[tuple(behind)] |= step
    return found


def test_membranes_are_dark_where_labels_change(options, whole):
    border = borders(whole.labels)
    dark, bright = whole.image[border].mean(), whole.image[~border].mean()
    assert dark < bright - 15
    assert dark < 110


def test_sections_move_image_and_labels_alike(options, whole):
    shifts = voxels.section_shifts(options)
    still = phantom.generate(
        dataclasses.replace(options, misalignment_nm=0.0, noise=0.0)
    )
    plain = phantom.generate(dataclasses.replace(options, noise=0.0))
    assert shifts.any() == (options.misalignment_nm > 0)
    _, height, width = options.size_zyx
    for section, (y, x) in enumerate(shifts):
        to = np.s_[
            max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)
        ]
        fro = np.s_[
            max(-y, 0) : height + min(-y, 0), max(-x, 0) : width + min(-x, 0)
        ]
        np.testing.assert_array_equal(
            plain.labels[section][to], still.labels[section][fro]
        )
        np.testing.assert_array_equal(
            plain.image[section][to], still.image[section][fro]
        )


def test_a_negative(options):
    quiet = dataclasses.replace(options, noise=0.0, section_jitter=0.0)
    plain = phantom.generate(quiet)
    negative = phantom.generate(dataclasses.replace(quiet, inverted=True))
    np.testing.assert_array_equal(negative.labels, plain.labels)
    assert np.abs(255.0 - plain.image - negative.image).max() <= 1


def test_noise_and_jitter_are_as_asked(options):
    box = volume.Box((0, 0, 0), options.size_zyx)
    quiet = dataclasses.replace(options, noise=0.0, section_jitter=0.0)
    clean = phantom.generate(quiet, box).image.astype(np.float64)
    loud = dataclasses.replace(quiet, noise=5.0)
    rough = phantom.generate(loud, box).image - clean
    assert rough.std() == pytest.approx(5, abs=0.3)
    flicker = dataclasses.replace(quiet, section_jitter=8.0)
    change = phantom.generate(flicker, box).image - clean
    assert change.std((1, 2)).max() < 0.6
    assert 3 < change.mean((1, 2)).std() < 14


def test_a_thick_section_is_three_thin_ones():
    thick = phantom.Options(
        seed=3,
        size_zyx=(6, 30, 40),
        voxel_size_nm=(33.0, 10.0, 10.0),
        noise=0.0,
        section_jitter=0.0,
    )
    thin = dataclasses.replace(
        thick, size_zyx=(18, 30, 40), voxel_size_nm=(11.0, 10.0, 10.0)
    )
    whole, parts = phantom.generate(thick), phantom.generate(thin)
    np.testing.assert_array_equal(whole.labels, parts.labels[1::3])
    mean = parts.image.reshape(6, 3, 30, 40).mean(1)
    np.testing.assert_allclose(whole.image, mean, atol=1)


@pytest.mark.parametrize(
    "box",
    [
        volume.Box((0, 0, 0), (0, 4, 4)),
        volume.Box((-1, 0, 0), (4, 4, 4)),
        volume.Box((0, 0, 0), (4, 4, 4000)),
    ],
)
def test_a_box_outside_is_refused(options, box):
    with pytest.raises(ValueError, match="must lie in the phantom"):
        phantom.generate(options, box)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("size_zyx", (4, 0, 4), "expected 3 positive numbers"),
        ("voxel_size_nm", (10, 10, 0.1), "expected 3 lengths from 2 to 100"),
        ("voxel_size_nm", (10, 10), "expected 3 lengths"),
        ("noise", -1.0, "noise: expected 0 to 100"),
        ("seed", -1, "seed: expected 0 or more"),
    ],
)
def test_bad_options_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        phantom.Options(**{name: value})


def test_it_measures_like_fly_neuropil():
    """Grey levels and spectrum of the real FIB-SEM, where that is at hand."""
    path = volume.dataset.data_dir() / "fib25" / "grayscale_maps.h5"
    if not path.exists():
        pytest.skip(f"real EM is not at hand: {path}")
    with volume.open(f"{path}:raw") as opened:
        real = picture.real_planes(opened)
    # A slab, so that one plane is as wide as the real one's.
    options = phantom.Options(seed=1, size_zyx=(2, 250, 250))
    plane = phantom.generate(options, volume.Box((1, 0, 0), (2, 250, 250)))
    grey, truth = plane.image, np.stack(real)
    assert abs(grey.mean() - truth.mean()) < 10
    assert abs(grey.std() - truth.std()) < 6
    # All but the lowest band, which is the luck of a few large profiles.
    off = picture.spectrum_db([plane.image[0]]) - picture.spectrum_db(real)
    assert np.abs(off[1:]).max() < 4
