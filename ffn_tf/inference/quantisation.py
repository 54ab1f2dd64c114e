"""Weights and inputs of convolutions in 8 bits, with little loss.

Rounding each weight to the nearest of 255 values moves the logits of the
FIB-25 network by 1.4 % a step; most of that is avoidable:

(1) Inputs follow a ReLU: 0 to the largest that was seen, in 256 steps. Channels
    differ in their largest input, so each has a range of its own, and its
    weights are multiplied by it; halfway (the geometric mean with the largest
    of all) serves inputs and weights best (SmoothQuant, Xiao et al., 2023).
(2) The weights of one output channel are rounded one after the other, and each
    one's error is spread over those that are still to come, so that the
    *outputs* change least over inputs as flood filling has them (GPTQ, Frantar
    et al., 2023; after Optimal Brain Surgeon, Hassibi and Stork, 1993). All
    that this needs of the inputs is the matrix of their second moments,
    E[x x'], over patches x under the kernel.

What is left is 0.4 %, as much as bfloat16's (benchmarks/README.md).

The matrices are TensorFlow's business: the threads of numpy's OpenBLAS were
seen to wait for each other for ever in a process that also runs OpenVINO.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import os

import numpy as np
import tensorflow as tf

from ffn_tf.inference import archive

LEVELS = 127  # Weights are -127..127 times one scale for each output channel.
_PATCHES = 1000  # Taken of each input; enough for kernels of 32 channels.
_DAMPING = 0.01  # Of the mean diagonal; keeps the moments invertible.


@dataclasses.dataclass
class Statistics:
    """What the inputs of one convolution are like.

    Attributes:
      largest: [in] the largest input of each channel.
      moments: [k, k] float64 sum over patches of x x', where k counts the
        kernel's taps as `weights[0].ravel()` does.
      num_patches: how many.
    """

    largest: np.ndarray
    moments: np.ndarray
    num_patches: int

    @classmethod
    def empty(cls, weights: np.ndarray) -> Statistics:
        """Statistics of nothing yet, for `weights` [out, in, z, y, x]."""
        taps = weights[0].size
        largest = np.zeros(weights.shape[1], np.float32)
        return cls(largest, np.zeros((taps, taps)), 0)

    def observe(
        self,
        values: np.ndarray,
        kernel: Sequence[int],
        pads: Sequence[int],
        generator: np.random.Generator,
    ) -> None:
        """Adds `values`, one input [in, z, y, x] of a convolution."""
        self.largest = np.maximum(self.largest, values.max(axis=(1, 2, 3)))
        padded = np.pad(values, [(0, 0), *((p, p) for p in pads)])
        windows = np.lib.stride_tricks.sliding_window_view(
            padded, tuple(kernel), axis=(1, 2, 3)
        )
        at = [generator.integers(n, size=_PATCHES) for n in windows.shape[1:4]]
        patches = np.moveaxis(windows[:, at[0], at[1], at[2]], 0, 1)
        flat = patches.reshape(_PATCHES, -1)
        self.moments += tf.linalg.matmul(flat, flat, transpose_a=True).numpy()
        self.num_patches += _PATCHES


@dataclasses.dataclass(frozen=True, eq=False)
class Quantised:
    """One convolution in 8 bits.

    Attributes:
      ranges: [in] float32; the inputs of a channel are 0..range, in 256 steps,
        which stand for 0..1.
      weights: [out, in, z, y, x] float32, multiplied by `ranges` and rounded.
      bound: [out, 1, 1, 1, 1] float32, LEVELS steps of the weights' grid.
    """

    ranges: np.ndarray
    weights: np.ndarray
    bound: np.ndarray


def quantised(weights: np.ndarray, statistics: Statistics) -> Quantised:
    """`weights` [out, in, z, y, x] float32 in 8 bits."""
    top = max(float(statistics.largest.max()), 1e-30)
    # A channel that was never active may be one day; it keeps some range.
    own = np.maximum(statistics.largest, 1e-6 * top)
    ranges = np.sqrt(own * top).astype(np.float32)
    scaled = weights * ranges[:, None, None, None]
    taps = np.repeat(ranges.astype(np.float64), weights[0, 0].size)
    moments = statistics.moments / np.outer(taps, taps)
    return Quantised(
        ranges,
        rounded(scaled, moments / max(statistics.num_patches, 1)),
        LEVELS * scales(scaled),
    )


def save(
    path: str | os.PathLike[str], layers: Sequence[Quantised], made_of: str
) -> None:
    """Writes `layers` as a numpy archive, whole or not at all.

    Args:
      path: where.
      layers: what to write.
      made_of: marks what they depend on.
    """
    members = {
        "num_layers": np.array(len(layers)),
        "made_of": np.array(made_of),
    }
    for index, layer in enumerate(layers):
        for name, array in dataclasses.asdict(layer).items():
            members[f"{name}_{index}"] = array
    archive.write(path, members)


def load(path: str | os.PathLike[str], made_of: str) -> list[Quantised]:
    """What `save` wrote.

    Raises:
      ValueError: a damaged file, or one that was made of something else.
    """
    with archive.read(path) as members:
        if members.text("made_of", "") != made_of:
            raise ValueError(
                "it is the calibration of another network or other samples"
            )
        names = [field.name for field in dataclasses.fields(Quantised)]
        return [
            Quantised(*(members.array(f"{name}_{index}") for name in names))
            for index in range(int(members.array("num_layers")))
        ]


def scales(weights: np.ndarray) -> np.ndarray:
    """[out, 1, 1, 1, 1] float32: the step of each output channel's weights."""
    largest = np.abs(weights).max(axis=(1, 2, 3, 4), keepdims=True)
    return np.maximum(largest, np.finfo(np.float32).tiny) / LEVELS


def rounded(weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """`weights` [out, in, z, y, x] on the grid of `scales`, outputs kept.

    Args:
      weights: float32.
      moments: [k, k] mean of x x' over the convolution's input patches.
    """
    step = scales(weights).reshape(-1).astype(np.float64)
    rest = weights.reshape(len(weights), -1).astype(np.float64)
    strength = np.diag(moments)
    damping = _DAMPING * strength.mean() + np.finfo(np.float32).tiny
    # The taps with the strongest inputs first: their errors weigh most, and
    # all the others are still there to make up for them.
    order = np.argsort(-strength, kind="stable")
    moments = moments[np.ix_(order, order)] + damping * np.eye(len(order))
    inverse = tf.linalg.inv(moments).numpy()
    spread = tf.linalg.cholesky((inverse + inverse.T) / 2).numpy().T
    rest = rest[:, order]
    result = np.empty_like(rest)
    for tap in range(rest.shape[1]):
        steps = np.round(rest[:, tap] / step).clip(-LEVELS, LEVELS)
        result[:, tap] = steps * step
        error = (rest[:, tap] - result[:, tap]) / spread[tap, tap]
        rest[:, tap + 1 :] -= np.outer(error, spread[tap, tap + 1 :])
    back = np.argsort(order)
    return result[:, back].reshape(weights.shape).astype(np.float32)
