"""Rewritten OpenVINO networks, their 8-bit weights, and what these fit."""

import keras
import numpy as np
import openvino
from openvino import opset13 as ops
import pytest
import tensorflow as tf

from ffn_tf import model, volume
from ffn_tf.inference import calibration, precision, quantisation
from ffn_tf.inference import request as request_lib

VIEW = model.FieldOfView((5, 5, 5), (1, 1, 1))
INNER = ("conv0_b", "conv1_a", "conv1_b", "conv2_a", "conv2_b")


@pytest.fixture(scope="module")
def network() -> model.ConvStack:
    keras.utils.set_random_seed(5)
    network = model.ConvStack(depth=3, features=4, view=VIEW)
    network.build()
    rng = np.random.default_rng(6)
    for layer in network.convolutions.values():
        layer.bias.assign(0.1 * rng.normal(size=layer.bias.shape))
    return network


@pytest.fixture(scope="module")
def convert(network):
    """convert(): the network as a new openvino.Model."""
    spec = tf.TensorSpec((1, *VIEW.size, 1), tf.float32)
    step = tf.function(lambda image, seed: network([image, seed]))
    made = openvino.convert_model(step.get_concrete_function(spec, spec))
    return made.clone


def compiled(converted):
    """The model on this processor, in the arithmetic that it is written in."""
    return openvino.Core().compile_model(
        converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )


def sample(seed=0):
    rng = np.random.default_rng(seed)
    return [
        rng.normal(size=(1, *VIEW.size, 1)).astype(np.float32) for _ in "is"
    ]


def inner_inputs(network, inputs):
    """What each inner convolution reads, from Keras' layers one by one."""
    found = []
    net = keras.ops.concatenate(inputs, axis=-1)
    for index, (first, second) in enumerate(network.stack):
        shortcut = net
        if index:
            net = keras.ops.relu(net)
            found.append(net)
        net = keras.ops.relu(first(net))
        found.append(net)
        net = second(net)
        if index:
            net = net + shortcut
    return [np.moveaxis(np.asarray(value)[0], -1, 0) for value in found]


def test_convolutions_in_order(network, convert):
    converted = convert()
    found = precision.convolutions(converted)
    names = ["conv0_a", *INNER, "conv_lom"]
    assert len(found) == len(names)
    for node, name in zip(found, names):
        expected = network.convolutions[name].get_weights()[0]
        data = node.input(1).get_source_output().get_node().data
        # [z, y, x, in, out] there, [out, in, z, y, x] here.
        np.testing.assert_array_equal(
            data, np.transpose(expected, (4, 3, 0, 1, 2))
        )


@pytest.mark.parametrize("emulate", [True, False])
@pytest.mark.parametrize(
    ("compute_dtype", "least", "most"),
    [
        ("float32", 0, 1e-6),
        ("bfloat16", 1e-4, 2e-2),
        ("bfloat16_mixed", 1e-4, 2e-2),
    ],
)
def test_both_forms_compile(
    network, convert, compute_dtype, least, most, emulate
):
    """With bfloat16 arithmetic, and rounding float32 numbers instead."""
    converted = convert()
    precision.apply(converted, compute_dtype, [], emulate)
    inputs = sample()
    found = compiled(converted)(inputs)[0]
    update = np.asarray(network(inputs)) - inputs[1]
    error = np.linalg.norm(found - inputs[1] - update) / np.linalg.norm(update)
    if compute_dtype == "bfloat16" and not emulate:
        # The compiler does it all, where the processor can.
        least, most = 0, 1e-6
    assert least <= error <= most


def bf16(values):
    """Rounded to bfloat16, in float32."""
    return tf.cast(tf.cast(values, tf.bfloat16), tf.float32)


def conv(values, weights):
    return tf.nn.conv3d(values, weights, [1] * 5, "SAME")


def in_8_bits(layer, values):
    """The convolution `layer`, a quantisation.Quantised, of `values`."""
    steps = tf.clip_by_value(tf.round(255 * values / layer.ranges), 0, 255)
    return conv(steps / 255, np.transpose(layer.weights, (2, 3, 4, 1, 0)))


def written_out(network, inputs, compute_dtype, quantised):
    """The network in cheaper arithmetic, one operation after the other."""
    layers = iter(quantised)
    is_bfloat16 = compute_dtype == "bfloat16"
    kept = bf16 if is_bfloat16 else tf.identity

    def product(name, values):
        layer = network.convolutions[name]
        weights, biases = layer.get_weights()
        if is_bfloat16:
            found = conv(bf16(values), bf16(weights))
        elif name not in INNER:
            found = conv(values, weights)
        elif compute_dtype == "bfloat16_mixed":
            found = bf16(conv(bf16(values), bf16(weights)))
        else:
            found = in_8_bits(next(layers), values)
        return found + biases if name == "conv_lom" else kept(found + biases)

    net = tf.concat(inputs, -1)
    for index in range(network.depth):
        before = tf.nn.relu(net) if index else net
        first = tf.nn.relu(product(f"conv{index}_a", before))
        second = product(f"conv{index}_b", first)
        net = kept(net + second) if index else second
    return inputs[1] + product("conv_lom", tf.nn.relu(net)).numpy()


@pytest.mark.parametrize(
    "compute_dtype", ["bfloat16", "bfloat16_mixed", "int8"]
)
def test_equals_the_arithmetic_written_out(network, convert, compute_dtype):
    inputs = sample()
    quantised = []
    if compute_dtype == "int8":
        fields = [value[0, ..., 0] for value in inputs]
        quantised = precision.calibrated(convert(), fields[:1], fields[1], 2)
    converted = convert()
    precision.apply(converted, compute_dtype, quantised, True)
    found = compiled(converted)(inputs)[0]
    expected = written_out(network, inputs, compute_dtype, quantised)
    plain = np.asarray(network(inputs))
    # Sums in another order round differently here and there.
    far = np.linalg.norm(plain - expected)
    assert np.linalg.norm(found - expected) < 0.01 * far


# -----------------------------------------------------------------------------
# 8 bits
# -----------------------------------------------------------------------------


def test_statistics_are_of_what_the_convolutions_read(
    network, convert, monkeypatch
):
    """Over two images, two steps each from one seed."""
    monkeypatch.setattr(quantisation, "quantised", lambda weights, found: found)
    images = [sample(seed)[0] for seed in (1, 2)]
    seed = sample(3)[1]
    found = precision.calibrated(
        convert(), [image[0, ..., 0] for image in images], seed[0, ..., 0], 2
    )
    expected = np.zeros((len(INNER), 4))
    for image in images:
        logits = seed
        for _ in range(2):
            read = inner_inputs(network, [image, logits])
            largest = [value.max(axis=(1, 2, 3)) for value in read]
            expected = np.maximum(expected, largest)
            logits = np.asarray(network([image, logits]))
    np.testing.assert_allclose(
        [statistics.largest for statistics in found], expected, rtol=1e-5
    )
    assert {statistics.num_patches for statistics in found} == {4000}
    # The images alone, or one step, would have given less.
    assert all(statistics.moments.any() for statistics in found)


def test_negative_inputs_are_refused():
    """Convolutions without a ReLU before them."""
    image, seed = (ops.parameter([1, 5, 5, 5, 1], np.float32) for _ in "is")
    net = ops.transpose(ops.add(image, seed), ops.constant([0, 4, 1, 2, 3]))
    weights = ops.constant(np.ones((1, 1, 1, 1, 1), np.float32))
    for _ in range(3):
        net = ops.convolution(net, weights, [1] * 3, [0] * 3, [0] * 3, [1] * 3)
    plain = openvino.Model([net], [image, seed], "plain")
    field = np.full((5, 5, 5), 1, np.float32)
    with pytest.raises(ValueError, match=r"negative inputs.*than int8"):
        precision.calibrated(plain, [field], -2 * field, 1)
    assert len(precision.calibrated(plain, [field], field, 1)) == 1


def test_moments_are_of_patches():
    """Voxels that tell where they are: a patch holds its neighbours."""
    weights = np.zeros((1, 2, 1, 3, 1), np.float32)
    statistics = quantisation.Statistics.empty(weights)
    values = np.zeros((2, 1, 5, 1), np.float32)
    values[0, 0, :, 0] = 2  # Channel 0 is 2 everywhere, channel 1 in one place.
    values[1, 0, 2, 0] = 5
    statistics.observe(values, (1, 3, 1), (0, 1, 0), np.random.default_rng(0))
    np.testing.assert_array_equal(statistics.largest, [2, 5])
    assert statistics.num_patches == 1000
    mean = statistics.moments / statistics.num_patches
    np.testing.assert_allclose(mean, mean.T)
    # Taps: channel 0 at y - 1, y, y + 1, then channel 1. Of five places each
    # outer tap misses one, where the padding is.
    np.testing.assert_allclose(np.diag(mean), [3.2, 4, 3.2, 5, 5, 5], rtol=0.15)
    # The two taps of channel 1 are never at its one voxel together.
    assert mean[3, 4] == mean[4, 5] == mean[3, 5] == 0
    np.testing.assert_allclose(mean[1, 4], 2, rtol=0.15)


def test_weights_are_on_their_grid():
    weights = np.random.default_rng(0).normal(size=(3, 2, 3, 3, 3))
    weights[1] *= 100
    weights[2] = 0
    weights = weights.astype(np.float32)
    found = quantisation.rounded(weights, np.eye(54))
    steps = found / quantisation.scales(weights)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert np.abs(steps).max() == pytest.approx(127)
    # With inputs that have nothing to do with each other: the nearest.
    half = quantisation.scales(weights) / 2
    assert (np.abs(found - weights) <= 1.0001 * half).all()


def test_errors_are_made_up_for_where_inputs_agree():
    """Outputs move less than with each weight rounded to the nearest."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(4, 2, 3, 3, 3)).astype(np.float32)
    patches = rng.random((500, 6)) @ rng.random((6, 54))
    moments = patches.T.copy() @ patches / 500
    step = quantisation.scales(weights)
    nearest = np.round(weights / step) * step

    def error(found):
        change = (found - weights).reshape(4, -1).astype(np.float64)
        return np.linalg.norm(change @ patches.T)

    found = quantisation.rounded(weights, moments)
    assert error(found) < 0.2 * error(nearest)


def test_a_channel_that_was_never_active_keeps_some_range():
    weights = np.ones((1, 2, 1, 1, 1), np.float32)
    statistics = quantisation.Statistics.empty(weights)
    values = np.zeros((2, 3, 3, 3), np.float32)
    values[0] = 7
    statistics.observe(values, (1, 1, 1), (0, 0, 0), np.random.default_rng(0))
    layer = quantisation.quantised(weights, statistics)
    assert layer.ranges[0] == pytest.approx(7)
    assert 0 < layer.ranges[1] < 0.1
    assert np.isfinite(layer.weights).all()


def test_kept_layers_are_read_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    layers = [
        quantisation.Quantised(
            *(rng.normal(size=n).astype(np.float32) for n in (2, 3, 4))
        )
        for _ in range(2)
    ]
    quantisation.save(tmp_path / "int8.npz", layers, "these")
    found = quantisation.load(tmp_path / "int8.npz", "these")
    assert len(found) == 2
    for one, other in zip(found, layers):
        for name in ("ranges", "weights", "bound"):
            np.testing.assert_array_equal(
                getattr(one, name), getattr(other, name)
            )


# -----------------------------------------------------------------------------
# Samples of a volume
# -----------------------------------------------------------------------------


def textured(seed=0):
    """More texture the farther along x, from which samples can be told."""
    noise = np.random.default_rng(seed).normal(size=(11, 13, 45))
    return (100 + noise * np.arange(45)).astype(np.float32)


def sampled(raw, start=(0, 0, 0)):
    return calibration.samples(
        volume.from_array(raw, start=start),
        VIEW,
        request_lib.InferenceRequest(
            image="em", model_checkpoint="net", image_mean=100, image_stddev=10
        ),
    )


def test_samples_are_the_most_textured_fields_of_a_grid():
    raw = textured()
    fields, seed = sampled(raw)
    # 3 x 3 x 3 places: of the free room along x, 40, at 1/6, 3/6 and 5/6.
    last = [
        (raw[z : z + 5, y : y + 5, 33:38] - 100) / 10
        for z in (1, 3, 5)
        for y in (1, 4, 6)
    ]
    last.sort(key=lambda field: -field.std())
    np.testing.assert_allclose(fields, last[:5], rtol=1e-6)
    assert seed.dtype == np.float32
    assert seed[2, 2, 2] == pytest.approx(np.log(19), rel=1e-5)
    seed[2, 2, 2] = -np.log(19)
    np.testing.assert_allclose(seed, -np.log(19), rtol=1e-5)


def test_samples_do_not_depend_on_where_the_volume_starts():
    fields, _ = sampled(textured())
    shifted, _ = sampled(textured(), start=(7, 8, 9))
    np.testing.assert_array_equal(fields, shifted)


def test_fields_with_nan_are_passed_over():
    raw = textured()
    raw[:, :, 35] = np.nan
    fields, _ = sampled(raw)
    assert len(fields) == 5
    assert np.isfinite(fields).all()
    raw[...] = np.inf
    with pytest.raises(ValueError, match="all 27 hold NaN or infinity"):
        sampled(raw)


def test_a_volume_of_one_field():
    fields, _ = sampled(textured()[:5, :5, :5])
    assert len(fields) == 1
