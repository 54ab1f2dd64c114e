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
        """Classes of fewer cells than `needed`."""
        cells = np.unique(self.cell[self.of_node != NONE])
        counts = np.bincount(
            _commonest(self, cells), minlength=len(self.classes)
        )
        return tuple(
            name for name, n in zip(self.classes, counts) if n < needed
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
    return _Row(line, id_, number, label, found.get("cell") or str(id_))


def split(
    labels: Labels, valid_share: float, test_share: float, seed: int
) -> np.ndarray:
    """What each node is for; whole cells, of each class its share.

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
    has_label = labels.of_node != NONE
    cells = np.unique(labels.cell[has_label])
    class_of = _commonest(labels, cells)
    purpose = np.full(len(cells), TRAIN)
    rng = np.random.default_rng([seed, 5])
    needed = splits(valid_share, test_share)
    for number, name in enumerate(labels.classes):
        mine = rng.permutation(np.flatnonzero(class_of == number))
        if len(mine) < needed:
            raise ValueError(
                f"Class {name!r} has {len(mine)} of the cells with labels, "
                f"expected {needed} or more: one each to train, validate and "
                f"test on. Label more of them, or leave the class out."
            )
        counts = [
            max(1, round(share * len(mine))) if share else 0
            for share in (valid_share, test_share)
        ]
        while sum(counts) >= len(mine):
            counts[int(np.argmax(counts))] -= 1
        purpose[mine[: counts[0]]] = VALID
        purpose[mine[counts[0] : sum(counts)]] = TEST
    found = np.full(len(labels.cell), NONE)
    found[has_label] = purpose[np.searchsorted(cells, labels.cell[has_label])]
    return found


def splits(valid_share: float, test_share: float) -> int:
    """How many splits get cells, and so, how many cells a class needs."""
    return 1 + (valid_share > 0) + (test_share > 0)


def _commonest(labels: Labels, cells: np.ndarray) -> np.ndarray:
    """The class of most nodes of each cell."""
    has_label = labels.of_node != NONE
    counts = np.zeros((len(cells), len(labels.classes)), np.int64)
    row = np.searchsorted(cells, labels.cell[has_label])
    np.add.at(counts, (row, labels.of_node[has_label]), 1)
    return counts.argmax(1)


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
