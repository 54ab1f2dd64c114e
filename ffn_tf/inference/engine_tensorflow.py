"""The reference engine: the Keras network as one TensorFlow function."""

from __future__ import annotations

from collections.abc import Sequence
import time

import keras
import numpy as np
import tensorflow as tf

from ffn_tf import model


class TensorFlowEngine:
    """See engine.Engine; `compute_dtype` is float32 or bfloat16."""

    name = "tensorflow"

    def __init__(
        self, network: model.ConvStack, compute_dtype: str, batch_size: int
    ) -> None:
        self.compute_dtype = compute_dtype
        self.batch_size = batch_size
        self.steps, self.seconds = 0, 0.0
        self._size = network.view.size
        # Else GPUs round inputs of float32 convolutions to 10 bits.
        tf.config.experimental.enable_tensor_float_32_execution(False)
        if compute_dtype == "bfloat16":
            network = _in_bfloat16(network)
        shape = (batch_size, *self._size, 1)
        spec = tf.TensorSpec(shape, tf.float32)
        self._step = tf.function(
            lambda image, seed: network([image, seed], training=False),
            input_signature=[spec, spec],
        )
        self._image = np.zeros(shape, np.float32)
        self._seed = np.zeros(shape, np.float32)
        self.predict([self._image[0, ..., 0]], [self._seed[0, ..., 0]])
        self.steps, self.seconds = 0, 0.0

    def predict(
        self, images: Sequence[np.ndarray], seeds: Sequence[np.ndarray]
    ) -> Sequence[np.ndarray]:
        start = time.perf_counter()
        for index, (image, seed) in enumerate(zip(images, seeds)):
            self._image[index, ..., 0] = image
            self._seed[index, ..., 0] = seed
        logits = self._step(
            tf.constant(self._image), tf.constant(self._seed)
        ).numpy()
        self.seconds += time.perf_counter() - start
        self.steps += len(images)
        return logits[: len(images), ..., 0]


def _in_bfloat16(network: model.ConvStack) -> model.ConvStack:
    """The same weights under Keras' mixed bfloat16 policy."""
    copy = model.ConvStack(
        network.depth,
        network.features,
        network.view,
        dtype=keras.DTypePolicy("mixed_bfloat16"),
    )
    copy.build()
    copy.set_weights(network.get_weights())
    return copy
