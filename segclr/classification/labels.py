"""(1) Labels: types that people have given, and splits by cell.

A CSV file with a header, columns in any order:

    segment,label                 each node of a segment has its label
    segment,label,cell            segments of one cell stay together
    segment,node,label[,cell]     labels of nodes

A cell, which is its segment where nothing else is said, is either trained on,
validated on, or tested on: what neighbours on one neurite have in common must
not be taken for knowledge of its type.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib

import numpy as np

TRAIN, VALID, TEST, NONE = 0, 1, 2, -1
SPLITS = ("train", "valid", "test")


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """Labels of the nodes of a table.

    Attributes:
      classes: names, in their order.
      of_node: [n] int64, index of the class; NONE: no label.
      cell: [n] int64, number of the node's cell; NONE: no label.
      unknown_segments: in the file, of which the table has no node.
    """

    classes: tuple[str, ...]
    of_node: np.ndarray
    cell: np.ndarray
    unknown_segments: int = 0

    def rare(self, needed: int) -> tuple[str, ...]:
        """Classes that fewer cells than `needed` have."""
        counts = _counts(self, _cells(self))
        return tuple(
            name
            for name, n in zip(self.classes, (counts > 0).sum(0))
            if n < needed
        )

    def without(self, names: tuple[str, ...]) -> tuple[Labels, np.ndarray]:
        """These without some classes, and which nodes [n] those had.

        Raises:
          ValueError: no such class.
        """
        if strange := sorted(set(names) - set(self.classes)):
            raise ValueError(
                f"There is no class {', '.join(strange)}; there are "
                f"{', '.join(self.classes)}."
            )
        left_out = [self.classes.index(name) for name in names]
        had = np.isin(self.of_node, left_out)
        kept = [c for c in self.classes if c not in names]
        renumbered = np.full(len(self.classes) + 1, NONE)
        for number, name in enumerate(kept):
            renumbered[self.classes.index(name)] = number
        return Labels(
            tuple(kept),
            renumbered[self.of_node],
            np.where(had, NONE, self.cell),
            self.unknown_segments,
        ), had


def read(
    path: str | os.PathLike[str], segment: np.ndarray, node: np.ndarray
) -> Labels:
    """Reads labels of nodes.

    Args:
      path: of the CSV file.
      segment: [n] uint64, of each node of the table.
      node: [n] int64, its number.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not such a file, with the line; two labels for one thing; no
        label is of a node of the table.
    """
    rows = _rows(pathlib.Path(path))
    rows = _with_cells(pathlib.Path(path), rows)
    names = sorted({row.label for row in rows})
    cells = {
        name: k for k, name in enumerate(dict.fromkeys(r.cell for r in rows))
    }
    given: dict[tuple[int, int], _Row] = {}
    for row in rows:
        earlier = given.setdefault((row.segment, row.node), row)
        if (earlier.label, earlier.cell) != (row.label, row.cell):
            raise ValueError(
                f"{path}:{row.line}: {row.what} is a {row.label!r} of cell "
                f"{row.cell}; in line {earlier.line} a {earlier.label!r} of "
                f"cell {earlier.cell}."
            )
    of_node = np.full(len(segment), NONE)
    cell = np.full(len(segment), NONE)
    for i, place in enumerate(zip(segment.tolist(), node.tolist())):
        found = given.get(place) or given.get((place[0], NONE))
        if found is not None:
            of_node[i] = names.index(found.label)
            cell[i] = cells[found.cell]
    if (of_node == NONE).all():
        raise ValueError(
            f"{path}: none of its {len(rows)} labels is of a node of the "
            f"table (segments such as {rows[0].segment}; the table has "
            f"{len(segment)} nodes, of segments such as {segment[:1]}). Are "
            f"they of the same segmentation?"
        )
    asked = {row.segment for row in rows}
    unknown = len(asked - set(np.unique(segment).tolist()))
    return Labels(tuple(names), of_node, cell, unknown)


@dataclasses.dataclass(frozen=True)
class _Row:
    line: int
    segment: int
    node: int
    label: str
    cell: str

    @property
    def what(self) -> str:
        of = "" if self.node == NONE else f"node {self.node} of "
        return f"{of}segment {self.segment}"


def _rows(path: pathlib.Path) -> list[_Row]:
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file of labels.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header = set(reader.fieldnames or ())
            if not {"segment", "label"} <= header:
                raise ValueError(
                    f"{path}: expected columns segment and label, and perhaps "
                    f"node and cell; found {', '.join(sorted(header))!r}."
                )
            rows = [_row(path, reader.line_num, found) for found in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: no CSV file ({error}).") from error
    if not rows:
        raise ValueError(f"{path}: has no labels.")
    return rows


def _with_cells(path: pathlib.Path, rows: list[_Row]) -> list[_Row]:
    """Rows that say no cell have that of their segment, or the segment.

    Raises:
      ValueError: a segment is in two cells.
    """
    said: dict[int, _Row] = {}
    for row in rows:
        if not row.cell:
            continue
        earlier = said.setdefault(row.segment, row)
        if earlier.cell != row.cell:
            raise ValueError(
                f"{path}:{row.line}: segment {row.segment} is of cell "
                f"{row.cell}, and in line {earlier.line} of cell "
                f"{earlier.cell}; a segment is of one, which is learned from "
                f"or tested on as a whole."
            )
    return [
        dataclasses.replace(
            row,
            cell=said[row.segment].cell
            if row.segment in said
            else f"segment {row.segment}",
        )
        for row in rows
    ]


def _row(path: pathlib.Path, line: int, found: dict[str, str | None]) -> _Row:
    segment, node = found["segment"], found.get("node") or str(NONE)
    label = (found["label"] or "").strip()
    try:
        id_, number = int(segment or ""), int(node)
    except ValueError:
        id_ = number = -2
    if not 0 < id_ < 2**64 or number < NONE or not label:
        raise ValueError(
            f"{path}:{line}: expected a segment's id, a label, and perhaps a "
            f"node's number and a cell; found {dict(found)}."
        )
    cell = (found.get("cell") or "").strip()
    return _Row(line, id_, number, label, cell)


def split(
    labels: Labels, valid_share: float, test_share: float, seed: int
) -> np.ndarray:
    """What each node is for; whole cells, of each class its share.

    A class' share is of the cells that have some of it, so a cell may count
    for several; the rarest class is divided first.

    Args:
      labels: of the nodes.
      valid_share, test_share: of the cells of each class; the rest is for
        training. Each gets one at least, unless its share is 0.
      seed: another gives another split.

    Returns:
      [n] int64: TRAIN, VALID, TEST; NONE where there is no label.

    Raises:
      ValueError: shares that leave nothing; too few cells of a class.
    """
    if not (
        0 <= valid_share < 1
        and 0 <= test_share < 1
        and valid_share + test_share < 1
    ):
        raise ValueError(
            f"Shares of validation and test: expected 0 or more, together less "
            f"than 1; found {valid_share} and {test_share}."
        )
    if len(labels.classes) < 2:
        raise ValueError(
            f"Expected two or more classes that have labels enough, found "
            f"{', '.join(labels.classes) or 'none'}."
        )
    cells = _cells(labels)
    has_class = _counts(labels, cells) > 0
    needed = splits(valid_share, test_share)
    purpose = np.full(len(cells), NONE)
    rng = np.random.default_rng([seed, 5])
    for number in np.argsort(has_class.sum(0), kind="stable").tolist():
        mine = has_class[:, number]
        if mine.sum() < needed:
            raise ValueError(
                f"Class {labels.classes[number]!r} has {mine.sum()} of the "
                f"cells with labels, expected {needed} or more: one each to "
                f"train, validate and test on. Label more of them, or leave "
                f"the class out."
            )
        _divide(purpose, mine, (valid_share, test_share), rng)
    found = np.full(len(labels.cell), NONE)
    has_label = labels.of_node != NONE
    found[has_label] = purpose[np.searchsorted(cells, labels.cell[has_label])]
    return found


def _divide(
    purpose: np.ndarray,
    mine: np.ndarray,
    shares: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Gives those of `mine` [c] bool that have no purpose yet one."""
    total = int(mine.sum())
    wanted = [max(1, round(s * total)) if s else 0 for s in shares]
    while sum(wanted) >= total:
        wanted[int(np.argmax(wanted))] -= 1
    free = rng.permutation(np.flatnonzero(mine & (purpose == NONE)))
    for kind, count in zip((VALID, TEST), wanted):
        missing = max(count - int((purpose[mine] == kind).sum()), 0)
        taken, free = free[:missing], free[missing:]
        purpose[taken] = kind
    purpose[free] = TRAIN


def splits(valid_share: float, test_share: float) -> int:
    """How many splits get cells, and so, how many cells a class needs."""
    return 1 + (valid_share > 0) + (test_share > 0)


def _cells(labels: Labels) -> np.ndarray:
    """Numbers of the cells that have labels, in order."""
    found: np.ndarray = np.unique(labels.cell[labels.of_node != NONE])
    return found


def _counts(labels: Labels, cells: np.ndarray) -> np.ndarray:
    """Nodes of each class that each cell has: [cells, classes]."""
    has_label = labels.of_node != NONE
    counts = np.zeros((len(cells), len(labels.classes)), np.int64)
    row = np.searchsorted(cells, labels.cell[has_label])
    np.add.at(counts, (row, labels.of_node[has_label]), 1)
    return counts


def subset(
    labels: Labels, among: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """Some nodes as if only they had been labelled; each class has one.

    Args:
      labels: of the nodes.
      among: [n] bool, nodes that may be taken.
      count: how many.
      seed: another takes others.

    Returns:
      [n] bool.

    Raises:
      ValueError: fewer than classes, or more than there are.
    """
    places = np.flatnonzero(among & (labels.of_node != NONE))
    if not len(labels.classes) <= count <= len(places):
        raise ValueError(
            f"{count} labels: expected {len(labels.classes)} (one of each "
            f"class) to {len(places)} (all)."
        )
    rng = np.random.default_rng([seed, 6])
    order = rng.permutation(places)
    of_order = labels.of_node[order]
    ones = [
        order[np.flatnonzero(of_order == k)[0]]
        for k in np.unique(of_order).tolist()
    ]
    rest = order[~np.isin(order, ones)]
    taken = np.zeros(len(among), np.bool_)
    taken[ones] = True
    taken[rest[: count - len(ones)]] = True
    return taken
