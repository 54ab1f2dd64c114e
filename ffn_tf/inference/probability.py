"""Probability maps: one byte per voxel, in google/ffn's steps.

    byte 0              no object here
    byte q, 1 to 254    a probability in [(q - 1) / 254, q / 254)
    byte 255            a probability of 1

The bytes are google/ffn's. The way back is not: google/ffn divides by 255 what
was multiplied by 254, which is off by up to 0.0059 and moves a threshold of 0.6
to 0.6024. Here a byte becomes the middle of its step, off by at most 0.5 / 254
(0.002). No reading can tell apart two probabilities of one step.
"""

from __future__ import annotations

from collections.abc import Sequence
import os
import pathlib

import numpy as np

from ffn_tf.inference import archive, subvolume

_STEPS = 254
# The very float64 numbers that google/ffn compares with.
_EDGES = np.linspace(0.0, 1.0, _STEPS + 1)


def quantise(probability: np.ndarray) -> np.ndarray:
    """Bytes of probabilities; NaN, "no object", becomes 0."""
    quantised = np.digitize(probability, _EDGES)
    quantised[np.isnan(probability)] = 0
    return quantised.astype(np.uint8)


def dequantise(quantised: np.ndarray) -> np.ndarray:
    """float32 probabilities of bytes; 0 becomes NaN."""
    middle = (np.arange(256) - 0.5) / _STEPS
    middle[0], middle[255] = np.nan, 1.0
    return middle.astype(np.float32)[quantised]


def save(
    directory: str | os.PathLike[str],
    corner_zyx: Sequence[int],
    quantised: np.ndarray,
) -> pathlib.Path:
    """Writes `seg-<x>_<y>_<z>.prob` beside the subvolume; returns its path.

    Args:
      directory: folder of the results.
      corner_zyx: first voxel of the subvolume.
      quantised: [z, y, x] uint8.
    """
    if quantised.dtype != np.uint8:
        raise ValueError(
            f"A probability map is stored as uint8, found {quantised.dtype}; "
            f"use quantise()."
        )
    path = subvolume.path_for(directory, corner_zyx, "prob")
    archive.write(path, {"qprob": quantised})
    return path


def load(path: str | os.PathLike[str]) -> np.ndarray:
    """[z, y, x] float32 probabilities, NaN where there is no object.

    Raises:
      FileNotFoundError, ValueError: no such file, or not such a file.
    """
    with archive.read(path) as file:
        return dequantise(file.array("qprob"))
