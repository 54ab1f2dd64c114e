"""Which scales there are, and how voxels become coarser."""

import itertools

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import grid
from ffn_tf.volume.formats import scales

Box = volume.Box


def info(domain, dtype="u1", size=(8, 8, 8), chunk=(64, 64, 64), kind=None):
    return volume.VolumeInfo(domain, np.dtype(dtype), size, chunk, kind)


def sizes(found):
    return [level.voxel_size_nm for level in found]


def test_sections_become_cubes_first():
    h01 = info(Box.from_shape((5293, 4000, 5000)), size=(33, 8, 8))
    assert sizes(scales.plan(h01, 5)) == [
        (33, 8, 8),
        (33, 16, 16),
        (33, 32, 32),
        (66, 64, 64),
        (132, 128, 128),
    ]
    assert [level.domain.size for level in scales.plan(h01, 4)] == [
        (5293, 4000, 5000),
        (5293, 2000, 2500),
        (5293, 1000, 1250),
        (2647, 500, 625),
    ]


@pytest.mark.parametrize(
    "size, expected",
    [
        ((40, 4, 4), [(40, 8, 8), (40, 16, 16), (40, 32, 32), (80, 64, 64)]),
        ((8, 8, 8), [(16, 16, 16), (32, 32, 32)]),
        ((30, 8, 8), [(30, 16, 16), (30, 32, 32), (60, 64, 64)]),
        ((12, 8, 8), [(12, 16, 16), (24, 32, 32)]),
        ((11, 8, 8), [(22, 16, 16), (44, 32, 32)]),
        ((5, 10, 40), [(10, 10, 40), (20, 20, 40), (40, 40, 40)]),
    ],
)
def test_the_shortest_edges_double(size, expected):
    long = info(Box.from_shape((10**4,) * 3), size=size)
    assert sizes(scales.plan(long, len(expected) + 1))[1:] == expected


def test_the_last_scale_fits_in_a_chunk():
    found = scales.plan(info(Box.from_shape((100, 300, 520)), chunk=(64,) * 3))
    assert [level.domain.size for level in found] == [
        (100, 300, 520),
        (50, 150, 260),
        (25, 75, 130),
        (13, 38, 65),
        (7, 19, 33),
    ]
    small = info(Box.from_shape((64, 64, 64)))
    assert scales.plan(small) == (small,)


@pytest.mark.parametrize("z", [4, 40])
def test_one_section_stays_one_section(z):
    section = info(Box.from_shape((1, 2000, 3000)), size=(z, 16, 16))
    assert sizes(scales.plan(section)) == [
        (z, 16 * 2**step, 16 * 2**step) for step in range(7)
    ]
    assert scales.plan(section)[-1].domain.size == (1, 32, 47)


def test_no_scales_without_end():
    """A voxel on each side of 0 never becomes one."""
    straddling = info(Box((-1, -1, -1), (1, 1, 1)), chunk=(1, 1, 1))
    assert len(scales.plan(straddling)) == 1
    assert len(scales.plan(info(Box.from_shape((1, 1, 1))), 4)) == 1
    with pytest.raises(ValueError, match=r"at least 1.*found 0"):
        scales.plan(straddling, 0)


def test_scales_that_do_not_go_together():
    fine = info(Box.from_shape((10, 10, 10)))
    good = info(Box.from_shape((10, 5, 5)), size=(8, 16, 16))
    assert scales.factors(fine, good) == (1, 2, 2)
    for domain, size in (
        (Box.from_shape((10, 5, 5)), (8, 12, 16)),
        (Box.from_shape((10, 5, 4)), (8, 16, 16)),
        (Box.from_size((0, 0, 1), (10, 5, 5)), (8, 16, 16)),
        (Box.from_shape((10, 20, 20)), (8, 4, 4)),
    ):
        with pytest.raises(ValueError, match="not made of whole cells"):
            scales.factors(fine, info(domain, size=size))


def by_hand(voxels, start, by, kind):
    """Cell by cell, without TensorStore."""
    cells = [
        range(s // f, -(-(s + n) // f))
        for s, n, f in zip(start, voxels.shape, by)
    ]
    found = np.zeros([len(axis) for axis in cells], voxels.dtype)
    for cell in itertools.product(*cells):
        index = tuple(
            slice(max(c * f - s, 0), c * f + f - s)
            for c, f, s in zip(cell, by, start)
        )
        values = voxels[index].ravel()
        at = tuple(c - axis[0] for c, axis in zip(cell, cells))
        if kind == "image" and voxels.dtype != bool:
            mean = sum(map(float, values)) / len(values)
            is_float = voxels.dtype.kind == "f"
            found[at] = mean if is_float else round(mean)
        else:
            # Python sorts (not most often, is 0, value).
            counted = [
                (-np.count_nonzero(values == v), not v, v) for v in values
            ]
            found[at] = min(counted)[2]
    return found


def test_ties_and_background():
    labels = np.array([[0, 0, 5, 5, 0, 9], [3, 3, 9, 9, 0, 0]], np.uint64)
    labels = labels[np.newaxis]
    found, box = scales.coarser(
        labels,
        Box.from_shape((1, 2, 6)),
        (1, 2, 2),
        info(Box.from_shape((1, 2, 6)), "u8"),
    )
    assert found.tolist() == [[[3, 5, 0]]]
    assert box == Box.from_shape((1, 1, 3))
    largest = np.array([[[2**64 - 1, 2**64 - 1, 1, 0]]], np.uint64)
    found, _ = scales.coarser(
        largest,
        Box.from_shape((1, 1, 4)),
        (1, 1, 4),
        info(Box.from_shape((1, 1, 4)), "u8"),
    )
    assert found.tolist() == [[[2**64 - 1]]]


def test_a_cell_that_reaches_out_of_the_domain():
    """The example of the module: voxels 3..8, cells of 2."""
    image = np.array([[[30, 40, 50, 60, 71]]], np.uint8)
    box = Box((0, 0, 3), (1, 1, 8))
    found, there = scales.coarser(image, box, (1, 1, 2), info(box))
    assert there == Box((0, 0, 1), (1, 1, 4))
    assert found.tolist() == [[[30, 45, 66]]]  # 65.5 to the even one


triples = st.tuples(*[st.integers(1, 7)] * 3)
corners = st.tuples(*[st.integers(-9, 9)] * 3)


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    triples,
    corners,
    st.tuples(*[st.integers(1, 3)] * 3),
    st.sampled_from(["u1", "u2", "i2", "u4", "u8", "f4", "bool"]),
    st.sampled_from(["image", "segmentation"]),
    st.integers(0, 2**32),
)
def test_as_by_hand(shape, start, by, dtype, kind, seed):
    draw = np.random.default_rng(seed)
    voxels = draw.integers(0, 4, shape).astype(dtype)
    if kind == "image" and voxels.dtype.kind == "f":
        voxels += draw.random(shape).astype(dtype)
    box = Box.from_size(start, shape)
    found, there = scales.coarser(voxels, box, by, info(box, dtype, kind=kind))
    expected = by_hand(voxels, start, by, kind)
    assert there == box.scaled((1, 1, 1), by)
    assert found.dtype == voxels.dtype
    if kind == "segmentation" and voxels.dtype.kind == "f":
        return  # Ids are no fractions; any mode will do.
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(
    triples, corners, st.tuples(*[st.integers(1, 3)] * 3), triples
)
def test_parts_of_whole_cells_are_the_whole(shape, start, by, cells):
    box = Box.from_size(start, shape)
    voxels = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint32)
    about = info(box, "u4")
    whole, there = scales.coarser(voxels, box, by, about)
    assembled = np.zeros_like(whole)
    for tile in grid.tile(there, cells):
        part = tile.scaled(by, (1, 1, 1)).clipped(box)
        found, at = scales.coarser(
            voxels[part.relative_to(start).slices], part, by, about
        )
        assert at == tile
        assembled[tile.relative_to(there.start).slices] = found
    np.testing.assert_array_equal(assembled, whole)


def test_large_arrays_are_worked_on_slab_by_slab(monkeypatch):
    voxels = np.random.default_rng(0).integers(0, 3, (9, 6, 5), np.uint64)
    box = Box.from_size((3, 1, 0), voxels.shape)
    about = info(box, "u8")
    whole, _ = scales.coarser(voxels, box, (2, 2, 2), about)
    monkeypatch.setattr(scales, "_AT_ONCE", 60)
    slabs, _ = scales.coarser(voxels, box, (2, 2, 2), about)
    np.testing.assert_array_equal(slabs, whole)
