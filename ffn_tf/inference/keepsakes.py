"""What a canvas keeps beside its segmentation, if it is asked to.

    probabilities   how sure the network was of each voxel of an object:
                    [z, y, x] uint8, 1 to 255, and 0 where no object is;
                    (q - 0.5) / 255 is the probability again, to 0.006
    history         where the fields of view of objects that were kept were
                    centred, and how many voxels each took out: those that fell
                    from p >= 0.8 to below 0.5

Both as google/ffn has them (.prob files; keep_history).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import special

SURE = float(special.logit(0.8))


@dataclasses.dataclass(frozen=True)
class Keep:
    """What is asked for."""

    probabilities: bool = False
    history: bool = False


NOTHING = Keep()


class Keepsakes:
    """What has been kept of one canvas.

    Args:
      keep: what is asked for.
      initial: [z, y, x] ids of objects that are there from the beginning, of
        which everything is sure.

    Attributes:
      probabilities: see the module; None if not asked for.
      history: rows id, z, y, x, deleted, in the order of steps.
    """

    def __init__(self, keep: Keep, initial: np.ndarray) -> None:
        self._keep = keep
        self.probabilities: np.ndarray | None = None
        if keep.probabilities:
            self.probabilities = np.where(initial > 0, 255, 0).astype(np.uint8)
        self.history: list[list[int]] = []
        self._visits: list[list[int]] = []  # Of the object in progress.

    def visited(self, position: tuple[int, int, int], deleted: int) -> None:
        """A step of the object in progress, which took out `deleted` voxels."""
        if self._keep.history:
            self._visits.append([*position, deleted])

    def accepted(
        self,
        label: int,
        where: tuple[slice, ...],
        voxels: np.ndarray,
        logits: np.ndarray,
    ) -> None:
        """The object in progress is `label`: `voxels` bool of the part `where`.

        Args:
          logits: of the part.
        """
        if self.probabilities is not None:
            made = quantised(special.expit(logits[voxels]))
            self.probabilities[where][voxels] = made
        self.history += [[label, *visit] for visit in self._visits]

    def forget(self) -> None:
        """The object in progress is finished, or given up."""
        self._visits.clear()

    def arrays(self) -> dict[str, np.ndarray]:
        """With `values`, what `restore` goes on from."""
        if self.probabilities is None:
            return {}
        return {"probabilities": self.probabilities}

    def values(self) -> dict[str, Any]:
        return {"history": self.history, "visits": self._visits}

    def restore(
        self, arrays: dict[str, np.ndarray], values: dict[str, Any]
    ) -> None:
        if self.probabilities is not None:
            self.probabilities = arrays["probabilities"].copy()
        self.history = [list(row) for row in values["history"]]
        self._visits = [list(row) for row in values["visits"]]


def deleted(before: np.ndarray, logits: np.ndarray) -> int:
    """Voxels that a step took out; NaN before it: untouched."""
    return int(np.count_nonzero((before >= SURE) & (logits < 0)))


def quantised(probabilities: np.ndarray) -> np.ndarray:
    """As google/ffn's .prob files have them: uint8, 1 to 255."""
    return np.digitize(probabilities, np.linspace(0, 1, 255)).astype(np.uint8)
