"""What is made of each segment, block by block: meshes, skeletons.

    em_segments/info           "mesh": "mesh"       so that viewers find it
    em_segments/mesh/info      what it is, and "ffn_tf": who made it
    em_segments/mesh/...       files of segments, of the kind's own format

Meanwhile `mesh/.partial` has notes: `job.json`, who makes what; `ids`, of which
segments; `blocks/Z_Y_X`, the segments in a block that is done. All is of use
when `info` says what it is, which is written last. A folder of its own, of no
precomputed volume, is made in the same way, without the first line.
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

from ffn_tf import program
from ffn_tf.volume import address as address_lib
from ffn_tf.volume import attempt, labels
from ffn_tf.volume import place as place_lib
from ffn_tf.volume.box import Box
from ffn_tf.volume.store import Volume

NOTES = ".partial/"
_JOB, _IDS = f"{NOTES}job.json", f"{NOTES}ids"
# All names that begin with .partial/ ("0" follows "/").
_ALL_NOTES = ts.KvStore.KeyRange(NOTES, ".partial0")
_AT_ONCE = 1000  # Files that are under way.


def of_segmentation(address: str, what: str) -> place_lib.Place:
    """Where a segmentation is, which is to have `what`.

    Raises:
      ValueError: not a precomputed volume, or one that is only read.
    """
    where = address_lib.parse(address)
    if where.format != "precomputed":
        raise ValueError(
            f"{address}: only precomputed volumes have {what}; make one with "
            f"ffn_tf.ingest."
        )
    if where.place.scheme in ("http", "https"):
        raise ValueError(f"{address}: web servers are only read.")
    return where.place


class ObjectFolder:
    """The folder of one kind of things, while they are made.

    Args:
      place: what the folder is in.
      folder: its name there.
      what: of the things, for messages: "meshes".
      made_by: "program", "options", and more; JSON values.
      key: of the folder in the volume's `info`; None: it is of no volume.

    Attributes:
      is_complete: these things are there.
      is_remote: the folder is not on this machine.

    Raises:
      FileExistsError: others are there, or are being made.
      OSError: the place cannot be asked.
    """

    def __init__(
        self,
        place: place_lib.Place,
        folder: str,
        what: str,
        made_by: Mapping[str, Any],
        key: str | None,
    ) -> None:
        self._place, self._folder, self._key = place, folder, key
        self._what, self._made_by = what, attempt.as_json(made_by)
        self.name, self.is_remote = place.name(folder), place.is_remote
        self._files = ts.KvStore.open(
            place.kvstore(folder), context=place_lib.context()
        ).result()
        self.is_complete = self._look()

    def _look(self) -> bool:
        named = None
        if self._key:
            named = (self._place.read_json("info") or {}).get(self._key)
        if named not in (None, self._folder):
            raise FileExistsError(
                f"{self._place.name('info')}: has {self._what} already, in "
                f"{named!r}, and nothing is overwritten."
            )
        told = self._place.read_json(self._folder, "info")
        made = told.get("ffn_tf") if told else None
        job = made or self._place.read_json(self._folder, _JOB)
        # A folder of this machine may have been deleted, to begin anew.
        is_gone = not self._place.is_remote and not os.path.isdir(self.name)
        if job is None and (told or (named and not is_gone)):
            entry = f", and {self._key!r} in {self._place.name('info')}"
            raise FileExistsError(
                f"{self.name}: {self._what} that another program made, and "
                f"nothing is overwritten; delete that folder"
                f"{entry if self._key else ''}."
            )
        if job is None:
            return False
        differs = attempt.changes(_decides(job), _decides(self._made_by))
        if differs:
            raise FileExistsError(
                f"{self.name}: {self._what} with other options ({differs}) "
                f"are there, and nothing is overwritten; delete that folder, "
                f"or give the same options."
            )
        is_complete = bool(made and (named or not self._key))
        if is_complete:
            self._tidy()  # Killed between the last two steps.
        return is_complete

    # -- of which segments ---------------------------------------------------

    def ids(self) -> np.ndarray | None:
        """[n] uint64, sorted: which segments; None if that is not known yet."""
        found = self._files.read(_IDS).result()
        if found.state != "value":
            return None
        return np.frombuffer(found.value, "<u8").astype(np.uint64)

    def begin(self, segments: Volume, dust_threshold: int) -> np.ndarray:
        """Notes what is to be made, if it is not noted: of large segments.

        Ids below 0 are no segments, and are told.

        Args:
          segments: what they are counted in, the first time.
          dust_threshold: voxels of a segment, at least.

        Returns:
          [n] uint64, sorted: which segments.

        Raises:
          OSError: voxels cannot be read.
        """
        ids = self.ids()
        if ids is None:
            found, voxels = labels.count_voxels_volume(segments)
            positive = found > 0
            if not positive.all():
                program.warn(
                    f"{segments.address}: {(~positive).sum()} ids are below 0, "
                    f"{voxels[~positive].sum()} voxels: they get no "
                    f"{self._what}. Segments count from 1."
                )
            large = positive & (voxels >= dust_threshold)
            ids = found[large].astype(np.uint64)
            dust = int((positive & ~large).sum())
            job = json.dumps({**self._made_by, "dust": dust}, indent=1)
            self.write_files({_JOB: job.encode()})
            self.write_files({_IDS: ids.astype("<u8").tobytes()})
        return ids

    def dust(self) -> int:
        """How many segments are too small, until the folder is complete."""
        job = self._place.read_json(self._folder, _JOB) or {}
        return int(job.get("dust", 0))

    # -- block by block ------------------------------------------------------

    def todo(self, boxes: Iterable[Box]) -> list[Box]:
        """Those of the blocks that are not done."""
        done = {key.decode() for key in self._files.list(_ALL_NOTES).result()}
        return [box for box in boxes if _note(box) not in done]

    def missing(self, boxes: Iterable[Box]) -> list[Box]:
        """`todo`, after all workers have ended.

        Raises:
          FileNotFoundError: another process has completed the folder.
        """
        if self.ids() is None:
            raise FileNotFoundError(f"{self.name}: not begun.")
        return self.todo(boxes)

    def done(self, box: Box, segments: Iterable[int]) -> None:
        """Notes a block whose files are stored, and the segments in it."""
        ids = np.array(sorted(segments), "<u8")
        self.write_files({_note(box): ids.tobytes()})

    def blocks_of_segments(
        self, boxes: list[Box]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """What the notes of all blocks say.

        Returns:
          segments: [n] uint64, sorted.
          blocks: of each, the numbers of its blocks in `boxes`, ascending.

        Raises:
          FileNotFoundError: a block is not done.
        """
        found = self._noted(boxes)
        ids = np.concatenate([np.zeros(0, np.uint64), *found])
        blocks = np.repeat(np.arange(len(boxes)), [len(one) for one in found])
        order = np.argsort(ids, kind="stable")
        segments, starts = np.unique(ids[order], return_index=True)
        parts = np.split(blocks[order], starts[1:]) if len(ids) else []
        return segments, parts

    def _noted(self, boxes: list[Box]) -> list[np.ndarray]:
        notes = self.read_files(_note(box) for box in boxes)
        for box, note in zip(boxes, notes):
            if note is None:
                raise FileNotFoundError(
                    f"{self.name}: the block {box} is not done."
                )
        return [np.frombuffer(note or b"", "<u8") for note in notes]

    def complete(self, info: Mapping[str, Any]) -> None:
        """Says what is in the folder, and that it is the volume's."""
        told = {**info, "ffn_tf": self._made_by}
        self.write_files({"info": json.dumps(told).encode()})
        if self._key:
            known = self._place.read_json("info") or {}
            known[self._key] = self._folder
            self._place.write("info", json.dumps(known).encode())
        self._tidy()

    def _tidy(self) -> None:
        if self._place.is_remote:
            self._files.delete_range(_ALL_NOTES).result()
        else:  # With the folder.
            shutil.rmtree(os.path.join(self.name, NOTES), ignore_errors=True)

    def present(self) -> set[str]:
        """Names of files of segments."""
        numbers = ts.KvStore.KeyRange("0", ":")  # ":" follows "9".
        return {key.decode() for key in self._files.list(numbers).result()}

    # -- files ---------------------------------------------------------------

    def read_files(self, names: Iterable[str]) -> list[bytes | None]:
        """Files of the folder, at the same time; None where missing.

        Raises:
          OSError: they cannot be read.
        """
        found: list[bytes | None] = []
        for some in batches(names):
            pending = [self._files.read(name) for name in some]
            try:
                results = [future.result() for future in pending]
            except (ValueError, OSError) as error:
                raise OSError(
                    f"{self.name}: cannot be read: {place_lib.short(error)}"
                ) from error
            found += [r.value if r.state == "value" else None for r in results]
        return found

    def write_files(self, contents: Mapping[str, bytes]) -> None:
        """Files, each whole or not at all.

        Raises:
          OSError: they cannot be written.
        """
        for some in batches(contents.items()):
            pending = [self._files.write(name, data) for name, data in some]
            try:
                for future in pending:
                    future.result()
            except (ValueError, OSError) as error:
                raise OSError(
                    f"{self.name}: cannot be written: {place_lib.short(error)}"
                ) from error


def _decides(made_by: Mapping[str, Any]) -> dict[str, Any]:
    return {"program": made_by.get("program"), **made_by.get("options", {})}


def _note(box: Box) -> str:
    return f"{NOTES}blocks/" + "_".join(map(str, box.start))


def span(box: Box) -> str:
    """A box in the names of files: first and last voxels, x first."""
    spans = [f"{s}-{e}" for s, e in zip(box.start, box.end)]
    return "_".join(address_lib.reversed_axes(spans))


def batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    """The items in lists, as many as files are written at once."""
    source = iter(items)
    while batch := list(itertools.islice(source, _AT_ONCE)):
        yield batch
