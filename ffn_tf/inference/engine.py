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
import pathlib
from typing import Protocol

import numpy as np

from ffn_tf import model

COMPUTE_DTYPES = (
    "float32",
    "bfloat16",
    "bfloat16_mixed",
    "bfloat16x2",
    "int8",
)

# Gives normalised images [z, y, x] float32, and the logits [z, y, x] of an
# object that is about to start.
Samples = Callable[[], tuple[list[np.ndarray], np.ndarray]]


class Engine(Protocol):
    """A compiled network.

    Attributes:
      name: "openvino" or "tensorflow".
      compute_dtype: the arithmetic that it uses.
      batch_size: fields of view in one call; shorter batches are padded, so
        that a prediction does not depend on who shares its batch.
      steps: fields of view predicted so far.
      seconds: wall time spent inside `predict` so far.
    """

    name: str
    compute_dtype: str
    batch_size: int
    steps: int
    seconds: float

    def predict(
        self, images: Sequence[np.ndarray], seeds: Sequence[np.ndarray]
    ) -> Sequence[np.ndarray]:
        """Logits [z, y, x] of up to `batch_size` fields of view."""


def resolve(name: str, compute_dtype: str) -> tuple[str, str]:
    """The engine and the arithmetic that "auto" stands for on this machine.

    Args:
      name: "auto", "openvino" or "tensorflow".
      compute_dtype: "auto" or one of COMPUTE_DTYPES; TensorFlow knows
        float32 and bfloat16.

    Raises:
      ValueError: an engine or arithmetic that is not to be had here.
    """
    has_openvino = importlib.util.find_spec("openvino") is not None
    if name == "auto":
        name = "openvino" if has_openvino else "tensorflow"
    if name not in ("openvino", "tensorflow"):
        raise ValueError(
            f"Unknown engine {name!r}: expected auto, openvino or tensorflow."
        )
    if name == "openvino" and not has_openvino:
        raise ValueError(
            "--engine=openvino needs the package openvino, which is not "
            "installed (`pip install openvino`); --engine=tensorflow works "
            "without it."
        )
    if compute_dtype == "auto":
        compute_dtype = _fastest() if name == "openvino" else "float32"
    known = COMPUTE_DTYPES if name == "openvino" else COMPUTE_DTYPES[:2]
    if compute_dtype not in known:
        raise ValueError(
            f"--compute_dtype={compute_dtype} is not to be had with "
            f"--engine={name}: expected auto or one of {list(known)}."
        )
    return name, compute_dtype


def _fastest() -> str:
    """The fastest arithmetic of this processor that is known to keep scores.

    int8 is not among them yet: docs/decisions/002-compute-dtype.md.
    """
    from ffn_tf.inference import engine_openvino

    native = "BF16" in engine_openvino.capabilities()
    return "bfloat16" if native else "float32"


def create(
    network: model.ConvStack,
    name: str,
    compute_dtype: str,
    batch_size: int = 1,
    samples: Samples | None = None,
    keep: pathlib.Path | None = None,
) -> Engine:
    """Compiles `network`.

    Args:
      network: a built network.
      name: see `resolve`.
      compute_dtype: see `resolve`.
      batch_size: fields of view in one call.
      samples: what int8 is calibrated on; only called for int8.
      keep: file of that calibration; read if it is there, else written, so
        that all who share it compute alike.

    Raises:
      ValueError: see `resolve`; or int8 without samples.
    """
    name, compute_dtype = resolve(name, compute_dtype)
    if name == "openvino":
        from ffn_tf.inference import engine_openvino

        return engine_openvino.OpenVinoEngine(
            network, compute_dtype, batch_size, samples, keep
        )
    from ffn_tf.inference import engine_tensorflow

    return engine_tensorflow.TensorFlowEngine(
        network, compute_dtype, batch_size
    )
