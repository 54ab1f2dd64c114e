"""The reference engine: the Keras network as one TensorFlow function."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from ffn_tf import model
from ffn_tf.inference import engine


class TensorFlowEngine(engine.Engine):
    """See engine.Engine; `compute_dtype` is float32 or bfloat16."""

    name = "tensorflow"

    def __init__(
        self, network: model.ConvStack, compute_dtype: str, batch_size: int
    ) -> None:
        super().__init__(compute_dtype, batch_size, network.view.size)
        # Else GPUs round inputs of float32 convolutions to 10 bits.
        tf.config.experimental.enable_tensor_float_32_execution(False)
        if compute_dtype == "bfloat16":
            network = _in_bfloat16(network)
        spec = tf.TensorSpec(self._image.shape, tf.float32)
        self._step = tf.function(
            lambda image, seed: network([image, seed], training=False),
            input_signature=[spec, spec],
        )
        self._warm_up()

    def _infer(self) -> np.ndarray:
        return self._step(
            tf.constant(self._image), tf.constant(self._seed)
        ).numpy()


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
