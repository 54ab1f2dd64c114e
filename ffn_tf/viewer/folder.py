"""A folder whose files are served, and nothing outside of it.

Where there is no `NAME` but a `NAME.gz`, that is it: CloudVolume writes so.
"""

from __future__ import annotations

import os
import pathlib


class Folder:
    """The files of one folder, also in folders of it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._root = pathlib.Path(path).resolve()

    def get(self, path: str) -> pathlib.Path | None:
        """The file at a path in the folder; None if there is none.

        Nor is there one that is reached by `..`, from the root, or by a link
        to somewhere else.
        """
        for name in (path, f"{path}.gz"):
            try:
                found = (self._root / name).resolve()
                if found.is_relative_to(self._root) and found.is_file():
                    return found
            except (OSError, ValueError):  # No name for a file at all.
                return None
        return None

    def ids(self) -> list[int]:
        """Numbers that are names of its files, ascending."""
        names = [path.name.removesuffix(".gz") for path in self._root.iterdir()]
        return sorted({int(n) for n in names if n.isascii() and n.isdigit()})
