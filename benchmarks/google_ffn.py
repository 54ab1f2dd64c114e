"""google/ffn's forward step, as its TensorFlow graph has it, in float32.

The operations that tf_slim's convolutions become: Conv3D, BiasAdd, Relu, over
[batch, z, y, x, channel]. google/ffn itself does not start on current
TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
import time

from ffn_tf.model import tf1_checkpoint  # First: it quietens TensorFlow.

# isort: split
import numpy as np
import tensorflow as tf


class GoogleGraph:
    """The graph of a checkpoint; has what the benchmarks use of an engine."""

    name = "tensorflow"
    compute_dtype = "float32"

    def __init__(self, prefix: str, batch_size: int) -> None:
        self._layers = {
            name: [tf.constant(tensor) for tensor in pair]
            for name, pair in tf1_checkpoint.read(prefix).items()
        }
        self.batch_size = batch_size
        self.steps, self.seconds = 0, 0.0
        self._step = tf.function(self._graph, reduce_retracing=True)

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

    def predict(
        self, images: Sequence[np.ndarray], seeds: Sequence[np.ndarray]
    ) -> Sequence[np.ndarray]:
        """Logits [z, y, x] of each field of view."""
        start = time.perf_counter()
        logits = self._step(
            tf.constant(np.stack(images)[..., None]),
            tf.constant(np.stack(seeds)[..., None]),
        ).numpy()
        self.seconds += time.perf_counter() - start
        self.steps += len(images)
        return logits[..., 0]
