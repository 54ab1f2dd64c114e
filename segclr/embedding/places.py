"""(1) Places: nodes of all segments, in the order in which they are read.

    places/segment.npy     [n] uint64
    places/node.npy        [n] int64, counted in each segment from 0
    places/position.npy    [n, 3] float64, z, y, x, nm
    places/radius.npy      [n] float32, nm; 0 if it is not known
    places/starts.npy      [k + 1] int64: the first place of each task

A task is the places of one block of space, at most so many, block after block,
and within a block slab after slab: what is read for one is there for the next.
Workers map the files, so they hold what they look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
import csv
import dataclasses
import os
import pathlib

import numpy as np

from ffn_tf.skeleton import Skeleton
from ffn_tf.volume import address as address_lib
from ffn_tf.volume import files
from segclr.sampling import nodes as nodes_lib

_NAMES = ("segment", "node", "position", "radius", "starts")


@dataclasses.dataclass(frozen=True, eq=False)
class Places:
    """See the module; arrays may be mapped files.

    Attributes:
      segment, node, position, radius: see the module; position is zyx.
      starts: see the module.
    """

    segment: np.ndarray
    node: np.ndarray
    position: np.ndarray
    radius: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.segment)

    @property
    def num_tasks(self) -> int:
        """Places are done task by task."""
        return len(self.starts) - 1

    def of_task(self, task: int) -> slice:
        """Which places a task has."""
        return slice(int(self.starts[task]), int(self.starts[task + 1]))

    def save(self, folder: pathlib.Path) -> None:
        """Writes the files, the last of all `starts`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _NAMES:
            with files.atomic_path(folder / f"{name}.npy") as path:
                with open(path, "wb") as file:
                    np.save(file, getattr(self, name))


def load(folder: pathlib.Path) -> Places | None:
    """The places in a folder, mapped; None if they are not all there.

    Raises:
      ValueError: damaged files.
    """
    if not (folder / "starts.npy").exists():
        return None
    try:
        return Places(
            *(np.load(folder / f"{name}.npy", mmap_mode="r") for name in _NAMES)
        )
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(
            f"{folder}: damaged ({error}); delete the folder to begin anew."
        ) from error


@dataclasses.dataclass(frozen=True, eq=False)
class Edges:
    """Ways between nodes along their neurites.

    Attributes:
      segment: [m] uint64.
      nodes: [m, 2] int64, of that segment.
      length_nm: [m] float32.
    """

    segment: np.ndarray
    nodes: np.ndarray
    length_nm: np.ndarray


def found(
    skeletons: Iterable[Skeleton], spacing_nm: float
) -> tuple[Places, Edges]:
    """Nodes along skeletons, not in any order yet, as one task."""
    every = [(one.id, nodes_lib.place(one, spacing_nm)) for one in skeletons]
    counts = [len(nodes) for _, nodes in every]
    ids = np.array([id_ for id_, _ in every], np.uint64)
    links = [len(nodes.lengths_nm) for _, nodes in every]
    lines = [nodes.skeleton for _, nodes in every]
    places = Places(
        np.repeat(ids, counts),
        np.concatenate([np.arange(n) for n in counts]),
        np.concatenate([one.vertices_nm_zyx for one in lines]).astype(float),
        np.concatenate(list(_radii(lines))),
        np.array([0, sum(counts)]),
    )
    edges = Edges(
        np.repeat(ids, links),
        np.concatenate([one.edges for one in lines]),
        np.concatenate([nodes.lengths_nm for _, nodes in every]).astype("f4"),
    )
    return places, edges


def read(path: str | os.PathLike[str]) -> tuple[Places, Edges]:
    """Nodes that a table names, as one task; there are no edges.

    Args:
      path: of a CSV file with a header: segment, z_nm, y_nm, x_nm; a segment's
        nodes are counted from 0 in the order of the lines.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not such a file, with the line.
    """
    file = pathlib.Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{path}: no such file of nodes.")
    names = ("segment", *(f"{axis}_nm" for axis in "zyx"))
    segment: list[int] = []
    position: list[list[float]] = []
    with file.open(newline="", encoding="utf-8-sig") as opened:
        rows = csv.DictReader(opened)
        if not set(names) <= set(rows.fieldnames or ()):
            raise ValueError(
                f"{path}: expected the columns {', '.join(names)}; found "
                f"{', '.join(rows.fieldnames or ()) or 'none'}."
            )
        for row in rows:
            try:
                segment.append(int(row[names[0]]))
                position.append([float(row[name]) for name in names[1:]])
                is_good = bool(np.isfinite(position[-1]).all())
            except (TypeError, ValueError):
                is_good = False
            if not is_good or not 0 < segment[-1] < 2**64:
                raise ValueError(
                    f"{path}:{rows.line_num}: expected a segment's id and "
                    f"nanometres, found {row}."
                )
    if not segment:
        raise ValueError(f"{path}: has no nodes.")
    ids = np.array(segment, np.uint64)
    order = np.argsort(ids, kind="stable")
    starts = np.searchsorted(ids[order], ids[order])
    node = np.empty(len(ids), np.int64)
    node[order] = np.arange(len(ids)) - starts
    return Places(
        ids,
        node,
        np.array(position),
        np.zeros(len(ids), np.float32),
        np.array([0, len(ids)]),
    ), Edges(
        np.zeros(0, np.uint64),
        np.zeros((0, 2), np.int64),
        np.zeros(0, np.float32),
    )


def skeletons_beside(segmentation: str) -> str:
    """The folder of skeletons that a precomputed segmentation names.

    Raises:
      ValueError: none, or not on this machine.
    """
    parsed = address_lib.parse(segmentation)
    named = None
    if parsed.format == "precomputed" and not parsed.place.is_remote:
        named = (parsed.place.read_json("info") or {}).get("skeletons")
    if not named:
        raise ValueError(
            f"{segmentation}: no skeletons in its folder. Make them "
            f"(ffn_tf.skeletonize) and name them by --skeletons, or name "
            f"places by --nodes."
        )
    return f"{parsed.path}/{named}"


def _radii(lines: Iterable[Skeleton]) -> Iterator[np.ndarray]:
    for one in lines:
        if one.radii_nm is None:
            yield np.zeros(len(one.vertices_nm_zyx), np.float32)
        else:
            yield one.radii_nm.astype(np.float32)


def ordered(
    places: Places,
    block_nm: Sequence[float],
    slab_nm: float,
    most: int,
) -> Places:
    """The same places, in blocks; tasks of at most so many.

    Args:
      places: in any order.
      block_nm: zyx, of a block.
      slab_nm: along z, of a slab within a block.
      most: places of a task.
    """
    block = np.floor(places.position / np.asarray(block_nm)).astype(np.int64)
    slab = np.floor(places.position[:, 0] / slab_nm).astype(np.int64)
    # The last key is the first that counts.
    keys = [places.node, places.segment, places.position[:, 1], slab]
    order = np.lexsort((*keys, block[:, 2], block[:, 1], block[:, 0]))
    changed = (np.diff(block[order], axis=0) != 0).any(axis=1)
    starts = [0]
    for end in [*(np.flatnonzero(changed) + 1).tolist(), len(order)]:
        starts += range(starts[-1] + most, end, most)
        if end > starts[-1]:
            starts.append(end)
    return Places(
        places.segment[order],
        places.node[order],
        places.position[order],
        places.radius[order],
        np.array(starts, np.int64),
    )
