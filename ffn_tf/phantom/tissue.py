"""Tissue: everything that there is in a phantom before it meets a microscope.

(1) growth    neurites in a straight world
(2) warp      bent into physical space
(3) furnish   organelles along the bent centre lines
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from ffn_tf.phantom import cells as cells_lib
from ffn_tf.phantom import growth, habits, nearest, organelles, warp
from ffn_tf.phantom import options as options_lib


@dataclasses.dataclass(frozen=True, eq=False)
class Tissue:
    """A grown tissue. Neurites are numbered from 1.

    Attributes:
      seed: which tissue.
      tubes: the neurites in the grown space; divide space by them.
      kinds: of neurite k + 1, one of habits.TYPES.
      cells: of neurite k + 1, an index of cells.INTERIORS.
      nodes: [n, 3] nm each, centre lines in physical space.
      radii: [n] nm each.
      parents: [n] each, -1 for the root.
      contents: the organelles, in physical space.
    """

    seed: int
    tubes: nearest.Capsules
    kinds: tuple[str, ...]
    cells: tuple[int, ...]
    nodes: tuple[np.ndarray, ...]
    radii: tuple[np.ndarray, ...]
    parents: tuple[np.ndarray, ...]
    contents: organelles.Organelles


def _tubes(number: int, tree: growth.Tree) -> nearest.Capsules:
    position = np.array(tree.position)
    return nearest.Capsules(
        a=position[np.maximum(tree.parent, 0)],
        b=position,
        ra=np.array(tree.base),
        rb=np.array(tree.radius),
        owner=np.full(len(tree), number),
    )


def of(options: options_lib.Options) -> Tissue:
    """The tissue of a phantom."""
    return grow_tissue(options.size_nm, options.seed, options.cell_types)


@functools.lru_cache(maxsize=2)
def grow_tissue(
    size_nm: tuple[float, float, float], seed: int, cell_types: int = 1
) -> Tissue:
    """The tissue of a seed in and around the box `0..size_nm` (zyx)."""
    bodies = (habits.SOMA,) if cell_types > 1 else ()
    trees = growth.grow(size_nm, seed, (*bodies, *habits.HABITS))
    kinds = tuple(tree.kind for tree in trees)
    cells = cells_lib.assigned(kinds, seed, cell_types)
    lengths = [len(tree) for tree in trees]
    grown = np.concatenate([tree.position for tree in trees])
    physical = np.split(warp.physical_at(seed, grown), np.cumsum(lengths)[:-1])
    return Tissue(
        seed=seed,
        tubes=nearest.Capsules.joined(
            [_tubes(number, tree) for number, tree in enumerate(trees, 1)]
        ),
        kinds=kinds,
        cells=cells,
        nodes=tuple(physical),
        radii=tuple(np.array(tree.radius) for tree in trees),
        parents=tuple(np.array(tree.parent) for tree in trees),
        contents=organelles.furnish(trees, cells, physical, seed),
    )
