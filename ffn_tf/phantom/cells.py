"""Cells: what differs inside neurons of two cell types.

    a   round vesicles, bundles of microtubules, dark mitochondria
    b   small uneven vesicles among dense cores, reticulum everywhere and
        fewer microtubules, coarse cytoplasm, pale mitochondria with wide
        cristae, thin synapses

Outlines, calibres and the brightness of the cytoplasm tell nothing: both types
grow alike. Glia and cell bodies are all of a, as is tissue of one type.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Interior:
    """What is inside a neuron; lengths in nm.

    Attributes:
      microtubules, reticulum: how many, relative to type a.
      every_reticulum: of it in each path, however thin.
      grains: how coarse the cytoplasm is, relative to type a.
      reticulum_nm: mean radius of its tubules and sacs.
      vesicle_nm: mean and standard deviation of their radii.
      dense_cores: how many, for each wide place of an axon.
      crista_nm: from crista to crista.
      matrix: grey levels by which that of mitochondria is brighter.
      coat_nm: of the dark material that faces a bouton's synapses.
    """

    microtubules: float = 1.0
    reticulum: float = 1.0
    every_reticulum: float = 0.0
    grains: float = 1.0
    reticulum_nm: float = 18.0
    vesicle_nm: tuple[float, float] = (20.0, 2.5)
    dense_cores: float = 0.12
    crista_nm: float = 62.0
    matrix: float = 0.0
    coat_nm: float = 24.0


INTERIORS = (
    Interior(),
    Interior(
        microtubules=0.3,
        reticulum=3.0,
        every_reticulum=2.0,
        grains=1.7,
        reticulum_nm=26.0,
        vesicle_nm=(16.0, 4.0),
        dense_cores=0.7,
        crista_nm=105.0,
        matrix=26.0,
        coat_nm=11.0,
    ),
)
NAMES = ("a", "b")
_WITHOUT = ("glia", "soma")


def assigned(kinds: tuple[str, ...], seed: int, number: int) -> tuple[int, ...]:
    """The cell type, an index of INTERIORS, of each neurite: about half each.

    Args:
      kinds: of neurites, of habits.TYPES.
      seed: which tissue.
      number: of cell types.
    """
    drawn = np.random.default_rng([seed, 2]).integers(0, number, len(kinds))
    return tuple(
        0 if kind in _WITHOUT else cell
        for kind, cell in zip(kinds, drawn.tolist())
    )


def label(kind: str, cell: int, number: int) -> str:
    """A neurite's type, as a classifier is to tell it: "axon", "axon b"."""
    if number == 1 or kind in _WITHOUT:
        return kind
    return f"{kind} {NAMES[cell]}"
