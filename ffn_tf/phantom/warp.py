"""Warp: the bend between physical space and the space that tissue grew in.

    grown = physical + w(physical),    w smooth noise of two wavelengths

Tubes grow round and straight-edged; bending all of space makes them uneven
without letting them touch, for the bend has an inverse: it stretches nowhere
by as much as one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ffn_tf.phantom import noise

# (wavelength nm, standard deviation nm) of each component of w.
_WAVES = ((1200.0, 80.0), (480.0, 32.0), (190.0, 13.0), (90.0, 4.5))

# The inverse is found to this, or as well as so many steps can.
_EXACT_NM = 0.1
_STEPS = 40


def grown_on(seed: int, axes: Sequence[np.ndarray]) -> np.ndarray:
    """Grown coordinates of a grid.

    Args:
      seed: which tissue.
      axes: physical positions of the samples along z, y, x, nm.

    Returns:
      [3, z, y, x] float32 nm.
    """
    result = np.empty((3, *map(len, axes)), np.float32)
    for component in range(3):
        shape = [1, 1, 1]
        shape[component] = -1
        result[component] = axes[component].reshape(shape)
        for wave, (length, size) in enumerate(_WAVES):
            bend = noise.smooth_on(_key(seed, component, wave), length, axes)
            bend *= np.float32(size)
            result[component] += bend
    return result


def bend_at(seed: int, physical: np.ndarray) -> np.ndarray:
    """w at physical points [n, 3] nm: [n, 3] nm."""
    result = np.zeros(physical.shape)
    for component in range(3):
        for wave, (length, size) in enumerate(_WAVES):
            key = _key(seed, component, wave)
            result[:, component] += size * noise.smooth_at(
                key, length, physical
            )
    return result


def physical_at(seed: int, grown: np.ndarray) -> np.ndarray:
    """Where points [n, 3] nm of the grown space are in physical space.

    `physical = grown - w(physical)` converges, w being a contraction.
    """
    physical = grown - bend_at(seed, grown)
    todo = np.arange(len(grown))
    for _ in range(_STEPS):
        better = grown[todo] - bend_at(seed, physical[todo])
        off = np.abs(better - physical[todo]).max(1) > _EXACT_NM
        physical[todo] = better
        todo = todo[off]
        if not len(todo):
            break
    return physical


def _key(seed: int, component: int, wave: int) -> int:
    return 64 * seed + 8 * wave + component
