"""(3) Ranking: the checkpoints of a training, the best first.

Least VOI split + merge, then most coverage, then the earlier; one without any
segment is behind all others. Only scores of the same box and truth (and
skeletons) are compared: those of the newest one that has any.

    ranking.md     the table, to read
    ranking.json   best: its row; checkpoints: a row each, the best first;
                   settings: of record.Record; left_out: names of checkpoints
                   without such scores; made_by
    ranking.png    VOI, coverage and adapted Rand error over steps (chart.py)

A row: step, checkpoint (its folder) and the fields of record.Scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import json
import os
import pathlib
from typing import Any

from ffn_tf import program
from ffn_tf.validation import chart, record
from ffn_tf.volume import files

_COLUMNS = ("step", "coverage", "VOI split", "merge", "sum", "ARAND", "ERL nm")


@dataclasses.dataclass(frozen=True)
class Row:
    """A checkpoint that has been validated."""

    folder: pathlib.Path
    found: record.Record

    @property
    def scores(self) -> record.Scores:
        return self.found.scores


@dataclasses.dataclass(frozen=True)
class Ranking:
    """What there is to say.

    Attributes:
      rows: the best first; at least one.
      left_out: checkpoints that could not be compared.
    """

    rows: tuple[Row, ...]
    left_out: tuple[pathlib.Path, ...] = ()

    @property
    def best(self) -> Row:
        return self.rows[0]

    @property
    def doubt(self) -> str:
        """Why the best one is not to be trusted; "" if nothing is wrong."""
        scores = self.best.scores
        if not scores.segments:
            return "no checkpoint segments anything: train longer."
        if scores.voi >= scores.voi_of_nothing:
            return (
                f"the best checkpoint is no better than no segment at all "
                f"(VOI {scores.voi_of_nothing:.4f}): train longer, or choose "
                f"a box with more objects."
            )
        return ""


def checkpoints(train_dir: str | os.PathLike[str]) -> list[pathlib.Path]:
    """The folders of a training's checkpoints, the oldest first.

    Raises:
      FileNotFoundError: there is none.
    """
    root = pathlib.Path(train_dir) / "checkpoints"
    found = [p.parent for p in root.glob("step-*/model.json")]
    if not found:
        raise FileNotFoundError(
            f"{train_dir}: no checkpoints in it; expected the --train_dir of a "
            f"training, with checkpoints/step-*/model.json."
        )
    return sorted(found, key=step_of)


def step_of(folder: pathlib.Path) -> int:
    """1200 of .../step-00001200."""
    digits = folder.name.removeprefix("step-")
    if not digits.isdigit():
        raise ValueError(f"{folder}: expected a name like step-00001200.")
    return int(digits)


def ranked(folders: Sequence[pathlib.Path]) -> Ranking:
    """Ranks checkpoints by their validation.json.

    Raises:
      ValueError: none has one.
    """
    rows = _comparable(folders)
    if not rows:
        raise ValueError(
            f"None of {len(folders)} checkpoints in {folders[0].parent} has "
            f"been scored. Give --image and --truth, to segment a small box "
            f"with each; `train --eval_volume` does so while it trains."
        )
    return _sorted(rows, folders)


def completed(
    folders: Sequence[pathlib.Path],
    settings: dict[str, Any],
    validated: Callable[[pathlib.Path, int], record.Record],
) -> Ranking:
    """Ranks checkpoints, and validates those that have not been.

    A validation.json is written where there is none; one of other settings
    stays, and is not looked at. A checkpoint that cannot be tried is left out,
    with a warning.

    Args:
      folders: of checkpoints.
      settings: of record.Record.
      validated: validates a checkpoint, given its folder and step.

    Raises:
      ValueError, OSError: as `validated`, if none can be tried.
    """
    rows = []
    problem: Exception | None = None
    for folder in program.watched(
        folders, len(folders), "Validating", "checkpoints"
    ):
        there = record.read(folder)
        if there is not None and there.settings == settings:
            rows.append(Row(folder, there))
            continue
        try:
            found = validated(folder, step_of(folder))
        except program.INPUT_ERRORS as error:
            if folder.exists():  # Else the training goes on, and removed it.
                program.warn(f"{folder} is left out: {error}")
                problem = error
            continue
        if there is None:
            record.write(folder, found)
        rows.append(Row(folder, found))
    if not rows:
        raise problem or FileNotFoundError(
            f"{folders[0].parent}: its checkpoints were removed meanwhile."
        )
    return _sorted(rows, folders)


def best(folders: Sequence[pathlib.Path]) -> pathlib.Path | None:
    """The best by their validation.json; None if none has one."""
    rows = _comparable(folders)
    return _sorted(rows, folders).best.folder if rows else None


def _comparable(folders: Sequence[pathlib.Path]) -> list[Row]:
    """Those of the settings of the newest."""
    read = [(folder, record.read(folder)) for folder in folders]
    rows = [Row(folder, found) for folder, found in read if found]
    if not rows:
        return []
    settings = max(rows, key=lambda row: row.found.step).found.settings
    return [row for row in rows if row.found.settings == settings]


def _sorted(rows: list[Row], folders: Sequence[pathlib.Path]) -> Ranking:
    in_order = sorted(rows, key=lambda row: (*row.scores.cost, row.found.step))
    there = {row.folder for row in rows}
    return Ranking(tuple(in_order), tuple(f for f in folders if f not in there))


# -----------------------------------------------------------------------------
# Written down
# -----------------------------------------------------------------------------


def write(folder: str | os.PathLike[str], ranking: Ranking) -> None:
    """Writes the three files into `folder`, which is made if missing."""
    root = pathlib.Path(folder)
    files.write_text(root / "ranking.md", as_markdown(ranking))
    text = json.dumps(as_json(ranking), indent=1, allow_nan=False)
    files.write_text(root / "ranking.json", text + "\n")
    by_step = sorted(ranking.rows, key=lambda row: row.found.step)
    picture = chart.draw(
        [row.found.step for row in by_step],
        [row.scores for row in by_step],
    )
    with files.atomic_path(root / "ranking.png") as path:
        picture.save(path, optimize=True)


def as_json(ranking: Ranking) -> dict[str, Any]:
    """The content of ranking.json (see the module's docstring)."""

    def row(one: Row) -> dict[str, Any]:
        scores = dataclasses.asdict(one.scores) | {"voi": one.scores.voi}
        return {
            "step": one.found.step,
            "checkpoint": str(one.folder),
            **scores,
        }

    return {
        "best": row(ranking.best),
        "checkpoints": [row(one) for one in ranking.rows],
        "settings": ranking.best.found.settings,
        "left_out": [str(folder) for folder in ranking.left_out],
        "made_by": {
            "program": "ffn_tf.evaluate",
            "code_version": program.describe_code(),
        },
    }


def as_text(ranking: Ranking) -> str:
    """The table for a terminal, and the best one."""
    widths = (12, 10, 11, 9, 9, 9, 11)
    lines = ["".join(f"{name:>{w}}" for name, w in zip(_COLUMNS, widths))]
    for row in ranking.rows:
        cells = zip(_cells(row), widths)
        lines.append("".join(f"{cell:>{w}}" for cell, w in cells))
    return "\n".join([*lines, f"Best: {ranking.best.folder}"])


def as_markdown(ranking: Ranking) -> str:
    """The content of ranking.md."""
    rows = [_COLUMNS, ("---:",) * len(_COLUMNS), *map(_cells, ranking.rows)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    settings = ranking.best.found.settings
    of = "\n".join(
        f"- {name}: `{value}`" for name, value in settings.items() if value
    )
    scores = ranking.best.scores
    doubt = ranking.doubt
    left_out = ", ".join(folder.name for folder in ranking.left_out)
    sections = [
        "# Checkpoints, the best first",
        f"**Best: step {ranking.best.found.step:,}**, `{ranking.best.folder}`.",
        f"But {doubt}" if doubt else "",
        table,
        "The least VOI split + merge (bits) is best, then the most coverage. "
        "VOI and adapted Rand error are over all voxels with a truth; what has "
        "no segment counts as one more segment. Segmenting nothing would have "
        f"VOI {scores.voi_of_nothing:.4f}.",
        "![Scores over steps](ranking.png)",
        "## What was segmented",
        of,
        f"Left out, for lack of scores on this box: {left_out}."
        if left_out
        else "",
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    scores = row.scores
    erl = "" if scores.erl_nm is None else f"{scores.erl_nm:,.1f}"
    values = (
        scores.coverage,
        scores.voi_split,
        scores.voi_merge,
        scores.voi,
        scores.arand,
    )
    return (
        f"{row.found.step:,}",
        *(f"{value:.4f}" for value in values),
        erl,
    )
