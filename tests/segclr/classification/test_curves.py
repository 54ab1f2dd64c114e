"""Curves are of cells that were not learned from."""

import numpy as np
import pytest

from segclr.classification import curves, fitting, labels

LINEAR = fitting.Options(head="linear", learning_rate=0.02, max_epochs=30)


def test_against_radius(clouds):
    vectors, given = clouds
    purpose = labels.split(given, 0.2, 0.3, 0)
    rng = np.random.default_rng(0)
    by_radius = {0.0: rng.normal(size=vectors.shape), 10.0: vectors}
    none, good = curves.against_radius(by_radius, given, purpose, LINEAR)
    assert (none.radius_um, good.radius_um) == (0, 10)
    assert none.macro_f1 < 0.6 < 0.95 < good.macro_f1
    assert good.count == (purpose == labels.TRAIN).sum()


def test_against_count(clouds):
    vectors, given = clouds
    purpose = labels.split(given, 0.2, 0.3, 0)
    noisy = vectors + 200 * np.random.default_rng(0).normal(size=vectors.shape)
    few, most = curves.against_count(
        noisy, 2.5, given, purpose, LINEAR, [3, 10**6], runs=2
    )
    assert (few.count, most.count) == (3, (purpose == labels.TRAIN).sum())
    assert few.macro_f1 < most.macro_f1
    assert few.low < few.macro_f1 < few.high


def test_nothing_is_learned_from_tested_cells(clouds, monkeypatch):
    vectors, given = clouds
    purpose = labels.split(given, 0.2, 0.3, 0)
    seen = []
    real = fitting.fit

    def watched(head, train, *args):
        seen.append(len(train))
        return real(head, train, *args)

    monkeypatch.setattr(fitting, "fit", watched)
    # If a tested cell were learned, its label here would be the one found.
    given.of_node[purpose == labels.TEST] += 1
    given.of_node[given.of_node == 3] = 0
    (point,) = curves.against_count(
        vectors, 0, given, purpose, LINEAR, [50], runs=1
    )
    assert seen == [50]
    assert point.macro_f1 == pytest.approx(0, abs=0.05)
