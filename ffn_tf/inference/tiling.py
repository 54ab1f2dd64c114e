"""Tiling: into which subvolumes a run is cut, as its folder keeps it.

    subvolumes.npz
        z, y, x    [n, 2] int64: where they begin and end along each axis;
                   subvolumes are products of three
        todo       [n, 3] int64: corners (zyx) of those that are to be done;
                   --tissue leaves out the others

So what reads the results can tell a subvolume that has failed, or is not done
yet, from one without tissue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses
import os
import pathlib

import numpy as np

from ffn_tf.inference import archive
from ffn_tf.volume.box import Box, Triple, triple

NAME = "subvolumes.npz"


@dataclasses.dataclass(frozen=True)
class Tiling:
    """See the module.

    Attributes:
      axes: for z, y and x, (start, end) of the subvolumes, ascending.
      todo: corners of those that are to be done.
    """

    axes: Sequence[Sequence[tuple[int, int]]]
    todo: frozenset[Triple]

    def has(self, boxes: Iterable[Box]) -> bool:
        """Whether all of the boxes are to be done."""
        axes = [{*axis} for axis in self.axes]
        return all(
            box.start in self.todo
            and all(map(set.__contains__, axes, zip(box.start, box.end)))
            for box in boxes
        )


def write(folder: str | os.PathLike[str], tiling: Tiling) -> None:
    """Writes the file, if it is not there and the same."""
    if read(folder) == tiling:
        return
    members = {
        name: np.array(axis, np.int64).reshape(-1, 2)
        for name, axis in zip("zyx", tiling.axes)
    }
    todo = np.array(sorted(tiling.todo), np.int64).reshape(-1, 3)
    archive.write(pathlib.Path(folder) / NAME, {**members, "todo": todo})


def read(folder: str | os.PathLike[str]) -> Tiling | None:
    """What the folder keeps; None if it does not say it.

    Raises:
      ValueError: a damaged file.
    """
    path = pathlib.Path(folder) / NAME
    if not path.exists():
        return None
    with archive.read(path) as file:
        axes = [
            [(int(start), int(end)) for start, end in file.array(name)]
            for name in "zyx"
        ]
        return Tiling(axes, frozenset(map(triple, file.array("todo").tolist())))
