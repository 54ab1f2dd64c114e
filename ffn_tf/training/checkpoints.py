"""(6) Checkpoints: a training that goes on as if it had not been stopped.

    TRAIN_DIR/checkpoints/step-00012000/
        model.json, model.weights.h5    the network (model/folder.py), with the
                                        averaged weights: what is used
        state.npz                       what training needs to go on: weights,
                                        optimizer, average; what is under way
                                        (walks); JSON in `progress`: steps,
                                        examples taken, random numbers

A folder appears with all its files, or not at all. The newest are kept, every
one whose step is a multiple of `keep_every`, and the best one, where somebody
knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import json
import os
import pathlib
import re
import shutil
import tempfile
import tokenize
from typing import Any
import zipfile

import numpy as np

_NAME = re.compile(r"step-(\d{8,})")
# What numpy makes of a damaged file, depending on where it is.
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
)


class Checkpoints:
    """Those of one training."""

    def __init__(
        self,
        train_dir: str | os.PathLike[str],
        keep: int,
        keep_every: int,
        best: Callable[[Sequence[pathlib.Path]], pathlib.Path | None] = (
            lambda folders: None
        ),
    ) -> None:
        """
        Args:
          train_dir: of the training.
          keep: how many of the newest are kept; 0 keeps all.
          keep_every: steps between those that are kept for good; 0: none.
          best: which of some folders is the best, if that is known.
        """
        self._root = pathlib.Path(train_dir) / "checkpoints"
        self._keep = keep
        self._keep_every = keep_every
        self._best = best

    def all(self) -> list[tuple[int, pathlib.Path]]:
        """(step, folder) of each, the oldest first."""
        found = []
        if self._root.is_dir():
            for path in self._root.iterdir():
                match = _NAME.fullmatch(path.name)
                if match and (path / "state.npz").exists():
                    found.append((int(match[1]), path))
        return sorted(found)

    def save(
        self,
        arrays: Mapping[str, np.ndarray],
        progress: dict[str, Any],
        write_network: Callable[[pathlib.Path], None],
    ) -> pathlib.Path:
        """Writes one, and removes those that are not kept.

        Args:
          arrays: of state.npz; none is called "progress".
          progress: JSON values; "step" is one of them.
          write_network: writes model.json and model.weights.h5 into a folder.

        Raises:
          OSError: it cannot be written; earlier ones are untouched.
        """
        final = self._root / f"step-{progress['step']:08d}"
        stored = {**arrays, "progress": np.array(json.dumps(progress))}
        self._root.mkdir(parents=True, exist_ok=True)
        temporary = pathlib.Path(
            tempfile.mkdtemp(dir=self._root, prefix=".tmp-")
        )
        try:
            with open(temporary / "state.npz", "wb") as file:
                np.savez(file, **stored)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            write_network(temporary)
            os.chmod(temporary, 0o755)
            if final.exists():
                shutil.rmtree(final)
            os.replace(temporary, final)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise OSError(
                f"{final}: the checkpoint cannot be written "
                f"({error.strerror or error}); is the disk full? Earlier ones "
                f"are untouched: with room for it, the same command goes on."
            ) from error
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        self._remove_old()
        return final

    def _remove_old(self) -> None:
        found = self.all()
        best = self._best([path for _, path in found]) if self._keep else None
        for number, path in found[: -self._keep] if self._keep else []:
            is_kept = self._keep_every and number % self._keep_every == 0
            if not is_kept and path != best:
                shutil.rmtree(path, ignore_errors=True)
        for path in self._root.glob(".tmp-*"):  # Of killed processes.
            shutil.rmtree(path, ignore_errors=True)

    def restore(
        self, path: pathlib.Path
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """(progress, arrays) of an earlier `save`.

        Raises:
          ValueError: damaged.
        """
        try:
            with (
                open(path / "state.npz", "rb") as raw,
                np.load(raw, allow_pickle=False) as file,
            ):
                arrays = dict(file)
            return json.loads(str(arrays.pop("progress"))), arrays
        except _DAMAGED as error:
            raise ValueError(
                f"{path}/state.npz: damaged ({error}). Delete the folder to go "
                f"on from the checkpoint before it."
            ) from error
