"""Points: places in a volume, such as seeds, read from a table.

    FILE.csv   a line for each point, z,y,x; or, with a header, the columns
               `z`, `y`, `x` or `seed_z`, `seed_y`, `seed_x` (segments.csv of
               reconcile), where a line without a number there is no point
    FILE.npy   [n, 3] numbers, z, y, x

They are voxels (of the first volume that is shown): a point is drawn in the
middle of its voxel. Few are written into the scene itself. Many are served, as
precomputed annotations in one piece:

    info          where they lie; the dimensions are those of the scene
    spatial/...   [1] uint64 n, points [n, 3] float32 x y z, [n] uint64 numbers
    by_id/NUMBER  [3] float32
"""

from __future__ import annotations

from collections.abc import Mapping
import csv
import json
import math
import pathlib
from typing import Any

import numpy as np

from ffn_tf import volume

FEW = 1000
_XYZ_OF_ZYX = [2, 1, 0]
_HEADERS = (("z", "y", "x"), ("seed_z", "seed_y", "seed_x"))


def read(path: str, domain: volume.Box) -> np.ndarray:
    """The points in a file, [n, 3] float64, zyx voxels.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it holds no points, or some that are not in `domain`.
    """
    suffix = pathlib.Path(path).suffix
    if suffix == ".npy":
        found = _read_npy(path)
    elif suffix == ".csv":
        found = _read_csv(path)
    else:
        raise ValueError(
            f"{path}: expected points as .csv or .npy, voxels z,y,x; TFRecords "
            f"of build_coordinates are not read."
        )
    if not len(found):
        raise ValueError(f"{path}: no point in it.")
    inside = ((found >= domain.start) & (found < domain.end)).all(axis=1)
    if not inside.all():
        first = tuple(found[~inside][0].tolist())
        raise ValueError(
            f"{path}: {np.count_nonzero(~inside)} of {len(found)} points lie "
            f"outside of the first volume, {domain}; the first of them is "
            f"{first}. Expected voxels z,y,x of that volume."
        )
    return found


def _read_npy(path: str) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: not a numpy array: {error}") from error
    if found.ndim != 2 or found.shape[1] != 3 or found.dtype.kind not in "iuf":
        raise ValueError(
            f"{path}: expected numbers [n, 3], z,y,x, found {found.dtype} of "
            f"shape {found.shape}."
        )
    return found.astype(np.float64)


def _read_csv(path: str) -> np.ndarray:
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if any(map(str.strip, row))]
    columns, begin = [0, 1, 2], 0
    if rows and not _are_numbers(rows[0]):
        names, begin = [name.strip() for name in rows[0]], 1
        known = [h for h in _HEADERS if set(h) <= set(names)]
        if not known:
            raise ValueError(
                f"{path}: expected columns z,y,x or seed_z,seed_y,seed_x, "
                f"found {','.join(names)}."
            )
        columns = [names.index(name) for name in known[0]]
    found = []
    for number, row in enumerate(rows[begin:], 1 + begin):
        values = [row[i].strip() for i in columns if i < len(row)]
        if begin and not any(values):
            continue
        if len(values) != 3 or not _are_numbers(values):
            raise ValueError(
                f"{path}: row {number}: expected three numbers z,y,x, found "
                f"{','.join(row)!r}."
            )
        found.append([float(value) for value in values])
    return np.array(found, np.float64).reshape(-1, 3)


def _are_numbers(values: list[str]) -> bool:
    try:
        return all(math.isfinite(float(value)) for value in values)
    except ValueError:
        return False


def middles_xyz(points: np.ndarray) -> np.ndarray:
    """[n, 3] where they are drawn: x, y, z, in voxels."""
    return np.floor(points)[:, _XYZ_OF_ZYX] + 0.5


class Points:
    """The files of many points."""

    def __init__(self, points: np.ndarray, dimensions: Mapping[str, Any]):
        self._xyz = middles_xyz(points).astype("<f4")
        self._dimensions = dict(dimensions)

    def get(self, path: str) -> bytes | None:
        """A file; None if there is none of that name."""
        if path == "info":
            return json.dumps(self._info()).encode()
        if path == "spatial/0_0_0":
            numbers = np.arange(len(self._xyz), dtype="<u8")
            count = np.array(len(self._xyz), "<u8")
            return b"".join(
                part.tobytes() for part in (count, self._xyz, numbers)
            )
        folder, _, name = path.partition("/")
        is_number = name.isascii() and name.isdigit()
        if folder == "by_id" and is_number and int(name) < len(self._xyz):
            return self._xyz[int(name)].tobytes()
        return None

    def _info(self) -> dict[str, Any]:
        lower = np.floor(self._xyz.min(axis=0))
        upper = np.floor(self._xyz.max(axis=0)) + 1
        return {
            "@type": "neuroglancer_annotations_v1",
            "dimensions": self._dimensions,
            "lower_bound": lower.tolist(),
            "upper_bound": upper.tolist(),
            "annotation_type": "POINT",
            "properties": [],
            "relationships": [],
            "by_id": {"key": "by_id"},
            "spatial": [
                {
                    "key": "spatial",
                    "grid_shape": [1, 1, 1],
                    "chunk_size": (upper - lower).tolist(),
                    "limit": len(self._xyz),
                }
            ],
        }
