"""(6) Scores: F1, confusion, and how well the unknown is told from the known.

A class that is neither there nor predicted has no F1 (NaN) and does not count
in the macro average.
"""

from __future__ import annotations

import numpy as np
from scipy import stats


def confusion(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Counts [classes, classes] int64: row is the truth, column the found.

    Args:
      truth, found: [n] integers from 0 on.
      classes: how many.
    """
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, found), 1)
    return counts


def f1(counts: np.ndarray) -> np.ndarray:
    """F1 of each class [k]; NaN of one that is nowhere."""
    right = np.diag(counts).astype(np.float64)
    total = counts.sum(0) + counts.sum(1)
    return np.divide(
        2 * right, total, out=np.full(len(right), np.nan), where=total > 0
    )


def macro_f1(truth: np.ndarray, found: np.ndarray, classes: int) -> float:
    """The mean F1 of all classes.

    Raises:
      ValueError: no examples.
    """
    if not len(truth):
        raise ValueError("There are no examples to score.")
    return float(np.nanmean(f1(confusion(truth, found, classes))))


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """How often an unknown has the higher score; 0.5 is chance.

    Args:
      known, unknown: [n], [m] scores; higher is more unknown.

    Returns:
      The share of pairs, ties as halves; NaN without any pair.
    """
    if not len(known) or not len(unknown):
        return float("nan")
    ranks = stats.rankdata(np.concatenate([known, unknown]))
    most = len(unknown) * (len(unknown) + 1) / 2
    above = ranks[len(known) :].sum() - most
    return float(above / (len(known) * len(unknown)))


def threshold(known: np.ndarray, unknown: np.ndarray) -> float:
    """From which score on an example is to be called unknown.

    Chosen on validation: where the share of the unknown that is called so,
    less the share of the known that is, is greatest. Above all, so that none is
    unknown, where the unknown are no more uncertain, or where there are none.

    Raises:
      ValueError: no known ones.
    """
    if not len(known):
        raise ValueError(
            "No validated examples, so no threshold of uncertainty can be "
            "chosen; expected a share of validation above 0."
        )
    if not len(unknown):
        return float(np.nextafter(known.max(), np.inf))
    places = np.unique(np.concatenate([known, unknown]))
    hit = 1 - np.searchsorted(np.sort(unknown), places, "left") / len(unknown)
    false = 1 - np.searchsorted(np.sort(known), places, "left") / len(known)
    best = int(np.argmax(hit - false))
    if hit[best] <= false[best]:
        return float(np.nextafter(places[-1], np.inf))
    return float(places[best])
