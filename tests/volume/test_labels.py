"""Labels: by hand, then the laws."""

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import labels

# Two objects: 7 in two parts that touch only along an edge, and 2^40.
BIG = 2**40
PLANE = np.array(
    [
        [7, 7, 0, 0],
        [0, 0, 7, BIG],
        [0, 0, 0, BIG],
    ],
    np.uint64,
)
ARRAY = np.stack([PLANE, np.zeros_like(PLANE)])

arrays = st.sampled_from([np.uint8, np.int32, np.uint64]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
        elements=st.sampled_from([0, 0, 1, 2, 100]),
    )
)
fast = hypothesis.settings(deadline=None, max_examples=50)


def partition(array):
    """Which voxels are together, whatever the ids; 0 stays apart."""
    _, first, inverse = np.unique(array, return_index=True, return_inverse=True)
    return np.where(array == 0, -1, first[inverse.reshape(array.shape)])


def test_counts():
    assert labels.count_voxels(ARRAY) == {7: 3, BIG: 2}


def test_contiguous():
    new, mapping = labels.contiguous(ARRAY)
    assert new.dtype == np.uint8
    assert mapping.tolist() == [0, 7, BIG]
    assert new[0].tolist() == [[1, 1, 0, 0], [0, 0, 1, 2], [0, 0, 0, 2]]


def test_contiguous_widens_where_there_are_more_ids_than_values():
    """300 ids of int16 do not fit in uint8."""
    array = np.arange(-150, 150, dtype=np.int16).reshape(3, 10, 10)
    new, mapping = labels.contiguous(array)
    assert new.dtype == np.uint16
    np.testing.assert_array_equal(mapping[new], array)


def test_components():
    """An edge is no contact."""
    parts = labels.components(ARRAY)[0]
    assert len(np.unique(parts[parts > 0])) == 3
    assert parts[0, 0] == parts[0, 1] != parts[1, 2]
    assert parts[1, 3] == parts[2, 3] != 0


def test_borders():
    array = np.ones((5, 6, 7), np.uint8)
    array[:, 3:] = 2
    array[4, 0, 0] = 0
    expected = np.zeros(array.shape, bool)
    expected[:, 2:4] = True
    for voxel in ((4, 0, 0), (3, 0, 0), (4, 1, 0), (4, 0, 1)):
        expected[voxel] = True
    np.testing.assert_array_equal(labels.borders(array), expected)
    assert not labels.borders(np.ones((1, 1, 2), np.uint8)).any()


def test_dust_by_id_and_by_part():
    kept = labels.without_small(ARRAY, 3)[0]
    assert kept.tolist() == [[7, 7, 0, 0], [0, 0, 7, 0], [0, 0, 0, 0]]
    kept = labels.without_small_parts(ARRAY, 2)[0]
    assert kept.tolist() == [[7, 7, 0, 0], [0, 0, 0, BIG], [0, 0, 0, BIG]]


@pytest.mark.parametrize(
    "array", [np.zeros((3, 3), np.uint8), np.zeros((3, 3, 3), np.float32)]
)
def test_what_is_no_label_array(array):
    for function in (labels.count_voxels, labels.components):
        with pytest.raises(ValueError, match=r"array \[z, y, x\] of integers"):
            function(array)


@fast
@hypothesis.given(arrays)
def test_contiguous_is_undone_by_its_mapping(array):
    before = array.copy()
    new, mapping = labels.contiguous(array)
    np.testing.assert_array_equal(mapping[new], array)
    assert sorted({0, *new.ravel().tolist()}) == list(range(len(mapping)))
    np.testing.assert_array_equal(array, before)


@fast
@hypothesis.given(arrays)
def test_components_refine(array):
    parts = labels.components(array)
    np.testing.assert_array_equal(parts == 0, array == 0)
    for part in range(1, parts.max() + 1):
        assert len(np.unique(array[parts == part])) == 1
    for axis in range(3):
        low = [slice(None)] * 3
        high = [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        low, high = tuple(low), tuple(high)
        same = (array[low] == array[high]) & (array[low] != 0)
        np.testing.assert_array_equal(parts[low][same], parts[high][same])


@fast
@hypothesis.given(arrays, st.integers(1, 8))
def test_dust(array, least):
    before = array.copy()
    kept = labels.without_small(array, least)
    counts = labels.count_voxels(array)
    big = np.isin(array, [i for i, n in counts.items() if n >= least])
    np.testing.assert_array_equal(kept, np.where(big, array, 0))
    np.testing.assert_array_equal(array, before)
    parts = labels.without_small_parts(array, least)
    assert parts.dtype == array.dtype
    assert not (parts != 0)[kept == 0].any()
    np.testing.assert_array_equal(labels.without_small(array, 1), array)
    np.testing.assert_array_equal(labels.without_small_parts(array, 1), array)


def held(array):
    return volume.from_array(array, start=(3, -2, 5))


blocks = st.tuples(*[st.integers(1, 4)] * 3)


@fast
@hypothesis.given(arrays, blocks, st.integers(1, 6))
def test_volumes_are_counted_and_relabelled_like_arrays(array, block, least):
    ids, counts = labels.count_voxels_volume(held(array), block)
    assert dict(zip(ids.tolist(), counts.tolist())) == labels.count_voxels(
        array
    )
    assert ids.tolist() == sorted(ids.tolist())
    big = ids[counts >= least]
    target = np.full_like(array, 9)
    labels.relabel_volume(held(array), held(target), big, big, block)
    np.testing.assert_array_equal(target, labels.without_small(array, least))
    labels.relabel_volume(
        held(array), held(target), ids, np.arange(1, len(ids) + 1), block
    )
    np.testing.assert_array_equal(target, labels.contiguous(array)[0])


@fast
@hypothesis.given(arrays, blocks)
def test_volumes_have_the_components_of_their_arrays(array, block):
    target = np.full(array.shape, 9, np.uint32)
    number = labels.components_volume(held(array), held(target), block)
    expected = labels.components(array)
    assert number == expected.max(initial=0) == target.max(initial=0)
    np.testing.assert_array_equal(partition(target), partition(expected))


def test_a_target_that_is_too_narrow():
    array = np.zeros((8, 8, 8), np.uint16)
    array[::2, ::2, ::2] = 1
    array[1::2, 1::2, 1::2] = 2
    target = held(np.zeros(array.shape, np.uint8))
    labels.components_volume(held(array), target)
    tiled = np.tile(array, (3, 1, 1))
    target = held(np.zeros(tiled.shape, np.uint8))
    with pytest.raises(ValueError, match="use a wider dtype"):
        labels.components_volume(held(tiled), target)
