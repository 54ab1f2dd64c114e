"""Floods that are restricted, begin with objects, or find seeds in stages."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ffn_tf.inference import keepsakes

SEED = (4, 5, 6)


@pytest.fixture
def bar():
    """One object: a bar along x, [9, 11, 21], with a field of view around."""
    labels = np.zeros((9, 11, 21), np.int32)
    labels[3:6, 4:7] = 1
    return labels


def test_no_field_of_view_is_centred_where_it_is_blocked(
    bar, make_canvas, flood
):
    blocked = np.zeros(bar.shape, bool)
    blocked[:, :, 10:12] = True
    canvas = make_canvas(bar, [SEED], blocked=blocked)
    flood(canvas.segment_all())
    # The last centre is at x = 9, and its field of view ends at 11.
    expected = bar.copy()
    expected[:, :, 12:] = 0
    np.testing.assert_array_equal(canvas.segmentation, expected)
    assert canvas.counters["moves-restricted"] > 0


def test_no_object_begins_where_it_is_blocked(bar, make_canvas, flood):
    canvas = make_canvas(bar, [SEED], blocked=bar == 1)
    assert flood(canvas.segment_all()) == 0
    assert not canvas.segmentation.any()
    assert canvas.counters["seeds-restricted"] == 1


def test_objects_that_were_there_are_obstacles_and_ids_go_on(
    bar, make_canvas, flood
):
    initial = np.zeros(bar.shape, np.int32)
    initial[:, :, 12:] = 1
    initial[:, :, 16:] = 2
    canvas = make_canvas(bar, [(4, 5, 14), SEED], initial=initial)
    flood(canvas.segment_all())
    expected = np.where((bar == 1) & (initial == 0), 3, initial)
    np.testing.assert_array_equal(canvas.segmentation, expected)
    assert list(canvas.origins) == [3]
    assert canvas.overlaps[3][0].tolist() == [1]  # Its views reach x = 13.
    assert canvas.counters["seeds-already-segmented"] == 1


def test_a_stage_of_seeds_sees_what_the_seeds_before_it_left(
    blocks, make_canvas, flood
):
    seen = []

    def first(segmentation):
        seen.append(segmentation.copy())
        return np.array([[2, 8, 6]])

    def nothing(segmentation):
        seen.append(segmentation.copy())
        return np.zeros((0, 3), np.int64)

    def rest(segmentation):
        seen.append(segmentation.copy())
        return np.argwhere(segmentation == 0)

    canvas = make_canvas(blocks, [], stages=[first, nothing, rest])
    flood(canvas.segment_all())
    assert len(seen) == 3 and not seen[0].any()
    np.testing.assert_array_equal(seen[1] == 1, blocks == 3)
    np.testing.assert_array_equal(seen[2], seen[1])
    assert (canvas.segmentation > 0).all()
    assert len(canvas.origins) == 4


@pytest.mark.parametrize("steps", [0, 1, 7, 30, 100])
def test_a_canvas_goes_on_with_stages_and_keepsakes(
    blocks, make_canvas, flood, steps
):
    def made():
        stages = [
            lambda _: np.array([[2, 8, 6], [4, 3, 9]]),
            lambda segmentation: np.argwhere(segmentation == 0),
        ]
        asked = keepsakes.Keep(probabilities=True, history=True)
        return make_canvas(blocks, [], stages=stages, keep=asked)

    whole = made()
    flood(whole.segment_all())
    cut = made()
    flood(cut.segment_all(), steps=steps)
    arrays, values = cut.state()
    again = made()
    again.restore(arrays, json.loads(json.dumps(values)))
    flood(again.segment_all())
    np.testing.assert_array_equal(again.segmentation, whole.segmentation)
    np.testing.assert_array_equal(
        again.kept.probabilities, whole.kept.probabilities
    )
    assert again.kept.history == whole.kept.history
    assert len(whole.kept.history) == whole.counters["steps"]
    assert again.counters == whole.counters


def test_the_share_of_seeds_goes_up_with_the_stages(
    blocks, make_canvas, flood, oracle
):
    stages = [
        lambda _: np.array([[2, 8, 6], [4, 3, 9]]),
        lambda segmentation: np.argwhere(segmentation == 0),
    ]
    canvas = make_canvas(blocks, [], stages=stages)
    shares = [canvas.share_tried]

    def predict(image, seed):
        shares.append(canvas.share_tried)
        return oracle(image, seed)

    flood(canvas.segment_all(), predict)
    shares.append(canvas.share_tried)
    assert shares == sorted(shares)
    assert (shares[0], shares[1], shares[-1]) == (0, 0.25, 1)
