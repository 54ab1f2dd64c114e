"""google/ffn's forward step, as its TensorFlow graph has it, in float32.

The operations that tf_slim's convolutions become: Conv3D, BiasAdd, Relu, over
[batch, z, y, x, channel]. google/ffn itself does not start on current
TensorFlow.
"""

from __future__ import annotations

from ffn_tf.inference import engine  # First: it quietens TensorFlow.
from ffn_tf.model import tf1_checkpoint

# isort: split
import numpy as np
import tensorflow as tf


class GoogleGraph(engine.HostEngine):
    """The graph of a checkpoint of the fib25 network, as an engine."""

    name = "google/ffn"

    def __init__(self, prefix: str, batch_size: int) -> None:
        super().__init__("float32", batch_size, (33, 33, 33))
        self._layers = {
            name: [tf.constant(tensor) for tensor in pair]
            for name, pair in tf1_checkpoint.read(prefix).items()
        }
        self._step = tf.function(self._graph)
        self._warm_up()

    def _conv(self, name: str, net: tf.Tensor) -> tf.Tensor:
        weights, biases = self._layers[name]
        return tf.nn.bias_add(
            tf.nn.conv3d(net, weights, [1] * 5, "SAME"), biases
        )

    def _graph(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        net = tf.concat([image, seed], -1)
        net = self._conv("conv0_b", tf.nn.relu(self._conv("conv0_a", net)))
        for index in range(1, len(self._layers) // 2):
            first = tf.nn.relu(self._conv(f"conv{index}_a", tf.nn.relu(net)))
            net += self._conv(f"conv{index}_b", first)
        return seed + self._conv("conv_lom", tf.nn.relu(net))

    def _infer(self) -> np.ndarray:
        return self._step(
            tf.constant(self._image), tf.constant(self._seed)
        ).numpy()
