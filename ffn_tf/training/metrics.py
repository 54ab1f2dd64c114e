"""(5) Metrics: how well patches are filled, and whether walks go right.

What google/ffn's tracker counts, over the examples since the last summary. A
voxel is predicted inside from a probability of 0.9 on, and inside in truth
where its soft label is above 0.5; only voxels with weight count.

    eval/patch_loss                    mean cross entropy of finished patches
    eval/patches                       how many
    eval/all/{accuracy,precision,recall,specificity,f1}
    moves/{total,all/correct,all/missed,all/spurious}
    moves/r=R/{total,correct,missed,spurious}    R: int of the distance, voxels
    masked_voxel_fraction              voxels without weight

A move is correct if it was made and wanted (moves.Move), missed if only wanted,
spurious if only made; shares of all moves considered that were wanted or made.
What nothing was counted for has no value.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

import numpy as np
from scipy import special

from ffn_tf.training.moves import Move, Policy, Walk

_INSIDE = special.logit(0.9)
_LAST = 4  # Patches that are kept for pictures.


class Tracker:
    """Counts, until they are taken."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._patches: collections.deque[tuple[np.ndarray, ...]] = (
            collections.deque(maxlen=_LAST)
        )
        self.clear()

    def clear(self) -> None:
        """Begins to count anew; pictures stay."""
        self._moves: collections.Counter[tuple[int, str]] = (
            collections.Counter()
        )
        self._voxels: collections.Counter[str] = collections.Counter()
        self._losses: list[float] = []

    def add_moves(self, moves: Iterable[Move]) -> None:
        for move in moves:
            radius = int(np.linalg.norm(move.offset))
            if move.made or move.wanted:
                self._moves[radius, "total"] += 1
                kind = "missed" if not move.made else "spurious"
                if move.made and move.wanted:
                    kind = "correct"
                self._moves[radius, kind] += 1

    def add_patch(self, walk: Walk) -> None:
        """A walk that has ended."""
        middle = tuple(
            slice((n - m) // 2, (n + m) // 2)
            for n, m in zip(walk.canvas.shape, self._policy.eval_size)
        )
        logits = walk.canvas[middle]
        image, labels, weights = (part[middle] for part in walk.example[:3])
        counts = weights > 0
        inside, truth = logits >= _INSIDE, labels > 0.5
        # log(1 + exp(x)), four times as fast as numpy's logaddexp.
        softplus = np.log1p(np.exp(-np.abs(logits))) + np.maximum(logits, 0)
        entropy = softplus - labels * logits
        self._losses.append(float((entropy * weights).mean()))
        for name, voxels in (
            ("tp", inside & truth),
            ("fp", inside & ~truth),
            ("fn", ~inside & truth),
            ("tn", ~inside & ~truth),
        ):
            self._voxels[name] += int((voxels & counts).sum())
        self._voxels["masked"] += int((~counts).sum())
        self._patches.append((image, labels, logits, weights))

    def pictures(self) -> list[np.ndarray]:
        """Of the last patches that were finished, uint8; see `_picture`."""
        return [_picture(*patch) for patch in self._patches]

    def scalars(self) -> dict[str, float]:
        """All that has been counted, by the names of the module."""
        v = self._voxels
        scored = v["tp"] + v["fp"] + v["fn"] + v["tn"]
        result = {
            "eval/patches": float(len(self._losses)),
            "eval/patch_loss": _share(sum(self._losses), len(self._losses)),
            "eval/all/accuracy": _share(v["tp"] + v["tn"], scored),
            "eval/all/precision": _share(v["tp"], v["tp"] + v["fp"]),
            "eval/all/recall": _share(v["tp"], v["tp"] + v["fn"]),
            "eval/all/specificity": _share(v["tn"], v["tn"] + v["fp"]),
            "eval/all/f1": _share(2 * v["tp"], 2 * v["tp"] + v["fp"] + v["fn"]),
            "masked_voxel_fraction": _share(v["masked"], v["masked"] + scored),
        }
        kinds = ("correct", "missed", "spurious")
        totals = {
            r: n for (r, kind), n in self._moves.items() if kind == "total"
        }
        result["moves/total"] = float(sum(totals.values()))
        for kind in kinds:
            made = sum(self._moves[r, kind] for r in totals)
            result[f"moves/all/{kind}"] = _share(made, sum(totals.values()))
        for radius, total in sorted(totals.items()):
            result[f"moves/r={radius}/total"] = float(total)
            for kind in kinds:
                share = _share(self._moves[radius, kind], total)
                result[f"moves/r={radius}/{kind}"] = share
        return {k: value for k, value in result.items() if value == value}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _picture(
    image: np.ndarray,
    labels: np.ndarray,
    logits: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """Middle sections [3 cuts, height, width] uint8, as large as the largest.

    The cuts are xy, xz and yz; from left to right image, label, prediction
    and, where it is not 1 everywhere, weight.
    """
    low, high = np.percentile(image, (1, 99))
    grey = np.clip((image - low) / max(high - low, 1e-6), 0, 1)
    parts = [grey, labels, special.expit(logits), np.clip(weights, 0, 1)]
    side = max(image.shape)
    result = np.zeros((3, side, 4 * side), np.uint8)
    for cut, axis in enumerate((0, 1, 2)):
        for place, part in enumerate(parts):
            section = part.take(part.shape[axis] // 2, axis)
            height, width = section.shape
            left = place * side
            result[cut, :height, left : left + width] = section * 255
    return result
