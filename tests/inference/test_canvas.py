"""Floods whose outcome is worked out by hand; see conftest for the oracle."""

import functools
import itertools
import json

import numpy as np
import pytest
from scipy import special

from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import options as options_lib

Origin = canvas_lib.Origin

# A voxel of each of the blocks, not in the order of their labels.
SEEDS = [(2, 8, 6), (4, 3, 9), (6, 8, 6), (4, 2, 2)]
LABELS = [3, 2, 4, 1]


def shape_of_one():
    return np.ones((9, 9, 9), np.int32)


def test_an_object_is_its_component_and_ids_follow_the_seeds(
    blocks, make_canvas, flood
):
    canvas = make_canvas(blocks, SEEDS)
    flood(canvas.segment_all())
    for found, label in enumerate(LABELS, start=1):
        np.testing.assert_array_equal(
            canvas.segmentation == found, blocks == label
        )
    assert {k: o.start_zyx for k, o in canvas.origins.items()} == dict(
        enumerate(SEEDS, start=1)
    )
    assert canvas.counters["voxels-segmented"] == blocks.size
    assert canvas.counters["voxels-overlapping"] == 0
    assert canvas.counters["steps"] == sum(
        origin.num_steps for origin in canvas.origins.values()
    )
    assert all(kept.shape == (2, 0) for kept in canvas.overlaps.values())


def test_a_step_is_shown_its_field_of_view(make_canvas):
    """The request, voxel by voxel: the first step and the second."""
    values = np.arange(9 * 10 * 12, dtype=np.float32).reshape(9, 10, 12)
    canvas = make_canvas(
        values,
        [(4, 5, 6)],
        size=(3, 5, 7),
        deltas=(1, 2, 3),
        init_activation=0.95,
        pad_value=0.05,
    )
    flooding = canvas.segment_all()
    (request,) = next(flooding)
    pad, init = special.logit(np.float32([0.05, 0.95]))
    np.testing.assert_array_equal(request.image, values[3:6, 3:8, 3:10])
    expected = np.full((3, 5, 7), pad, np.float32)
    expected[1, 2, 3] = init
    np.testing.assert_allclose(request.seed, expected, rtol=1e-6)

    logits = np.full((3, 5, 7), -9, np.float32)
    logits[1, 2, 3], logits[2, 1, 5] = 8, 7
    (request,) = flooding.send([logits.copy()])
    np.testing.assert_array_equal(request.image, values[4:7, 2:7, 5:12])
    expected = np.full((3, 5, 7), pad, np.float32)
    expected[:2, 1:, :5] = logits[1:, :4, 2:]
    np.testing.assert_allclose(request.seed, expected, rtol=1e-6)


def test_the_object_stays_within_the_fields_that_were_seen(make_canvas, flood):
    # No step fits along z and y, so the field of view slides along x only.
    canvas = make_canvas(np.ones((5, 5, 9)), [(2, 2, 4)])
    flood(canvas.segment_all())
    assert (canvas.segmentation == 1).all()
    # Nine voxels: centres 2 to 6.
    assert canvas.origins == {1: Origin((2, 2, 4), 5)}
    assert canvas.counters["moves-invalid"] > 0


def test_overlaps_are_counted_and_left_to_the_first(make_canvas, flood, oracle):
    # The network of object 2 does not see where 1 and 3 begin.
    labels = np.full((9, 9, 12), 2, np.int32)
    labels[:6], labels[:, :, 9:] = 1, 3
    canvas = make_canvas(labels, [(2, 4, 4), (6, 4, 9), (6, 4, 4)])
    flood(canvas.segment_all(), functools.partial(oracle, greedy=2))
    np.testing.assert_array_equal(
        canvas.segmentation, np.array([0, 1, 3, 2])[labels]
    )
    # Fields centred in z >= 6 and x <= 8 reach two voxels into the others.
    ones = np.count_nonzero(labels[4:, :, :11] == 1)
    threes = np.count_nonzero(labels[4:, :, :11] == 3)
    np.testing.assert_array_equal(canvas.overlaps[3], [[1, 2], [ones, threes]])
    assert canvas.overlaps[3].dtype == np.int64
    assert canvas.overlaps[1].shape == canvas.overlaps[2].shape == (2, 0)
    assert canvas.counters["voxels-overlapping"] == ones + threes
    assert canvas.counters["voxels-segmented"] == labels.size


@pytest.mark.parametrize("margin", [0, 1])
def test_an_object_has_min_segment_size_voxels(
    blocks, make_canvas, flood, margin
):
    size = np.count_nonzero(blocks == 3) + margin
    canvas = make_canvas(blocks, [SEEDS[0]], min_segment_size=size)
    flood(canvas.segment_all())
    if margin:
        assert canvas.origins == canvas.overlaps == {}
        assert canvas.segmentation[SEEDS[0]] == -1
        assert np.count_nonzero(canvas.segmentation) == 1
        assert canvas.counters["seeds-too-small"] == 1
        assert canvas.counters["steps"] > 0
    else:
        assert list(canvas.origins) == [1]
        assert canvas.counters["voxels-segmented"] == size


def test_rejected_objects_take_no_id(blocks, make_canvas, flood):
    canvas = make_canvas(blocks, SEEDS, min_segment_size=130)
    flood(canvas.segment_all())
    sizes = [int(np.count_nonzero(blocks == label)) for label in LABELS]
    assert sizes == [325, 432, 260, 270]
    canvas = make_canvas(blocks, SEEDS, min_segment_size=300)
    flood(canvas.segment_all())
    assert {k: o.start_zyx for k, o in canvas.origins.items()} == {
        1: SEEDS[0],
        2: SEEDS[1],
    }
    assert canvas.counters["seeds-too-small"] == 2


@pytest.mark.parametrize("missing", [0, 1])
def test_only_free_voxels_count_for_the_size(
    make_canvas, flood, oracle, missing
):
    labels = np.ones((9, 9, 9), np.int32)
    labels[:, :, 6:] = 2
    canvas = make_canvas(
        labels,
        [(4, 4, 3), (4, 4, 6)],
        min_segment_size=int(np.count_nonzero(labels == 2)) + missing,
    )
    flood(canvas.segment_all(), functools.partial(oracle, greedy=2))
    assert canvas.counters["seeds-too-small"] == missing
    assert len(canvas.origins) == 2 - missing


@pytest.mark.parametrize(
    ("distance", "is_near"),
    [
        ((0, 0, 0), False),
        ((0, 0, 1), False),
        ((0, 0, 2), True),
        ((2, 2, 0), False),
        ((9, 9, 1), False),
        ((9, 9, 9), True),
    ],
)
def test_no_seed_within_min_boundary_dist(
    make_canvas, flood, distance, is_near
):
    labels = np.ones((9, 9, 12), np.int32)
    labels[:, :, 6:] = 2
    canvas = make_canvas(
        labels, [(4, 4, 3), (4, 4, 7)], min_boundary_dist_zyx=distance
    )
    flood(canvas.segment_all())
    assert canvas.counters["seeds-too-close"] == is_near
    if is_near:
        assert canvas.segmentation[4, 4, 7] == -1
        assert list(canvas.origins) == [1]
    else:
        np.testing.assert_array_equal(canvas.segmentation, labels)


def test_rejected_seeds_do_not_keep_later_objects_away(make_canvas, flood):
    labels = np.ones((9, 9, 12), np.int32)
    labels[:, :, 6:] = 2
    canvas = make_canvas(
        labels,
        [(4, 4, 3), (4, 4, 7), (4, 4, 8)],
        min_boundary_dist_zyx=(0, 0, 2),
    )
    flood(canvas.segment_all())
    # Its -1 neither repels the third seed nor stays in the second object.
    assert canvas.counters["seeds-too-close"] == 1
    assert canvas.origins[2].start_zyx == (4, 4, 8)
    np.testing.assert_array_equal(canvas.segmentation, labels)
    assert canvas.overlaps[2].shape == (2, 0)


def test_seeds_in_objects_are_passed_over(blocks, make_canvas, flood):
    seeds = [SEEDS[0], (3, 9, 3), SEEDS[0], SEEDS[1]]
    canvas = make_canvas(blocks, seeds)
    flood(canvas.segment_all())
    assert canvas.counters["seeds-already-segmented"] == 2
    assert list(canvas.origins) == [1, 2]
    assert (canvas.segmentation >= 0).all()


def test_a_seed_that_the_network_denies_is_weak(make_canvas, flood):
    def deny(image, seed):
        logits = np.full(image.shape, 5, np.float32)
        logits[2, 2, 2] = -5
        return logits

    canvas = make_canvas(shape_of_one(), [(4, 4, 4)])
    assert flood(canvas.segment_all(), deny) == 1
    assert canvas.segmentation[4, 4, 4] == -1
    assert np.count_nonzero(canvas.segmentation) == 1
    assert canvas.origins == {}
    # It stopped with candidates left, and then it was rejected.
    assert canvas.counters["seeds-got-too-weak"] == 1
    assert canvas.counters["seeds-weak"] == 1


def test_a_seed_that_gets_too_weak_stops_the_object(make_canvas, flood):
    """The third step takes back what the first had said of the seed."""
    calls = []

    def fickle(image, seed):
        calls.append(seed)
        logits = np.full(image.shape, 5, np.float32)
        if len(calls) == 3:
            logits[...] = 2.2  # Above the logit of 0.9, 2.197.
            logits[seed > 4] = 2.19  # Below it, the seed among them.
        return logits

    canvas = make_canvas(shape_of_one(), [(4, 4, 4)])
    assert flood(canvas.segment_all(), fickle) == 3
    assert canvas.counters["seeds-got-too-weak"] == 1
    assert canvas.counters["seeds-weak"] == 1
    assert np.isnan(canvas.field.logits).all()


def test_a_weak_seed_in_an_object_does_not_mark_it(make_canvas, flood):
    """Only a free voxel becomes -1; here the seed is free, then it is not."""
    canvas = make_canvas(shape_of_one(), [(4, 4, 4)])
    requests = canvas.segment_all()
    next(requests)
    canvas.segmentation[4, 4, 4] = 7
    with pytest.raises(StopIteration):
        requests.send([np.full((5, 5, 5), -5, np.float32)])
    assert canvas.counters["seeds-weak"] == 1
    assert canvas.segmentation[4, 4, 4] == 7


def test_the_move_threshold_is_reached_not_exceeded(make_canvas, flood):
    threshold = np.float32(special.logit(float(np.float32(0.9))))

    def exactly(value):
        def predict(image, seed):
            return np.full(image.shape, value, np.float32)

        return predict

    at = make_canvas(shape_of_one(), [(4, 4, 4)])
    flood(at.segment_all(), exactly(threshold))
    assert list(at.origins) == [1]
    below = make_canvas(shape_of_one(), [(4, 4, 4)])
    flood(below.segment_all(), exactly(np.nextafter(threshold, np.float32(0))))
    assert below.counters["seeds-weak"] == 1


def test_a_position_at_the_move_threshold_is_taken(make_canvas, flood):
    canvas = make_canvas(
        np.ones((5, 5, 9)), [(2, 2, 4)], deltas=(0, 0, 1), move_threshold=0.5
    )
    even = np.zeros((5, 5, 5), np.float32)
    assert flood(canvas.segment_all(), lambda image, seed: even.copy()) == 5
    assert canvas.counters["moves-below-threshold"] == 0


def test_only_voxels_above_the_move_threshold_are_queued(make_canvas, flood):
    def predict(image, seed):
        logits = np.full(image.shape, 1, np.float32)  # The logit of 0.73.
        logits[2, 2, 2] = 5
        return logits

    canvas = make_canvas(shape_of_one(), [(4, 4, 4)])
    assert flood(canvas.segment_all(), predict) == 1
    assert canvas.counters["moves-below-threshold"] == 0


def test_a_candidate_that_got_too_weak_is_dropped(make_canvas):
    canvas = make_canvas(np.ones((5, 5, 9)), [(2, 2, 4)], deltas=(0, 0, 1))
    requests = canvas.segment_all()
    next(requests)
    logits = np.full((5, 5, 5), 5, np.float32)
    logits[2, 2, 3] = 6
    requests.send([logits.copy()])  # Now x = 5, and x = 3 waits.
    logits[2, 2, :3] = [-5, -5, 6]  # x = 3, 4, 5: weak, weak, strong.
    logits[2, 2, 1] = 6
    logits[2, 2, 3:] = -5
    with pytest.raises(StopIteration):
        requests.send([logits.copy()])
    assert canvas.counters["moves-below-threshold"] == 1
    assert canvas.counters["steps"] == 2
    assert list(canvas.origins) == [1]


def test_marks_of_rejected_seeds_are_in_nobodys_way(make_canvas, flood):
    """Neither as a seed nor as a position."""
    canvas = make_canvas(np.ones((5, 5, 9)), [(2, 2, 4)], deltas=(0, 0, 1))
    canvas.segmentation[2, 2, 3:6] = -1
    assert flood(canvas.segment_all()) == 5
    assert (canvas.segmentation == 1).all()


def test_the_segment_threshold_is_reached_not_exceeded(make_canvas, flood):
    threshold = np.float32(special.logit(float(np.float32(0.6))))

    def predict(image, seed):
        logits = np.full(image.shape, threshold, np.float32)
        logits[2, 2, 2] = 5
        logits[0] = np.nextafter(threshold, np.float32(0))
        return logits

    canvas = make_canvas(shape_of_one(), [(4, 4, 4)])
    assert flood(canvas.segment_all(), predict) == 1
    expected = np.zeros((9, 9, 9), np.int32)
    expected[3:7, 2:7, 2:7] = 1
    np.testing.assert_array_equal(canvas.segmentation, expected)


# -----------------------------------------------------------------------------
# Rule 3
# -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("threshold", "is_frozen"),
    [(0.0, True), (0.47, True), (0.49, False), (-1.0, False)],
)
def test_what_was_left_out_does_not_come_back(
    make_canvas, threshold, is_frozen
):
    """Steps at x = 3, x = 4 and x = 2, of which the last one waits."""
    canvas = make_canvas(
        np.ones((5, 5, 10)),
        [(2, 2, 3)],
        deltas=(0, 0, 1),
        disco_seed_threshold=threshold,
    )
    requests = canvas.segment_all()
    next(requests)
    first = np.full((5, 5, 10), 5, np.float32)
    first[0, :, 4] = 0  # Even odds: not left out.
    first[1, :, 4] = -3
    first[:, :, 5] = -1
    first[2, 2, 4] = 5.5
    requests.send([first[:, :, 1:6].copy()])

    second = np.full((5, 5, 10), 1, np.float32)
    second[:, :, 2:4] = second[:2, :, 6] = 6
    second[4, :, 5] = -4
    seen = second[:, :, 2:7]
    assert np.count_nonzero(seen > 2.2) == 60  # Of 125: a share of 0.48.
    requests.send([seen.copy()])

    expected = np.full((5, 5, 10), np.nan, np.float32)
    expected[:, :, 1] = first[:, :, 1]
    expected[:, :, 2:7] = seen
    if is_frozen:
        expected[1, :, 4] = -3
        expected[:4, :, 5] = -1
        # Not x = 6, which had not been seen before.
    np.testing.assert_array_equal(canvas.field.logits, expected)


@pytest.mark.parametrize("threshold", [0.99, 1.0])
def test_the_share_must_be_exceeded(make_canvas, threshold):
    canvas = make_canvas(
        np.ones((5, 5, 7)),
        [(2, 2, 3)],
        deltas=(0, 0, 1),
        disco_seed_threshold=threshold,
    )
    requests = canvas.segment_all()
    next(requests)
    first = np.full((5, 5, 5), 5, np.float32)
    first[0] = -1
    requests.send([first])
    requests.send([np.full((5, 5, 5), 5, np.float32)])
    expected = 5 if threshold == 1 else -1
    assert (canvas.field.logits[0, :, 2:6] == expected).all()


def test_the_rule_is_on_by_default():
    assert options_lib.InferenceOptions().disco_seed_threshold == 0


# -----------------------------------------------------------------------------
# Interruption
# -----------------------------------------------------------------------------

OPTIONS = {
    "deltas": (2, 2, 2),
    "min_segment_size": 265,
    "min_boundary_dist_zyx": (0, 1, 1),
    "corner_zyx": (7, 8, 9),
}
MANY = [
    (0, 0, 0),  # No field of view fits.
    (2, 8, 6),  # Label 3.
    (6, 8, 6),  # Label 4, too small.
    (4, 2, 2),  # Label 1.
    (6, 4, 5),  # Too close to it.
    (4, 3, 9),  # Label 2, which runs into 3 and 1.
    (4, 8, 6),  # In label 3.
]


def outcome(canvas):
    """Everything that a canvas leaves behind."""
    return {
        "segmentation": canvas.segmentation.tolist(),
        "origins": canvas.origins,
        "overlaps": {k: v.tolist() for k, v in canvas.overlaps.items()},
        "counters": canvas.counters,
        "untouched": bool(np.isnan(canvas.field.logits).all()),
        "corner": canvas.corner_zyx,
    }


def resumed(canvas, labels, make_canvas):
    """Another canvas that goes on from the state of `canvas`."""
    arrays, values = canvas.state()
    arrays = {name: array.copy() for name, array in arrays.items()}
    values = json.loads(json.dumps(values))
    found = make_canvas(labels, [], **OPTIONS)
    found.restore(arrays, values)
    return found


@pytest.fixture
def undisturbed(blocks, make_canvas, flood, oracle):
    canvas = make_canvas(blocks, MANY, **OPTIONS)
    predict = functools.partial(oracle, greedy=2)
    steps = flood(canvas.segment_all(), predict)
    found = outcome(canvas)
    # The example has everything that there is to be remembered.
    assert found["counters"]["seeds-too-small"]
    assert found["counters"]["seeds-too-close"]
    assert found["counters"]["seeds-already-segmented"]
    assert found["counters"]["seeds-without-steps"]
    assert found["counters"]["voxels-overlapping"]
    assert len(found["origins"]) == 3
    assert found["untouched"]
    return steps, found


def test_interrupted_before_every_answer(
    blocks, make_canvas, flood, oracle, undisturbed
):
    steps, expected = undisturbed
    predict = functools.partial(oracle, greedy=2)
    for answered in range(steps + 1):
        canvas = make_canvas(blocks, MANY, **OPTIONS)
        # The next request has been made, and is not answered.
        assert flood(canvas.segment_all(), predict, answered) == answered
        second = resumed(canvas, blocks, make_canvas)
        assert flood(second.segment_all(), predict) == steps - answered
        assert outcome(second) == expected, answered


def test_interrupted_after_every_answer(
    blocks, make_canvas, flood, oracle, undisturbed
):
    """A new canvas for each answer."""
    steps, expected = undisturbed
    predict = functools.partial(oracle, greedy=2)
    canvas = make_canvas(blocks, MANY, **OPTIONS)
    for _ in range(steps):
        assert flood(canvas.segment_all(), predict, 1) == 1
        canvas = resumed(canvas, blocks, make_canvas)
    assert flood(canvas.segment_all(), predict) == 0
    assert outcome(canvas) == expected


def test_a_state_does_not_change_what_goes_on(
    blocks, make_canvas, flood, oracle, undisturbed
):
    steps, expected = undisturbed
    canvas = make_canvas(blocks, MANY, **OPTIONS)
    requests = canvas.segment_all()
    asked, answered = next(requests), 0
    while asked is not None:
        canvas.state()
        answered += 1
        try:
            asked = requests.send(
                [oracle(one.image, one.seed, greedy=2) for one in asked]
            )
        except StopIteration:
            asked = None
    assert answered == steps
    assert outcome(canvas) == expected


def test_a_state_holds_the_logits_of_the_object_only(
    blocks, make_canvas, flood
):
    canvas = make_canvas(blocks, [(4, 3, 9)])
    flood(canvas.segment_all(), steps=1)
    arrays, _ = canvas.state()
    assert arrays["hull"].shape == (5, 5, 5)
    assert not np.isnan(arrays["hull"]).any()


def test_restore_does_not_share_the_arrays(blocks, make_canvas, flood):
    canvas = make_canvas(blocks, SEEDS, **OPTIONS)
    flood(canvas.segment_all(), steps=30)
    arrays, values = canvas.state()
    before = arrays["segmentation"].copy()
    second = make_canvas(blocks, [], **OPTIONS)
    second.restore(arrays, values)
    flood(second.segment_all())
    np.testing.assert_array_equal(arrays["segmentation"], before)
    np.testing.assert_array_equal(canvas.segmentation, before)


def test_a_seed_where_no_field_of_view_fits_is_passed_over(make_canvas, flood):
    canvas = make_canvas(np.ones((9, 9, 9)), [(4, 4, 7), (4, 4, 6)])
    flood(canvas.segment_all())
    assert canvas.counters["seeds-without-steps"] == 1
    assert canvas.origins[1].start_zyx == (4, 4, 6)


def test_only_what_was_touched_is_reset(make_canvas, flood):
    """The seed map is cleared object by object, never as a whole."""
    labels = np.ones((9, 9, 30), np.int32)
    labels[:, :, 15:] = 2
    canvas = make_canvas(labels, [(4, 4, 4)])
    canvas.field.logits[0, 0, 17:] = 3  # Beyond x = 16 nothing was seen.
    flood(canvas.segment_all())
    assert np.isnan(canvas.field.logits[..., :17]).all()
    assert (canvas.field.logits[0, 0, 17:] == 3).all()


# -----------------------------------------------------------------------------
# Several steps at once
# -----------------------------------------------------------------------------


def wide(make_canvas, **changes):
    """One object, wide enough for fields of view that do not meet."""
    labels = np.zeros((15, 31, 33))
    labels[2:13, 2:29, 2:31] = 1
    return make_canvas(labels, [(7, 15, 16)], deltas=(2, 2, 2), **changes)


def corner(image, part):
    """Where in an image a view of it begins."""
    offset = part.ctypes.data - image.ctypes.data
    return np.unravel_index(offset // image.itemsize, image.shape)


def test_steps_that_do_not_meet_are_asked_for_at_once(make_canvas, oracle):
    alone = wide(make_canvas)
    canvas = wide(make_canvas, moves_in_flight=4)
    for one in (alone, canvas):
        flooding = one.segment_all()
        requests, sizes = next(flooding), []
        while requests is not None:
            sizes.append(len(requests))
            corners = [corner(one.image, r.image) for r in requests]
            for first, second in itertools.combinations(corners, 2):
                assert np.abs(np.subtract(first, second)).max() >= 5
            answers = [oracle(r.image, r.seed) for r in requests]
            try:
                requests = flooding.send(answers)
            except StopIteration:
                requests = None
        assert max(sizes) == (1 if one is alone else 4)
        assert sum(sizes) == one.counters["steps"]
    np.testing.assert_array_equal(canvas.segmentation, alone.segmentation)


def test_states_with_several_steps_under_way(make_canvas, oracle, flood):
    expected = wide(make_canvas, moves_in_flight=4)
    flood(expected.segment_all(), oracle)
    canvas = wide(make_canvas, moves_in_flight=4)
    flooding = canvas.segment_all()
    requests = next(flooding)
    while len(requests) < 4:
        answers = [oracle(one.image, one.seed) for one in requests]
        requests = flooding.send(answers)
    arrays, values = canvas.state()
    again = wide(make_canvas, moves_in_flight=4)
    again.restore(arrays, json.loads(json.dumps(values)))
    flood(again.segment_all(), oracle)
    assert outcome(again) == outcome(expected)
