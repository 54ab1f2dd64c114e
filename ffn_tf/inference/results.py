"""The folder of a run's results, which are of one kind.

run.json holds what decides the voxels. It is written before any result; later
runs must say the same, and then skip what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
import pathlib
from typing import Any

from ffn_tf import volume
from ffn_tf.inference import subvolume
from ffn_tf.volume import files


class Results:
    """A folder and what its results are made by.

    Args:
      path: of the folder; it need not be there yet.
      fingerprint: what decides the voxels; JSON values.
    """

    def __init__(self, path: pathlib.Path, fingerprint: dict[str, Any]) -> None:
        self.path = path
        self._fingerprint = fingerprint

    def settle(self) -> None:
        """Writes run.json, or compares with the one that is there.

        Raises:
          ValueError: the folder holds results of other options.
        """
        path = self.path / "run.json"
        written = json.dumps(self._fingerprint, indent=1, sort_keys=True)
        if not path.exists():
            if subvolume.find(self.path):
                raise ValueError(
                    f"{self.path} holds subvolumes but no run.json that "
                    f"says how they were made. Use another folder."
                )
            files.write_text(path, written)
            return
        mine = _flat(json.loads(written))
        theirs = _flat(json.loads(path.read_text(encoding="utf-8")))
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

    def is_done(self, box: volume.Box) -> bool:
        path = subvolume.path_for(self.path, box.start)
        if not path.exists():
            return False
        self.check_size(
            box, subvolume.load_provenance(path).get("size_zyx", ())
        )
        return True

    def check_size(self, box: volume.Box, found: Sequence[int]) -> None:
        """Files are named by their corner alone."""
        if tuple(found) != box.size:
            raise ValueError(
                f"{self.path} holds a subvolume of size_zyx {tuple(found)} "
                f"at {box.start} (zyx), where this run has one of size_zyx "
                f"{box.size}. Use another folder."
            )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found
