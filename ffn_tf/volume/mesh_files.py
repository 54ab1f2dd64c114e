"""Meshes of a precomputed segmentation, in the format that all viewers read.

    em_segments/info           "mesh": "mesh"
    em_segments/mesh/info      {"@type": "neuroglancer_legacy_mesh", ...}
    em_segments/mesh/7:0       {"fragments": [...]}: the pieces of segment 7
    em_segments/mesh/7:0:0-256_0-256_0-64     the one in a block, named by its
                               first and last voxels, x first:
                               uint32 n; n x 3 float32, x, y, z nm; uint32
                               triples of vertices, counted from 0

Meanwhile `mesh/.partial` has notes: `job.json`, who makes what; `ids`, of which
segments; `blocks/Z_Y_X`, the segments in a block whose pieces are stored. A
piece is of use when its segment names it, and all when `info` does, which is
written last
(github.com/google/neuroglancer, datasource/precomputed/meshes.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import itertools
import json
import os
import shutil
from typing import Any

import numpy as np
import tensorstore as ts

from ffn_tf.volume import address as address_lib
from ffn_tf.volume import attempt, place
from ffn_tf.volume.box import Box

_FOLDER = "mesh"
_JOB, _IDS = ".partial/job.json", ".partial/ids"
# All names that begin with .partial/ ("0" follows "/").
_NOTES = ts.KvStore.KeyRange(".partial/", ".partial0")
_AT_ONCE = 1000  # Files that are under way.

Mesh = tuple[np.ndarray, np.ndarray]


class MeshFolder:
    """The meshes of the segmentation at an address, while they are made.

    Args:
      address: of the segmentation, or of a scale of it.
      made_by: "program", "options", and more; JSON values.

    Attributes:
      is_complete: these meshes are there.

    Raises:
      FileExistsError: others are there, or are being made.
      ValueError: not a precomputed volume, or one that is only read.
      OSError: the place cannot be asked.
    """

    def __init__(self, address: str, made_by: Mapping[str, Any]) -> None:
        where = address_lib.parse(address)
        if where.format != "precomputed":
            raise ValueError(
                f"{address}: only precomputed volumes have meshes; make one "
                f"with ffn_tf.ingest."
            )
        if where.place.scheme in ("http", "https"):
            raise ValueError(f"{address}: web servers are only read.")
        self._place, self._made_by = where.place, attempt.as_json(made_by)
        self.name = where.place.name(_FOLDER)
        self._files = ts.KvStore.open(
            where.place.kvstore(_FOLDER), context=place.context()
        ).result()
        self.is_complete = self._look()

    def _look(self) -> bool:
        named = (self._place.read_json("info") or {}).get(_FOLDER)
        if named not in (None, _FOLDER):
            raise FileExistsError(
                f"{self._place.name('info')}: has meshes already, in "
                f"{named!r}, and nothing is overwritten."
            )
        told = self._place.read_json(_FOLDER, "info")
        made = told.get("ffn_tf") if told else None
        job = made or self._place.read_json(_FOLDER, _JOB)
        # A folder of this machine may have been deleted, to begin anew.
        is_gone = not self._place.is_remote and not os.path.isdir(self.name)
        if job is None and (told or (named and not is_gone)):
            raise FileExistsError(
                f"{self.name}: meshes that another program made, and nothing "
                f"is overwritten; delete that folder, and {_FOLDER!r} in "
                f"{self._place.name('info')}."
            )
        if job is None:
            return False
        differs = attempt.changes(_decides(job), _decides(self._made_by))
        if differs:
            raise FileExistsError(
                f"{self.name}: meshes with other options ({differs}) are "
                f"there, and nothing is overwritten; delete that folder, or "
                f"give the same options."
            )
        if named and made:
            self._tidy()  # Killed between the last two steps.
        return bool(named and made)

    # -- of which segments ---------------------------------------------------

    def ids(self) -> np.ndarray | None:
        """[n] uint64, sorted: which segments; None if that is not known yet."""
        found = self._files.read(_IDS).result()
        if found.state != "value":
            return None
        return np.frombuffer(found.value, "<u8").astype(np.uint64)

    def begin(self, ids: np.ndarray) -> None:
        """Notes what is to be made."""
        self._write({_JOB: json.dumps(self._made_by, indent=1).encode()})
        self._write({_IDS: ids.astype("<u8").tobytes()})

    # -- their pieces --------------------------------------------------------

    def todo(self, boxes: Iterable[Box]) -> list[Box]:
        """Those of the blocks whose pieces are not stored."""
        done = {key.decode() for key in self._files.list(_NOTES).result()}
        return [box for box in boxes if _note(box) not in done]

    def write(self, box: Box, meshes: Mapping[int, Mesh]) -> None:
        """Stores the pieces of a block, and then notes it.

        Args:
          box: the block.
          meshes: of each segment in it: vertices [n, 3] x, y, z nm, and
            triangles [m, 3] of vertices.
        """
        self._write(
            {
                _piece(segment, box): _encoded(*mesh)
                for segment, mesh in meshes.items()
            }
        )
        ids = np.array(sorted(meshes), "<u8")
        self._write({_note(box): ids.tobytes()})

    def finish(self, boxes: Iterable[Box]) -> tuple[int, int]:
        """Names the pieces of each segment, and the meshes of the volume.

        Args:
          boxes: all blocks.

        Returns:
          segments, pieces: how many there are.

        Raises:
          FileNotFoundError: a block is not done.
        """
        boxes = list(boxes)
        found = self._notes(boxes)
        ids = np.concatenate([np.zeros(0, np.uint64), *found])
        blocks = np.repeat(np.arange(len(boxes)), [len(one) for one in found])
        order = np.argsort(ids, kind="stable")
        segments, starts = np.unique(ids[order], return_index=True)
        parts = np.split(blocks[order], starts[1:])
        for some in _batches(zip(segments.tolist(), parts)):
            self._write(
                {
                    f"{segment}:0": _manifest(
                        _piece(segment, boxes[block]) for block in part
                    )
                    for segment, part in some
                }
            )
        told = {"@type": "neuroglancer_legacy_mesh", "ffn_tf": self._made_by}
        self._write({"info": json.dumps(told).encode()})
        info = self._place.read_json("info") or {}
        self._place.write(
            "info", json.dumps(info | {_FOLDER: _FOLDER}).encode()
        )
        self._tidy()
        return len(segments), len(ids)

    def _tidy(self) -> None:
        if self._place.is_remote:
            self._files.delete_range(_NOTES).result()
        else:  # With the folder.
            notes = os.path.join(self._place.url, _FOLDER, ".partial")
            shutil.rmtree(notes, ignore_errors=True)

    def _notes(self, boxes: list[Box]) -> list[np.ndarray]:
        found = []
        for some in _batches(boxes):
            pending = [self._files.read(_note(box)) for box in some]
            for box, future in zip(some, pending):
                note = future.result()
                if note.state != "value":
                    raise FileNotFoundError(
                        f"{self.name}: the block {box} is not done."
                    )
                found.append(np.frombuffer(note.value, "<u8"))
        return found

    def _write(self, contents: Mapping[str, bytes]) -> None:
        """Files, each whole or not at all."""
        for some in _batches(contents.items()):
            pending = [self._files.write(name, data) for name, data in some]
            try:
                for future in pending:
                    future.result()
            except (ValueError, OSError) as error:
                raise OSError(
                    f"{self.name}: cannot be written: {place.short(error)}"
                ) from error


def _decides(made_by: Mapping[str, Any]) -> dict[str, Any]:
    return {"program": made_by.get("program"), **made_by.get("options", {})}


def _note(box: Box) -> str:
    return ".partial/blocks/" + "_".join(map(str, box.start))


def _piece(segment: int, box: Box) -> str:
    spans = [f"{s}-{e}" for s, e in zip(box.start, box.end)]
    return f"{segment}:0:{'_'.join(address_lib.reversed_axes(spans))}"


def _manifest(names: Iterable[str]) -> bytes:
    return json.dumps({"fragments": list(names)}).encode()


def _encoded(vertices: np.ndarray, triangles: np.ndarray) -> bytes:
    return (
        np.array(len(vertices), "<u4").tobytes()
        + vertices.astype("<f4").tobytes()
        + triangles.astype("<u4").tobytes()
    )


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    source = iter(items)
    while batch := list(itertools.islice(source, _AT_ONCE)):
        yield batch
