"""Canvases on the device against canvases here: the same, step by step.

On what Keras runs here: TensorFlow, or JAX with KERAS_BACKEND=jax.
"""

import functools
import json
import os
import re
import subprocess
import sys

import keras
from keras import ops
import numpy as np
import pytest
from scipy import ndimage

from ffn_tf import model
from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import (
    device,
    engine,
    engine_resident,
    keepsakes,
    resident,
    scheduler,
)
from ffn_tf.inference import options as options_lib

VIEW = model.FieldOfView((5, 7, 9), (1, 2, 3))
SHAPES = ((16, 20, 24), (12, 28, 20), (5, 7, 9), (18, 9, 30))
EVERYTHING = keepsakes.Keep(probabilities=True, history=True)


class Blobs:
    """Grows where the image is bright, and less so far from the centre.

    Some of what has been taken falls. In whole numbers, so with many ties.
    """

    view = VIEW

    def __init__(self):
        centre = np.array(VIEW.margin).reshape(3, 1, 1, 1)
        distance = np.abs(np.indices(VIEW.size) - centre).sum(0)
        self._penalty = (distance // 3).astype(np.float32)[..., None]

    def __call__(self, inputs, training=False):
        image, seed = inputs
        rise = ops.round(3 * image) + 3 - self._penalty
        falls = (ops.round(7 * image) % 2 == 0) & (seed > 2)
        return ops.clip(seed + ops.where(falls, rise - 7, rise), -6.0, 6.0)


class Eager(engine.HostEngine):
    """A network as it is, on canvases here."""

    name = "eager"

    def __init__(self, network):
        super().__init__("float32", 1, network.view.size)
        self._network = network

    def _infer(self):
        return np.array(self._network([self._image, self._seed]))


def canvas(number, **options):
    """Canvas `number` of many: smooth noise, and seeds all over it."""
    rng = np.random.default_rng(number)
    shape = SHAPES[number % len(SHAPES)]
    image = ndimage.gaussian_filter(rng.normal(size=shape), 1.5)
    given = {"min_segment_size": 30, "segment_threshold": 0.8} | options
    return canvas_lib.Canvas(
        (image / image.std()).astype(np.float32),
        VIEW,
        options_lib.InferenceOptions(**given),
        rng.integers(0, shape, (60, 3)),
        corner_zyx=(number, 0, 0),
        keep=EVERYTHING,
    )


def outcome(canvas):
    return {
        "segmentation": canvas.segmentation.tolist(),
        "origins": canvas.origins,
        "overlaps": {k: v.tolist() for k, v in canvas.overlaps.items()},
        "counters": canvas.counters,
        "probabilities": canvas.kept.probabilities.tolist(),
        "history": canvas.kept.history,
    }


def segmented(canvases, engine, in_flight=1, after_round=lambda _: None):
    """The outcomes by canvas."""
    done = scheduler.segment(canvases, engine, in_flight, after_round)
    return {canvas.corner_zyx[0]: outcome(canvas) for canvas in done}


@pytest.fixture(scope="module")
def expected():
    """expected(numbers, **options): of canvases here."""

    def run(numbers, **options):
        return segmented(
            [canvas(n, **options) for n in numbers], Eager(Blobs())
        )

    return run


def test_the_example_has_everything(expected):
    found = list(expected(range(5)).values())
    total = {
        name: sum(one["counters"][name] for one in found)
        for name in found[0]["counters"]
    }
    assert sum(len(one["origins"]) for one in found) >= 10
    assert total["steps"] >= 300
    for name, count in total.items():
        assert count or name in ("seeds-restricted", "moves-restricted"), name
    assert sum(row[-1] for one in found for row in one["history"])


@pytest.mark.parametrize(("batch_size", "in_flight"), [(1, 2), (3, 3), (2, 6)])
def test_as_on_the_host(expected, batch_size, in_flight):
    """Also with several batches under way, and slots that are used again."""
    found = engine_resident.ResidentEngine(Blobs(), "float32", batch_size)
    numbers = range(5)
    outcomes = segmented([canvas(n) for n in numbers], found, in_flight)
    assert outcomes == expected(numbers)
    assert found.steps == sum(
        one["counters"]["steps"] for one in outcomes.values()
    )
    assert 0 < found.seconds < 100
    assert np.isnan(ops.convert_to_numpy(found._canvases)).all()


@pytest.mark.parametrize("threshold", [-1, 0.2])
def test_rises(expected, threshold):
    """Rule 3 of the canvas."""
    options = {"disco_seed_threshold": threshold}
    found = engine_resident.ResidentEngine(Blobs(), "float32", 1)
    outcomes = segmented([canvas(0, **options)], found)
    assert outcomes == expected([0], **options)


def test_what_was_not_watched_is_looked_up(expected, monkeypatch):
    monkeypatch.setattr(
        canvas_lib.Canvas, "_watched", lambda self: [self._start]
    )
    found = engine_resident.ResidentEngine(Blobs(), "float32", 1)
    assert segmented([canvas(0)], found) == expected([0])


def test_rows_that_fill_a_batch_write_nothing():
    rule = canvas(0).rule
    rng = np.random.default_rng(3)
    before = rng.normal(size=(2, 8, 9, 10)).astype(np.float32)
    orders = np.zeros((3, resident.ORDER), np.int32)
    orders[1, :6] = 1, 2, 1, 1, True, False
    stepped = device.changed_in_place(
        lambda canvases, images, orders: resident.step(
            Blobs(), rule, canvases, images, orders
        )
    )
    after, _ = stepped(
        device.held(ops.convert_to_tensor(before)), before.copy(), orders
    )
    changed = ops.convert_to_numpy(after) != before
    assert changed.any()
    changed[1, 2:7, 1:8, 1:10] = False
    assert not changed.any()


@pytest.mark.skipif(device.name() != "jax", reason="asks JAX what it compiled")
def test_the_canvases_are_not_copied():
    rule, shape = canvas(0).rule, (2, 41, 43, 47)
    stepped = device.changed_in_place(
        functools.partial(resident.step, Blobs(), rule)
    )
    arrays = [np.zeros(shape, np.float32) for _ in range(2)]
    orders = np.zeros((3, resident.ORDER), np.int32)
    text = stepped.lower(*arrays, orders).compile().as_text()
    assert "f32[2,41,43,47]" in text
    assert not re.findall(r"f32\[2,41,43,47\]\S* copy\(", text)


def states_after(canvases, engine, in_flight, steps):
    """{corner: state} of unfinished canvases, by when at least so many steps
    were done."""
    left, found = sorted(steps), {}

    def after_round(group):
        while left and engine.steps >= left[0]:
            found[left.pop(0)] = {c.corner_zyx[0]: copied(c) for c in group}

    segmented(canvases, engine, in_flight, after_round)
    return found


def copied(canvas):
    arrays, values = canvas.state()
    return (
        {name: array.copy() for name, array in arrays.items()},
        json.loads(json.dumps(values)),
    )


def test_states_are_those_of_the_host():
    steps = {1, 2, 7, 40, 90}
    mine = engine_resident.ResidentEngine(Blobs(), "float32", 1)
    found = states_after([canvas(1)], mine, 1, steps)
    expected = states_after([canvas(1)], Eager(Blobs()), 1, steps)
    assert found.keys() == steps
    for step in steps:
        (arrays, values), (theirs, same) = found[step][1], expected[step][1]
        assert values == same
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, theirs[name], f"{step} {name}")


def test_goes_on_from_a_state(expected, monkeypatch):
    """Also from one that is taken while several batches are under way."""
    monkeypatch.setattr(scheduler, "_MOST_SECONDS", 0.005)
    mine = engine_resident.ResidentEngine(Blobs(), "float32", 2)
    states = states_after([canvas(n) for n in range(4)], mine, 4, [60])[60]
    assert len(states) == 3  # Canvas 2 has room for one step only.
    again = [restored(n, state) for n, state in states.items()]
    assert segmented(again, mine, 4) == expected(states)


def restored(number, state):
    again = canvas(number)
    again.restore(*state)
    return again


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(5)
    network = model.ConvStack(depth=2, features=4, view=VIEW)
    network.build()
    rng = np.random.default_rng(6)
    for layer in network.convolutions.values():
        weights, biases = layer.get_weights()
        layer.set_weights([weights, 0.3 * rng.normal(size=biases.shape)])
    return network


@pytest.mark.parametrize(
    ("compute_dtype", "least", "most"),
    [("float32", 0, 1e-5), ("bfloat16", 1e-4, 2e-2)],
)
def test_a_real_network(network, compute_dtype, least, most):
    mine = engine_resident.ResidentEngine(network, compute_dtype, 2)
    found, expected = after_a_step(mine), after_a_step(Eager(network))
    assert least <= np.abs(found - expected).max() <= most


def after_a_step(engine):
    """The logits around the middle of a canvas, where an object begins."""
    one = canvas(1, disco_seed_threshold=-1)
    engine.adopt(one)
    position = tuple(n // 2 for n in one.image.shape)
    one.field.begin(position)
    step = one.field.step(position, list)
    request = next(step)
    (answer,) = engine.submit([request])()
    with pytest.raises(StopIteration):
        step.send(answer)
    return one.field.read(one.rule.around(position))


def test_bricks():
    """Parts that are larger than a brick, and slots that grow."""
    found = engine_resident.ResidentEngine(Blobs(), "float32", 1)
    found.reserve(2, (70, 66, 5))
    found.reserve(3, (66, 140, 9))
    where = (slice(1, 69), slice(30, 139), slice(2, 8))
    everything = (slice(0, 70), slice(0, 140), slice(0, 9))
    values = np.arange(68 * 109 * 6, dtype=np.float32).reshape(68, 109, 6)
    found.write(1, where, values)
    np.testing.assert_array_equal(found.read(1, where), values)
    expected = np.full((70, 140, 9), np.nan, np.float32)
    expected[where] = values
    found.reserve(4, (80, 100, 100))  # What is there stays.
    np.testing.assert_array_equal(found.read(1, everything), expected)
    assert np.isnan(found.read(0, everything)).all()
    assert np.isnan(found.read(2, everything)).all()
    found.clear(1, where)
    assert np.isnan(found.read(1, everything)).all()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(device.name() == "jax", reason="this is JAX already")
def test_all_of_it_on_jax():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", __file__]
    subprocess.run(
        command, env=os.environ | {"KERAS_BACKEND": "jax"}, check=True
    )
