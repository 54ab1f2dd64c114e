"""(5) Probe: what embeddings tell of types, while they are learned.

Of places whose segments have labels some are looked at again and again: on the
embeddings of half of the segments a line is fitted for each type (least
squares), and the types of the other half's are told by it. Its macro-F1 rises
with what the encoder knows; nothing of the labels reaches the encoder.
"""

from __future__ import annotations

import itertools

import numpy as np

from segclr import model
from segclr.classification import labels, scores
from segclr.cutouts import reading
from segclr.training import views

_LOOKED_AT = 5_000  # Pairs, among which places are drawn.
_AT_ONCE = 16
_RIDGE = 1e-2  # Of the mean square of a standardised number.


class Probe:
    """Places whose types are known.

    Args:
      cutouts: [n, z, y, x] float32, as the encoder sees them.
      of_place: [n] integers, their types.
      is_test: [n] bool, of the others the lines are fitted.
      classes: how many types.
    """

    def __init__(
        self,
        cutouts: np.ndarray,
        of_place: np.ndarray,
        is_test: np.ndarray,
        classes: int,
    ) -> None:
        self._cutouts, self._of_place = cutouts, of_place
        self._is_test, self._classes = is_test, classes

    def __len__(self) -> int:
        return len(self._of_place)

    def macro_f1(self, encoder: model.Encoder) -> float:
        """Of the half that the lines have not seen."""
        found = np.concatenate(
            [
                np.asarray(encoder(self._cutouts[i : i + _AT_ONCE, ..., None]))
                for i in range(0, len(self), _AT_ONCE)
            ]
        )
        return line_f1(found, self._of_place, self._is_test, self._classes)


def line_f1(
    vectors: np.ndarray, of_place: np.ndarray, is_test: np.ndarray, classes: int
) -> float:
    """Macro-F1 of lines fitted to some places, on the others.

    Args:
      vectors: [n, d].
      of_place: [n] integers.
      is_test: [n] bool.
      classes: how many there are.
    """
    x = np.asarray(vectors, np.float64)
    fitted = x[~is_test]
    std = fitted.std(0)
    x = (x - fitted.mean(0)) / np.where(std > 0, std, 1)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    wanted = np.eye(classes)[of_place[~is_test]]
    seen = x[~is_test]
    square = seen.T @ seen + _RIDGE * len(seen) * np.eye(x.shape[1])
    lines = np.linalg.solve(square, seen.T @ wanted)
    said = (x[is_test] @ lines).argmax(1)
    return scores.macro_f1(of_place[is_test], said, classes)


def drawn(
    opened: reading.Cutouts, settings: views.Settings, path: str, count: int
) -> Probe:
    """Places of the pairs, as many of each type as there are.

    Args:
      opened: the volumes, whose cutouts are of `views.padded_size`.
      settings: of the pairs.
      path: of the CSV file of labels.
      count: of places, about.

    Raises:
      ValueError: no such labels; too few segments of a type.
      OSError: voxels cannot be read.
    """
    found = itertools.islice(
        views.pairs(settings).as_numpy_iterator(), _LOOKED_AT
    )
    rows = {
        (int(one["skeleton_id"]), *one["center-0"].tolist()) for one in found
    }
    table = np.array(sorted(rows), np.int64)
    # Places have no numbers of nodes: labels of single nodes are of none.
    numbers = np.full(len(table), labels.NONE - 1)
    given = labels.read(path, table[:, 0].astype(np.uint64), numbers)
    given, _ = given.without(given.rare(2))
    purpose = labels.split(given, 0.0, 0.5, settings.seed)
    chosen = np.flatnonzero(_balanced(given, purpose, count, settings.seed))
    x, y, z = table[chosen, 1:].T
    batches = [
        _middle(
            opened.read(
                np.stack([z, y, x], axis=1)[i : i + _AT_ONCE],
                table[chosen[i : i + _AT_ONCE], 0],
            ).cutouts(settings.kind),
            settings.size_zyx,
        )
        for i in range(0, len(chosen), _AT_ONCE)
    ]
    return Probe(
        np.concatenate(batches),
        given.of_node[chosen],
        purpose[chosen] == labels.TEST,
        len(given.classes),
    )


def _balanced(
    given: labels.Labels, purpose: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """[n] bool: of each type, and each half, alike many, at random."""
    rng = np.random.default_rng([seed, 11])
    order = rng.permutation(len(purpose))
    most = max(1, count // (2 * len(given.classes)))
    chosen = np.zeros(len(purpose), np.bool_)
    for number in range(len(given.classes)):
        for half in (labels.TRAIN, labels.TEST):
            is_it = (given.of_node == number) & (purpose == half)
            chosen[order[is_it[order]][:most]] = True
    return chosen


def _middle(cutouts: np.ndarray, size_zyx: tuple[int, int, int]) -> np.ndarray:
    """The inner part of cutouts [n, z, y, x] that are larger."""
    inner = [
        slice((n - m) // 2, (n - m) // 2 + m)
        for n, m in zip(cutouts.shape[1:], size_zyx)
    ]
    return np.ascontiguousarray(cutouts[:, *inner])
