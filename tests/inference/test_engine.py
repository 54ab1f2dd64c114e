"""Engines against the plain Keras network, a small one of random weights."""

import functools
import importlib.util

import keras
import numpy as np
import pytest

from ffn_tf import model
from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import engine_openvino, precision

# isort: split
import tensorflow as tf

BOTH = ("tensorflow", "openvino")
VIEW = model.FieldOfView((9, 9, 9), (2, 2, 2))


@pytest.fixture(scope="module")
def network() -> model.ConvStack:
    keras.utils.set_random_seed(5)
    network = model.ConvStack(depth=3, features=8, view=VIEW)
    network.build()
    rng = np.random.default_rng(6)
    for layer in network.convolutions.values():
        weights, biases = layer.get_weights()
        layer.set_weights([weights, 0.1 * rng.normal(size=biases.shape)])
    return network


def fields(count, seed=7):
    """`count` images and seeds, as flood filling has them."""
    rng = np.random.default_rng(seed)
    shape = (count, *VIEW.size)
    images = rng.normal(size=shape).astype(np.float32)
    seeds = np.where(rng.random(shape) < 0.3, 3, -3).astype(np.float32)
    return list(images), list(seeds)


def eager(network, images, seeds):
    stacked = [np.stack(values)[..., None] for values in (images, seeds)]
    return np.asarray(network(stacked))[..., 0]


def samples():
    images, seeds = fields(2, seed=8)
    return images, seeds[0]


@pytest.fixture(scope="module")
def make(network, tmp_path_factory):
    """make(name, compute_dtype, batch_size): an engine, made once."""
    keep = tmp_path_factory.mktemp("calibration") / "int8.npz"

    @functools.cache
    def create(name, compute_dtype, batch_size=1):
        return engine_lib.create(
            network, name, compute_dtype, batch_size, samples, keep
        )

    return create


def error(found, network, images, seeds):
    """Of the update, which is what the network adds to the seed."""
    expected = eager(network, images, seeds)
    update = expected - np.stack(seeds)
    return np.linalg.norm(np.stack(found) - expected) / np.linalg.norm(update)


def each(engine, images, seeds):
    """The logits of each field of view in a call of its own."""
    return [
        np.array(engine.predict([image], [seed])[0])
        for image, seed in zip(images, seeds)
    ]


@pytest.mark.parametrize("name", BOTH)
def test_float32_is_the_network(network, make, name):
    images, seeds = fields(5)
    engine = make(name, "float32")
    found = each(engine, images, seeds)
    assert found[0].shape == VIEW.size
    assert found[0].dtype == np.float32
    assert error(found, network, images, seeds) <= 1e-5
    assert (engine.name, engine.compute_dtype) == (name, "float32")


def test_every_voxel_is_in_its_place(network):
    """Axes of different lengths; a single bright voxel near a corner."""
    view = model.FieldOfView((3, 5, 7), (0, 1, 2))
    small = model.ConvStack(depth=3, features=8, view=view)
    small.build()
    small.set_weights(network.get_weights())
    image = np.zeros(view.size, np.float32)
    image[0, 1, 5] = 4
    seed = np.arange(105, dtype=np.float32).reshape(view.size) / 50
    expected = eager(small, [image], [seed])[0]
    for name in BOTH:
        engine = engine_lib.create(small, name, "float32", 2)
        (found,) = engine.predict([image], [seed])
        np.testing.assert_allclose(found, expected, atol=1e-5)


# Errors of the update seen here: 0.0041 on either engine.
@pytest.mark.parametrize("name", BOTH)
def test_bfloat16(network, make, name):
    images, seeds = fields(5)
    found = each(make(name, "bfloat16"), images, seeds)
    assert 1e-4 < error(found, network, images, seeds) <= 2e-2


def test_arithmetic_by_closeness(network, make):
    images, seeds = fields(8)
    errors = {
        compute_dtype: error(
            each(make("openvino", compute_dtype), images, seeds),
            network,
            images,
            seeds,
        )
        for compute_dtype in engine_lib.COMPUTE_DTYPES
    }
    assert errors["float32"] <= 1e-5
    assert 1e-4 < errors["bfloat16_mixed"] < errors["bfloat16"] <= 2e-2
    assert 1e-4 < errors["int8"] <= 1e-1


@pytest.mark.parametrize(
    ("name", "compute_dtype"),
    [(name, dtype) for name in BOTH for dtype in ("float32", "bfloat16")]
    + [("openvino", "int8")],
)
def test_batches(make, name, compute_dtype):
    """A prediction does not depend on who shares its batch."""
    images, seeds = fields(6)
    engine = make(name, compute_dtype, 4)
    alone = each(make(name, compute_dtype, 1), images, seeds)
    full = np.array(engine.predict(images[:4], seeds[:4]))
    assert full.shape == (4, *VIEW.size)
    short = np.array(engine.predict(images[4:], seeds[4:]))
    assert short.shape == (2, *VIEW.size)
    np.testing.assert_allclose(
        np.concatenate([full, short]), np.stack(alone), rtol=1e-5, atol=1e-5
    )
    # The same field of view in the same place, among others.
    again = np.array(engine.predict(images[:1], seeds[:1]))
    np.testing.assert_array_equal(again[0], full[0])


@pytest.mark.parametrize("name", BOTH)
def test_the_caller_may_write_into_the_logits(make, name):
    """The canvas does; the next prediction must not show it."""
    images, seeds = fields(2)
    engine = make(name, "float32", 4)
    first = engine.predict(images, seeds)
    expected = np.array(first)
    for logits in first:
        logits[...] = np.nan
    assert np.isfinite(np.stack(seeds)).all()
    np.testing.assert_array_equal(engine.predict(images, seeds), expected)


@pytest.mark.parametrize("name", BOTH)
def test_steps_and_seconds_are_counted(network, name):
    images, seeds = fields(3)
    engine = engine_lib.create(network, name, "float32", 4)
    assert (engine.steps, engine.seconds) == (0, 0)
    engine.predict(images, seeds)
    first = engine.seconds
    assert engine.steps == 3 and 0 < first < 60
    engine.predict(images[:1], seeds[:1])
    assert engine.steps == 4 and engine.seconds > first


def test_int8_needs_samples(network):
    with pytest.raises(ValueError, match="calibrated on samples"):
        engine_lib.create(network, "openvino", "int8")


def test_int8_is_fitted_once(network, tmp_path, monkeypatch):
    """The fit is the same each time; one that is kept is read."""
    keep = tmp_path / "int8.npz"
    images, seeds = fields(1)

    def predicted(samples=samples, network=network):
        engine = engine_lib.create(
            network, "openvino", "int8", 1, samples, keep
        )
        return np.array(engine.predict(images, seeds))

    first = predicted()
    kept = keep.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(precision, "calibrated", None)
        np.testing.assert_array_equal(predicted(), first)
    assert keep.read_bytes() == kept
    keep.unlink()
    np.testing.assert_array_equal(predicted(), first)
    assert keep.read_bytes() == kept
    keep.write_bytes(kept[:-9])
    with pytest.raises(ValueError, match="delete it and run again"):
        predicted()


@pytest.mark.parametrize("what", ["network", "images", "seed"])
def test_a_fit_to_something_else_is_refused(network, tmp_path, what):
    keep = tmp_path / "int8.npz"
    engine_lib.create(network, "openvino", "int8", 1, samples, keep)
    images, seed = samples()
    if what == "network":
        network = model.ConvStack(depth=3, features=8, view=VIEW)
        network.build()
    elif what == "images":
        images[1][0, 0, 0] += 1
    else:
        seed[4, 4, 4] += 1
    with pytest.raises(ValueError, match="another network or other samples"):
        engine_lib.create(
            network, "openvino", "int8", 1, lambda: (images, seed), keep
        )


# -----------------------------------------------------------------------------
# What "auto" stands for
# -----------------------------------------------------------------------------


def test_resolve_is_explicit():
    for name in BOTH:
        assert engine_lib.resolve(name, "float32") == (name, "float32")
    for compute_dtype in engine_lib.COMPUTE_DTYPES:
        found = engine_lib.resolve("openvino", compute_dtype)
        assert found == ("openvino", compute_dtype)
    assert engine_lib.resolve("tensorflow", "auto") == ("tensorflow", "float32")


def test_auto_takes_openvino_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    name, compute_dtype = engine_lib.resolve("auto", "auto")
    assert name == "openvino"
    assert compute_dtype in engine_lib.COMPUTE_DTYPES
    # Twice auto is the same as auto for what it stands for.
    assert engine_lib.resolve(name, "auto") == (name, compute_dtype)


@pytest.mark.parametrize(
    ("capabilities", "fastest", "emulated"),
    [
        (["FP32", "INT8", "BF16"], "bfloat16", False),
        (["FP32", "INT8"], "float32", True),
    ],
)
def test_auto_takes_what_the_processor_has(
    monkeypatch, capabilities, fastest, emulated
):
    monkeypatch.setattr(engine_openvino, "capabilities", lambda: capabilities)
    assert engine_lib.resolve("openvino", "auto") == ("openvino", fastest)
    for compute_dtype in ("bfloat16", "bfloat16_mixed"):
        assert engine_lib.is_emulated("openvino", compute_dtype) == emulated
        assert not engine_lib.is_emulated("tensorflow", compute_dtype)
    for compute_dtype in ("float32", "int8"):
        assert not engine_lib.is_emulated("openvino", compute_dtype)


@pytest.mark.parametrize(
    ("name", "compute_dtype", "message"),
    [
        ("onnx", "auto", "Unknown engine 'onnx'.*'tensorflow', 'jax'"),
        ("jax", "auto", "environment variable KERAS_BACKEND=jax"),
        ("openvino", "float16", "float16.*openvino.*bfloat16_mixed"),
        ("auto", "float64", "float64 is not to be had"),
        (
            "tensorflow",
            "int8",
            r"--engine=tensorflow: expected auto or one of "
            r"\['float32', 'bfloat16'\]",
        ),
    ],
)
def test_resolve_refuses(name, compute_dtype, message):
    with pytest.raises(ValueError, match=message):
        engine_lib.resolve(name, compute_dtype)


def test_auto_takes_tensorflow_on_a_gpu(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert engine_lib.resolve("auto", "auto") == ("tensorflow", "float32")
    assert engine_lib.resolve("openvino", "auto")[0] == "openvino"


def test_without_openvino(make, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "openvino" else real(name),
    )
    assert engine_lib.resolve("auto", "auto") == ("tensorflow", "float32")
    engine = make("auto", "auto")
    assert engine.name == "tensorflow"
    with pytest.raises(ValueError, match="pip install openvino"):
        engine_lib.resolve("openvino", "auto")
