"""Metrics: counts worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from ffn_tf.model.fov import FieldOfView
from ffn_tf.training import metrics, moves

VIEW = FieldOfView((3, 3, 3), (1, 1, 1))
POLICY = moves.Policy.drawn(VIEW, "fixed", 1, np.random.default_rng(0))


def _walk(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> moves.Walk:
    image = np.random.default_rng(0).random((5, 5, 5)).astype(np.float32)
    example = moves.Example(image, labels, weights, np.zeros(4, np.int64))
    walk = moves.Walk(example, POLICY)
    walk.canvas = logits
    return walk


def test_voxels() -> None:
    labels = np.full((5, 5, 5), 0.05, np.float32)
    labels[:2] = 0.95  # 50 voxels inside
    logits = np.full((5, 5, 5), special.logit(0.1), np.float32)
    logits[:3] = special.logit(0.93)  # 75 predicted
    logits[0, 0, 0] = special.logit(0.85)  # Not enough.
    weights = np.ones((5, 5, 5), np.float32)
    weights[4] = 0
    tracker = metrics.Tracker(POLICY)
    tracker.add_patch(_walk(logits, labels, weights))
    found = tracker.scalars()
    assert found["eval/patches"] == 1
    assert found["eval/all/precision"] == pytest.approx(49 / 74)
    assert found["eval/all/recall"] == pytest.approx(49 / 50)
    assert found["eval/all/specificity"] == pytest.approx(25 / 50)
    assert found["eval/all/accuracy"] == pytest.approx(74 / 100)
    assert found["eval/all/f1"] == pytest.approx(2 * 49 / (74 + 50))
    assert found["masked_voxel_fraction"] == pytest.approx(25 / 125)
    p = special.expit(logits.astype(float))
    entropy = -labels * np.log(p) - (1 - labels) * np.log(1 - p)
    expected = (entropy * weights).mean()
    assert found["eval/patch_loss"] == pytest.approx(expected, rel=1e-5)
    tracker.clear()
    assert tracker.scalars() == {"eval/patches": 0, "moves/total": 0}


def test_moves() -> None:
    tracker = metrics.Tracker(POLICY)
    tracker.add_moves(
        [
            moves.Move((0, 0, 0), True, True),
            moves.Move((0, 0, 1), True, False),
            moves.Move((0, 1, 0), False, True),
            moves.Move((1, 0, 0), True, True),
            moves.Move((1, 1, 1), False, False),
        ]
    )
    found = tracker.scalars()
    assert found["moves/total"] == 4
    assert found["moves/all/correct"] == pytest.approx(2 / 4)
    assert found["moves/all/missed"] == pytest.approx(1 / 4)
    assert found["moves/all/spurious"] == pytest.approx(1 / 4)
    assert found["moves/r=0/correct"] == 1
    assert found["moves/r=1/total"] == 3
    assert found["moves/r=1/missed"] == pytest.approx(1 / 3)


def test_pictures() -> None:
    shape = (5, 5, 5)
    labels = np.full(shape, 0.05, np.float32)
    labels[:, :2] = 0.95
    logits = np.full(shape, -9, np.float32)
    logits[2] = 9
    tracker = metrics.Tracker(POLICY)
    for _ in range(20):
        tracker.add_patch(_walk(logits, labels, np.ones(shape, np.float32)))
    assert len(tracker.pictures()) == 4
    xy, xz, yz = tracker.pictures()[0]
    assert xy.shape == (5, 20)
    assert (xy[:2, 5:10] == 242).all()  # Labels, rows y < 2.
    assert (xy[:, 10:15] == 254).all()  # The prediction, at z = 2.
    assert (xz[2, 10:15] == 254).all()
    assert (xz[3, 10:15] == 0).all()
    assert (yz[:, 5:7] == 242).all()
    assert (yz[:, 15:] == 255).all()  # Weights.
