"""Folder: that of one training, with its options in `train.json`."""

from __future__ import annotations

from collections.abc import Collection
import json
import pathlib
from typing import Any

from ffn_tf import model
from ffn_tf.volume import attempt, files


def claim(
    root: pathlib.Path,
    options: dict[str, Any],
    kept: list[tuple[int, pathlib.Path]],
    may_change: Collection[str],
) -> None:
    """Refuses the folder of another training; notes this one.

    Args:
      root: the folder.
      options: of this training; JSON values.
      kept: its checkpoints, (step, folder), the oldest first.
      may_change: options that may be other when a training goes on.

    Raises:
      FileExistsError: it holds a training with other options.
      ValueError: its notes are damaged.
    """
    described = root / "train.json"
    if not kept:
        files.write_text(described, json.dumps(options, indent=1))
        return
    if not described.exists():  # Each checkpoint has the same.
        _, newest = kept[-1]
        found = model.origin(str(newest)).get("options", {})
        files.write_text(described, json.dumps(found, indent=1))
    try:
        found = dict(json.loads(described.read_text()))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{described}: damaged ({error}). Delete it: each checkpoint "
            f"holds the same."
        ) from error
    old, new = (
        {name: value for name, value in each.items() if name not in may_change}
        for each in (found, options)
    )
    changes = attempt.changes(old, new)
    if changes:
        raise FileExistsError(
            f"{root}: holds a training with other options ({changes}); give "
            f"the same to go on with it, or another --train_dir."
        )
