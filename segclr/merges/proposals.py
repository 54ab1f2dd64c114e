"""(2) Proposals: the places that change most, and what a cut there parts.

    proposals.csv    rank,segment,score,type_change,from_type,to_type,z_nm,y_nm,
                     x_nm,first_node,second_node,first_nodes,second_nodes

A place is the middle of an edge; `first_nodes` are what a cut would leave on
the side of the first node, in nodes. Of edges within R of a better one of the
same segment none is proposed.
"""

from __future__ import annotations

import csv
import dataclasses
import io

import numpy as np

from segclr.aggregation import sides

COLUMNS = (
    *("rank", "segment", "score", "type_change", "from_type", "to_type"),
    *("z_nm", "y_nm", "x_nm", "first_node", "second_node"),
    *("first_nodes", "second_nodes"),
)


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A place where a segment may be two neurites; see the module.

    Attributes:
      edge: its number.
      segment, score, type_change: of it; NaN without types.
      from_type, to_type: of the nodes at its ends; "" without types.
      position_nm_zyx: of its middle.
      nodes: of its ends, numbers in the segment.
      parts: nodes on either side.
    """

    edge: int
    segment: int
    score: float
    type_change: float
    from_type: str
    to_type: str
    position_nm_zyx: tuple[float, float, float]
    nodes: tuple[int, int]
    parts: tuple[int, int]

    def row(self, rank: int) -> tuple[object, ...]:
        """Of proposals.csv."""
        return (
            rank,
            self.segment,
            f"{self.score:.4f}",
            "" if np.isnan(self.type_change) else f"{self.type_change:.4f}",
            self.from_type,
            self.to_type,
            *(f"{at:.1f}" for at in self.position_nm_zyx),
            *self.nodes,
            *self.parts,
        )


def best(
    score: np.ndarray,
    middle_nm: np.ndarray,
    segment: np.ndarray,
    radius_nm: float,
    most: int,
) -> np.ndarray:
    """Edges to propose, the best first.

    Args:
      score: [m] float64; NaN is never proposed.
      middle_nm: [m, 3], of the edges.
      segment: [m], which of them each is in.
      radius_nm: nearer than this to a better edge of its segment none is.
      most: how many.
    """
    order = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")
    chosen: list[int] = []
    taken: dict[int, list[int]] = {}
    for edge in order.tolist():
        if len(chosen) == most or np.isnan(score[edge]):
            break
        others = taken.setdefault(int(segment[edge]), [])
        offset = middle_nm[others] - middle_nm[edge]
        if (np.sqrt((offset**2).sum(1)) < radius_nm).any():
            continue
        others.append(edge)
        chosen.append(edge)
    return np.array(chosen, np.int64)


def cut(edges: np.ndarray, first: int, last: int, edge: int) -> tuple[int, int]:
    """Nodes on either side of an edge of the segment of nodes `first:last`.

    Args:
      edges: [m, 2], into all nodes.
      first, last: the segment's nodes.
      edge: number of the edge.
    """
    mine = (edges[:, 0] >= first) & (edges[:, 0] < last)
    number = int(mine[:edge].sum())
    one, two = sides.parts(last - first, edges[mine] - first, number)
    return int(one.sum()), int(two.sum())


def as_csv(found: list[Proposal]) -> str:
    """The text of proposals.csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(one.row(rank) for rank, one in enumerate(found, 1))
    return text.getvalue()
