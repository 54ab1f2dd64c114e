"""Numbers for every variable of an encoder, from its name; and a cutout.

They are read off SHAKE-256, so they are the same on every machine and in every
version of everything. Only numpy is needed: Google's network is filled with
them in an environment that has nothing of ours.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

SIZE = 129

# (least, largest) of what is not a kernel. What the network should not read
# outside of training is large, to be noticed where it does.
_RANGES = {
    "bias": (-0.2, 0.2),
    "gamma": (0.7, 1.3),
    "beta": (-0.3, 0.3),
    "moving_mean": (0.1, 0.7),
    "moving_variance": (0.3, 0.9),
}
_OTHERS = (2.0, 5.0)


def _uniform(name: str, count: int) -> np.ndarray:
    """[count] float64 between 0 and 1."""
    drawn = hashlib.shake_256(name.encode()).digest(4 * count)
    return (np.frombuffer(drawn, "<u4") + 0.5) / 2.0**32


def variable(name: str, shape: tuple[int, ...], seed: str = "") -> np.ndarray:
    """Numbers of a variable.

    Args:
      name: as base_model_0/resnet18/stage_1/conv1/kernel.
      shape: of it.
      seed: another one gives other numbers.

    Returns:
      [*shape] float32, of such a size that what goes through the network
      neither dies out nor grows.
    """
    part = name.split("/")[-1]
    if part == "kernel":
        bound = math.sqrt(3.0 / math.prod(shape[:-1]))
        low, high = -bound, bound
    else:
        low, high = _RANGES.get(part, _OTHERS)
    drawn = _uniform(name + seed, math.prod(shape)).reshape(shape)
    return (low + (high - low) * drawn).astype(np.float32)


def cutout() -> np.ndarray:
    """[129, 129, 129] uint8, masked: blocks, longer along some axes.

    What is kept is an ellipsoid with other axes, off the middle, so that no
    axis can be taken for another, or be turned around.
    """
    blocks = (43, 19, 11)
    coarse = _uniform("cutout", math.prod(blocks)).reshape(blocks)
    places = np.arange(SIZE)
    index = np.ix_(*(places * n // SIZE for n in blocks))
    image = (40 + 215 * coarse[index]).astype(np.uint8)
    distance = sum(
        ((axis - centre) / radius) ** 2
        for axis, centre, radius in zip(
            np.ogrid[:SIZE, :SIZE, :SIZE], (70, 60, 50), (30, 80, 110)
        )
    )
    return np.where(distance < 1, image, 0).astype(np.uint8)
