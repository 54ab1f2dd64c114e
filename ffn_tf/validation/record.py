"""(1) Record: the scores of one checkpoint, kept in its folder.

    TRAIN_DIR/checkpoints/step-00012000/validation.json
        step        12000
        scores      the fields of `Scores`
        settings    what was segmented: image, truth, start_zyx, size_zyx,
                    skeletons, merge_threshold, disco_seed_threshold; scores of
                    different ones cannot be compared
        made_by     image_mean, image_stddev, engine, compute_dtype, code

VOI and adapted Rand error are over all voxels with a truth; what has no segment
counts as one more segment, which merges all that it covers (overlap_metrics.py,
`truth`). Of voxels with a segment alone, a network would do best that segments
next to nothing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import Any

from ffn_tf import program
from ffn_tf.volume import files

NAME = "validation.json"


@dataclasses.dataclass(frozen=True)
class Scores:
    """How well a checkpoint segments the box.

    Attributes:
      coverage: share of the voxels with a truth that have a segment.
      voi_split, voi_merge: bits; see the module.
      arand: adapted Rand error.
      segments: how many there are.
      seconds: that it took.
      voi_of_nothing: VOI of a segmentation without any segment.
      erl_nm, normalised_erl: run length, if there are skeletons.
    """

    coverage: float
    voi_split: float
    voi_merge: float
    arand: float
    segments: int
    seconds: float
    voi_of_nothing: float
    erl_nm: float | None = None
    normalised_erl: float | None = None

    @property
    def voi(self) -> float:
        return self.voi_split + self.voi_merge

    @property
    def cost(self) -> tuple[bool, float, float]:
        """The least one is best; without any segment, none is worse."""
        return self.segments == 0, self.voi, -self.coverage

    def scalars(self) -> dict[str, float]:
        """For TensorBoard, by name."""
        found = dataclasses.asdict(self) | {"voi": self.voi}
        return {
            f"validation/{name}": float(value)
            for name, value in found.items()
            if value is not None and name != "voi_of_nothing"
        }


@dataclasses.dataclass(frozen=True)
class Record:
    """What validation.json holds."""

    step: int
    scores: Scores
    settings: dict[str, Any]
    made_by: dict[str, Any]


def write(folder: str | os.PathLike[str], record: Record) -> None:
    """Writes it into a checkpoint's folder, whole or not at all."""
    text = json.dumps(dataclasses.asdict(record), indent=1, allow_nan=False)
    files.write_text(pathlib.Path(folder) / NAME, text + "\n")


def read(folder: str | os.PathLike[str]) -> Record | None:
    """That of a checkpoint's folder; None (and a warning) if it is damaged."""
    path = pathlib.Path(folder) / NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        scores = Scores(**found.pop("scores"))
        if not all(
            isinstance(value, (int, float))
            for name, value in dataclasses.asdict(scores).items()
            if name not in ("erl_nm", "normalised_erl")
        ):
            raise ValueError("a score is not a number")
        return Record(scores=scores, **found)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        program.warn(f"{path} is damaged, and not looked at ({error!r}).")
        return None
