"""Engines: what predicts a batch of fields of view.

    HostEngine        predict(images, seeds) -> logits, lists of [z, y, x]
                      float32: TensorFlow, the reference, and OpenVINO
    ResidentEngine    canvases live on the device: TensorFlow or JAX

`--engine=auto` takes OpenVINO where there is no GPU, else TensorFlow; or JAX,
if KERAS_BACKEND=jax is set or TensorFlow is not installed.
`--compute_dtype=auto` takes the fastest arithmetic of this processor whose
whole-volume scores stay within 0.02 of float32's
(docs/decisions/002-compute-dtype.md).
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Sequence
import importlib.util
import pathlib
import time
from typing import Any

import keras
import numpy as np

from ffn_tf import model
from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import device, field

NAMES = ("openvino", "tensorflow", "jax")
COMPUTE_DTYPES = (
    "float32",
    "bfloat16",
    "bfloat16_mixed",
    "int8",
)

# Gives normalised images [z, y, x] float32, and the logits [z, y, x] of an
# object that is about to start.
Samples = Callable[[], tuple[list[np.ndarray], np.ndarray]]


class Engine(abc.ABC):
    """A compiled network.

    Attributes:
      name: "openvino", "tensorflow" or "jax".
      compute_dtype: the arithmetic that it uses.
      batch_size: fields of view in one call; shorter batches are padded, so
        that a prediction does not depend on who shares its batch.
      depth: how many batches may be under way at once.
      steps: fields of view predicted so far.
      seconds: wall time spent in the network so far.
    """

    name: str
    depth = 1

    def __init__(self, compute_dtype: str, batch_size: int) -> None:
        self.compute_dtype = compute_dtype
        self.batch_size = batch_size
        self.steps, self.seconds = 0, 0.0

    @abc.abstractmethod
    def reserve(self, slots: int, shape: tuple[int, int, int]) -> None:
        """So many canvases of up to this shape will be held at once."""

    @abc.abstractmethod
    def adopt(self, canvas: canvas_lib.Canvas) -> None:
        """A canvas whose requests are going to be submitted."""

    @abc.abstractmethod
    def submit(self, requests: Sequence[Any]) -> Callable[[], Iterable[Any]]:
        """Begins `n <= batch_size` steps; calling the result gives answers.

        They must have been done with before the next ones are asked for.
        """


class HostEngine(Engine):
    """An engine that is given each field of view.

    Args:
      compute_dtype, batch_size: see Engine.
      size_zyx: of the fields of view.
    """

    def __init__(
        self, compute_dtype: str, batch_size: int, size_zyx: Sequence[int]
    ) -> None:
        super().__init__(compute_dtype, batch_size)
        # What `_infer` reads: [batch, z, y, x, 1] float32.
        self._image = np.zeros((batch_size, *size_zyx, 1), np.float32)
        self._seed = np.zeros_like(self._image)

    @abc.abstractmethod
    def _infer(self) -> np.ndarray:
        """Logits [batch, z, y, x, 1] of `_image` and `_seed`."""

    def _warm_up(self) -> None:
        """The first call compiles and allocates; it is not counted."""
        self._infer()

    def reserve(self, slots: int, shape: tuple[int, int, int]) -> None:
        """Nothing is held."""

    def adopt(self, canvas: canvas_lib.Canvas) -> None:
        """Its logits stay where they are."""

    def submit(
        self, requests: Sequence[field.Request]
    ) -> Callable[[], np.ndarray]:
        images = [request.image for request in requests]
        seeds = [request.seed for request in requests]
        return lambda: self.predict(images, seeds)

    def predict(
        self, images: Sequence[np.ndarray], seeds: Sequence[np.ndarray]
    ) -> np.ndarray:
        """Logits [n, z, y, x] of `n <= batch_size` fields of view.

        The caller may write into them, and must have done with them before
        the next call, which may use their memory.
        """
        for index, (image, seed) in enumerate(zip(images, seeds, strict=True)):
            self._image[index, ..., 0] = image
            self._seed[index, ..., 0] = seed
        start = time.perf_counter()
        logits = self._infer()
        self.seconds += time.perf_counter() - start
        self.steps += len(images)
        return logits[: len(images), ..., 0]


def resolve(name: str, compute_dtype: str) -> tuple[str, str]:
    """The engine and the arithmetic that "auto" stands for on this machine.

    Args:
      name: "auto", or one of NAMES.
      compute_dtype: "auto" or one of COMPUTE_DTYPES; TensorFlow and JAX know
        float32 and bfloat16.

    Raises:
      ValueError: an engine or arithmetic that is not to be had here.
    """
    has_openvino = importlib.util.find_spec("openvino") is not None
    backend = device.name()
    if name == "auto":
        on_cpu = has_openvino and not device.has_accelerator()
        is_openvino = on_cpu and backend == "tensorflow"
        name = "openvino" if is_openvino else backend
    if name not in NAMES:
        raise ValueError(
            f"Unknown engine {name!r}: expected auto or one of {list(NAMES)}."
        )
    needed = "jax" if name == "jax" else "tensorflow"
    if backend != needed:
        raise ValueError(
            f"--engine={name} needs Keras on {needed}, and it is on {backend}. "
            f"Set the environment variable KERAS_BACKEND={needed}."
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


def is_emulated(name: str, compute_dtype: str) -> bool:
    """True if this processor computes other digits than one with bfloat16."""
    if name != "openvino" or not compute_dtype.startswith("bfloat16"):
        return False
    from ffn_tf.inference import engine_openvino

    return "BF16" not in engine_openvino.capabilities()


def is_resident(name: str) -> bool:
    """Whether the engine keeps canvases on the device."""
    return name == "jax" or (name == "tensorflow" and device.has_accelerator())


def in_bfloat16(network: model.ConvStack) -> model.ConvStack:
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
      ValueError: see `resolve`; int8 without samples; or `keep` is damaged,
        or the calibration of something else.
    """
    name, compute_dtype = resolve(name, compute_dtype)
    if name == "openvino":
        from ffn_tf.inference import engine_openvino

        return engine_openvino.OpenVinoEngine(
            network, compute_dtype, batch_size, samples, keep
        )
    if is_resident(name):
        from ffn_tf.inference import engine_resident

        return engine_resident.ResidentEngine(
            network, compute_dtype, batch_size
        )
    from ffn_tf.inference import engine_tensorflow

    return engine_tensorflow.TensorFlowEngine(
        network, compute_dtype, batch_size
    )
