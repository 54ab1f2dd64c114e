"""(5) Global ids: one for all parts of an object, in all pieces.

    piece 0, id 1 --.
    piece 1, id 4 --+-- matched ---> one set ---> global id 1
    piece 1, id 5 ------ alone ----> one set ---> global id 2

Ids count from 1 without gaps, in the order of the sets' first parts: by piece,
then by id in it. Nothing depends on the order in which overlaps were counted.

What has fewer voxels in all cores together than objects of the run have at
least becomes 0: what is left of an object at a seam, say, of which the
neighbour has nothing.

With `split_cc` the parts of a set that do not hang together become objects of
their own: numbers of cores, joined where two that touch are of one set.

Memory: the ids of all pieces, some 100 bytes for each, whatever the number of
voxels.
"""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses

import numpy as np

from ffn_tf.assembly.matching import Matched, Rule, matched
from ffn_tf.assembly.overlaps import Known
from ffn_tf.assembly.union_find import Forest


@dataclasses.dataclass(frozen=True, eq=False)
class GlobalIds:
    """What became of the objects of all pieces.

    Attributes:
      of_numbers: for each piece [n + 1] uint64: the global id of each number
        of its core; 0 for 0.
      voxels: [m + 1] int64, of each global id.
      boxes: [m + 1, 2, 3] int64: first voxel and end, zyx.
      seeds: [m + 1, 3] int64: of the largest part whose seed is known; else -1.
      num_pieces: [m + 1] int64: in how many pieces it has voxels.
      num_parts: [m + 1] int64: objects of pieces that it is made of. More than
        `num_pieces`: two objects of one piece were joined by way of another.
      met, best, joined: pairs of ids that share a voxel in an overlap; are each
        other's best; were joined.
      crumbs: segments that were too small, and their voxels.
    """

    of_numbers: list[np.ndarray]
    voxels: np.ndarray
    boxes: np.ndarray
    seeds: np.ndarray
    num_pieces: np.ndarray
    num_parts: np.ndarray
    met: int
    best: int
    joined: int
    crumbs: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        return len(self.voxels) - 1


def assigned(
    known: Iterable[Known],
    rule: Rule,
    *,
    split_cc: bool = False,
    min_voxels: int = 0,
) -> GlobalIds:
    """The global ids of all numbers of all cores.

    Args:
      known: of each piece, in their order; taken one by one, and kept without
        the tables.
      rule: when ids of two pieces are one object.
      split_cc: whether numbers of one object that do not hang together become
        objects of their own.
      min_voxels: of a segment; smaller ones are left out.
    """
    pieces: list[Known] = []
    found: dict[tuple[int, int], Matched] = {}
    for piece in known:  # enumerate would hold it, too.
        found |= {
            (len(pieces), other): matched(table, rule)
            for other, table in piece.shared.items()
        }
        pieces.append(dataclasses.replace(piece, shared={}))
        del piece  # While the next one is read.
    nodes = _Nodes([piece.ids for piece in pieces])
    forest = Forest(nodes.total)
    for (index, other), one in found.items():
        first = nodes.of(index, one.pairs[:, 0])
        second = nodes.of(other, one.pairs[:, 1])
        forest.join(np.stack([first, second], axis=1))
    numbers = _Numbers(pieces, nodes)
    sets = forest.roots()[numbers.nodes]
    if split_cc:
        sets = numbers.hanging_together(pieces, sets)
    return _counted(
        numbers,
        sets,
        pieces,
        min_voxels,
        met=sum(one.num_met for one in found.values()),
        best=sum(one.num_best for one in found.values()),
        joined=sum(len(one.pairs) for one in found.values()),
    )


class _Nodes:
    """One node for each id of each piece."""

    def __init__(self, ids: list[np.ndarray]) -> None:
        self._ids = ids
        self._offsets = np.cumsum([0, *map(len, ids)])
        self.total = int(self._offsets[-1])

    def of(self, piece: int, ids: np.ndarray) -> np.ndarray:
        """[n] int64, of ids that the piece has."""
        return self._offsets[piece] + np.searchsorted(self._ids[piece], ids)


class _Numbers:
    """The numbers of all cores, one after another, without those for 0.

    Attributes:
      nodes: [n] of each number's id.
      piece: [n] whose it is.
    """

    def __init__(self, pieces: list[Known], nodes: _Nodes) -> None:
        counts = [len(piece.number_ids) - 1 for piece in pieces]
        self._offsets = np.cumsum([0, *counts])
        self.piece = np.repeat(np.arange(len(pieces)), counts)
        self.nodes = _joined(
            [
                nodes.of(index, piece.number_ids[1:])
                for index, piece in enumerate(pieces)
            ]
        )

    def of(self, piece: int, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(self._offsets[piece] + numbers - 1)

    def hanging_together(
        self, pieces: list[Known], sets: np.ndarray
    ) -> np.ndarray:
        """Sets of those that touch, and were in one set before."""
        forest = Forest(len(sets))
        for index, piece in enumerate(pieces):
            for other, pairs in piece.touching.items():
                first = self.of(index, pairs[:, 0])
                second = self.of(other, pairs[:, 1])
                one = sets[first] == sets[second]
                forest.join(np.stack([first[one], second[one]], axis=1))
        return forest.roots()

    def by_piece(self, values: np.ndarray) -> list[np.ndarray]:
        """[n + 1] for each piece, with 0 for number 0."""
        return [
            np.append(np.zeros(1, values.dtype), values[first:end])
            for first, end in zip(self._offsets, self._offsets[1:])
        ]


def _counted(
    numbers: _Numbers,
    sets: np.ndarray,
    pieces: list[Known],
    min_voxels: int,
    met: int,
    best: int,
    joined: int,
) -> GlobalIds:
    voxels = _joined([piece.voxels[1:] for piece in pieces])
    of_number, crumbs = _ids(sets, voxels, min_voxels)
    kept = of_number > 0
    ids, voxels = of_number[kept], voxels[kept]
    total = int(ids.max(initial=0)) + 1
    boxes = np.concatenate([piece.boxes[1:] for piece in pieces])[kept]
    seeds = np.concatenate([piece.seeds[1:] for piece in pieces])[kept]
    least = np.full((total, 3), np.iinfo(np.int64).max)
    most = np.zeros((total, 3), np.int64)
    np.minimum.at(least, ids, boxes[:, 0])
    np.maximum.at(most, ids, boxes[:, 1])
    least[0] = 0
    of_id = np.zeros(total, np.int64)
    np.add.at(of_id, ids, voxels)
    return GlobalIds(
        numbers.by_piece(of_number.astype(np.uint64)),
        of_id,
        np.stack([least, most], axis=1),
        _seeds(seeds, ids, voxels, total),
        _distinct(ids, numbers.piece[kept], total),
        _distinct(ids, numbers.nodes[kept], total),
        met,
        best,
        joined,
        crumbs,
    )


def _ids(
    sets: np.ndarray, voxels: np.ndarray, min_voxels: int
) -> tuple[np.ndarray, tuple[int, int]]:
    """[n] int64, of each number, 0 of crumbs; how many, and their voxels."""
    roots, index = np.unique(sets, return_inverse=True)
    sizes = np.zeros(len(roots), np.int64)
    np.add.at(sizes, index, voxels)
    kept = sizes >= min_voxels
    ids = np.where(kept, np.cumsum(kept), 0)
    return ids[index], (int((~kept).sum()), int(sizes[~kept].sum()))


def _seeds(
    seeds: np.ndarray, ids: np.ndarray, voxels: np.ndarray, total: int
) -> np.ndarray:
    found = np.full((total, 3), -1, np.int64)
    # The last one that is written stays: the largest; of equals, the first.
    order = np.lexsort((-np.arange(len(ids)), voxels))
    order = order[seeds[order, 0] >= 0]
    found[ids[order]] = seeds[order]
    return found


def _distinct(ids: np.ndarray, others: np.ndarray, total: int) -> np.ndarray:
    """[total]: how many different others each id has."""
    pairs = np.unique(np.stack([ids, others], axis=1), axis=0)
    return np.bincount(pairs[:, 0], minlength=total)


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays).astype(np.int64)
