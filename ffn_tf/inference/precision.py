"""Cheaper arithmetic for a network that was converted to OpenVINO.

Each function rewrites the 3-d convolutions of an `openvino.Model` in place.
The first convolution (it reads image and seed) and the last one (it writes
the logits) stay float32 but for `bfloat16`, and the residual stream between
them does too:

    float32         as converted
    bfloat16        everything rounded to 8 bits of mantissa
    bfloat16_mixed  inputs, weights and outputs of the inner convolutions
                    rounded; the residual stream is not
    int8            inputs of the inner convolutions in 8 bits, unsigned, with
                    one scale for each channel; weights in 8 bits with one
                    scale for each output channel (quantisation.py); sums in
                    int32

A processor without bfloat16 arithmetic gets the same roundings on float32
numbers (`emulate`), for measuring scores; that is not faster than float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops
from openvino import passes

from ffn_tf.inference import quantisation

# Multiplying by 2^16 + 1 and subtracting twice leaves the 8 highest bits of a
# float32 mantissa, rounded to nearest (Dekker 1971; Veltkamp).
_SPLITTER = np.float32(2**16 + 1)


def convolutions(network: openvino.Model) -> list[Any]:
    """All convolutions whose weights are constants, in execution order."""
    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(network)
    return [
        node
        for node in network.get_ordered_ops()
        if node.get_type_name() == "Convolution"
        and _source(node, 1).get_node().get_type_name() == "Constant"
    ]


def apply(
    network: openvino.Model,
    compute_dtype: str,
    quantised: Sequence[quantisation.Quantised],
    emulate: bool,
) -> None:
    """Rewrites `network` for `compute_dtype`.

    Args:
      network: the converted float32 network.
      compute_dtype: one of engine.COMPUTE_DTYPES.
      quantised: for int8, each inner convolution (`calibrated`).
      emulate: round float32 numbers instead of using bfloat16 arithmetic.
    """
    inner = convolutions(network)[1:-1]
    if compute_dtype == "bfloat16" and emulate:
        _round_everything(network)
    elif compute_dtype == "bfloat16_mixed":
        for node in inner:
            _mixed(node, emulate)
    elif compute_dtype == "int8":
        for node, layer in zip(inner, quantised, strict=True):
            _quantise(node, layer)
    network.validate_nodes_and_infer_types()


def calibrated(
    network: openvino.Model,
    images: Iterable[np.ndarray],
    seed: np.ndarray,
    steps: int,
) -> list[quantisation.Quantised]:
    """The inner convolutions in 8 bits, fitted to inputs of flood filling.

    Args:
      network: the float32 network, inputs and output [1, z, y, x, 1].
      images: [z, y, x] float32, normalised fields of view.
      seed: [z, y, x] float32 logits of an object that is about to start.
      steps: how often each image is stepped, from `seed`, at one position.

    Raises:
      ValueError: an inner convolution with a negative input (it does not
        follow a ReLU), which unsigned 8-bit numbers cannot hold.
    """
    probe = network.clone()
    inner = convolutions(probe)[1:-1]
    probe.add_outputs([_source(node, 0) for node in inner])
    compiled = openvino.Core().compile_model(
        probe, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    found = [quantisation.Statistics.empty(_weights(node)) for node in inner]
    generator = np.random.default_rng(0)
    for image in images:
        logits = seed[None, ..., None]
        for _ in range(steps):
            results = compiled([image[None, ..., None], logits])
            logits = results[0]
            for index, (node, statistics) in enumerate(zip(inner, found)):
                values = results[index + 1][0]
                _check_sign(values, index + 1)
                pads = node.get_attributes()["pads_begin"]
                kernel = _weights(node).shape[2:]
                statistics.observe(values, kernel, pads, generator)
    return [
        quantisation.quantised(_weights(node), statistics)
        for node, statistics in zip(inner, found)
    ]


def _check_sign(values: np.ndarray, index: int) -> None:
    if values.min() < 0:
        raise ValueError(
            f"Convolution {index} of the network has negative inputs, which 8 "
            f"unsigned bits cannot hold. Use another --compute_dtype than "
            f"int8."
        )


def _source(node: Any, port: int) -> Any:
    return node.input(port).get_source_output()


def _weights(node: Any) -> np.ndarray:
    return np.array(_source(node, 1).get_node().data, np.float32)


def _like(node: Any, inputs: Any, weights: Any) -> Any:
    """The convolution `node` with other inputs and weights."""
    attributes = node.get_attributes()
    return ops.convolution(
        inputs,
        weights,
        attributes["strides"],
        attributes["pads_begin"],
        attributes["pads_end"],
        attributes["dilations"],
        attributes["auto_pad"],
    )


def _replace(node: Any, replacement: Any) -> None:
    for target in list(node.output(0).get_target_inputs()):
        target.replace_source_output(replacement.output(0))


def _rounded(value: Any) -> Any:
    """`value` rounded to bfloat16's mantissa, in float32."""
    scaled = ops.multiply(value, ops.constant(_SPLITTER))
    return ops.subtract(scaled, ops.subtract(scaled, value))


def _round_array(values: np.ndarray) -> np.ndarray:
    scaled = values * _SPLITTER
    return scaled - (scaled - values)


def _mixed(node: Any, emulate: bool) -> None:
    weights = _weights(node)
    if emulate:
        product = _like(
            node,
            _rounded(_source(node, 0)),
            ops.constant(_round_array(weights)),
        )
        _replace(node, _rounded(product))
        return
    product = _like(
        node,
        ops.convert(_source(node, 0), "bf16"),
        ops.constant(weights, dtype=openvino.Type.bf16),
    )
    _replace(node, ops.convert(product, "f32"))


def _round_everything(network: openvino.Model) -> None:
    nodes = convolutions(network)
    sums = [n for n in network.get_ordered_ops() if n.get_type_name() == "Add"]
    for node in nodes:
        product = _like(
            node,
            _rounded(_source(node, 0)),
            ops.constant(_round_array(_weights(node))),
        )
        _replace(node, product)
    # The last two sums make the logits: the head's bias, and the seed.
    for node in sums[:-2]:
        targets = list(node.output(0).get_target_inputs())
        rounded = _rounded(node.output(0))
        for target in targets:
            target.replace_source_output(rounded.output(0))


def _quantise(node: Any, layer: quantisation.Quantised) -> None:
    ranges = layer.ranges[None, :, None, None, None]
    inputs = ops.fake_quantize(
        _source(node, 0),
        ops.constant(np.zeros_like(ranges)),
        ops.constant(ranges),
        ops.constant(np.float32(0)),
        ops.constant(np.float32(1)),
        256,
    )
    low, high = ops.constant(-layer.bound), ops.constant(layer.bound)
    weights = ops.fake_quantize(
        ops.constant(layer.weights),
        low,
        high,
        low,
        high,
        2 * quantisation.LEVELS + 1,
    )
    _replace(node, _like(node, inputs, weights))
