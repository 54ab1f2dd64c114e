"""Engines: what predicts a batch of fields of view.

    engine.predict(images, seeds) -> logits      all lists of [z, y, x] float32

`--engine=auto` takes OpenVINO where it runs (x86 CPUs) and TensorFlow
elsewhere; TensorFlow is the reference. `--compute_dtype=auto` takes the
fastest arithmetic of this processor whose whole-volume scores stay within
0.02 of float32's (docs/decisions/002-compute-dtype.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import importlib.util
from typing import Protocol

import numpy as np

from ffn_tf import model

Samples = Callable[[], list[tuple[np.ndarray, np.ndarray]]]


class Engine(Protocol):
    """A compiled network.

    Attributes:
      name: "openvino" or "tensorflow".
      compute_dtype: the arithmetic that it uses.
      batch_size: fields of view in one call; shorter batches are padded, so
        that a prediction does not depend on who shares its batch.
      seconds: wall time spent inside `predict` so far.
    """

    name: str
    compute_dtype: str
    batch_size: int
    seconds: float

    def predict(
        self, images: Sequence[np.ndarray], seeds: Sequence[np.ndarray]
    ) -> Sequence[np.ndarray]:
        """Logits [z, y, x] of up to `batch_size` fields of view."""


def create(
    network: model.ConvStack,
    name: str = "auto",
    compute_dtype: str = "auto",
    batch_size: int = 1,
    samples: Samples | None = None,
) -> Engine:
    """Compiles `network`.

    Args:
      network: a built network.
      name: "auto", "openvino" or "tensorflow".
      compute_dtype: "auto" or one of precision.COMPUTE_DTYPES; TensorFlow
        knows float32 and bfloat16.
      batch_size: fields of view in one call.
      samples: gives (image, seed) pairs that int8 is calibrated on.

    Raises:
      ValueError: an engine or arithmetic that is not to be had here.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, found {batch_size}.")
    has_openvino = importlib.util.find_spec("openvino") is not None
    if name == "auto":
        name = "openvino" if has_openvino else "tensorflow"
    if name == "openvino":
        if not has_openvino:
            raise ValueError(
                "--engine=openvino needs the package openvino, which is not "
                "installed (`pip install openvino`); --engine=tensorflow "
                "works without it."
            )
        from ffn_tf.inference import engine_openvino

        return engine_openvino.OpenVinoEngine(
            network, compute_dtype, batch_size, samples
        )
    if name == "tensorflow":
        from ffn_tf.inference import engine_tensorflow

        return engine_tensorflow.TensorFlowEngine(
            network, compute_dtype, batch_size
        )
    raise ValueError(
        f"Unknown engine {name!r}: expected auto, openvino or tensorflow."
    )
