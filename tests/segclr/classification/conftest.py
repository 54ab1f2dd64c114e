"""Embeddings of three types, with what is theirs and what is their cell's."""

import numpy as np
import pytest

from segclr.classification import labels

CLASSES = ("axon", "dendrite", "glia")


def cells(count=30, nodes=12, size=6, seed=0):
    """(embeddings [n, size], Labels): a Gaussian cloud for each class."""
    rng = np.random.default_rng(seed)
    of_cell = np.arange(count) % 3
    centers = 3 * rng.normal(size=(3, size))
    cell = np.repeat(np.arange(count), nodes)
    shift = 0.3 * rng.normal(size=(count, size))
    vectors = centers[of_cell[cell]] + shift[cell]
    vectors += 0.5 * rng.normal(size=vectors.shape)
    # Standardisation must matter.
    vectors = 1000 + 50 * vectors
    return vectors.astype(np.float32), labels.Labels(
        CLASSES, of_cell[cell], cell
    )


@pytest.fixture
def clouds():
    return cells()
