"""(4) Trial: how well known merges are found, beside chance.

Of each kind of merge:

  auroc      how often the seam's edge has a higher score than an edge that is
             no seam, in any segment; chance is 0.5
  located    share of merges whose best edge is within a tolerance of the seam;
             chance: the mean share of the segment's edges that are
  divided    share of the nodes that a cut at the best edge leaves on the right
             side, mean; chance: of a cut at an edge drawn from the segment

An edge whose side has too few nodes has no score: a seam there counts as the
lowest of all, and as not located.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from segclr.aggregation import sides
from segclr.classification import scores as scores_lib
from segclr.merges.synthetic import Seam

_CUTS = 20  # Edges whose cut is looked at for chance.


@dataclasses.dataclass(frozen=True)
class Result:
    """Of one kind of merge; see the module.

    Attributes:
      kind: which.
      merges: how many.
      auroc, located, divided: see the module.
      chance_located, chance_divided: what chance gives.
    """

    kind: str
    merges: int
    auroc: float
    located: float
    chance_located: float
    divided: float
    chance_divided: float


@dataclasses.dataclass(frozen=True, eq=False)
class Forest:
    """Scored edges.

    Attributes:
      segment: [n] uint64, of each node, in order.
      position_nm_zyx: [n, 3].
      edges: [m, 2] int64, into the nodes.
      score: [m] float64.
    """

    segment: np.ndarray
    position_nm_zyx: np.ndarray
    edges: np.ndarray
    score: np.ndarray


def run(forest: Forest, seams: list[Seam], tolerance_nm: float) -> list[Result]:
    """Tries known merges, kind by kind, in the order in which they come.

    Raises:
      ValueError: none of the merges is in the table.
    """
    middle = forest.position_nm_zyx[forest.edges].mean(1)
    of_edge = forest.segment[forest.edges[:, 0]]
    rank = np.nan_to_num(forest.score, nan=-np.inf)
    trials: dict[str, list[_One]] = {}
    near_any = np.zeros(len(rank), np.bool_)
    for number, seam in enumerate(seams):
        mine = np.flatnonzero(of_edge == seam.segment)
        if not len(mine):
            continue
        one = _tried(forest, mine, middle, rank, seam, tolerance_nm, number)
        near_any[one.near] = True
        trials.setdefault(seam.kind, []).append(one)
    if not trials:
        raise ValueError(
            f"None of the {len(seams)} merges is of a segment of the table "
            f"(such as {seams[0].segment if seams else 'none'}): has it been "
            f"embedded with the agglomeration and skeletons of "
            f"segclr.make_merges?"
        )
    elsewhere = rank[~near_any & ~np.isnan(forest.score)]
    return [
        Result(
            kind,
            len(ones),
            scores_lib.auroc(elsewhere, np.array([rank[o.seam] for o in ones])),
            float(np.mean([o.is_located for o in ones])),
            float(np.mean([o.chance_located for o in ones])),
            float(np.mean([o.divided for o in ones])),
            float(np.mean([o.chance_divided for o in ones])),
        )
        for kind, ones in trials.items()
    ]


@dataclasses.dataclass(frozen=True, eq=False)
class _One:
    """A merge that has been tried; `near` are edges by its seam."""

    seam: int
    near: np.ndarray
    is_located: bool
    chance_located: float
    divided: float
    chance_divided: float


def _tried(
    forest: Forest,
    mine: np.ndarray,
    middle: np.ndarray,
    rank: np.ndarray,
    seam: Seam,
    tolerance_nm: float,
    number: int,
) -> _One:
    away = middle[mine] - np.array(seam.place_nm_zyx)
    away = np.sqrt((away**2).sum(1))
    at_seam = int(mine[away.argmin()])
    # From the seam's edge: it may be longer than the tolerance.
    offset = np.sqrt(((middle[mine] - middle[at_seam]) ** 2).sum(1))
    is_near = offset <= tolerance_nm
    best = int(np.argmax(rank[mine]))
    id_ = np.uint64(seam.segment)
    first, end = (
        int(np.searchsorted(forest.segment, id_, side))
        for side in ("left", "right")
    )
    count, local = end - first, forest.edges[mine] - first
    truth = sides.parts(count, local, int(away.argmin()))
    rng = np.random.default_rng([number, 9])
    drawn = rng.permutation(len(mine))[:_CUTS]
    chance = [_agree(count, local, int(e), truth) for e in drawn]
    return _One(
        at_seam,
        mine[is_near],
        bool(is_near[best] and np.isfinite(rank[mine[best]])),
        float(is_near.mean()),
        _agree(count, local, best, truth),
        float(np.mean(chance)),
    )


def _agree(
    count: int,
    edges: np.ndarray,
    edge: int,
    truth: tuple[np.ndarray, np.ndarray],
) -> float:
    """The share of nodes that a cut leaves where the true one does."""
    one, two = sides.parts(count, edges, edge)
    total = (truth[0] | truth[1]).sum()
    same = (one & truth[0]).sum() + (two & truth[1]).sum()
    crossed = (one & truth[1]).sum() + (two & truth[0]).sum()
    return float(max(same, crossed) / total)


def as_table(found: list[Result]) -> str:
    """Results, for people; chance is in brackets."""
    lines = ["merges        n   AUROC (0.5)   located        divided"]
    for one in found:
        lines.append(
            f"{one.kind:<10} {one.merges:4d}   {one.auroc:.3f}"
            f"         {one.located:4.0%} ({one.chance_located:.0%})"
            f"     {one.divided:4.0%} ({one.chance_divided:.0%})"
        )
    return "\n".join(lines)
