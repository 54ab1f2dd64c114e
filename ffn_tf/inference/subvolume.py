"""Subvolume files: what one canvas leaves behind, as google/ffn lays it out.

    <folder>/<x>/<y>/seg-<x>_<y>_<z>.npz     x, y, z: the corner

    segmentation  [z, y, x] uint8, 16, 32 or 64, the least that holds its ids
    origins       id -> OriginInfo; a pickle (see pickles)
    overlaps      id -> [2, n] int64: the ids that the object ran into, and in
                  how many voxels; a pickle
    request       the serialized InferenceRequest
    counters      JSON: name -> count
    provenance    JSON, ours: what made the file. google/ffn does not look at it

and, if they were asked for, ours as well:

    initial_ids   [n + 1] uint64: the id, in the volume of --init_segmentation,
                  of each object that was there from the beginning, 1 to n
    history       [m, 5] int32: id, z, y, x, deleted of each field of view of
                  an object, z, y, x from the corner (keepsakes.py)

and beside it, as google/ffn lays it out, `seg-<x>_<y>_<z>.prob`: `qprob`
[z, y, x] uint8, how sure the network was of each voxel of an object.

google/ffn's readers read these files, and `load` reads google/ffn's, also those
that lie flat in the folder. Ids count from 1 in each subvolume: segment 7 here
and segment 7 next door have nothing to do with each other.

The same input gives the same bytes. So nothing here depends on the clock:
`walltime_sec` is written as 0, and `counters` is for counts, not for times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import json
import os
import pathlib
import re
from typing import Any

import numpy as np

from ffn_tf import volume
from ffn_tf.inference import archive, pickles

Corner = tuple[int, int, int]
OriginInfo = pickles.OriginInfo

_EXTRA = ("initial_ids", "history")
_NAME = re.compile(r"seg-(\d+)_(\d+)_(\d+)\.npz")


@dataclasses.dataclass(frozen=True, eq=False)
class Subvolume:
    """One result.

    Attributes:
      box: where it lies.
      segmentation: [z, y, x] unsigned ids, 0 background.
      origins: id -> seed (counted from the box's corner) and network calls.
      overlaps: id -> [2, n] int64, overlapped ids and voxel counts.
      counters: name -> count.
      request: serialized InferenceRequest (`request.from_serialized`).
      provenance: what made it; JSON values. `voxel_size_nm` (zyx), if there,
        is the size of the voxels.
      extra: arrays by name: initial_ids, history.
      probabilities: [z, y, x] uint8, 0 where no object is; a file beside.
    """

    box: volume.Box
    segmentation: np.ndarray
    origins: Mapping[int, OriginInfo] = dataclasses.field(default_factory=dict)
    overlaps: Mapping[int, np.ndarray] = dataclasses.field(default_factory=dict)
    counters: Mapping[str, int] = dataclasses.field(default_factory=dict)
    request: bytes = b""
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    extra: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    probabilities: np.ndarray | None = None

    def __post_init__(self) -> None:
        labels = self.segmentation
        if labels.shape != self.box.size or labels.dtype.kind not in "iu":
            raise ValueError(
                f"Expected a segmentation of integers [z, y, x] that fills box "
                f"{self.box}, found {labels.dtype} of shape {labels.shape}."
            )


# -----------------------------------------------------------------------------
# Names
# -----------------------------------------------------------------------------


def path_for(
    directory: str | os.PathLike[str],
    corner_zyx: Sequence[int],
    suffix: str = "npz",
) -> pathlib.Path:
    """Where the file of the subvolume at `corner_zyx` belongs.

    Raises:
      ValueError: a negative corner, which the format cannot name.
    """
    z, y, x = (int(value) for value in corner_zyx)
    if min(z, y, x) < 0:
        raise ValueError(
            f"A subvolume file cannot name the negative corner zyx {z}, {y}, "
            f"{x}; let the volume start at zero or above."
        )
    folder = pathlib.Path(directory) / str(x) / str(y)
    return folder / f"seg-{x}_{y}_{z}.{suffix}"


def find(
    directory: str | os.PathLike[str],
) -> dict[Corner, pathlib.Path]:
    """The files of a folder by corner (zyx), also those that lie flat in it.

    Where a corner has both, the nested one counts, as for google/ffn.
    """
    root = pathlib.Path(directory)
    paths = [*root.glob("seg-*.npz"), *root.glob("*/*/seg-*.npz")]
    return dict(sorted({_corner_of(path): path for path in paths}.items()))


def _corner_of(path: pathlib.Path) -> Corner:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(
            f"{path}: expected a name like seg-<x>_<y>_<z>.npz, which says "
            f"where the subvolume lies."
        )
    x, y, z = (int(value) for value in match.groups())
    return z, y, x


# -----------------------------------------------------------------------------
# Files
# -----------------------------------------------------------------------------


def save(
    directory: str | os.PathLike[str], subvolume: Subvolume
) -> pathlib.Path:
    """Writes the subvolume's file, whole or not at all; returns its path.

    Raises:
      ValueError: a negative corner, or negative ids (markers of rejected
        seeds must be cleared first).
      OSError: it cannot be written.
    """
    path = path_for(directory, subvolume.box.start)
    origins = {
        key: dataclasses.replace(origin, walltime_sec=0.0)
        for key, origin in subvolume.origins.items()
    }
    if subvolume.probabilities is not None:  # First: the result is the mark.
        archive.write(
            path_for(directory, subvolume.box.start, "prob"),
            {"qprob": subvolume.probabilities},
        )
    archive.write(
        path,
        {
            "segmentation": _narrowed(subvolume.segmentation),
            "origins": pickles.origins_member(origins),
            "overlaps": pickles.overlaps_member(subvolume.overlaps),
            "request": np.array(subvolume.request),
            "counters": np.array(_json(subvolume.counters)),
            "provenance": np.array(_json(subvolume.provenance)),
            **subvolume.extra,
        },
    )
    return path


def load(path: str | os.PathLike[str]) -> Subvolume:
    """Reads a subvolume file, google/ffn's or ours.

    Ours say where they lie; of others, the name does, and where it does not
    (google/ffn's published results) the corner is 0, 0, 0.

    Raises:
      FileNotFoundError: no such file.
      ValueError: damaged, or of another place than its name says, or not a
        subvolume file, or it holds a pickle of something other than origins
        and overlaps.
    """
    name = pathlib.Path(path)
    with archive.read(path) as file:
        provenance = _json_object(file, "provenance")
        corner = _corner(name, provenance.get("start_zyx"))
        labels = file.array("segmentation")
        origins = pickles.read_origins(file.raw("origins"), "origins")
        overlaps = {}
        if "overlaps" in file:
            overlaps = pickles.read_overlaps(file.raw("overlaps"), "overlaps")
        return Subvolume(
            box=volume.Box.from_size(corner, labels.shape),
            segmentation=labels,
            origins=origins,
            overlaps=overlaps,
            counters=_json_object(file, "counters"),
            request=_request(file),
            provenance=provenance,
            extra={name: file.array(name) for name in _EXTRA if name in file},
        )


@dataclasses.dataclass(frozen=True)
class Header:
    """What a subvolume file says without its voxels; see `Subvolume`.

    Attributes:
      checksum: of the voxels.
    """

    box: volume.Box
    request: bytes
    provenance: Mapping[str, Any]
    checksum: int


def header(path: str | os.PathLike[str]) -> Header:
    """Where the file's voxels lie, and what made them.

    Raises:
      FileNotFoundError, ValueError: as `load`; damaged voxels are not noticed.
    """
    with archive.read(path) as file:
        provenance = _json_object(file, "provenance")
        corner = _corner(pathlib.Path(path), provenance.get("start_zyx"))
        shape = file.shape("segmentation")
        return Header(
            volume.Box.from_size(corner, shape),
            _request(file),
            provenance,
            file.checksum("segmentation"),
        )


def _request(file: archive.Reader) -> bytes:
    # numpy pads bytes with zeros and drops them on the way out; a message
    # may end in one, so take what is there.
    request = file.array("request") if "request" in file else np.array(b"")
    return request.tobytes() if request.item() else b""


def _corner(path: pathlib.Path, written: Any) -> Corner:
    """First voxel, zyx, of a file that may say it itself."""
    named = _corner_of(path) if path.name.startswith("seg-") else None
    if written is None:
        return named or (0, 0, 0)
    found = volume.box.triple(written, "start_zyx")
    if named not in (None, found):
        raise ValueError(
            f"{path}: the name says corner zyx {named}, the file {found}; "
            f"rename it back."
        )
    return found


def checked_provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What made the file, all of which is checked; empty for google/ffn's.

    Raises:
      FileNotFoundError, ValueError: as `load`.
    """
    with archive.read(path) as file:
        file.check()
        return _json_object(file, "provenance")


def is_result(address: str) -> bool:
    """True for a folder of results, or one file of them, not a volume's.

    google/ffn's published results are files of other names.
    """
    if address.lstrip().startswith("{") or "://" in address or "|" in address:
        return False
    name = address.removesuffix(":segmentation")
    path = pathlib.Path(name)
    if any(path.glob("seg-*.npz")) or any(path.glob("*/*/seg-*.npz")):
        return True
    # The name of a seg-*.npz says where it lies; a plain array would not.
    return path.suffix == ".npz" and (
        path.name.startswith("seg-") or name == address
    )


def open_result(address: str) -> volume.Volume:
    """The one subvolume of a folder, or a subvolume file, as a volume.

    Raises:
      FileNotFoundError: no subvolume there.
      ValueError: several: their ids must be reconciled first.
    """
    path = pathlib.Path(address.removesuffix(":segmentation"))
    if os.path.isdir(path):
        found = list(find(path).values())
        if not found:
            raise FileNotFoundError(f"{path}: no seg-<x>_<y>_<z>.npz in it.")
        if len(found) > 1:
            raise ValueError(
                f"{path}: expected one subvolume, found {len(found)}. Each "
                f"counts its segments from 1, so they cannot be read as one "
                f"volume before they are reconciled (python -m "
                f"ffn_tf.reconcile); open one of them, such as {found[0]}."
            )
        path = found[0]
    result = load(path)
    opened = volume.from_array(
        result.segmentation,
        voxel_size_nm=result.provenance.get("voxel_size_nm", (1, 1, 1)),
        start=result.box.start,
    ).described(kind="segmentation")
    opened.address = address
    return opened


def open_any(address: str) -> volume.Volume:
    """The volume at an address, or of a result of run_inference.

    Raises:
      FileNotFoundError: there is none.
      ValueError: an unfinished run, or one of several subvolumes.
      OSError: it cannot be read.
    """
    if os.path.isdir(address):
        folder = pathlib.Path(address)
        done = find(folder)
        unfinished = len(list(folder.glob("*/*/seg-*.cpoint")))
        if unfinished or ((folder / "run.json").exists() and not done):
            raise ValueError(
                f"{address}: an unfinished run: {len(done)} subvolume(s) "
                f"done, {unfinished} under way. To finish it, run the same "
                f"run_inference command again: it goes on where it was."
            )
    if is_result(address):
        return open_result(address)
    return volume.open(address)


def _narrowed(labels: np.ndarray) -> np.ndarray:
    """The labels in the least unsigned type that holds them."""
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < 0:
        raise ValueError(
            f"A segmentation to be saved has no negative ids, found {low}; "
            f"markers of rejected seeds must become 0 first."
        )
    return labels.astype(np.min_scalar_type(high))


def _json_object(file: archive.Reader, key: str) -> dict[str, Any]:
    found = json.loads(file.text(key, "{}"))
    if not isinstance(found, dict):
        raise ValueError(f"{key}: expected a JSON object, found {found!r}")
    return found


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True)
