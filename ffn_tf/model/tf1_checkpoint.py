"""(3) google/ffn's TensorFlow 1 checkpoints.

A checkpoint is a prefix `model.ckpt-N` of the files `<prefix>.index` and
`<prefix>.data-00000-of-00001`. The network is in `seed_update/conv{i}_{a,b}`
and `seed_update/conv_lom`, each with `weights` [z, y, x, in, out] and
`biases` [out], float32. Depth and features follow from the names and shapes.
The field of view is not in the file.
"""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np

from ffn_tf.model import convstack, fov
from ffn_tf.program import quiet

_SCOPE = "seed_update/"
_MODULE = re.compile(r"conv(\d+)_([ab])$")

Tensors = dict[str, tuple[np.ndarray, np.ndarray]]


def is_checkpoint(prefix: str) -> bool:
    """True if `prefix` names a TensorFlow 1 checkpoint."""
    return os.path.exists(prefix + ".index")


def read(prefix: str) -> Tensors:
    """Reads {layer name: (weights, biases)} of the network.

    Raises:
      FileNotFoundError: no such checkpoint.
      ValueError: truncated or damaged files, or no `seed_update` tensors.
    """
    quiet.import_tensorflow()
    import tensorflow as tf

    if not is_checkpoint(prefix):
        raise FileNotFoundError(
            f"No TensorFlow 1 checkpoint at {prefix!r}: expected the file "
            f"{prefix}.index beside its .data file. Give the path without "
            f"either suffix."
        )
    try:
        reader = tf.train.load_checkpoint(prefix)
        tensors = _tensors(reader)
    except (
        tf.errors.OpError,
        IndexError,
        RuntimeError,
        ValueError,
    ) as error:
        raise ValueError(
            f"The checkpoint {prefix!r} cannot be read; it is truncated, "
            f"damaged or incomplete: {error}"
        ) from error
    if not tensors:
        raise ValueError(
            f"The checkpoint {prefix!r} holds no {_SCOPE!r} tensors, so it is "
            f"not a google/ffn network. It holds: "
            f"{sorted(reader.get_variable_to_shape_map())[:8]}."
        )
    return tensors


def _tensors(reader: Any) -> Tensors:
    layers = sorted(
        name.removeprefix(_SCOPE).removesuffix("/weights")
        for name in reader.get_variable_to_shape_map()
        if name.startswith(_SCOPE) and name.endswith("/weights")
    )
    return {
        layer: (
            reader.get_tensor(f"{_SCOPE}{layer}/weights"),
            reader.get_tensor(f"{_SCOPE}{layer}/biases"),
        )
        for layer in layers
    }


def _shapes(depth: int, features: int) -> dict[str, tuple[int, ...]]:
    """{tensor: shape} of the convolution stack."""
    kernels: dict[str, tuple[int, ...]] = {"conv_lom": (1, 1, 1, features, 1)}
    channels = 2
    for index in range(depth):
        kernels[f"conv{index}_a"] = (3, 3, 3, channels, features)
        kernels[f"conv{index}_b"] = (3, 3, 3, features, features)
        channels = features
    return {f"{name}/weights": kernel for name, kernel in kernels.items()} | {
        f"{name}/biases": kernel[-1:] for name, kernel in kernels.items()
    }


def _architecture(prefix: str, tensors: Tensors) -> tuple[int, int]:
    """(depth, features), or an error that names what does not fit."""
    found = [m for m in map(_MODULE.match, tensors) if m]
    depth = 1 + max((int(m[1]) for m in found), default=-1)
    first = tensors.get("conv0_a")
    features = 0 if first is None else first[0].shape[-1]
    expected = _shapes(depth, features)
    shapes = {
        f"{name}/{part}": tensor.shape
        for name, pair in tensors.items()
        for part, tensor in zip(("weights", "biases"), pair)
    }
    wrong = [
        f"{name}: found {shapes.get(name, 'nothing')}, expected "
        f"{expected.get(name, 'nothing')}"
        for name in sorted(shapes.keys() | expected.keys())
        if shapes.get(name) != expected.get(name)
    ]
    if wrong:
        raise ValueError(
            f"The checkpoint {prefix!r} is of another architecture than the "
            f"convolution stack (kernels 3x3x3, image and seed in, one logit "
            f"out): {'; '.join(wrong[:4])}."
        )
    return depth, features


def load(prefix: str, view: fov.FieldOfView) -> convstack.ConvStack:
    """The network of a checkpoint, with the field of view `view`.

    Raises:
      FileNotFoundError, ValueError: see `read`; or another architecture.
    """
    tensors = read(prefix)
    depth, features = _architecture(prefix, tensors)
    network = convstack.ConvStack(depth, features, view)
    network.build()
    for name, layer in network.convolutions.items():
        layer.set_weights(list(tensors[name]))
    return network
