"""(4) Trial: how well known merges are found, beside chance.

Of each kind of merge:

  auroc      how often the seam's edge has a higher score than an edge that is
             no seam, in any segment; chance is 0.5. Beside it that of geometry
             alone: of the nodes on the smaller side of an edge, which a seam
             has more of than a tip
  located    share of merges whose best edge is within a tolerance of the seam;
             chance: the mean share of the segment's scored edges that are
  divided    share of the nodes that a cut at the best edge leaves on the right
             side, mean; chance: of a cut at a scored edge of the segment

The seam's edge joins a node of one of the two to one of the other; of merges
where that is not known, it is the edge that passes nearest to the place. An
edge whose side has too few nodes has no score, and counts as the lowest.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

import numpy as np
from scipy import spatial

from segclr.aggregation import sides
from segclr.classification import scores as scores_lib
from segclr.merges import synthetic

_CUTS = 20  # Edges whose cut is looked at for chance.


@dataclasses.dataclass(frozen=True)
class Result:
    """Of one kind of merge; see the module.

    Attributes:
      kind: which.
      merges: how many.
      auroc, located, divided: see the module.
      geometry_auroc, chance_located, chance_divided: what tells nothing gives.
    """

    kind: str
    merges: int
    auroc: float
    geometry_auroc: float
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
      smaller_side: [m] integers, nodes within R on the side that has fewer.
    """

    segment: np.ndarray
    position_nm_zyx: np.ndarray
    edges: np.ndarray
    score: np.ndarray
    smaller_side: np.ndarray


def run(
    forest: Forest,
    seams: list[synthetic.Seam],
    tolerance_nm: float,
    first_places: Mapping[int, np.ndarray] | None = None,
) -> list[Result]:
    """Tries known merges, kind by kind, in the order in which they come.

    Args:
      forest: of all segments.
      seams: the merges.
      tolerance_nm: how near is located.
      first_places: by segment, [n, 3] vertices of the first of the two.

    Raises:
      ValueError: none of the merges is in the table.
    """
    first_places = first_places or {}
    of_edge = forest.segment[forest.edges[:, 0]]
    rank = np.nan_to_num(forest.score, nan=-np.inf)
    trials: dict[str, list[_One]] = {}
    near_any = np.zeros(len(rank), np.bool_)
    for number, seam in enumerate(seams):
        mine = np.flatnonzero(of_edge == seam.segment)
        if not len(mine):
            continue
        is_seam = _crossing(forest, mine, first_places.get(seam.segment))
        if is_seam is None:
            is_seam = _passing(forest, mine, seam.place_nm_zyx)
        one = _tried(forest, mine, rank, is_seam, tolerance_nm, number)
        near_any[one.near] = True
        trials.setdefault(seam.kind, []).append(one)
    if not trials:
        raise ValueError(
            f"None of the {len(seams)} merges is of a segment of the table "
            f"(such as {seams[0].segment if seams else 'none'}): has it been "
            f"embedded with the agglomeration and skeletons of "
            f"segclr.make_merges?"
        )
    far = ~near_any

    def auroc(values: np.ndarray, ones: list[_One]) -> float:
        return scores_lib.auroc(values[far], values[[o.seam for o in ones]])

    return [
        Result(
            kind,
            len(ones),
            auroc(rank, ones),
            auroc(forest.smaller_side, ones),
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


def _crossing(
    forest: Forest, mine: np.ndarray, first: np.ndarray | None
) -> int | None:
    """Which of some edges joins the first's nodes to the others."""
    if first is None:
        return None
    nodes = np.unique(forest.edges[mine])
    # Nodes are vertices of the skeleton, which is kept as float32.
    away, _ = spatial.cKDTree(first).query(forest.position_nm_zyx[nodes])
    is_first = dict(zip(nodes.tolist(), (away < 1.0).tolist()))
    for number, (one, two) in enumerate(forest.edges[mine].tolist()):
        if is_first[one] != is_first[two]:
            return number
    return None


def _passing(
    forest: Forest, mine: np.ndarray, place: tuple[float, float, float]
) -> int:
    """Which of some edges passes nearest to a place."""
    one, two = np.moveaxis(forest.position_nm_zyx[forest.edges[mine]], 1, 0)
    along, offset = two - one, np.array(place) - one
    length = np.maximum((along**2).sum(1), 1e-9)
    share = np.clip((along * offset).sum(1) / length, 0, 1)
    away = ((offset - share[:, None] * along) ** 2).sum(1)
    return int(away.argmin())


def _tried(
    forest: Forest,
    mine: np.ndarray,
    rank: np.ndarray,
    is_seam: int,
    tolerance_nm: float,
    number: int,
) -> _One:
    """One merge: the edges `mine` of its segment, of which one is the seam."""
    middle = forest.position_nm_zyx[forest.edges[mine]].mean(1)
    offset = np.sqrt(((middle - middle[is_seam]) ** 2).sum(1))
    is_near = offset <= tolerance_nm
    best = int(np.argmax(rank[mine]))
    scored = np.flatnonzero(np.isfinite(rank[mine]))
    id_ = forest.segment[forest.edges[mine[0], 0]]
    first, end = (
        int(np.searchsorted(forest.segment, id_, side))
        for side in ("left", "right")
    )
    count, local = end - first, forest.edges[mine] - first
    truth = sides.parts(count, local, is_seam)
    if not len(scored):
        return _One(int(mine[is_seam]), mine[is_near], False, 0.0, 0.5, 0.5)
    rng = np.random.default_rng([number, 9])
    drawn = rng.permutation(scored)[:_CUTS].tolist()
    chance = [_agree(count, local, edge, truth) for edge in drawn]
    return _One(
        int(mine[is_seam]),
        mine[is_near],
        bool(is_near[best]),
        float(is_near[scored].mean()),
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
    lines = ["merges        n   AUROC (geometry)  located        divided"]
    for one in found:
        lines.append(
            f"{one.kind:<10} {one.merges:4d}   {one.auroc:.3f}"
            f" ({one.geometry_auroc:.3f})     {one.located:4.0%}"
            f" ({one.chance_located:.0%})     {one.divided:4.0%}"
            f" ({one.chance_divided:.0%})"
        )
    return "\n".join(lines)
