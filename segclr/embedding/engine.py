"""(2) Engine: cutouts in, embeddings out, batch by batch.

tensorflow   the encoder as it is, float32
openvino     converted, on CPUs; in bfloat16 where the processor has it
"""

from __future__ import annotations

import abc

import numpy as np

from ffn_tf.program import quiet
from segclr import model
from segclr.model import folding

NAMES = ("auto", "openvino", "tensorflow")
DTYPES = ("auto", "float32", "bfloat16")


class Engine(abc.ABC):
    """An encoder that runs.

    Attributes:
      name: one of NAMES, but auto.
      compute_dtype: one of DTYPES, but auto.
    """

    name: str

    def __init__(
        self, encoder: model.Encoder, compute_dtype: str, batch_size: int
    ) -> None:
        self.compute_dtype = compute_dtype
        self._size = encoder.embedding_size
        self._input = np.zeros(self._shape(encoder, batch_size), np.float32)

    def _shape(
        self, encoder: model.Encoder, batch_size: int
    ) -> tuple[int, ...]:
        return (batch_size, *encoder.size_zyx, 1)

    def _put(self, cutouts: np.ndarray) -> None:
        """Fills the beginning of `_input`."""
        self._input[: len(cutouts), ..., 0] = cutouts

    def embed(self, cutouts: np.ndarray) -> np.ndarray:
        """[n, z, y, x] float32 -> [n, embedding] float32, of any n."""
        found = np.empty((len(cutouts), self._size), np.float32)
        batch = len(self._input)
        for i in range(0, len(cutouts), batch):
            some = cutouts[i : i + batch]
            self._put(some)
            found[i : i + batch] = self._infer()[: len(some)]
        return found

    @abc.abstractmethod
    def _infer(self) -> np.ndarray:
        """Embeddings of `_input`."""


class TensorFlowEngine(Engine):
    """See the module."""

    name = "tensorflow"

    def __init__(
        self, encoder: model.Encoder, compute_dtype: str, batch_size: int
    ) -> None:
        super().__init__(encoder, compute_dtype, batch_size)
        import tensorflow as tf

        self._run = tf.function(
            lambda cutouts: encoder(cutouts, training=False),
            input_signature=[tf.TensorSpec(self._input.shape, tf.float32)],
        )

    def _infer(self) -> np.ndarray:
        found: np.ndarray = self._run(self._input).numpy()
        return found


class OpenVinoEngine(Engine):
    """See the module."""

    name = "openvino"

    def __init__(
        self, encoder: model.Encoder, compute_dtype: str, batch_size: int
    ) -> None:
        super().__init__(encoder, compute_dtype, batch_size)
        import openvino
        import tensorflow as tf

        spec = tf.TensorSpec(self._input.shape, tf.float32)
        step = tf.function(
            lambda cells: encoder.bottleneck(encoder.resnet.folded(cells))
        )
        converted = openvino.convert_model(step.get_concrete_function(spec))
        compiled = openvino.Core().compile_model(
            converted,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "bf16"
                if compute_dtype == "bfloat16"
                else "f32",
                "PERFORMANCE_HINT": "LATENCY",
                # Pinning would also bind this thread, and all that it
                # starts, to one core.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._request = compiled.create_infer_request()
        self._tensor = openvino.Tensor(self._input, shared_memory=True)

    def _shape(
        self, encoder: model.Encoder, batch_size: int
    ) -> tuple[int, ...]:
        cells = (folding.folded_size(n) for n in encoder.size_zyx)
        return (batch_size, *cells, 8)

    def _put(self, cutouts: np.ndarray) -> None:
        folding.fold(cutouts, self._input[: len(cutouts)])

    def _infer(self) -> np.ndarray:
        self._request.infer([self._tensor])
        found: np.ndarray = self._request.get_output_tensor(0).data
        return found


def resolved(name: str, compute_dtype: str) -> tuple[str, str]:
    """What auto is on this machine.

    Raises:
      ValueError: a name, or arithmetic, that there is not.
      ImportError: the engine is not installed.
    """
    if name not in NAMES or compute_dtype not in DTYPES:
        raise ValueError(
            f"Expected an engine of {NAMES} and a dtype of {DTYPES}, found "
            f"{name!r} and {compute_dtype!r}."
        )
    quiet.import_tensorflow()
    from ffn_tf.inference import device

    if name == "auto":
        name = "tensorflow" if device.has_accelerator() else "openvino"
    if name == "tensorflow":
        if compute_dtype == "bfloat16":
            raise ValueError(
                "--compute_dtype=bfloat16 needs --engine=openvino."
            )
        return name, "float32"
    try:
        from ffn_tf.inference import engine_openvino
    except ImportError as error:
        raise ImportError(
            "--engine=openvino: pip install openvino, or --engine=tensorflow."
        ) from error
    has_it = "BF16" in engine_openvino.capabilities()
    if compute_dtype == "bfloat16" and not has_it:
        raise ValueError(
            "--compute_dtype=bfloat16: this processor has no such arithmetic; "
            "it would be slower than float32."
        )
    if compute_dtype == "auto":
        compute_dtype = "bfloat16" if has_it else "float32"
    return name, compute_dtype


def create(
    encoder: model.Encoder, name: str, compute_dtype: str, batch_size: int
) -> Engine:
    """The engine of a name that `resolved` has given."""
    kinds = {"tensorflow": TensorFlowEngine, "openvino": OpenVinoEngine}
    return kinds[name](encoder, compute_dtype, batch_size)
