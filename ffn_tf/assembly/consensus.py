"""Split consensus: two voxels are one object only if both segmentations agree.

    first   1 1 1 1 1 2 2 0        consensus   1 1 1 3 3 2 0 0
    second  5 5 5 6 6 7 0 7

Each pair (id of the first, id of the second) that has split_min_size voxels
becomes an object; smaller ones, and all where the first has none, become 0. The
pair that has the most voxels of an id of the first keeps that id, of equals the
one with the least id of the second; a pair with 0 of the second is one, too.
The others get new ids, from the largest of the first on, ordered by (second,
first). So google/ffn has it (Januszewski et al., 2018, oversegmentation
consensus), subvolume by subvolume; here the volumes may be of any size.

Objects of a consensus need not hang together: `reconcile --split_cc`, or
volume.labels.components_volume.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools

import numpy as np

from ffn_tf import volume
from ffn_tf.volume.box import Box
from ffn_tf.volume.contingency import Contingency
from ffn_tf.volume.views import view


@dataclasses.dataclass(frozen=True, eq=False)
class Consensus:
    """What becomes of each pair of ids.

    Attributes:
      first_ids, second_ids: [n] uint64, pairs, ordered by first, then second.
      ids: [n] uint64: that of the pair; 0 if it is none.
      kept, split, dropped: pairs that keep the first's id; have a new one;
        are too small.
    """

    first_ids: np.ndarray
    second_ids: np.ndarray
    ids: np.ndarray
    kept: int
    split: int
    dropped: int

    def of(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Ids uint64 of voxels, of the shape of both arrays."""
        a, b = first.reshape(-1), second.reshape(-1)
        begins = np.ones(a.size, bool)  # Neighbours are mostly of one pair.
        begins[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
        starts = np.flatnonzero(begins)
        found = self._of_pairs(
            a[starts].astype(np.uint64), b[starts].astype(np.uint64)
        )
        lengths = np.diff(starts, append=a.size)
        return np.repeat(found, lengths).reshape(first.shape)

    def _of_pairs(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """[n] ids of pairs that are among those of the consensus."""
        at = np.searchsorted(self._keys, self._key(first, second))
        found: np.ndarray = self.ids[at]
        return found

    def _key(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """[n] int64, ordered as pairs are."""
        seconds = self._seconds
        place = np.searchsorted(self._firsts, first)
        return place * len(seconds) + np.searchsorted(seconds, second)

    @functools.cached_property
    def _keys(self) -> np.ndarray:
        return self._key(self.first_ids, self.second_ids)

    @functools.cached_property
    def _firsts(self) -> np.ndarray:
        return np.unique(self.first_ids)

    @functools.cached_property
    def _seconds(self) -> np.ndarray:
        return np.unique(self.second_ids)


def split(table: Contingency, min_size: int) -> Consensus:
    """The consensus of two segmentations, from their pairs of ids.

    Args:
      table: all voxels, zeros included: `truth_ids` of the first.
      min_size: voxels of a pair, at least.
    """
    first, second = table.truth_ids, table.segment_ids
    order = np.lexsort((second, -table.voxels, first))
    best = np.zeros(len(first), bool)
    leads = np.ones(len(first), bool)
    leads[1:] = first[order][1:] != first[order][:-1]
    best[order] = leads
    large = (table.voxels >= min_size) & (first != 0)
    ids = np.where(large & best, first, np.uint64(0))
    new = np.flatnonzero(large & ~best)
    new = new[np.lexsort((first[new], second[new]))]
    largest = int(first.max(initial=0))
    ids[new] = np.arange(largest + 1, largest + 1 + len(new), dtype=np.uint64)
    inside = first != 0
    return Consensus(
        first,
        second,
        ids,
        kept=int((large & best).sum()),
        split=len(new),
        dropped=int((inside & ~large).sum()),
    )


class Agreed(view.View):
    """The consensus of two volumes.

    Args:
      first, second: label volumes; `box` lies in both.
      box: of the result.
      consensus: of their voxels within the box.
    """

    def __init__(
        self,
        first: volume.Volume,
        second: volume.Volume,
        box: Box,
        consensus: Consensus,
    ) -> None:
        info = dataclasses.replace(
            first.info, domain=box, dtype=np.dtype(np.uint64)
        )
        super().__init__([first, second], info, f"agreed: {second.address}")
        self._consensus = consensus

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        first, second = (opened.read_many(boxes) for opened in self.volumes)
        return [self._consensus.of(a, b) for a, b in zip(first, second)]
