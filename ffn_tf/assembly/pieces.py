"""(1) Pieces: the results of subvolumes, and which voxels each of them gives.

    axis      [------- piece 0 -------)
                            [------- piece 1 -------)
    overlap                 [---------)
    cores     [------------------|------------------)

Along each axis pieces begin at some places and end at some, in the same order;
a piece is the product of three such intervals. Cores end in the middles of the
overlaps, so each voxel is in one core. Near its end a piece knows least: no
field of view is centred within half of one of it (the margin). So overlaps of
less than two margins leave places where no field of view was centred in either
piece, and overlaps of less than one are refused.

The pieces of a folder are of one run: the same image, network and options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import hashlib
import itertools
import json
import math
import pathlib
import reprlib
from typing import Any

import numpy as np

from ffn_tf.inference import protos, subvolume, tiling
from ffn_tf.volume.address import reversed_axes
from ffn_tf.volume.box import Box, Triple, triple

# What pieces of one run may differ in: they lie elsewhere, and an attempt that
# goes on may be of a later version, and find the network (whose digest is
# `model_checkpoint`) at another path.
_OF_EACH = ("start_zyx", "size_zyx", "code", "model")
# Differences of two runs that are told.
_TOLD = 5


@dataclasses.dataclass(frozen=True)
class Piece:
    """One result.

    Attributes:
      path: its file.
      box: of its voxels.
      core: of those that are taken from it.
      checksum: of its voxels.
    """

    path: pathlib.Path
    box: Box
    core: Box
    checksum: int


@dataclasses.dataclass(frozen=True)
class Pieces:
    """The results of a run, by z, y, x of their corners.

    Attributes:
      all: one or more.
      voxel_size_nm: zyx; (1, 1, 1) where unknown.
      made_by: what the pieces have in common; JSON values.
      missing: corners (zyx) that have no piece, and should.
      empty: how many have none because they have no tissue.
      gap_zyx: voxels between neighbouring pieces where no field of view was
        centred; 0 where the overlap suffices.
      min_voxels: what objects of the run have at least.
    """

    all: tuple[Piece, ...]
    voxel_size_nm: tuple[float, float, float]
    made_by: Mapping[str, Any]
    missing: tuple[Triple, ...] = ()
    empty: int = 0
    gap_zyx: Triple = (0, 0, 0)
    min_voxels: int = 0

    @property
    def domain(self) -> Box:
        """All that is covered."""
        starts = np.min([piece.box.start for piece in self.all], axis=0)
        ends = np.max([piece.box.end for piece in self.all], axis=0)
        return Box(triple(starts.tolist()), triple(ends.tolist()))

    def neighbours(self, index: int) -> list[int]:
        """Pieces after this one whose voxels are partly the same."""
        found = _meeting(self._boxes, self.all[index].box)
        return [other for other in found if other > index]

    def with_core_in(self, box: Box) -> list[int]:
        """Pieces whose core has voxels of a box."""
        return _meeting(self._cores, box)

    @functools.cached_property
    def _boxes(self) -> np.ndarray:
        return np.array([(p.box.start, p.box.end) for p in self.all])

    @functools.cached_property
    def _cores(self) -> np.ndarray:
        return np.array([(p.core.start, p.core.end) for p in self.all])

    @property
    def digest(self) -> str:
        """Tells these voxels from others, wherever their files lie."""
        told = [(piece.box.start, piece.checksum) for piece in self.all]
        return hashlib.sha256(repr(told).encode()).hexdigest()


def _meeting(boxes: np.ndarray, box: Box) -> list[int]:
    """Which of `boxes` [n, 2, 3] have voxels of a box."""
    begin_before = (boxes[:, 0] < box.end).all(axis=1)
    end_after = (boxes[:, 1] > box.start).all(axis=1)
    return np.flatnonzero(begin_before & end_after).tolist()


def found(folder: str, *, allow_missing: bool = False) -> Pieces:
    """The pieces in a folder of run_inference, ours or google/ffn's.

    Args:
      folder: with the files of subvolume.py.
      allow_missing: leave voxels of missing pieces 0.

    Raises:
      FileNotFoundError: no pieces, or some are missing.
      ValueError: pieces of several runs, or that do not fit each other, or
        that overlap too little, or damaged ones.
    """
    paths = subvolume.find(folder)
    if not paths:
        raise FileNotFoundError(
            f"{folder}: no seg-<x>_<y>_<z>.npz in it; expected the "
            f"--segmentation_output_dir of run_inference."
        )
    headers = {path: subvolume.header(path) for path in paths.values()}
    made_by = _in_common(folder, headers)
    boxes = [header.box for header in headers.values()]
    cut = tiling.read(folder)
    if cut is None or not cut.has(boxes):
        cut = _guessed(boxes)
    axes = [_Axis(folder, axis, pairs) for axis, pairs in enumerate(cut.axes)]
    missing = tuple(sorted(cut.todo - {box.start for box in boxes}))
    if missing and not allow_missing:
        raise FileNotFoundError(
            f"{folder}: {len(missing)} of {len(cut.todo)} subvolumes are "
            f"missing, at zyx {_few(missing)}. Run the same run_inference "
            f"again, which makes what is missing; or give --allow_missing, and "
            f"they remain empty."
        )
    first = next(iter(headers.values()))
    source = f"{next(iter(headers))}: request"
    margins = _margins(first, source)
    for axis, margin in zip(axes, margins):
        axis.check_overlaps(margin)
    return Pieces(
        tuple(
            Piece(path, header.box, _core(axes, header.box), header.checksum)
            for path, header in headers.items()
        ),
        tuple(first.provenance.get("voxel_size_nm", (1.0, 1.0, 1.0))),
        made_by,
        missing,
        math.prod(len(pairs) for pairs in cut.axes) - len(cut.todo),
        triple(axis.gap(margin) for axis, margin in zip(axes, margins)),
        _min_voxels(first, source),
    )


def _guessed(boxes: Sequence[Box]) -> tiling.Tiling:
    """What the folder does not say: all that lies between is to be done."""
    axes = [
        sorted({(box.start[axis], box.end[axis]) for box in boxes})
        for axis in range(3)
    ]
    starts = [sorted({start for start, _ in pairs}) for pairs in axes]
    corners = map(triple, itertools.product(*starts))
    return tiling.Tiling(axes, frozenset(corners))


def _in_common(
    folder: str, headers: Mapping[pathlib.Path, subvolume.Header]
) -> dict[str, Any]:
    """What made all of them."""
    first, *others = headers
    made = _made_by(headers[first])
    for path in others:
        other = _made_by(headers[path])
        differs = [
            f"{name}: {reprlib.repr(one)} and {reprlib.repr(two)}"
            for name in sorted(made.keys() | other.keys())
            if (one := made.get(name)) != (two := other.get(name))
        ]
        if differs:
            told = "; ".join(differs[:_TOLD])
            told += "; ..." if len(differs) > _TOLD else ""
            raise ValueError(
                f"{folder}: {first.name} and {path.name} are not of one run "
                f"({told}), so their objects cannot be compared. Expected the "
                f"results of one run_inference."
            )
    return made


def _made_by(header: subvolume.Header) -> dict[str, Any]:
    if not header.provenance:  # google/ffn's.
        return {"request": hashlib.sha256(header.request).hexdigest()}
    return {
        name: value
        for name, value in header.provenance.items()
        if name not in _OF_EACH
    }


def _margins(header: subvolume.Header, source: str) -> Triple:
    """Half a field of view, zyx; 0 where the file does not say it."""
    size = header.provenance.get("fov_size_zyx")
    if size is None and header.request:
        # Not request.py, which refuses what run_inference cannot do.
        asked = protos.parse_binary("InferenceRequest", header.request, source)
        arguments = json.loads(asked.model_args or "{}")
        size = reversed_axes(arguments.get("fov_size", (1, 1, 1)))
    return triple(n // 2 for n in size or (1, 1, 1))


def _min_voxels(header: subvolume.Header, source: str) -> int:
    """What objects have at least; 0 where the file does not say it.

    Those that were there before the run may be smaller.
    """
    made = header.provenance
    if made.get("init_segmentation"):
        return 0
    if consensus := made.get("consensus"):
        return int(consensus["split_min_size"])
    if options := made.get("options"):
        return int(options["min_segment_size"])
    asked = protos.parse_binary("InferenceRequest", header.request, source)
    return int(asked.inference_options.min_segment_size)


class _Axis:
    """Where pieces begin and end along an axis."""

    def __init__(
        self, folder: str, axis: int, pairs: Sequence[tuple[int, int]]
    ) -> None:
        self._folder = folder
        self._name = "zyx"[axis]
        self.starts = [start for start, _ in pairs]
        self._ends = [end for _, end in pairs]
        for before, after in itertools.pairwise(pairs):
            if before[0] == after[0] or before[1] >= after[1]:
                raise ValueError(
                    f"{folder}: subvolumes lie at {self._name} {before[0]} to "
                    f"{before[1]} and at {after[0]} to {after[1]}; expected "
                    f"the regular grid of one run_inference, in which none "
                    f"lies within another."
                )
        # Where the core of one ends, and that of the next begins.
        self._middles = [
            (start + end) // 2
            for start, end in zip(self.starts[1:], self._ends)
        ]

    @property
    def _overlaps(self) -> list[int]:
        return [end - start for start, end in zip(self.starts[1:], self._ends)]

    def check_overlaps(self, margin: int) -> None:
        for overlap, start in zip(self._overlaps, self.starts[1:]):
            if overlap < max(1, margin):
                raise ValueError(
                    f"{self._folder}: the subvolumes that meet at "
                    f"{self._name} {start} overlap by {overlap} voxels; "
                    f"expected at least half a field of view, "
                    f"{max(1, margin)}, for objects to be recognised, and "
                    f"better twice that. Run run_inference with a larger "
                    f"--overlap_zyx (or with what is missing in between)."
                )

    def gap(self, margin: int) -> int:
        return max(0, 2 * margin - min(self._overlaps, default=2 * margin))

    def core(self, start: int) -> tuple[int, int]:
        place = self.starts.index(start)
        limits = [self.starts[0], *self._middles, self._ends[-1]]
        return limits[place], limits[place + 1]


def _core(axes: Sequence[_Axis], box: Box) -> Box:
    limits = [axis.core(start) for axis, start in zip(axes, box.start)]
    return Box(
        triple(first for first, _ in limits), triple(end for _, end in limits)
    )


def _few(corners: Sequence[Triple]) -> str:
    shown = ", ".join(map(str, corners[:5]))
    return shown + (", ..." if len(corners) > 5 else "")
