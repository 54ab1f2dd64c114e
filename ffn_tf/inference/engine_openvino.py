"""The fast engine on CPUs: the Keras network, converted to OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
import hashlib
import pathlib

import numpy as np
import openvino
import tensorflow as tf

from ffn_tf import model
from ffn_tf.inference import engine, precision, quantisation
from ffn_tf.volume import files

_CALIBRATION_STEPS = 3


def capabilities() -> list[str]:
    """What this processor computes at full speed: "FP32", "BF16", "INT8"."""
    return openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine(engine.HostEngine):
    """See engine.Engine; `compute_dtype` is one of engine.COMPUTE_DTYPES.

    Args:
      network: a built network.
      compute_dtype: the arithmetic; see precision.
      batch_size: fields of view in one call.
      samples: what int8 is calibrated on.
      keep: file of the calibration; read if it is there, else written.

    Raises:
      ValueError: int8 without samples, or a calibration in `keep` that is
        damaged or of something else.
    """

    name = "openvino"

    def __init__(
        self,
        network: model.ConvStack,
        compute_dtype: str,
        batch_size: int,
        samples: engine.Samples | None,
        keep: pathlib.Path | None,
    ) -> None:
        super().__init__(compute_dtype, batch_size, network.view.size)
        emulate = engine.is_emulated(self.name, compute_dtype)
        quantised: list[quantisation.Quantised] = []
        if compute_dtype == "int8":
            quantised = _calibrated(network, samples, keep)
        converted = _converted(network, batch_size)
        precision.apply(converted, compute_dtype, quantised, emulate)
        native = compute_dtype == "bfloat16" and not emulate
        compiled = openvino.Core().compile_model(
            converted,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "bf16" if native else "f32",
                "PERFORMANCE_HINT": "LATENCY",
                # Pinning would also bind this thread, and all that it
                # starts, to one core.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._request = compiled.create_infer_request()
        self._inputs = [
            openvino.Tensor(self._image, shared_memory=True),
            openvino.Tensor(self._seed, shared_memory=True),
        ]
        self._warm_up()

    def _infer(self) -> np.ndarray:
        self._request.infer(self._inputs)
        return self._request.get_output_tensor(0).data


def _converted(network: model.ConvStack, batch_size: int) -> openvino.Model:
    """The float32 network with static shapes; inputs image, seed."""
    spec = tf.TensorSpec((batch_size, *network.view.size, 1), tf.float32)
    step = tf.function(
        lambda image, seed: network([image, seed], training=False)
    )
    return openvino.convert_model(step.get_concrete_function(spec, spec))


def _calibrated(
    network: model.ConvStack,
    samples: engine.Samples | None,
    keep: pathlib.Path | None,
) -> list[quantisation.Quantised]:
    """The calibration in `keep`, or a new one."""
    if samples is None:
        raise ValueError(
            "compute_dtype=int8 is calibrated on samples of the volume: none "
            "were given."
        )
    images, seed = samples()
    digest = _digest([*network.get_weights(), *images, seed])

    def calibrated() -> list[quantisation.Quantised]:
        return precision.calibrated(
            _converted(network, 1), images, seed, _CALIBRATION_STEPS
        )

    if keep is None:
        return calibrated()
    with files.turn(keep.with_suffix(".lock")):
        if not keep.exists():
            quantisation.save(keep, calibrated(), digest)
        return quantisation.load(keep, digest)


def _digest(arrays: Sequence[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()
