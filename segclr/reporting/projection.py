"""(1) Projection: embeddings as a map of two dimensions.

The first two principal components of the standardised numbers: what is near on
the map may be far in other directions, but what is far on it is far.
"""

from __future__ import annotations

import numpy as np


def principal(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first two principal components.

    Args:
      vectors: [n, d] floating-point.

    Returns:
      [n, 2] float64, and the share of the variance that each has, [2].

    Raises:
      ValueError: fewer than two numbers, or none.
    """
    x = np.asarray(vectors, np.float64)
    if x.ndim != 2 or x.shape[1] < 2 or not len(x):
        raise ValueError(
            f"A map needs embeddings [n, 2 or more], found {list(x.shape)}."
        )
    std = x.std(0)
    x = (x - x.mean(0)) / np.where(std > 0, std, 1)
    values, axes = np.linalg.eigh(x.T @ x / len(x))
    # A sign that does not depend on the machine.
    chosen = axes[:, [-1, -2]]
    chosen = chosen * np.sign(chosen[np.abs(chosen).argmax(0), [0, 1]])
    total = max(float(values.sum()), 1e-12)
    return x @ chosen, values[[-1, -2]] / total
