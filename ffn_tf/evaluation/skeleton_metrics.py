"""How far can one follow a neurite before the segmentation is wrong?

Every node (vertex) of a skeleton lies in a voxel, and so in a segment. Every
edge is then one of

    omitted   an end lies in no segment (0)
    split     its ends lie in two segments
    merged    both lie in one segment, which merges skeletons
    correct   both lie in one segment, which does not

A segment merges if it holds at least `merge_threshold` nodes of each of two or
more skeletons (0 and 1: any). All edges in it are merged, also those of a
skeleton that has fewer nodes there. The threshold forgives contacts that are
errors of skeletons rather than of segments; it counts nodes, so it depends on
how densely skeletons were sampled, and a number without it means little.

Edge accuracy: the shares of the length in the four. Expected run length (ERL,
Januszewski et al., Nature Methods 2018): of a random point on the skeletons,
how long is the correct skeleton in its segment? A point on an edge that is not
correct has none. With L(k) the length of skeleton k, and l(k, s) that of its
correct edges in segment s, connected or not:

    erl(k)   =  sum over s of l(k, s)^2 / L(k)       <= L(k)
    ERL      =  sum over k of L(k) erl(k) / sum of L(k)
    best     =  the ERL where every skeleton is one segment
    normalised ERL  =  ERL / best                    0 worst, 1 perfect

These are the definitions of funlib.evaluate, and with a threshold of em_erl. Of
the published segmentation of fib25 (tests/evaluation/test_skeleton_metrics.py):

    ERL, any node merges        170.662 nm
    ERL, 50 nodes merge       4,334     nm
    best                     16,922.7   nm

Laws:
    ids do not matter, except 0;
    a segment for each skeleton has normalised ERL 1;
    splitting a segment that does not merge never raises ERL;
    joining segments of two skeletons never raises it (without a threshold);
    the four shares add up to 1, the skeletons' contributions to ERL.

A segmentation may be larger than memory: only boxes around nodes are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
import enum
import itertools
import math

import numpy as np

from ffn_tf import program, volume
from ffn_tf.skeleton import graph
from ffn_tf.volume import contingency

# Storage is read by chunks; this many of their voxels at a time.
_VOXELS_AT_ONCE = 1 << 25


class Edge(enum.IntEnum):
    """What an edge is (see the module's docstring)."""

    CORRECT = 0
    SPLIT = 1
    MERGED = 2
    OMITTED = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """A row for each skeleton.

    Attributes:
      ids: [k] uint64, ascending.
      lengths_nm: [k, 4] float64, of its edges of each kind (`Edge`).
      erl_nm: [k] expected run length on this skeleton alone.
      contributions_nm: [k] what it adds to the ERL of all.
      splits: [k] number of split edges.
      merges: [k] number of merging segments in which it has a node.
    """

    ids: np.ndarray
    lengths_nm: np.ndarray
    erl_nm: np.ndarray
    contributions_nm: np.ndarray
    splits: np.ndarray
    merges: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class SkeletonScores:
    """The scores of a segmentation on skeletons.

    Attributes:
      erl_nm: expected run length.
      best_erl_nm: that of a segment for each skeleton.
      correct, split, merged, omitted: shares of the length; edge accuracy.
      length_nm: of all skeletons.
      left_out_nm: length that was not scored: outside the segmentation.
      merging_segments: segments that merge skeletons.
      merge_threshold: nodes of a skeleton that a merge takes.
      rows: the same for each skeleton.
    """

    erl_nm: float
    best_erl_nm: float
    correct: float
    split: float
    merged: float
    omitted: float
    length_nm: float
    left_out_nm: float
    merging_segments: int
    merge_threshold: int
    rows: Rows

    @property
    def normalised_erl(self) -> float:
        return self.erl_nm / self.best_erl_nm


def score_volume(
    skeletons: Sequence[graph.Skeleton],
    segmentation: volume.Volume,
    voxel_size_nm: Sequence[float],
    merge_threshold: int = 0,
) -> SkeletonScores:
    """(1) Scores a volume on skeletons, cut where the volume ends.

    Args:
      skeletons: of different ids.
      segmentation: integers, 0 where there is no segment.
      voxel_size_nm: of the segmentation, zyx.
      merge_threshold: see the module's docstring.

    Raises:
      ValueError: no edge lies in the volume; or as `score`.
      OSError: the volume cannot be read.
    """
    start, end = segmentation.domain.start, segmentation.domain.end
    inside, voxels, left_out = [], [], 0.0
    for skeleton in skeletons:
        found = skeleton.voxels_zyx(voxel_size_nm)
        keep = np.all((found >= start) & (found < end), axis=1)
        inside.append(skeleton.cut(keep))
        voxels.append(found[keep])
        left_out += skeleton.length_nm - inside[-1].length_nm
    if not any(len(skeleton.edges) for skeleton in inside):
        raise ValueError(
            f"No edge of {len(skeletons)} skeletons lies in the segmentation "
            f"{segmentation.address}, which covers {segmentation.domain} in "
            f"voxels of {tuple(voxel_size_nm)} nm (zyx). Check that the "
            f"skeletons are in nanometres, and the voxel size."
        )
    labels = labels_at(segmentation, np.concatenate(voxels))
    scores = score(inside, labels, merge_threshold)
    return dataclasses.replace(scores, left_out_nm=left_out)


def labels_at(segmentation: volume.Volume, voxels: np.ndarray) -> np.ndarray:
    """(2) The ids [n] at voxels [n, 3] zyx of a volume, all inside it.

    Reads, of each chunk of storage with such a voxel, the box around them.

    Raises:
      OSError: the volume cannot be read.
    """
    labels = np.zeros(len(voxels), segmentation.dtype)
    cell = _cell(segmentation.info.chunk_zyx)
    at_once = max(_VOXELS_AT_ONCE // math.prod(cell), 1)
    domain = segmentation.domain
    shape = [-(-n // c) for n, c in zip(domain.size, cell)]
    index = np.ravel_multi_index(
        tuple(((voxels - domain.start) // cell).T), shape
    )
    order = np.argsort(index, kind="stable")
    starts = np.flatnonzero(np.diff(index[order], prepend=-1))
    groups = np.split(order, starts[1:])
    for batch in program.watched(
        _batched(groups, at_once),
        -(-len(groups) // at_once),
        "Reading at skeletons",
        "batches",
    ):
        boxes = [_hull(voxels[group]) for group in batch]
        arrays = segmentation.read_many(boxes)
        for group, box, found in zip(batch, boxes, arrays):
            labels[group] = found[tuple((voxels[group] - box.start).T)]
    return labels


def score(
    skeletons: Sequence[graph.Skeleton],
    labels: np.ndarray,
    merge_threshold: int = 0,
) -> SkeletonScores:
    """(3) Scores the ids at the nodes of skeletons.

    Args:
      skeletons: of different ids.
      labels: [n] the segment of each vertex of the first skeleton, then of
        the second, ...; 0 where there is none.
      merge_threshold: see the module's docstring.

    Raises:
      ValueError: two skeletons have one id; they have no length; a threshold
        below 0; labels are not non-negative integers, or of another number
        than vertices.
    """
    ids = np.array([skeleton.id for skeleton in skeletons], np.uint64)
    sizes = np.array([len(s.vertices_nm_zyx) for s in skeletons], np.int64)
    _check(ids, sizes, labels, merge_threshold)
    first = np.cumsum(sizes) - sizes
    num_edges = [len(skeleton.edges) for skeleton in skeletons]
    owner = np.repeat(np.arange(len(ids)), num_edges)
    edges = np.concatenate([s.edges + f for s, f in zip(skeletons, first)])
    lengths = np.concatenate([s.edge_lengths_nm for s in skeletons])
    if not lengths.sum() > 0:
        raise ValueError(f"{len(ids)} skeletons without any length.")

    held = contingency.count(np.repeat(np.arange(len(ids)), sizes), labels)
    merging = _merging_segments(held, merge_threshold)
    touched = held.truth_ids[np.isin(held.segment_ids, merging)]
    one, other = labels.astype(np.uint64)[edges].T
    kinds = _kinds(one, other, merging)
    by_kind = np.bincount(owner * 4 + kinds, lengths, len(ids) * 4)
    is_correct = kinds == Edge.CORRECT
    squares = _squared_runs(
        owner[is_correct], one[is_correct], lengths[is_correct], len(ids)
    )
    rows = _rows(
        ids,
        by_kind.reshape(-1, 4),
        squares,
        splits=np.bincount(owner[kinds == Edge.SPLIT], minlength=len(ids)),
        merges=np.bincount(touched.astype(np.int64), minlength=len(ids)),
    )
    return _summed(rows, len(merging), merge_threshold)


def _check(
    ids: np.ndarray, sizes: np.ndarray, labels: np.ndarray, threshold: int
) -> None:
    if len(np.unique(ids)) < len(ids):
        raise ValueError("Expected skeletons of different ids.")
    if labels.shape != (sizes.sum(),):
        raise ValueError(
            f"Expected an id for each of {sizes.sum()} vertices, found an "
            f"array of shape {labels.shape}."
        )
    if threshold < 0:
        raise ValueError(
            f"merge_threshold: expected a number of nodes, found {threshold}."
        )


def _merging_segments(
    held: contingency.Contingency, threshold: int
) -> np.ndarray:
    """Segments with `threshold` nodes of each of two skeletons, ascending."""
    enough = (held.voxels >= threshold) & (held.segment_ids != 0)
    segments, skeletons = np.unique(
        held.segment_ids[enough], return_counts=True
    )
    return segments[skeletons > 1]


def _kinds(
    one: np.ndarray, other: np.ndarray, merging: np.ndarray
) -> np.ndarray:
    """What each edge [m] between two segments is."""
    return np.select(
        [(one == 0) | (other == 0), one != other, np.isin(one, merging)],
        [Edge.OMITTED, Edge.SPLIT, Edge.MERGED],
        Edge.CORRECT,
    )


def _squared_runs(
    owner: np.ndarray, segment: np.ndarray, lengths: np.ndarray, num: int
) -> np.ndarray:
    """For each of `num` skeletons, the squared lengths in segments, summed."""
    segments, index = np.unique(segment, return_inverse=True)
    pairs, run = np.unique(
        owner * max(len(segments), 1) + index, return_inverse=True
    )
    runs = np.bincount(run, lengths, len(pairs))
    return np.bincount(pairs // max(len(segments), 1), runs**2, num)


def _rows(
    ids: np.ndarray,
    lengths_nm: np.ndarray,
    squares: np.ndarray,
    splits: np.ndarray,
    merges: np.ndarray,
) -> Rows:
    whole = lengths_nm.sum(axis=1)
    erl = np.divide(squares, whole, where=whole > 0, out=np.zeros(len(ids)))
    order = np.argsort(ids)
    return Rows(
        ids=ids[order],
        lengths_nm=lengths_nm[order],
        erl_nm=erl[order],
        contributions_nm=(squares / whole.sum())[order],
        splits=splits[order],
        merges=merges[order],
    )


def _summed(rows: Rows, merging: int, threshold: int) -> SkeletonScores:
    whole = rows.lengths_nm.sum(axis=1)
    total = whole.sum()
    shares = rows.lengths_nm.sum(axis=0) / total
    return SkeletonScores(
        erl_nm=float(rows.contributions_nm.sum()),
        best_erl_nm=float((whole**2).sum() / total),
        **{kind.name.lower(): float(shares[kind]) for kind in Edge},
        length_nm=float(total),
        left_out_nm=0.0,
        merging_segments=merging,
        merge_threshold=threshold,
        rows=rows,
    )


def _cell(chunk: volume.box.Triple) -> volume.box.Triple:
    """The chunk, or a part of it where it is too large to be read at once."""
    cell = list(chunk)
    while math.prod(cell) > _VOXELS_AT_ONCE:
        longest = cell.index(max(cell))
        cell[longest] = -(-cell[longest] // 2)
    return cell[0], cell[1], cell[2]


def _hull(voxels: np.ndarray) -> volume.Box:
    return volume.Box(voxels.min(axis=0), voxels.max(axis=0) + 1)


def _batched(groups: list[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    rest = iter(groups)
    while batch := list(itertools.islice(rest, size)):
        yield batch
