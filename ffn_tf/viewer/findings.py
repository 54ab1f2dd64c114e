"""Findings: what a run of run_inference has made so far, in numbers.

    subvolume files     each read once, when it is there
    canvases            what is under way in this process, as it is now

Objects are counted by their size and by the network calls that they took, so
that findings are as small for a million subvolumes as for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import pathlib

import numpy as np

from ffn_tf import volume
from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.inference import subvolume

# Classes of a histogram: 4 for a factor of ten, the first of 0, then from 1 on.
PER_DECADE = 4
_CLASSES = 1 + 12 * PER_DECADE
_LARGEST = 10


@dataclasses.dataclass(frozen=True)
class Object:
    """One of the largest.

    Attributes:
      seed_zyx: in the volume.
    """

    voxels: int
    steps: int
    seed_zyx: tuple[int, int, int]


@dataclasses.dataclass(frozen=True, eq=False)
class Findings:
    """Of some subvolumes; a sum is of all of them.

    Attributes:
      objects: how many.
      voxels: of objects; of all that was looked at.
      sizes, steps: [classes] objects of so many voxels, network calls.
      largest: objects, at most ten.
      counters: what became of seeds and moves; see inference/canvas.py.
    """

    objects: int = 0
    voxels: int = 0
    all_voxels: int = 0
    sizes: np.ndarray = dataclasses.field(
        default_factory=lambda: np.zeros(_CLASSES, np.int64)
    )
    steps: np.ndarray = dataclasses.field(
        default_factory=lambda: np.zeros(_CLASSES, np.int64)
    )
    largest: tuple[Object, ...] = ()
    counters: dict[str, int] = dataclasses.field(default_factory=dict)

    def __add__(self, other: Findings) -> Findings:
        names = [*self.counters, *(other.counters.keys() - self.counters)]
        return Findings(
            self.objects + other.objects,
            self.voxels + other.voxels,
            self.all_voxels + other.all_voxels,
            self.sizes + other.sizes,
            self.steps + other.steps,
            _largest([*self.largest, *other.largest]),
            {
                name: self.counters.get(name, 0) + other.counters.get(name, 0)
                for name in names
            },
        )


def _largest(objects: Iterable[Object]) -> tuple[Object, ...]:
    return tuple(
        sorted(objects, key=lambda one: (-one.voxels, one.seed_zyx))[:_LARGEST]
    )


def histogram(values: np.ndarray) -> np.ndarray:
    """[classes]: how many of the values [n] are in each."""
    index = np.zeros(len(values), np.int64)
    some = values > 0
    index[some] = 1 + np.floor(PER_DECADE * np.log10(values[some]) + 1e-9)
    return np.bincount(index.clip(max=_CLASSES - 1), minlength=_CLASSES)


def _found(
    box: volume.Box,
    segmentation: np.ndarray,
    origins: Mapping[int, tuple[Sequence[int], int]],
    counters: dict[str, int],
) -> Findings:
    """Of one subvolume; `origins` has seed and steps of each id."""
    ids = np.array(sorted(origins), np.int64)
    counts = volume.labels.count_voxels(segmentation)
    voxels = np.array([counts.get(i, 0) for i in ids.tolist()], np.int64)
    steps = np.array([origins[i][1] for i in ids.tolist()], np.int64)
    first = np.argsort(-voxels, kind="stable")[:_LARGEST]
    return Findings(
        len(ids),
        int(voxels.sum()),
        box.num_voxels,
        histogram(voxels),
        histogram(steps),
        _largest(
            Object(
                int(voxels[i]),
                int(steps[i]),
                volume.box.triple(
                    s + c for s, c in zip(origins[int(ids[i])][0], box.start)
                ),
            )
            for i in first.tolist()
        ),
        counters,
    )


def of_file(found: subvolume.Subvolume) -> Findings:
    """Of a finished subvolume."""
    origins = {i: (o.start_zyx, o.iters) for i, o in found.origins.items()}
    return _found(found.box, found.segmentation, origins, dict(found.counters))


def of_canvas(canvas: canvas_lib.Canvas) -> Findings:
    """Of one that is under way."""
    origins = {i: (o.start_zyx, o.num_steps) for i, o in canvas.origins.items()}
    box = volume.Box.from_size(canvas.corner_zyx, canvas.segmentation.shape)
    return _found(box, canvas.segmentation, origins, dict(canvas.counters))


class Folder:
    """The findings of a run's folder, each file of which is read once."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._known: set[subvolume.Corner] = set()
        self._sum = Findings()

    def read(self) -> tuple[int, Findings]:
        """How many subvolumes are finished, and what is in them.

        Raises:
          ValueError, OSError: a file is damaged, or cannot be read.
        """
        for corner, path in subvolume.find(self._folder).items():
            if corner not in self._known:
                self._sum += of_file(subvolume.load(path))
                self._known.add(corner)
        return len(self._known), self._sum

    def middle(self) -> volume.Volume | None:
        """The labels of the finished subvolume that is in the middle."""
        paths = list(subvolume.find(self._folder).values())
        if not paths:
            return None
        return subvolume.open_result(str(paths[len(paths) // 2]))
