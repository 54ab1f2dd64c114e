"""Scores of a segmentation against the truth, from their contingency table.

Let a voxel be drawn at random; T is its truth id, S its segment id.

- VOI (variation of information), in bits. `voi_split` = H(S | T): what one
  still has to be told to name the segment of a voxel whose body is known; it
  grows when bodies are split. `voi_merge` = H(T | S) grows when bodies are
  merged. Both are 0 if and only if the partitions are the same.
- Adapted Rand error, over pairs of different voxels. `rand_precision`: of
  the pairs that the segmentation puts together, the share that belongs
  together; merges cost it. `rand_recall`: of the pairs that belong together,
  the share that the segmentation puts together; splits cost it. The error is
  one minus their harmonic mean. A share of no pairs is 1.
- Coverage: of the voxels where the truth is not 0, the share where the
  segmentation is not 0.

Voxels with truth 0 are unlabelled and never scored. What a 0 of the
segmentation means is a convention, and the scores depend on it:

- `both` (the headline, beside coverage): only voxels where truth and
  segmentation are both not 0. How good is what was segmented?
- `truth`: all voxels with a truth; the 0 of the segmentation is one more
  segment, which merges whatever it covers. This is what scikit-image, elf,
  funlib.evaluate and waterz compute. CREMI's adapted Rand differs again: it
  makes every 0 voxel a segment of its own.

scikit-image 0.26 returns the same three Rand numbers, but its code divides
by the pairs of the truth where its documentation says the segmentation: what
it calls precision is recall here, and the reverse.

Laws (tests/evaluation/test_overlap_metrics.py):
    score(x, x): VOI 0, error 0, precision and recall 1
    ids permuted: the same scores
    truth and segmentation swapped: split <-> merge, precision <-> recall
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ffn_tf.volume import contingency


@dataclasses.dataclass(frozen=True)
class Scores:
    """Overlap scores over one set of voxels.

    Attributes:
      voxels: the number of voxels scored.
      num_truth_ids: the bodies among them.
      num_segments: the segments among them.
      voi_split: H(segment | truth), bits.
      voi_merge: H(truth | segment), bits.
      adapted_rand_error: 1 - harmonic mean of precision and recall.
      rand_precision: share of joined pairs that are right; merges cost it.
      rand_recall: share of right pairs that are joined; splits cost it.
    """

    voxels: int
    num_truth_ids: int
    num_segments: int
    voi_split: float
    voi_merge: float
    adapted_rand_error: float
    rand_precision: float
    rand_recall: float

    @property
    def voi(self) -> float:
        """The variation of information, bits."""
        return self.voi_split + self.voi_merge


@dataclasses.dataclass(frozen=True)
class Offender:
    """A body that is split, or a segment that merges.

    Attributes:
      id: the body (of a split) or the segment (of a merge).
      voxels: its scored voxels.
      outside_largest: those that are not in its largest part.
      voi: its share of `voi_split` (or of `voi_merge`), bits.
      num_parts: the segments that it is split into (or the bodies it merges).
      parts: (id, voxels) of the largest parts, largest first.
    """

    id: int
    voxels: int
    outside_largest: int
    voi: float
    num_parts: int
    parts: tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class Missed:
    """A body with voxels that the segmentation leaves at 0."""

    id: int
    voxels: int
    missed: int


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Everything that is known of a segmentation against the truth.

    Attributes:
      voxels: all voxels looked at, unlabelled ones included.
      truth_voxels: those where the truth is not 0.
      covered_voxels: those of `truth_voxels` where the segmentation is not 0.
      both: scores where truth and segmentation are both not 0; None if there
        is no such voxel.
      truth: scores where the truth is not 0.
      splits: the bodies that cost the most `both.voi_split`, worst first.
      merges: the segments that cost the most `both.voi_merge`, worst first.
      missed: the bodies with the most voxels left at 0, worst first.
    """

    voxels: int
    truth_voxels: int
    covered_voxels: int
    both: Scores | None
    truth: Scores
    splits: tuple[Offender, ...]
    merges: tuple[Offender, ...]
    missed: tuple[Missed, ...]

    @property
    def coverage(self) -> float:
        """Share of the voxels with a truth that have a segment."""
        return self.covered_voxels / self.truth_voxels


def score(table: contingency.Contingency) -> Scores:
    """(1) Scores every voxel of `table`, whatever its ids.

    Raises:
      ValueError: the table is empty.
    """
    total = table.num_voxels
    if not total:
        raise ValueError("No voxel to score: the contingency table is empty.")
    truth = _Grouping.of(table.truth_ids, table.voxels)
    segments = _Grouping.of(table.segment_ids, table.voxels)
    joined = _pairs(table.voxels)
    in_truth, in_segments = _pairs(truth.sizes), _pairs(segments.sizes)
    either = in_truth + in_segments
    return Scores(
        voxels=total,
        num_truth_ids=len(truth.ids),
        num_segments=len(segments.ids),
        voi_split=float(truth.information(table.voxels).sum() / total),
        voi_merge=float(segments.information(table.voxels).sum() / total),
        adapted_rand_error=1 - 2 * joined / either if either else 0.0,
        rand_precision=joined / in_segments if in_segments else 1.0,
        rand_recall=joined / in_truth if in_truth else 1.0,
    )


def compare(
    table: contingency.Contingency, *, num_worst: int = 10, num_parts: int = 5
) -> Comparison:
    """(2) All scores and the worst offenders of a whole table.

    Args:
      table: every voxel, zeros included.
      num_worst: how many offenders of each kind to name.
      num_parts: how many parts of each to name.

    Raises:
      ValueError: no voxel has a truth.
    """
    truth, both = table.where_truth, table.where_both
    if not len(truth):
        raise ValueError(
            f"Nothing to score: the truth is 0 in all {table.num_voxels} "
            f"voxels compared. Check that the truth is labelled in this box."
        )
    return Comparison(
        voxels=table.num_voxels,
        truth_voxels=truth.num_voxels,
        covered_voxels=both.num_voxels,
        both=score(both) if len(both) else None,
        truth=score(truth),
        splits=worst_splits(both, num_worst, num_parts),
        merges=worst_splits(both.swapped(), num_worst, num_parts),
        missed=worst_missed(truth, num_worst),
    )


def worst_splits(
    table: contingency.Contingency, num_worst: int, num_parts: int
) -> tuple[Offender, ...]:
    """(3) The truth ids of `table` that cost the most H(segment | truth).

    Of a swapped table: the segments that merge the most.
    """
    bodies = _Grouping.of(table.truth_ids, table.voxels)
    bits = np.bincount(
        bodies.index,
        weights=bodies.information(table.voxels),
        minlength=len(bodies.ids),
    )
    worst = np.argsort(-bits, kind="stable")[:num_worst]
    found = []
    for body in worst[bits[worst] > 0]:
        rows = np.flatnonzero(bodies.index == body)
        rows = rows[np.argsort(-table.voxels[rows], kind="stable")]
        size = int(bodies.sizes[body])
        found.append(
            Offender(
                id=int(bodies.ids[body]),
                voxels=size,
                outside_largest=size - int(table.voxels[rows[0]]),
                voi=float(bits[body] / table.num_voxels),
                num_parts=len(rows),
                parts=tuple(
                    (int(table.segment_ids[row]), int(table.voxels[row]))
                    for row in rows[:num_parts]
                ),
            )
        )
    return tuple(found)


def worst_missed(
    table: contingency.Contingency, num_worst: int
) -> tuple[Missed, ...]:
    """(4) The truth ids of `table` with the most voxels in segment 0."""
    bodies = _Grouping.of(table.truth_ids, table.voxels)
    rows = np.flatnonzero(table.segment_ids == 0)
    rows = rows[np.argsort(-table.voxels[rows], kind="stable")][:num_worst]
    return tuple(
        Missed(
            id=int(table.truth_ids[row]),
            voxels=int(bodies.sizes[bodies.index[row]]),
            missed=int(table.voxels[row]),
        )
        for row in rows
    )


@dataclasses.dataclass(frozen=True)
class _Grouping:
    """The rows of a table by one of its two ids.

    Attributes:
      ids: [k] uint64, ascending.
      index: [n] which of `ids` a row has.
      sizes: [k] int64, voxels of each id.
    """

    ids: np.ndarray
    index: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, ids: np.ndarray, voxels: np.ndarray) -> _Grouping:
        unique, index = np.unique(ids, return_inverse=True)
        sizes = np.zeros(len(unique), np.int64)
        np.add.at(sizes, index, voxels)
        return cls(unique, index, sizes)

    def information(self, voxels: np.ndarray) -> np.ndarray:
        """[n] bits to tell the other id of a row's voxels, given this one."""
        return voxels * np.log2(self.sizes[self.index] / voxels)


def _pairs(sizes: np.ndarray) -> float:
    """Ordered pairs of different voxels in groups of these `sizes`.

    In float64: the square of a whole-brain count overflows an integer.
    """
    as_float = sizes.astype(np.float64)
    return float(as_float @ (as_float - 1))
