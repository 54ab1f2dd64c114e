"""The contingency table: by hand, then its laws, then its errors."""

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

from ffn_tf import evaluation, volume
from ffn_tf.volume import contingency

HUGE = 2**64 - 1


def rows(table: evaluation.Contingency) -> list[tuple[int, int, int]]:
    columns = (table.truth_ids, table.segment_ids, table.voxels)
    return list(zip(*(column.tolist() for column in columns)))


@st.composite
def label_pairs(draw):
    """Two label arrays of one shape; ids few, zeros and huge ones included."""
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=5))
    ids = st.sampled_from([0, 1, 2, 3, 2**32, 2**53 + 1, HUGE])
    return tuple(
        draw(hnp.arrays(np.uint64, shape, elements=ids)) for _ in range(2)
    )


def test_counts_by_hand():
    truth = np.array([[[1, 1, 2, 2], [1, 1, 2, 0]]], np.uint64)
    segmentation = np.array([[[5, 5, 5, 7], [5, 5, 7, 5]]], np.uint8)

    table = evaluation.count(truth, segmentation)

    assert rows(table) == [(0, 5, 1), (1, 5, 4), (2, 5, 1), (2, 7, 2)]
    assert table.num_voxels == 8


def test_every_voxel_different():
    truth = np.arange(24).reshape(2, 3, 4)
    segmentation = truth[::-1].copy()

    table = evaluation.count(truth, segmentation)

    expected = [(t, (t + 12) % 24, 1) for t in range(24)]
    assert rows(table) == expected


def test_where_truth_and_where_both_drop_zeros():
    table = evaluation.count(
        np.array([0, 0, 1, 1, 1]), np.array([0, 4, 0, 4, 4])
    )

    assert rows(table.where_truth) == [(1, 0, 1), (1, 4, 2)]
    assert rows(table.where_both) == [(1, 4, 2)]


def test_ids_that_differ_only_beyond_float64_stay_apart():
    truth = np.array([HUGE, HUGE - 1, 2**53, 2**53 + 1], np.uint64)

    table = evaluation.count(truth, truth[::-1].copy())

    assert rows(table) == [
        (2**53, HUGE - 1, 1),
        (2**53 + 1, HUGE, 1),
        (HUGE - 1, 2**53, 1),
        (HUGE, 2**53 + 1, 1),
    ]


def test_strided_arrays_count_like_their_copies():
    rng = np.random.default_rng(0)
    truth, segmentation = rng.integers(0, 3, (2, 4, 5, 6))

    strided = evaluation.count(truth[:, ::2].T, segmentation[:, ::2].T)
    copied = evaluation.count(
        truth[:, ::2].T.copy(), segmentation[:, ::2].T.copy()
    )

    assert rows(strided) == rows(copied)


@hypothesis.given(label_pairs())
def test_agrees_with_a_loop_over_voxels(pair):
    expected: dict[tuple[int, int], int] = {}
    for key in zip(*(array.reshape(-1).tolist() for array in pair)):
        expected[key] = expected.get(key, 0) + 1

    found = rows(evaluation.count(*pair))

    assert found == [(*key, n) for key, n in sorted(expected.items())]


@hypothesis.given(label_pairs())
def test_swapped_is_the_table_of_swapped_arrays(pair):
    truth, segmentation = pair
    swapped = evaluation.count(truth, segmentation).swapped()
    assert rows(swapped) == rows(evaluation.count(segmentation, truth))


@hypothesis.given(label_pairs(), label_pairs(), label_pairs())
def test_merging_is_associative_commutative_and_has_a_zero(
    pair_a, pair_b, pair_c
):
    a, b, c = (evaluation.count(*pair) for pair in (pair_a, pair_b, pair_c))
    merged = evaluation.merged

    left = merged([merged([a, b]), c])
    right = merged([a, merged([b, c])])

    assert rows(left) == rows(right) == rows(merged([c, b, a]))
    assert rows(merged([a, merged([])])) == rows(a)
    assert left.num_voxels == sum(x.num_voxels for x in (a, b, c))


@hypothesis.given(
    label_pairs(),
    st.tuples(*[st.integers(1, 4)] * 3),
    st.tuples(*[st.integers(-9, 9)] * 3),
)
def test_blockwise_is_the_whole(pair, block_zyx, start):
    truth, segmentation = (
        volume.from_array(array, start=start) for array in pair
    )

    table = evaluation.count_volumes(
        truth, segmentation, truth.domain, block_zyx
    )

    assert rows(table) == rows(evaluation.count(*pair))


def test_blockwise_merges_on_the_way(monkeypatch):
    monkeypatch.setattr(contingency, "_PENDING_ROWS", 3)
    rng = np.random.default_rng(0)
    pair = rng.integers(0, 5, (2, 6, 6, 6))
    volumes = [volume.from_array(array) for array in pair]

    table = evaluation.count_volumes(*volumes, volumes[0].domain, (2, 2, 3))

    assert rows(table) == rows(evaluation.count(*pair))


def test_a_box_of_two_volumes_with_different_starts():
    labels = np.arange(1000).reshape(10, 10, 10)
    truth = volume.from_array(labels, start=(100, 200, 300))
    box = volume.Box((102, 203, 304), (105, 207, 309))
    part = volume.from_array(labels[2:5, 3:7, 4:9], start=box.start)

    table = evaluation.count_volumes(truth, part, box)

    assert rows(table) == [(n, n, 1) for n in labels[2:5, 3:7, 4:9].reshape(-1)]


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\), segmentation \(3, 2\)"):
        evaluation.count(np.zeros((2, 3), int), np.zeros((3, 2), int))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, bool, complex])
@pytest.mark.parametrize("place", [0, 1])
def test_other_dtypes_are_refused(dtype, place):
    pair = [np.ones(3, np.uint8), np.ones(3, np.uint8)]
    pair[place] = pair[place].astype(dtype)
    name = ("truth", "segmentation")[place]
    with pytest.raises(ValueError, match=f"{name} must hold integer ids"):
        evaluation.count(*pair)


def test_negative_ids_are_refused():
    with pytest.raises(ValueError, match="segmentation must not be negative"):
        evaluation.count(np.ones(3, int), np.array([1, -1, 2]))


def test_no_voxels_make_an_empty_table():
    empty = np.zeros((0, 3, 3), np.int64)
    table = evaluation.count(empty, empty)
    assert rows(table) == [] and table.num_voxels == 0
