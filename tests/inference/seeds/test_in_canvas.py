"""Stages in a canvas: google/ffn's SequentialPolicies computes all up front,
and a resumed run has no seeds left."""

import functools
import json

import numpy as np
import pytest

from ffn_tf.inference import seeds

MARGIN = (2, 2, 2)
POLICIES = (
    ["PolicyGrid3d", {"step": 99, "offsets": [4]}],
    ["PolicyFillEmptySpace", {}],
    ["PolicyGrid3d", {"step": 3, "offsets": [2]}],
)


@pytest.fixture
def new(blocks, make_canvas):
    """new(): a canvas with the three stages, at its beginning."""

    def find(stage, segmentation):
        nowhere = np.zeros(blocks.shape, bool)
        image = blocks.astype(np.float32)
        return stage.find(image, nowhere, segmentation, MARGIN)

    def make():
        stages = seeds.stages("SequentialPolicies", {"policies": POLICIES})
        later = [functools.partial(find, stage) for stage in stages]
        return make_canvas(blocks, [], stages=later)

    return make


def resumed(canvas, new):
    arrays, values = canvas.state()
    arrays = {name: array.copy() for name, array in arrays.items()}
    found = new()
    found.restore(arrays, json.loads(json.dumps(values)))
    return found


def outcome(canvas):
    return canvas.segmentation.tolist(), canvas.origins, canvas.counters


def test_empty_space_is_what_earlier_seeds_left(new, flood, blocks):
    canvas = new()
    flood(canvas.segment_all())
    starts = [origin.start_zyx for origin in canvas.origins.values()]
    assert starts[0] == (4, 4, 4) and len(starts) > 2
    assert {blocks[start] for start in starts[1:]} <= {2, 3, 4}
    # The last stage has nothing to add, but a seed in each block.
    assert canvas.counters["seeds-already-segmented"] >= 4


def test_a_resumed_run_goes_on_in_its_stage(new, flood):
    canvas = new()
    total = flood(canvas.segment_all())
    expected = outcome(canvas)
    for steps in range(0, total, 29):
        first = new()
        flood(first.segment_all(), steps=steps)
        second = resumed(first, new)
        assert flood(second.segment_all()) == total - steps
        assert outcome(second) == expected
