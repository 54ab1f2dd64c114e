"""The reference engine: the Keras network as one TensorFlow function.

It is for CPUs; with a GPU, canvases are better kept there (engine_resident).
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ffn_tf import model
from ffn_tf.inference import engine


class TensorFlowEngine(engine.HostEngine):
    """See engine.Engine; `compute_dtype` is float32 or bfloat16."""

    name = "tensorflow"

    def __init__(
        self, network: model.ConvStack, compute_dtype: str, batch_size: int
    ) -> None:
        super().__init__(compute_dtype, batch_size, network.view.size)
        if compute_dtype == "bfloat16":
            network = engine.in_bfloat16(network)
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
