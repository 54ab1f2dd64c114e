"""(4) Matching: which ids of two pieces are one object.

Where two pieces overlap, a and b are one object if each is the best of the
other, and the agreement is large enough:

    b shares more voxels with a than any other id of the second piece does
    a shares more voxels with b than any other id of the first piece does
    they share min_overlap_voxels at least, and min_overlap_fraction of the
    smaller of the two at least (of its voxels within the overlap)

Of ids that share as many voxels, the least is the best. An object that one
piece has in two parts is joined to the larger; the other part stays alone:
whether it belongs to it is for agglomeration to say. Background matches
nothing.

Laws (tests/assembly/test_matching.py):
    ids renamed in their order give the same pairs, renamed
    matched(swapped table) are the same pairs, swapped
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ffn_tf import program
from ffn_tf.volume.contingency import Contingency


@dataclasses.dataclass(frozen=True)
class Rule:
    """When ids of two pieces are one object."""

    min_overlap_voxels: int = program.option(
        100, help="Voxels that two parts of an object share at least."
    )
    min_overlap_fraction: float = program.option(
        0.5,
        help="Share of the smaller of two parts, of its voxels within the "
        "overlap, that lies in the other at least.",
    )

    def __post_init__(self) -> None:
        if self.min_overlap_voxels < 1:
            raise ValueError(
                f"min_overlap_voxels: expected 1 or more, found "
                f"{self.min_overlap_voxels}."
            )
        if not 0 <= self.min_overlap_fraction <= 1:
            raise ValueError(
                f"min_overlap_fraction: expected 0 to 1, found "
                f"{self.min_overlap_fraction}."
            )


@dataclasses.dataclass(frozen=True, eq=False)
class Matched:
    """What was decided in one overlap.

    Attributes:
      pairs: [n, 2] uint64: ids that are one object.
      num_met: pairs of ids that share a voxel.
      num_best: those that are each other's best; all but `pairs` of them agree
        too little.
    """

    pairs: np.ndarray
    num_met: int
    num_best: int


def matched(table: Contingency, rule: Rule) -> Matched:
    """The pairs of one overlap.

    Args:
      table: all voxels of it, zeros included: `truth_ids` of the first piece.
      rule: when ids are one object.
    """
    size_a, size_b = (
        _sizes(table.truth_ids, table),
        _sizes(table.segment_ids, table),
    )
    both = np.flatnonzero((table.truth_ids != 0) & (table.segment_ids != 0))
    a, b, voxels = (
        values[both]
        for values in (table.truth_ids, table.segment_ids, table.voxels)
    )
    best = _is_best(a, b, voxels) & _is_best(b, a, voxels)
    smaller = np.minimum(size_a[both], size_b[both])
    agrees = (voxels >= rule.min_overlap_voxels) & (
        voxels >= rule.min_overlap_fraction * smaller
    )
    keep = best & agrees
    return Matched(
        np.stack([a[keep], b[keep]], axis=1), len(both), int(best.sum())
    )


def _sizes(ids: np.ndarray, table: Contingency) -> np.ndarray:
    """Of each row: all voxels of its id."""
    _, where = np.unique(ids, return_inverse=True)
    return np.bincount(where, table.voxels)[where]


def _is_best(
    ids: np.ndarray, others: np.ndarray, voxels: np.ndarray
) -> np.ndarray:
    """Of each row: whether its other is the best of its id."""
    order = np.lexsort((others, -voxels, ids))
    first = np.ones(len(ids), bool)
    first[1:] = ids[order][1:] != ids[order][:-1]
    found = np.zeros(len(ids), bool)
    found[order] = first
    return found
