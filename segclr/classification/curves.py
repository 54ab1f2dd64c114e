"""(7) Curves: F1 against the radius of means, and the number of labels.

What a paper's figure shows, and what a lab asks before it labels: how much of a
neurite must be there, and how many labels are enough. All points are tested on
the same cells, of which nothing is trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses

import numpy as np

from segclr.classification import classifier, fitting, labels, scores


@dataclasses.dataclass(frozen=True)
class Point:
    """A place on a curve.

    Attributes:
      radius_um: of the means.
      count: labels that were trained on.
      macro_f1: mean over the runs.
      low, high: least and most of them.
    """

    radius_um: float
    count: int
    macro_f1: float
    low: float
    high: float


def against_radius(
    by_radius: dict[float, np.ndarray],
    given: labels.Labels,
    purpose: np.ndarray,
    options: fitting.Options,
    seed: int = 0,
) -> Iterator[Point]:
    """F1 with all labels, for embeddings [n, d] of each radius."""
    train, valid, test = (purpose == k for k in range(3))
    for radius, embeddings in by_radius.items():
        made = classifier.fit(
            embeddings,
            given.of_node,
            given.classes,
            train,
            valid,
            options,
            seed,
        )
        found = _f1(made, embeddings, given, test)
        yield Point(radius, int(train.sum()), found, found, found)


def against_count(
    embeddings: np.ndarray,
    radius_um: float,
    given: labels.Labels,
    purpose: np.ndarray,
    options: fitting.Options,
    counts: Sequence[int],
    runs: int,
) -> Iterator[Point]:
    """F1 with some of the labels; nothing else is known, so none validate.

    Args:
      embeddings: [n, d] of nodes.
      radius_um: of the means.
      given: their labels.
      purpose: [n], of labels.split.
      options: the head.
      counts: how many labels; what is more than there are is all.
      runs: for each, with other labels.
    """
    train, test = purpose == labels.TRAIN, purpose == labels.TEST
    most = int(train.sum())
    for count in sorted({min(c, most) for c in counts}):
        found = []
        for run in range(runs):
            some = labels.subset(given, train, count, run)
            made = classifier.fit(
                embeddings,
                given.of_node,
                given.classes,
                some,
                None,
                options,
                run,
            )
            found.append(_f1(made, embeddings, given, test))
        yield Point(
            radius_um, count, float(np.mean(found)), min(found), max(found)
        )


def _f1(
    made: classifier.Classifier,
    embeddings: np.ndarray,
    given: labels.Labels,
    chosen: np.ndarray,
) -> float:
    found = made.predict(embeddings[chosen]).label
    return scores.macro_f1(given.of_node[chosen], found, len(given.classes))
