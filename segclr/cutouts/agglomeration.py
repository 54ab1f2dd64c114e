"""(1) Agglomeration: which object each segment belongs to.

A segmentation is often stored as small segments, and a table says which of them
are one neurite:

    FILE.npz    arrays `segment` and `object`, [n] integers
    FILE.csv    lines SEGMENT,OBJECT; the first may be a heading

A segment that is not in the table is an object of its own; 0 is background.
"""

from __future__ import annotations

import os
import pathlib
import zipfile

import numpy as np
import pyarrow as pa
from pyarrow import csv


class Agglomeration:
    """A table; without entries each segment is its own object.

    Args:
      segments, objects: [n] integers.
      name: of the table, for messages.

    Raises:
      ValueError: a segment is in two objects, or 0 in one.
    """

    def __init__(
        self, segments: np.ndarray, objects: np.ndarray, name: str = "table"
    ) -> None:
        order = np.argsort(segments, kind="stable")
        self._segments = segments[order].astype(np.uint64)
        self._objects = objects[order].astype(np.uint64)
        again = self._segments[1:] == self._segments[:-1]
        twice = again & (self._objects[1:] != self._objects[:-1])
        if twice.any():
            raise ValueError(
                f"{name}: segment {self._segments[1:][twice][0]} is in two "
                f"objects."
            )
        if len(segments) and self._segments[0] == 0:
            raise ValueError(f"{name}: segment 0 is background, and no object.")

    def objects_of(self, segments: np.ndarray) -> np.ndarray:
        """The object of each segment, uint64 of the same shape."""
        segments = segments.astype(np.uint64)
        if not len(self._segments):
            return segments
        unique, number = np.unique(segments, return_inverse=True)
        place = np.searchsorted(self._segments, unique)
        place = np.minimum(place, len(self._segments) - 1)
        is_known = self._segments[place] == unique
        objects = np.where(is_known, self._objects[place], unique)
        found: np.ndarray = objects[number].reshape(segments.shape)
        return found


NONE = Agglomeration(np.zeros(0, np.uint64), np.zeros(0, np.uint64))


def read(path: str | os.PathLike[str]) -> Agglomeration:
    """The table in a file; `NONE` of an empty path.

    Raises:
      FileNotFoundError: it is not there.
      ValueError: it is no such table.
    """
    if not os.fspath(path):
        return NONE
    file = pathlib.Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such agglomeration table.")
    try:
        columns = _npz(file) if file.suffix == ".npz" else _csv(file)
    except (
        ValueError,
        KeyError,
        EOFError,
        OSError,
        zipfile.BadZipFile,
        pa.ArrowInvalid,
    ) as error:
        raise ValueError(
            f"{file}: expected an .npz with the arrays `segment` and `object` "
            f"of integers, or a .csv of lines SEGMENT,OBJECT: {error}"
        ) from error
    return Agglomeration(*columns, str(file))


def _npz(file: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(file, allow_pickle=False) as arrays:
        columns = arrays["segment"], arrays["object"]
    shapes = {one.shape for one in columns}
    if len(shapes) > 1 or any(
        one.ndim != 1 or one.dtype.kind not in "iu" for one in columns
    ):
        raise ValueError(
            f"found {', '.join(f'{c.dtype} {c.shape}' for c in columns)}"
        )
    return columns


def _csv(file: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    with open(file, encoding="utf-8") as opened:
        has_heading = not opened.readline().partition(",")[0].strip().isdigit()
    names = ["segment", "object"]
    table = csv.read_csv(
        file,
        csv.ReadOptions(column_names=names, skip_rows=int(has_heading)),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.uint64()), null_values=[]
        ),
    )
    segments, objects = (table.column(name).to_numpy() for name in names)
    return segments, objects
