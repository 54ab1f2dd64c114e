"""The slices that have arrived in a folder.

    0   1   2   3   4   5   6   7        sections, counted from the first
    [---complete---]    .   [---]        5 is not there yet, so 6 and 7 wait
                    ^ the next one

A slice is complete if its size and date have not changed between two looks
`settle_s` apart, and it is whole: the checksums of a PNG file are right, a TIFF
file, which has none, can be decoded. Its predecessors must be complete too. It
is safest to write a slice under a hidden name (.x.png) and rename it.

`look` reads disks; call it in a thread, one at a time.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import time

import numpy as np

from ffn_tf.volume import address as address_lib
from ffn_tf.volume.formats import stack
from ffn_tf.volume.store import Volume


@dataclasses.dataclass(frozen=True)
class _File:
    """A slice that waits to be complete, as it was when last looked at."""

    path: pathlib.Path
    signature: tuple[int, int]
    since: float
    damage: OSError | None = None


class ArrivingSlices:
    """PNG or TIFF sections; the last number in a name counts them."""

    def __init__(
        self, folder: str | os.PathLike[str], first: int, settle_s: float
    ) -> None:
        self.complete = 0
        self.changes = 0
        self.volume: Volume | None = None
        self.doubt: Exception | None = None
        self._folder = pathlib.Path(folder)
        self._first = first
        self._settle_s = settle_s
        self._waiting: dict[int, _File] = {}
        self._sections = _Sections()

    def look(self, wanted: int, *, final: bool) -> None:
        """See live.Arrivals."""
        while self.complete < wanted and self._take(final):
            pass
        if self.complete < wanted:
            self._list()
            while self.complete < wanted and self._take(final):
                pass

    def _list(self) -> None:
        waiting: dict[int, _File] = {}
        now = time.monotonic()
        for number, path in self._numbered().items():
            before = self._waiting.get(number)
            file = _File(path, _signature(path), now)
            if before and _same(before, file):
                file = before
            if number >= self._first + self.complete:
                waiting[number] = file
        if waiting != self._waiting:
            self.changes += 1
        self._waiting = waiting

    def _numbered(self) -> dict[int, pathlib.Path]:
        found: dict[int, pathlib.Path] = {}
        names = os.listdir(self._folder) if self._folder.is_dir() else ()
        for path in map(
            self._folder.joinpath, filter(address_lib.is_slice, names)
        ):
            digits = re.findall(r"\d+", path.stem)
            number = int(digits[-1]) if digits else -1
            if number in found:
                raise ValueError(
                    f"{path}: the same section as {found[number].name}; "
                    f"leave one of the two."
                )
            if number < self._first:
                raise ValueError(
                    f"{path}: expected a name with the number of the "
                    f"section, from {self._first} on; rename it, or say what "
                    f"the first number is."
                )
            found[number] = path
        return found

    def _take(self, final: bool) -> bool:
        """Whether the next section is complete; if so, it is counted."""
        number = self._first + self.complete
        file = self._waiting.get(number)
        self.doubt = file.damage if file else self._gap(number)
        if file is None or file.damage:
            return False
        if _signature(file.path) != file.signature:
            return False
        if not final and time.monotonic() - file.since < self._settle_s:
            return False
        try:
            self._sections.append(file.path)
        except OSError as error:
            self._waiting[number] = dataclasses.replace(file, damage=error)
            self.doubt = error
            return False
        del self._waiting[number]
        self.complete += 1
        self.changes += 1
        self.volume = Volume(
            stack.StackSource(self._sections), str(self._folder), writable=False
        )
        return True

    def _gap(self, number: int) -> Exception | None:
        if not self._waiting:
            return None
        return FileNotFoundError(
            f"{self._folder}: section {number} is missing, and there is "
            f"{self._waiting[min(self._waiting)].path.name}"
        )


class _Sections(stack.Folder):
    """Slices that were complete when they were appended."""

    def __init__(self) -> None:
        self._paths: list[pathlib.Path] = []
        self.shape = (0, 0, 0)
        self.dtype = np.dtype(np.uint8)

    def append(self, path: pathlib.Path) -> None:
        """Adds a section, if it is whole and like the others.

        Raises:
          OSError: it is not whole.
          ValueError: it is not like them.
        """
        size, dtype = stack.header(path)
        if self._paths and (size, dtype) != (self.shape[1:], self.dtype):
            raise ValueError(
                f"{path}: found {size} pixels (y, x) of {dtype}, expected "
                f"{self.shape[1:]} of {self.dtype} as in the sections before."
            )
        if path.suffix.lower() == ".png":
            stack.verify(path)
        else:
            with stack.open_tiff(path) as tiff:
                stack.page(path, tiff, 0)
        self._paths.append(path)
        self.dtype = dtype
        self.shape = (len(self._paths), *size)


def _signature(path: pathlib.Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:  # Renamed just now.
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _same(before: _File, now: _File) -> bool:
    return (before.path, before.signature) == (now.path, now.signature)
