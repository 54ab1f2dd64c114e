"""Views of several volumes: by hand, then the laws."""

import itertools

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume.views import combine, index, values

Box = volume.Box
START = (-5, 10, 3)
VOXELS = np.arange(1, 7 * 11 * 13 + 1, dtype=np.uint16).reshape(7, 11, 13)
DOMAIN = Box.from_size(START, VOXELS.shape)
fast = hypothesis.settings(deadline=None, max_examples=60)
HOLE = 60_000  # no value of a layer


def boxes_in(domain):
    """Boxes with voxels inside `domain`."""
    ends = [
        st.lists(st.integers(s, e), min_size=2, max_size=2, unique=True)
        for s, e in zip(domain.start, domain.end)
    ]
    return st.tuples(*ends).map(
        lambda axes: Box(*zip(*(sorted(axis) for axis in axes)))
    )


# -----------------------------------------------------------------------------
# masked
# -----------------------------------------------------------------------------


def test_masked_by_hand():
    below = volume.from_array(np.array([[[5, 6, 7, 8]]], np.uint8))
    mask = volume.from_array(np.array([[[0, 1, 2, 3]]], np.uint8))

    def seen(**how):
        return combine.masked(below, mask, **how).read().ravel().tolist()

    assert seen() == [0, 6, 7, 8]
    assert seen(fill=255) == [255, 6, 7, 8]
    assert seen(keep=[0, 2]) == [5, 0, 7, 0]
    assert seen(keep=[]) == [0, 0, 0, 0]
    assert combine.masked(below, mask).info == below.info


def test_a_coarser_mask():
    """Its voxels are 1 x 2 x 3 of the volume's, and it covers more."""
    below = volume.from_array(VOXELS, start=START, voxel_size_nm=(40, 8, 4))
    mask = np.random.default_rng(0).integers(0, 3, (9, 9, 9), np.uint8)
    coarse = volume.from_array(
        mask, start=(-6, 4, 0), voxel_size_nm=(40, 16, 12)
    )
    made = combine.masked(below, coarse, keep=[1], fill=3)
    z, y, x = np.ogrid[DOMAIN.slices]
    kept = mask[z + 6, y // 2 - 4, x // 3] == 1
    assert 0.2 < kept.mean() < 0.5
    np.testing.assert_array_equal(made.read(), np.where(kept, VOXELS, 3))


def test_what_is_masked_is_not_read(counted):
    below, source = counted(VOXELS, START)
    array = np.zeros(VOXELS.shape, bool)
    array[3, 4, 5] = True
    mask, mask_source = counted(array, START)
    made = combine.masked(below, mask, fill=7)
    dark = Box((-5, 10, 3), (-2, 21, 16))
    lit = Box((-2, 12, 5), (0, 20, 13))
    empty = Box((0, 12, 5), (0, 20, 13))
    first, second, third = made.read_many([dark, lit, empty])
    assert source.requests == [[lit]]
    assert mask_source.requests == [[dark, lit, empty]]
    assert (first == 7).all() and third.size == 0
    assert (second != 7).sum() == 1 and second[0, 2, 3] == VOXELS[3, 4, 5]
    made.read(dark)
    assert len(source.requests) == 1
    made.close()
    assert source.closed and mask_source.closed


def test_masks_that_do_not_fit():
    below = volume.from_array(VOXELS, start=START, voxel_size_nm=(40, 8, 4))
    for size in ((40, 8, 2), (40, 12, 4)):
        mask = below.described(voxel_size_nm=size)
        with pytest.raises(ValueError, match=r"multiples of it; resample the"):
            combine.masked(below, mask)
    small = index.cropped(below, DOMAIN.padded((0, 0, -1)))
    with pytest.raises(ValueError, match=r"covers .*crop the volume, or pad"):
        combine.masked(below, small)
    with pytest.raises(ValueError, match=r"fill: uint16 cannot hold -1"):
        combine.masked(below, below, fill=-1)
    narrow = values.cast(below, np.uint8)
    with pytest.raises(ValueError, match=r"keep: uint8 cannot hold 300"):
        combine.masked(below, narrow, keep=[1, 300])


# -----------------------------------------------------------------------------
# concatenated
# -----------------------------------------------------------------------------


@fast
@hypothesis.given(
    st.sampled_from("zyx"),
    st.lists(st.integers(1, 6), unique=True),
    st.randoms(use_true_random=False),
)
def test_the_pieces_of_a_volume_are_the_volume(axis, cuts, random):
    whole = volume.from_array(VOXELS, start=START, voxel_size_nm=(40, 8, 4))
    along = "zyx".index(axis)
    edges = [0, *sorted(cuts), VOXELS.shape[along]]
    pieces = []
    for begin, end in itertools.pairwise(edges):
        first, last = list(DOMAIN.start), list(DOMAIN.end)
        first[along] = DOMAIN.start[along] + begin
        last[along] = DOMAIN.start[along] + end
        pieces.append(index.cropped(whole, Box(first, last)))
    random.shuffle(pieces)
    made = combine.concatenated(pieces, axis)
    assert made.info == whole.info
    np.testing.assert_array_equal(made.read(), VOXELS)


def test_concatenated_reads_each_volume_once(counted):
    left, left_source = counted(VOXELS[:, :, :5], START)
    right, right_source = counted(VOXELS[:, :, 5:], (-5, 10, 8))
    made = combine.concatenated([left, right], "x")
    both, only = Box((-5, 10, 6), (2, 21, 10)), Box((-5, 10, 9), (2, 21, 10))
    for box, voxels in zip([both, only], made.read_many([both, only])):
        expected = VOXELS[box.relative_to(START).slices]
        np.testing.assert_array_equal(voxels, expected)
    assert left_source.requests == [[Box((-5, 10, 6), (2, 21, 8))]]
    assert right_source.requests == [[Box((-5, 10, 8), (2, 21, 10)), only]]
    made.close()
    assert left_source.closed and right_source.closed


def test_thousands_of_sections():
    """Those that a box does not meet cost next to nothing."""
    sections = [
        volume.from_array(VOXELS[:1] + np.uint16(z), start=(z, 0, 0))
        for z in range(3000)
    ]
    made = combine.concatenated(sections, "z")
    assert made.domain.size == (3000, 11, 13)
    box = Box((1500, 2, 3), (1502, 4, 6))
    expected = VOXELS[0, 2:4, 3:6] + np.uint16(1500)
    np.testing.assert_array_equal(made.read(box), [expected, expected + 1])
    assert len(made.address) < 200


def test_what_is_not_side_by_side():
    first = volume.from_array(VOXELS)
    for start, size in (
        ((8, 0, 0), (7, 11, 13)),  # a gap
        ((6, 0, 0), (7, 11, 13)),  # an overlap
        ((7, 1, 0), (7, 11, 13)),  # shifted
        ((7, 0, 0), (7, 11, 12)),  # smaller
        ((2, 0, 0), (3, 11, 13)),  # inside
    ):
        other = volume.from_array(np.zeros(size, np.uint16), start=start)
        with pytest.raises(ValueError) as caught:
            combine.concatenated([other, first], "z")
        assert "does not lie side by side along z" in str(caught.value)
        assert "expected zyx (7, 0, 0).." in str(caught.value)
    with pytest.raises(ValueError, match="expected z, y or x, found 'c'"):
        combine.concatenated([first], "c")
    with pytest.raises(ValueError, match="found none"):
        combine.concatenated([], "z")


@pytest.mark.parametrize("together", ["overlaid", "concatenated"])
def test_volumes_that_differ(together):
    def join(*volumes):
        if together == "overlaid":
            return combine.overlaid(volumes)
        return combine.concatenated(volumes, "z")

    first = volume.from_array(VOXELS)
    after = volume.from_array(VOXELS, start=(7, 0, 0))
    assert join(first, after).domain.size == (14, 11, 13)
    for other in (
        values.cast(after, np.uint8),
        after.described(voxel_size_nm=(1, 1, 2)),
    ):
        with pytest.raises(ValueError, match="cast or resample one of them"):
            join(first, other)


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_stacked_is_numpy_s_concatenation_wherever_they_lie(axis, counted):
    along = "zyx".index(axis)
    arrays = [VOXELS, VOXELS.take([3, 5], along) + np.uint16(2000), VOXELS]
    starts = [START, (7, 8, 9), (0, 0, 0)]
    pairs = [counted(a, s) for a, s in zip(arrays, starts)]
    made = combine.stacked([below for below, _ in pairs], axis)
    assert made.domain.start == START
    np.testing.assert_array_equal(made.read(), np.concatenate(arrays, along))
    assert [len(source.requests) for _, source in pairs] == [1, 1, 1]


def test_what_cannot_be_stacked():
    first = volume.from_array(VOXELS, start=START)
    other = volume.from_array(VOXELS[:, 1:])
    with pytest.raises(ValueError, match="does not lie side by side along z"):
        combine.stacked([first, other], "z")
    assert combine.stacked([first], "x") is first
    with pytest.raises(ValueError, match="expected z, y or x, found 'c'"):
        combine.stacked([first, first], "c")
    with pytest.raises(ValueError, match="found none"):
        combine.stacked([], "z")


# -----------------------------------------------------------------------------
# overlaid
# -----------------------------------------------------------------------------


@fast
@hypothesis.given(
    st.lists(boxes_in(DOMAIN), min_size=1, max_size=5), boxes_in(DOMAIN)
)
def test_later_ones_are_seen(counted, domains, wanted):
    """And what is hidden is not read."""
    layers, sources = [], []
    expected = np.full(VOXELS.shape, HOLE, np.uint16)
    for number, box in enumerate(domains):
        array = VOXELS[box.relative_to(START).slices] + np.uint16(2000 * number)
        layer, source = counted(array, box.start)
        layers.append(layer)
        sources.append(source)
        expected[box.relative_to(START).slices] = array
    made = combine.overlaid(layers, fill=HOLE)
    hull = domains[0]
    for box in domains[1:]:
        hull = hull.hulled(box)
    assert made.domain == hull
    box = wanted.clipped(hull)
    if not hull.contains(box):
        return  # they do not meet
    expected = expected[box.relative_to(START).slices]
    np.testing.assert_array_equal(made.read(box), expected)
    if len(layers) > 1:
        num_read = sum(source.num_voxels for source in sources)
        assert num_read == np.count_nonzero(expected != HOLE)
        assert all(len(source.requests) <= 1 for source in sources)


def test_holes_are_filled():
    corner = volume.from_array(np.full((1, 1, 1), 5, np.uint8))
    far = index.translated(corner, (1, 1, 2))
    made = combine.overlaid([corner, far], fill=3)
    assert made.read().tolist() == [
        [[5, 3, 3], [3, 3, 3]],
        [[3, 3, 3], [3, 3, 5]],
    ]
    with pytest.raises(ValueError, match="uint8 cannot hold 256"):
        combine.overlaid([corner, far], fill=256)
