"""Which body is a segment, which segment is a body, and what is wrong."""

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np

from ffn_tf import evaluation
from ffn_tf.evaluation import matching

E = matching.Error


def matched(truth, segmentation) -> matching.Matching:
    return matching.Matching.of(evaluation.count(truth, segmentation))


def test_a_perfect_segmentation_has_no_errors():
    truth = np.array([0, 1, 1, 2, 2, 2, 9])
    segmentation = np.array([0, 7, 7, 3, 3, 3, 2**64 - 1], np.uint64)

    match = matched(truth, segmentation)

    assert match.body_of(segmentation).tolist() == truth.tolist()
    assert match.rank_of(truth).tolist() == [-1, 1, 1, 0, 0, 0, 2]
    assert not match.rank_in_body(segmentation).any()
    assert not match.errors(truth, segmentation).any()


def test_every_kind_of_error():
    # Segment 5 owns body 1 and takes two voxels of body 2, which 7 owns;
    # it also takes all of body 3. Segment 6 is a piece of body 1.
    rows = [
        (1, 5, E.NONE, 4),
        (1, 6, E.SPLIT, 2),
        (1, 0, E.MISSED, 1),
        (2, 7, E.NONE, 3),
        (2, 5, E.BOTH, 2),
        (3, 5, E.MERGE, 1),
        (0, 5, E.NONE, 2),
        (0, 8, E.NONE, 2),
        (0, 0, E.NONE, 1),
    ]
    truth, segmentation, expected = (
        np.concatenate([[row[column]] * row[3] for row in rows])
        for column in range(3)
    )

    match = matched(truth, segmentation)

    found = match.errors(truth, segmentation)
    assert found.dtype == np.uint8
    assert found.tolist() == expected.tolist()
    assert match.body_of(np.array([0, 5, 6, 7, 8])).tolist() == [0, 1, 1, 2, 0]
    assert match.rank_in_body(np.array([5, 6, 7])).tolist() == [0, 1, 0]
    assert match.rank_of(np.array([0, 1, 2, 3])).tolist() == [-1, 0, 1, 2]


def test_pieces_are_ranked_by_overlap():
    truth = np.repeat([1, 2], [9, 1])
    segmentation = np.array([30, 30, 10, 10, 10, 10, 20, 20, 20, 40])
    match = matched(truth, segmentation)
    ranks = match.rank_in_body(np.array([10, 20, 30, 40]))
    assert ranks.tolist() == [0, 1, 2, 0]


def test_of_equal_overlaps_the_smaller_id_wins():
    match = matched(np.array([2, 1, 3, 3]), np.array([5, 5, 8, 7]))
    assert match.body_of(np.array([5])).tolist() == [1]
    errors = match.errors(np.array([3, 3]), np.array([7, 8]))
    assert errors.tolist() == [E.NONE, E.SPLIT]


def test_nothing_segmented_is_all_missed():
    truth, nothing = np.array([[0, 1], [2, 2]]), np.zeros((2, 2), np.uint8)
    errors = matched(truth, nothing).errors(truth, nothing)
    assert errors.tolist() == [[E.NONE, E.MISSED], [E.MISSED, E.MISSED]]


@hypothesis.given(
    *[hnp.arrays(np.uint8, (3, 4, 2), elements=st.integers(0, 3))] * 2
)
def test_errors_follow_the_definition(truth, segmentation):
    match = matched(truth, segmentation)

    def most_shared(other, mask):
        values = other[mask & (other != 0)]
        return np.bincount(values).argmax() if values.size else 0

    for t, s, found in zip(
        truth.flat,
        segmentation.flat,
        match.errors(truth, segmentation).flat,
        strict=True,
    ):
        merge = most_shared(truth, segmentation == s) != t
        split = most_shared(segmentation, truth == t) != s
        expected = E.MERGE * merge + E.SPLIT * split
        if s == 0:
            expected = E.MISSED
        assert found == (expected if t else E.NONE)
