"""The folder of a run's results, which are of one kind.

run.json holds what decides the voxels. It is written before any result; later
runs must say the same, and then skip what is there.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import hashlib
import json
import pathlib
from typing import Any

from ffn_tf import volume
from ffn_tf.inference import subvolume
from ffn_tf.volume import files


def folder(path: str) -> pathlib.Path:
    """The folder for results at `path`; it need not be there yet.

    Raises:
      ValueError: no path, or a URL.
      NotADirectoryError: there is a file in its place.
    """
    if not path:
        raise ValueError(
            "segmentation_output_dir: expected the folder of the results, "
            "found none."
        )
    if "://" in path:
        raise ValueError(
            f"segmentation_output_dir: {path}: results are files of this "
            f"machine; expected the path of a folder. Copy them afterwards."
        )
    found = pathlib.Path(path)
    for place in (found, *found.parents):
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(
                f"segmentation_output_dir: {place} is not a folder."
            )
    return found


@contextlib.contextmanager
def locked(path: pathlib.Path, shard: str) -> Iterator[None]:
    """Makes the folder of results, and keeps other processes out of it.

    Args:
      shard: a share of the work; those of others are let in.

    Raises:
      BlockingIOError: another process works in the folder, or on the shard.
    """
    path.mkdir(parents=True, exist_ok=True)
    with files.locked(path, "segmenting into it", shared=bool(shard)):
        if not shard:
            yield
            return
        with files.marked(path / f"{shard}.lock", f"working on {shard}"):
            yield


class Results:
    """A folder and what its results are made by.

    Args:
      path: of the folder; it need not be there yet.
      fingerprint: what decides the voxels; JSON values.
    """

    def __init__(self, path: pathlib.Path, fingerprint: dict[str, Any]) -> None:
        self.path = path
        self._run_json = path / "run.json"
        self._written = json.dumps(fingerprint, indent=1, sort_keys=True)
        # Marks what belongs to such results.
        self.digest = hashlib.sha256(self._written.encode()).hexdigest()

    def settle(self, shard: str) -> None:
        """Writes run.json, if it is not there; see `check`."""
        self.check()
        if not shard:  # Nobody else writes here.
            for name in ("run.json", "int8.npz"):
                files.remove_leftovers(self.path / name)
        if not self._run_json.exists():
            files.write_text(self._run_json, self._written)

    def check(self) -> None:
        """Compares with the run.json that is there; writes nothing.

        Raises:
          ValueError: the folder holds results of other options, or of unknown
            ones.
        """
        path = self._run_json
        if not path.exists():
            states = [*self.path.glob("*/*/seg-*.cpoint")]
            if states or subvolume.find(self.path):
                raise ValueError(
                    f"{self.path} holds subvolumes but no run.json that "
                    f"says how they were made. Use another folder."
                )
            return
        mine = _flat(json.loads(self._written))
        try:
            theirs = _flat(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"{path} is damaged ({error}), so what {self.path} holds "
                f"cannot be told. Use another folder."
            ) from error
        differing = [
            f"{name}: there {theirs.get(name)!r}, now {mine.get(name)!r}"
            for name in sorted(mine.keys() | theirs.keys())
            if mine.get(name) != theirs.get(name)
        ]
        if differing:
            raise ValueError(
                f"{self.path} holds results of other options "
                f"({'; '.join(differing)}). Use another folder, or the same "
                f"options to go on."
            )

    def check_begun(self) -> None:
        """Whether `settle` has been called, as seen by this machine.

        Raises:
          FileNotFoundError: no.
        """
        if not self._run_json.exists():
            raise FileNotFoundError(
                f"{self.path}: no run.json in it, as this worker sees it. "
                f"Expected a folder that all machines share, by its whole path."
            )

    def is_done(self, box: volume.Box) -> bool:
        """Whether its file is there and whole.

        Raises:
          ValueError: a file of other options, or of another box.
        """
        path = subvolume.path_for(self.path, box.start)
        try:
            provenance = subvolume.checked_provenance(path)
        except (FileNotFoundError, ValueError):
            return False
        mine = json.loads(self._written)
        other = [
            k for k in mine if k in provenance and provenance[k] != mine[k]
        ]
        if other:
            raise ValueError(
                f"{path} was made with other options ({', '.join(other)}) and "
                f"put here. Move it away, or use another folder."
            )
        found = provenance.get("size_zyx")
        # Files are named by their corner alone.
        if found != list(box.size):
            raise ValueError(
                f"{path} is a subvolume of size_zyx {found}, where this run "
                f"has one of size_zyx {box.size}. Use another folder."
            )
        return True


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found
