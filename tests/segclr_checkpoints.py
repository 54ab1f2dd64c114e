"""Checkpoints of SegCLR with the names that Google's own code gives."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

# As benchmarks/prove_encoder.py --golden has written it.
GOLDEN = pathlib.Path(__file__).parent / "segclr/model/google_resnet18.json"

Arrays = dict[str, Any]


def shapes(name: str = "variables") -> dict[str, tuple[int, ...]]:
    """{variable: shape} of the released network."""
    found = json.loads(GOLDEN.read_text())[name]
    return {name: tuple(shape) for name, shape in found.items()}


def small() -> Arrays:
    """Random arrays of a network of width 2, heads of 16, 5 and 3 numbers."""
    rng = np.random.default_rng(0)
    heads = {
        "bottleneck_head_0": {512: 16, 64: 5},
        "projection_head_0_0": {64: 5, 16: 3},
    }
    others = {64: 2, 128: 4, 256: 8, 512: 16}
    return {
        name: rng.uniform(
            0.5,
            1.5,
            [heads.get(name.split("/")[0], others).get(n, n) for n in shape],
        ).astype(np.float32)
        for name, shape in shapes().items()
    }


def key(name: str) -> str:
    """What TensorFlow 2 makes of a name when it saves a checkpoint again."""
    escaped = name.replace("/", ".S")
    return f"_tf1_style_var_store/_vars/{escaped}/.ATTRIBUTES/VARIABLE_VALUE"


def write(prefix: pathlib.Path, arrays: Arrays) -> str:
    """Writes a checkpoint of such keys; returns its prefix."""
    import tensorflow as tf

    prefix.parent.mkdir(parents=True, exist_ok=True)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=[tf.constant(array) for array in arrays.values()],
    )
    return str(prefix)
