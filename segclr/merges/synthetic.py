"""(3) Synthetic merges: merges that are known, of segments that touch.

    contacts     which segments touch, and where
    drawn        pairs of them, each segment in one at most
    joined       their skeletons as one, with an edge at the contact

Kinds, drawn in turn:

    random       any two that touch
    same_type    of one type: what merges of real segmentations are like
    cross_type   of two types: what embeddings are good at

Embedding what is joined needs its mask, too: the agglomeration table makes one
object of the two, so that cutouts near the contact show both, as they would
had the segmentation been wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import csv
import dataclasses
import pathlib

import numpy as np
from scipy import spatial

from ffn_tf import program, volume
from ffn_tf.skeleton import Skeleton

KINDS = ("random", "same_type", "cross_type")
_BLOCK = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Contacts:
    """Pairs of segments that touch.

    Attributes:
      pair: [n, 2] uint64, the smaller id first.
      area: [n] int64, faces of voxels.
      place_nm_zyx: [n, 3] float64, a face, in the middle of those of a block.
    """

    pair: np.ndarray
    area: np.ndarray
    place_nm_zyx: np.ndarray


@dataclasses.dataclass(frozen=True)
class Seam:
    """Where two segments have been joined; a line of seams.csv.

    Attributes:
      segment: of the merge: the first of the two.
      other: the second.
      kind: of the merge, one of KINDS.
      place_nm_zyx: of the contact.
      first_vertices: of the joined skeleton, those that are the first's come
        first; 0: not known.
    """

    segment: int
    other: int
    kind: str
    place_nm_zyx: tuple[float, float, float]
    first_vertices: int = 0


def contacts(segmentation: volume.Volume) -> Contacts:
    """Which segments touch, by the faces of their voxels.

    Raises:
      OSError: voxels cannot be read.
    """
    domain = segmentation.domain
    blocks = volume.grid.tile(domain, (_BLOCK,) * 3)
    total = volume.grid.count(domain, (_BLOCK,) * 3)
    found = [_NOTHING]
    for box in program.watched(blocks, total, "Contacts", "blocks"):
        # One voxel more, for the faces between blocks.
        z, y, x = box.end
        wider = volume.Box(box.start, (z + 1, y + 1, x + 1))
        wider = wider.intersected(domain)
        labels = segmentation.read(wider).astype(np.uint64, copy=False)
        faces = [
            _faces(labels, axis, wider.start, box.size) for axis in range(3)
        ]
        found.append(
            _largest(
                np.concatenate([pair for pair, _ in faces]),
                np.concatenate([place for _, place in faces]),
            )
        )
    pair, area, place, largest = (
        np.concatenate(column) for column in zip(*found)
    )
    unique, row = np.unique(pair, axis=0, return_inverse=True)
    row = row.reshape(-1)
    # Of the block that has most of the contact.
    order = np.lexsort((-largest, row))
    first = order[np.unique(row[order], return_index=True)[1]]
    return Contacts(
        unique,
        np.bincount(row, area, len(unique)).astype(np.int64),
        place[first] * np.array(segmentation.voxel_size_nm),
    )


_NOTHING = (
    np.zeros((0, 2), np.uint64),
    np.zeros(0, np.int64),
    np.zeros((0, 3)),
    np.zeros(0, np.int64),
)


def _largest(
    pairs: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Faces [n] of one block, as contacts: pair, area, place, area again.

    The place is the face that is nearest to the middle of all.
    """
    unique, row, area = np.unique(
        pairs, axis=0, return_inverse=True, return_counts=True
    )
    row = row.reshape(-1)
    middle = np.stack(
        [np.bincount(row, axis, len(unique)) / area for axis in places.T],
        axis=1,
    )
    away = ((places - middle[row]) ** 2).sum(1)
    order = np.lexsort((away, row))
    first = order[np.unique(row[order], return_index=True)[1]]
    return unique, area, places[first], area


def _faces(
    labels: np.ndarray,
    axis: int,
    start: tuple[int, int, int],
    size: tuple[int, int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs [n, 2] and places [n, 3], voxels, of faces across an axis."""
    count = labels.shape[axis] - 1
    within = [slice(0, n) for n in size]
    within[axis] = slice(0, None)
    inner = labels[tuple(within)]
    one = np.take(inner, np.arange(count), axis)
    two = np.take(inner, np.arange(1, count + 1), axis)
    at = np.nonzero((one != two) & (one > 0) & (two > 0))
    pair = np.sort(np.stack([one[at], two[at]], axis=1), axis=1)
    place = np.stack(at, axis=1) + np.array(start) + 0.5
    place[:, axis] += 0.5
    return pair, place


def drawn(
    found: Contacts,
    types: Mapping[int, str],
    usable: Iterable[int],
    count: int,
    seed: int,
    min_area: int = 20,
) -> list[Seam]:
    """Merges of each kind; without types, random ones only.

    Args:
      found: what touches.
      types: of segments; those without are only in random ones.
      usable: segments that may be joined.
      count: of each kind, as far as there are.
      seed: another draws others.
      min_area: faces that a contact must have.
    """
    may = np.isin(found.pair, np.array(sorted(usable), np.uint64)).all(1)
    places = np.flatnonzero(may & (found.area >= min_area))
    order = np.random.default_rng([seed, 8]).permutation(places).tolist()
    used: set[int] = set()
    seams: list[Seam] = []
    # One of each kind in turn, so that none takes what the others need.
    left = {kind: iter(order) for kind in (KINDS if types else KINDS[:1])}
    for _ in range(count):
        for kind in list(left):
            for at in left[kind]:
                one, two = found.pair[at].tolist()
                if {one, two} & used or not _is_of(kind, types, one, two):
                    continue
                z, y, x = found.place_nm_zyx[at].tolist()
                seams.append(Seam(one, two, kind, (z, y, x)))
                used |= {one, two}
                break
            else:
                del left[kind]
    return sorted(seams, key=lambda seam: KINDS.index(seam.kind))


def _is_of(kind: str, types: Mapping[int, str], one: int, two: int) -> bool:
    if kind == "random":
        return True
    if one not in types or two not in types:
        return False
    return (types[one] == types[two]) == (kind == "same_type")


def joined(one: Skeleton, two: Skeleton, seam: Seam) -> Skeleton:
    """Two skeletons as one, with an edge at their contact.

    It joins the vertices that are nearest to the place.
    """
    at = [
        int(spatial.cKDTree(each.vertices_nm_zyx).query(seam.place_nm_zyx)[1])
        for each in (one, two)
    ]
    count = len(one.vertices_nm_zyx)
    link = np.array([[at[0], at[1] + count]], np.int64)
    radii = None
    if one.radii_nm is not None and two.radii_nm is not None:
        radii = np.concatenate([one.radii_nm, two.radii_nm])
    return Skeleton(
        seam.segment,
        np.concatenate([one.vertices_nm_zyx, two.vertices_nm_zyx]),
        np.concatenate([one.edges, two.edges + count, link]),
        radii,
    )


def seams_csv(seams: Iterable[Seam]) -> str:
    """segment,other,kind,z_nm,y_nm,x_nm,first_vertices: a line for each."""
    lines = ["segment,other,kind,z_nm,y_nm,x_nm,first_vertices"]
    for seam in seams:
        z, y, x = seam.place_nm_zyx
        lines.append(
            f"{seam.segment},{seam.other},{seam.kind},{z:.1f},{y:.1f},{x:.1f},"
            f"{seam.first_vertices}"
        )
    return "\n".join([*lines, ""])


def read_seams(path: pathlib.Path) -> list[Seam]:
    """Reads seams.csv, which may be of real merges, found by proofreading.

    Columns segment, z_nm, y_nm, x_nm; the others if they are there.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not such a file.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file of merges.")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        needed = {"segment", "z_nm", "y_nm", "x_nm"}
        if not needed <= set(reader.fieldnames or ()):
            raise ValueError(
                f"{path}: expected columns segment, z_nm, y_nm, x_nm, and "
                f"perhaps kind; found {reader.fieldnames}."
            )
        try:
            return [
                Seam(
                    int(row["segment"]),
                    int(row.get("other") or 0),
                    row.get("kind") or "merge",
                    (
                        float(row["z_nm"]),
                        float(row["y_nm"]),
                        float(row["x_nm"]),
                    ),
                    int(row.get("first_vertices") or 0),
                )
                for row in reader
            ]
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{path}:{reader.line_num}: expected an id and nanometres "
                f"({error})."
            ) from error
