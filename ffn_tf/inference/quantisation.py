"""Weights and inputs of convolutions in 8 bits, with little loss.

Rounding each weight to the nearest of 255 values moves the logits of the
FIB-25 network by 1.4 %; most of that is avoidable. As in GPTQ (Frantar et al.,
2023; after Optimal Brain Surgeon, Hassibi and Stork 1993) the weights of one
output channel are rounded one after the other, and each one's error is spread
over those that are still to come, so that the *outputs* change least over
inputs as flood filling has them. All it needs of these is the matrix of their
second moments, E[x x'], over patches x under the kernel.

Inputs follow a ReLU: 0 to the largest that was seen, in 256 steps.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import numpy as np

LEVELS = 127  # Weights are -127..127 times one scale for each output channel.
_PATCHES = 1000  # Taken of each input; enough for kernels of 32 channels.
_DAMPING = 0.01  # Of the mean diagonal; keeps the moments invertible.


@dataclasses.dataclass
class Statistics:
    """What the inputs of one convolution are like.

    Attributes:
      largest: the largest input seen.
      moments: [k, k] float64 sum over patches of x x', where k counts the
        kernel's taps as `weights[0].ravel()` does.
      num_patches: how many.
    """

    largest: float
    moments: np.ndarray
    num_patches: int

    @classmethod
    def empty(cls, weights: np.ndarray) -> Statistics:
        """Statistics of nothing yet, for `weights` [out, in, z, y, x]."""
        taps = weights[0].size
        return cls(0.0, np.zeros((taps, taps)), 0)

    def observe(
        self,
        values: np.ndarray,
        kernel: Sequence[int],
        pads: Sequence[int],
        generator: np.random.Generator,
    ) -> None:
        """Adds `values`, one input [in, z, y, x] of a convolution."""
        self.largest = max(self.largest, float(values.max()))
        padded = np.pad(values, [(0, 0), *((p, p) for p in pads)])
        windows = np.lib.stride_tricks.sliding_window_view(
            padded, tuple(kernel), axis=(1, 2, 3)
        )
        at = [generator.integers(n, size=_PATCHES) for n in windows.shape[1:4]]
        patches = np.moveaxis(windows[:, at[0], at[1], at[2]], 0, 1)
        flat = patches.reshape(_PATCHES, -1)
        self.moments += flat.T @ flat
        self.num_patches += _PATCHES


def scales(weights: np.ndarray) -> np.ndarray:
    """[out, 1, 1, 1, 1] float32: the step of each output channel's weights."""
    largest = np.abs(weights).max(axis=(1, 2, 3, 4), keepdims=True)
    return np.maximum(largest, np.finfo(np.float32).tiny) / LEVELS


def rounded(weights: np.ndarray, statistics: Statistics) -> np.ndarray:
    """`weights` [out, in, z, y, x] on the grid of `scales`, outputs kept.

    Args:
      weights: float32.
      statistics: of the convolution's inputs.
    """
    step = scales(weights).reshape(-1).astype(np.float64)
    rest = weights.reshape(len(weights), -1).astype(np.float64)
    moments = statistics.moments / max(statistics.num_patches, 1)
    strength = np.diag(moments)
    damping = _DAMPING * strength.mean() + np.finfo(np.float32).tiny
    # The taps with the strongest inputs first: their errors weigh most, and
    # all the others are still there to make up for them.
    order = np.argsort(-strength, kind="stable")
    moments = moments[np.ix_(order, order)] + damping * np.eye(len(order))
    inverse = np.linalg.inv(moments)
    spread = np.linalg.cholesky((inverse + inverse.T) / 2).T
    rest = rest[:, order]
    result = np.empty_like(rest)
    for tap in range(rest.shape[1]):
        steps = np.round(rest[:, tap] / step).clip(-LEVELS, LEVELS)
        result[:, tap] = steps * step
        error = (rest[:, tap] - result[:, tap]) / spread[tap, tap]
        rest[:, tap + 1 :] -= np.outer(error, spread[tap, tap + 1 :])
    back = np.argsort(order)
    return result[:, back].reshape(weights.shape).astype(np.float32)
