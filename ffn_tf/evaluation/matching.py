"""Which body is a segment, and which segment is a body?

A segment belongs to the body that it shares the most voxels with, and a body
is owned by the segment that it shares the most voxels with; of equals, the
smaller id. From these two maps follows, for every voxel, what is wrong there:

    body of the segment is this body?   segment owns this body?   the voxel is
                yes                             yes               right
                no                              yes               merge
                yes                             no                split
                no                              no                both

A voxel of a body without a segment is missed; one without truth is right.
"""

from __future__ import annotations

import dataclasses
import enum

import numpy as np

from ffn_tf.volume import contingency


class Error(enum.IntEnum):
    """What is wrong with a voxel."""

    NONE = 0
    MERGE = 1
    SPLIT = 2
    BOTH = 3
    MISSED = 4


@dataclasses.dataclass(frozen=True)
class Matching:
    """The two maps, as sorted ids and what belongs to them.

    Attributes:
      bodies: [k] uint64, ascending; no 0.
      body_rank: [k] int64, 0 for the largest body.
      body_segment: [k] uint64, the segment that owns it; 0 if none does.
      segments: [m] uint64, ascending; no 0.
      segment_body: [m] uint64, the body that it belongs to; 0 if none.
      segment_rank: [m] int64, 0 for the largest of the segments that belong
        to the same body.
    """

    bodies: np.ndarray
    body_rank: np.ndarray
    body_segment: np.ndarray
    segments: np.ndarray
    segment_body: np.ndarray
    segment_rank: np.ndarray

    @classmethod
    def of(cls, table: contingency.Contingency) -> Matching:
        """The matching of all voxels of `table`."""
        both = table.where_both
        sizes = _totals(table.where_truth)
        by_size = np.argsort(-sizes[1], kind="stable")
        rank = np.empty(len(by_size), np.int64)
        rank[by_size] = np.arange(len(by_size))

        owned, owner, _ = _largest_partners(both)
        segments = _totals(table.swapped().where_truth)[0]
        matched, body, overlap = _largest_partners(both.swapped())
        segment_body = _looked_up(segments, matched, body, np.uint64(0))
        segment_overlap = _looked_up(segments, matched, overlap, np.int64(0))
        return cls(
            bodies=sizes[0],
            body_rank=rank,
            body_segment=_looked_up(sizes[0], owned, owner, np.uint64(0)),
            segments=segments,
            segment_body=segment_body,
            segment_rank=_ranks_within(segment_body, segment_overlap),
        )

    def body_of(self, segments: np.ndarray) -> np.ndarray:
        """The body (uint64) that each segment of an array belongs to, or 0."""
        return _looked_up(
            segments, self.segments, self.segment_body, np.uint64(0)
        )

    def rank_in_body(self, segments: np.ndarray) -> np.ndarray:
        """The rank (int64) of each segment of an array in its body."""
        return _looked_up(
            segments, self.segments, self.segment_rank, np.int64(0)
        )

    def rank_of(self, bodies: np.ndarray) -> np.ndarray:
        """The rank (int64) of each body of an array by size; -1 for 0."""
        return _looked_up(bodies, self.bodies, self.body_rank, np.int64(-1))

    def errors(self, truth: np.ndarray, segmentation: np.ndarray) -> np.ndarray:
        """`Error` of each voxel of two arrays of one shape, as uint8."""
        body = truth.astype(np.uint64)
        segment = segmentation.astype(np.uint64)
        owner = _looked_up(body, self.bodies, self.body_segment, np.uint64(0))
        codes = np.where(self.body_of(segment) != body, Error.MERGE, 0)
        codes += np.where(owner != segment, Error.SPLIT, 0)
        codes[segment == 0] = Error.MISSED
        codes[body == 0] = Error.NONE
        return codes.astype(np.uint8)


def _totals(table: contingency.Contingency) -> tuple[np.ndarray, np.ndarray]:
    """Truth ids of a table, ascending, and the voxels of each."""
    ids, first = np.unique(table.truth_ids, return_index=True)
    return ids, np.add.reduceat(table.voxels, first)


def _largest_partners(
    table: contingency.Contingency,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth ids, the segment id each shares most voxels with, and how many."""
    order = np.lexsort((table.segment_ids, -table.voxels, table.truth_ids))
    ids, first = np.unique(table.truth_ids[order], return_index=True)
    rows = order[first]
    return ids, table.segment_ids[rows], table.voxels[rows]


def _ranks_within(groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[n] int64: the place of each item in its group, heaviest first."""
    order = np.lexsort((-weights, groups))
    _, first, sizes = np.unique(
        groups[order], return_index=True, return_counts=True
    )
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(first, sizes)
    return ranks


def _looked_up(
    queries: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    default: np.generic,
) -> np.ndarray:
    """`values` at ascending `keys`, for each query; `default` elsewhere."""
    queries = queries.astype(np.uint64)
    if not len(keys):
        return np.full(queries.shape, default)
    place = np.minimum(np.searchsorted(keys, queries), len(keys) - 1)
    return np.where(keys[place] == queries, values[place], default)
