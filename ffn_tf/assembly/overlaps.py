"""(3) Overlaps: what is to be known of each piece, so that ids can be matched.

    shared    for each later piece that overlaps this one: which ids share how
              many voxels there (volume.contingency), zeros included
    touching  for this piece, and each later one whose core touches this core:
              which numbers touch through a face; only where parts are told
              apart
    ids       all ids of the piece
    number_ids, voxels, boxes, seeds    of the numbers of its core (cores.py)

What is known of a piece is a file in the working folder, written whole or not
at all; one that is there is not made again.

    <work_dir>/overlaps/<digest>/<x>_<y>_<z>.npz

The digest is of the voxels of all pieces, and of whether parts are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
import hashlib
import os
import pathlib

import cc3d
import fastremap
import numpy as np
from scipy import ndimage

from ffn_tf import volume
from ffn_tf.assembly.cores import Core, Loader
from ffn_tf.assembly.pieces import Pieces
from ffn_tf.inference import archive
from ffn_tf.volume.box import Box, Triple, triple
from ffn_tf.volume.contingency import Contingency


@dataclasses.dataclass(frozen=True, eq=False)
class Known:
    """What is known of one piece.

    Attributes:
      ids: [m] uint64, ascending: 0, and all that its voxels have.
      number_ids: [n + 1] uint64: of each number of its core; 0 for 0.
      voxels: [n + 1] int64, of each number in the core.
      boxes: [n + 1, 2, 3] int64: first voxel and end, zyx, of each number;
        all 0 where it has no voxels.
      seeds: [n + 1, 3] int64, zyx: where its object was begun; -1: not known,
        or of parts that are told apart, not in this one.
      shared: {later piece: table}, truth_ids of this piece, segment_ids of the
        other.
      touching: {this or later piece: [m, 2] int64}, numbers of this and of the
        other.
    """

    ids: np.ndarray
    number_ids: np.ndarray
    voxels: np.ndarray
    boxes: np.ndarray
    seeds: np.ndarray
    shared: dict[int, Contingency]
    touching: dict[int, np.ndarray]


def known(pieces: Pieces, loader: Loader, index: int, split_cc: bool) -> Known:
    """What is to be known of a piece.

    Raises:
      ValueError: it, or one that it overlaps, is damaged.
    """
    # Held from here on: the loader may have room for one piece alone.
    mine, labels = loader.core(index), loader.labels(index)
    box, seeds = pieces.all[index].box, loader.seeds(index)
    voxels = np.zeros(len(mine.ids), np.int64)
    numbers, counts = fastremap.unique(mine.voxels, return_counts=True)
    voxels[numbers] = counts
    shared, touching = {}, {}
    if split_cc:
        touching[index] = _within(mine)
    for other in pieces.neighbours(index):
        both = box.clipped(pieces.all[other].box)
        shared[other] = volume.contingency.count(
            labels[both.relative_to(box.start).slices],
            _part(loader, pieces, other, both),
        )
        if split_cc:
            touching[other] = _touching(mine, loader.core(other))
    ids = fastremap.unique(labels).astype(np.uint64)
    return Known(
        np.union1d(ids, np.zeros(1, np.uint64)),
        mine.ids,
        voxels,
        _boxes(mine),
        _seeds(mine, seeds, split_cc),
        shared,
        touching,
    )


def _part(loader: Loader, pieces: Pieces, index: int, box: Box) -> np.ndarray:
    start = pieces.all[index].box.start
    return loader.labels(index)[box.relative_to(start).slices]


def _boxes(core: Core) -> np.ndarray:
    found = np.zeros((len(core.ids), 2, 3), np.int64)
    for number, where in enumerate(ndimage.find_objects(core.voxels), 1):
        if where is not None:
            found[number] = [
                [part.start for part in where],
                [part.stop for part in where],
            ]
            found[number] += core.box.start
    return found


def _seeds(
    core: Core, of_ids: Mapping[int, Triple], split_cc: bool
) -> np.ndarray:
    found = np.full((len(core.ids), 3), -1, np.int64)
    for number, label in enumerate(core.ids.tolist()):
        seed = of_ids.get(label)
        if seed and (not split_cc or _has(core, number, seed)):
            found[number] = seed
    return found


def _has(core: Core, number: int, voxel: Triple) -> bool:
    box = Box.from_size(voxel, (1, 1, 1))
    return core.box.contains(box) and core.part(box).item() == number


def _within(core: Core) -> np.ndarray:
    """Numbers of a core that touch through a face."""
    found = cc3d.region_graph(core.voxels, connectivity=6)
    return np.array(sorted(found), np.int64).reshape(-1, 2)


def _touching(mine: Core, other: Core) -> np.ndarray:
    """Numbers that touch through the face that two cores share, if any."""
    for axis in range(3):
        for first, second in ((mine, other), (other, mine)):
            if first.box.end[axis] != second.box.start[axis]:
                continue
            here, there = _plane(first.box, axis, -1), _plane(second.box, axis)
            step = [int(axis == n) for n in range(3)]
            here = here.clipped(there.translated([-n for n in step]))
            if here.is_empty:
                continue
            pair = [first.part(here), second.part(here.translated(step))]
            if first is other:
                pair.reverse()
            a, b = (part.ravel().astype(np.int64) for part in pair)
            both = (a != 0) & (b != 0)
            return np.unique(np.stack([a[both], b[both]], axis=1), axis=0)
    return np.zeros((0, 2), np.int64)


def _plane(box: Box, axis: int, which: int = 0) -> Box:
    """The first, or last, plane of voxels of a box."""
    start, end = list(box.start), list(box.end)
    if which:
        start[axis] = end[axis] - 1
    else:
        end[axis] = start[axis] + 1
    return Box(triple(start), triple(end))


# -----------------------------------------------------------------------------
# Files
# -----------------------------------------------------------------------------

_ARRAYS = ("ids", "number_ids", "voxels", "boxes", "seeds")


class Folder:
    """What is known of one set of pieces, as files.

    Args:
      path: the working folder; made if missing.
      pieces, split_cc: what the files are about.

    Attributes:
      total: how many pieces there are.

    Raises:
      OSError: the folder cannot be made or written.
    """

    def __init__(
        self, path: pathlib.Path, pieces: Pieces, split_cc: bool
    ) -> None:
        self._pieces, self._split_cc = pieces, split_cc
        self.total = len(pieces.all)
        about = f"{pieces.digest} {split_cc}"
        digest = hashlib.sha256(about.encode()).hexdigest()[:16]
        self._path = path / "overlaps" / digest
        remedy = "name a folder that can be written with --work_dir."
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise type(error)(
                f"{path}: cannot be made ({error.strerror}); {remedy}"
            ) from error
        if not os.access(self._path, os.W_OK):
            raise PermissionError(f"{path}: cannot be written; {remedy}")

    def todo(self) -> Iterator[int]:
        """Pieces of which there is no file."""
        for index in range(self.total):
            if not self._file(index).exists():
                yield index

    def _file(self, index: int) -> pathlib.Path:
        # Of another name than pieces have, which it may lie among.
        name = self._pieces.all[index].path.name
        return self._path / name.removeprefix("seg-")

    def known(self, loader: Loader, index: int) -> Known:
        """As the function of this name."""
        return known(self._pieces, loader, index, self._split_cc)

    def save(self, index: int, what: Known) -> None:
        members = {name: getattr(what, name) for name in _ARRAYS}
        for other, table in what.shared.items():
            members[f"shared/{other}"] = np.stack(
                [
                    table.truth_ids,
                    table.segment_ids,
                    table.voxels.astype(np.uint64),
                ]
            )
        for other, pairs in what.touching.items():
            members[f"touching/{other}"] = pairs
        archive.write(self._file(index), members)

    def load(self, index: int) -> Known:
        """What was saved.

        Raises:
          ValueError: the file is damaged.
        """
        shared, touching = {}, {}
        with archive.read(self._file(index)) as file:
            for other in self._pieces.neighbours(index):
                first, second, voxels = file.array(f"shared/{other}")
                shared[other] = Contingency(
                    first, second, voxels.astype(np.int64)
                )
            if self._split_cc:
                touching = {
                    other: file.array(f"touching/{other}")
                    for other in (index, *shared)
                }
            arrays = {name: file.array(name) for name in _ARRAYS}
            return Known(**arrays, shared=shared, touching=touching)
