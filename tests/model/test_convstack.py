import keras
import numpy as np
import pytest
import tensorflow as tf

from ffn_tf import model

SMALL = model.FieldOfView((5, 7, 9), (1, 2, 3))


@pytest.fixture
def network() -> model.ConvStack:
    keras.utils.set_random_seed(1)
    network = model.ConvStack(depth=3, features=4, view=SMALL)
    network.build()
    return network


def _inputs(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [
        rng.normal(size=(2, 5, 7, 9, 1)).astype(np.float32) for _ in range(2)
    ]


def _plain(network: model.ConvStack, inputs: list[np.ndarray]) -> np.ndarray:
    """The stack written out with TensorFlow's own convolutions."""

    def conv(name: str, net: tf.Tensor) -> tf.Tensor:
        weights, biases = network.convolutions[name].get_weights()
        return tf.nn.conv3d(net, weights, [1] * 5, "SAME") + biases

    image, seed = (tf.constant(value) for value in inputs)
    net = tf.concat([image, seed], -1)
    net = conv("conv0_b", tf.nn.relu(conv("conv0_a", net)))
    for index in range(1, network.depth):
        first = tf.nn.relu(conv(f"conv{index}_a", tf.nn.relu(net)))
        net = net + conv(f"conv{index}_b", first)
    return (seed + conv("conv_lom", tf.nn.relu(net))).numpy()


def test_equals_the_stack_written_out(network):
    inputs = _inputs()
    found = np.asarray(network(inputs))
    np.testing.assert_allclose(found, _plain(network, inputs), atol=1e-5)


def test_eager_and_graph_agree(network):
    inputs = [tf.constant(value) for value in _inputs()]
    graph = tf.function(lambda a, b: network([a, b]))
    np.testing.assert_allclose(
        graph(*inputs), network(inputs), rtol=1e-5, atol=1e-6
    )


def test_output_is_seed_plus_update(network):
    image, seed = _inputs()
    for layer in network.convolutions.values():
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    np.testing.assert_array_equal(np.asarray(network([image, seed])), seed)


def test_config_round_trip(network):
    copy = model.ConvStack.from_config(network.get_config())
    assert (copy.depth, copy.features, copy.view) == (3, 4, SMALL)


def test_parameter_count_of_the_fib25_network():
    network = model.ConvStack(depth=12, features=32)
    network.build()
    assert network.count_params() == 638_433


@pytest.mark.parametrize("arguments", [{"depth": 0}, {"features": 0}])
def test_refuses_an_empty_stack(arguments):
    with pytest.raises(ValueError, match="Received: depth="):
        model.ConvStack(**arguments)


@pytest.mark.parametrize(
    ("size", "deltas", "message"),
    [
        ((33, 33, 32), (8, 8, 8), "odd sizes"),
        ((33, 33, 33), (8, 8, 17), "half the field of view"),
        ((33, 33, 33), (8, -1, 8), "half the field of view"),
    ],
)
def test_field_of_view_refuses(size, deltas, message):
    with pytest.raises(ValueError, match=message):
        model.FieldOfView(size, deltas)


def test_field_of_view_margin():
    assert SMALL.margin == (2, 3, 4)
