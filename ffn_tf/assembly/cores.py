"""(2) Cores: the voxels that each piece gives, with numbers of their own.

    voxels of the file ---> numbers 1..n, of which `ids` says the id
                            split: of which each is one connected part

A number is an object of the piece, or with `split_cc` a part of it that hangs
together within the core. `Core.ids` gives back the id that it has in the file.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
import dataclasses
import threading
from typing import Generic, TypeVar

import numpy as np

from ffn_tf import volume
from ffn_tf.assembly.pieces import Piece, Pieces
from ffn_tf.inference import subvolume
from ffn_tf.volume.box import Box, Triple, triple


@dataclasses.dataclass(frozen=True, eq=False)
class Core:
    """One piece's core.

    Attributes:
      box: where it lies.
      voxels: [z, y, x] unsigned numbers, 0 background.
      ids: [n + 1] uint64: the id of each number; 0 for 0.
    """

    box: Box
    voxels: np.ndarray
    ids: np.ndarray

    def part(self, box: Box) -> np.ndarray:
        """The numbers of a box within the core."""
        return self.voxels[box.relative_to(self.box.start).slices]


def core(piece: Piece, labels: np.ndarray, *, split_cc: bool) -> Core:
    """The core of a piece, of which `labels` [z, y, x] are the voxels."""
    inner = labels[piece.core.relative_to(piece.box.start).slices]
    voxels, old = volume.labels.contiguous(inner)
    ids = old.astype(np.uint64)
    if split_cc:
        parts = volume.labels.components(voxels)
        of_part = np.zeros(int(parts.max(initial=0)) + 1, np.uint64)
        for section, numbers in zip(parts, voxels):  # Less memory.
            of_part[section] = ids[numbers]
        voxels, ids = parts, of_part
    return Core(piece.core, voxels, ids)


class Loader:
    """Pieces and cores, of which the last few stay in memory.

    Any thread may use it.

    Args:
      pieces: what there is.
      split_cc: see `core`.
      max_bytes: that stay; the newest stays, however large.
    """

    def __init__(
        self, pieces: Pieces, *, split_cc: bool, max_bytes: int = 2**30
    ) -> None:
        self._pieces = pieces
        self._split_cc = split_cc
        self._labels: _Kept[_Labels] = _Kept(max_bytes // 2)
        self._cores: _Kept[Core] = _Kept(max_bytes // 2)

    def labels(self, index: int) -> np.ndarray:
        """All voxels of a piece: [z, y, x], its own ids.

        Raises:
          ValueError: the file is damaged, or has changed.
        """
        return self._loaded(index).voxels

    def seeds(self, index: int) -> dict[int, Triple]:
        """{id: first voxel, zyx, of the volume}, of a piece's objects."""
        return self._loaded(index).seeds

    def core(self, index: int) -> Core:
        """The core of a piece; errors as `labels`."""
        return self._cores.get(
            index,
            lambda: core(
                self._pieces.all[index],
                self.labels(index),
                split_cc=self._split_cc,
            ),
        )

    def _loaded(self, index: int) -> _Labels:
        return self._labels.get(index, lambda: self._load(index))

    def _load(self, index: int) -> _Labels:
        piece = self._pieces.all[index]
        loaded = subvolume.load(piece.path)
        if loaded.box != piece.box:
            raise ValueError(
                f"{piece.path}: has changed: it was {piece.box}, and is "
                f"{loaded.box}. Run the same again."
            )
        start = np.array(piece.box.start)
        seeds = {
            label: triple((start + origin.start_zyx).tolist())
            for label, origin in loaded.origins.items()
        }
        return _Labels(loaded.segmentation, seeds)


@dataclasses.dataclass(frozen=True, eq=False)
class _Labels:
    """What is needed of a file."""

    voxels: np.ndarray
    seeds: dict[int, Triple]


_T = TypeVar("_T", _Labels, Core)


class _Kept(Generic[_T]):
    """What was used last, up to some bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._found: collections.OrderedDict[int, _T] = (
            collections.OrderedDict()
        )
        self._locks: dict[int, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, index: int, make: Callable[[], _T]) -> _T:
        with self._lock:
            lock = self._locks.setdefault(index, threading.Lock())
        with lock:  # Two threads that want the same: one makes it.
            with self._lock:
                if index in self._found:
                    self._found.move_to_end(index)
                    return self._found[index]
            made = make()
            with self._lock:
                self._found[index] = made
                self._forget()
            return made

    def _forget(self) -> None:
        total = sum(one.voxels.nbytes for one in self._found.values())
        while total > self._max_bytes and len(self._found) > 1:
            _, oldest = self._found.popitem(last=False)
            total -= oldest.voxels.nbytes
