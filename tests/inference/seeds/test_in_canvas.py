"""Stages in a canvas: google/ffn's SequentialPolicies computes all up front,
and a resumed run has no seeds left."""

import functools
import json

import numpy as np
import pytest

from ffn_tf.inference import seeds

MARGIN = (2, 2, 2)
POLICIES = (
    ["PolicyGrid3d", {"step": 99, "offsets": [2]}],
    ["PolicyFillEmptySpace", {}],
    ["PolicyGrid3d", {"step": 3, "offsets": [2]}],
)


@pytest.fixture
def labels():
    """A block in the middle of another, and a third at the end."""
    found = np.ones((10, 11, 16), np.int32)
    found[3:7, 3:8, 4:9] = 2
    found[:, :, 10:] = 3
    return found


@pytest.fixture
def new(labels, make_canvas):
    """new(): a canvas with a stage for each policy, at its beginning."""

    def find(stage, segmentation):
        nowhere = np.zeros(labels.shape, bool)
        image = labels.astype(np.float32)
        return stage.find(image, nowhere, segmentation, MARGIN)

    def make(policies=POLICIES):
        stages = seeds.stages("SequentialPolicies", {"policies": policies})
        later = [functools.partial(find, stage) for stage in stages]
        return make_canvas(labels, [], stages=later)

    return make


def resumed(canvas, new):
    arrays, values = canvas.state()
    arrays = {name: array.copy() for name, array in arrays.items()}
    found = new()
    found.restore(arrays, json.loads(json.dumps(values)))
    return found


def outcome(canvas):
    return canvas.segmentation.tolist(), canvas.origins, canvas.counters


def test_empty_space_is_what_earlier_seeds_left(new, flood, labels):
    canvas = new(POLICIES[:2])
    flood(canvas.segment_all())
    starts = [origin.start_zyx for origin in canvas.origins.values()]
    assert [labels[start] for start in starts] == [1, 2]


def test_a_resumed_run_goes_on_in_its_stage(new, flood):
    canvas = new()
    total = flood(canvas.segment_all())
    expected = outcome(canvas)
    assert len(canvas.origins) == 3
    for steps in range(0, total, 29):
        first = new()
        flood(first.segment_all(), steps=steps)
        second = resumed(first, new)
        assert flood(second.segment_all()) == total - steps
        assert outcome(second) == expected
