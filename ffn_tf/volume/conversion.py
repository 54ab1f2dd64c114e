"""Conversions: a volume copied to another place, format, codec, into scales.

    plan = conversion.planned(source, "precomputed://gs://bucket/em", info)
    conversion.execute(plan, source)       # killed; the same again goes on

The new volume is cut into blocks: whole units of writing (a chunk, or a shard
of them), as many as fit in 128 MiB, about cubes in nanometres. A block is read,
changed by a function, and written to the scales that can be made of it at once
(pyramid.py): a stream in bounded memory. Sources of whole sections (image
stacks), and functions that need them (CLAHE), are read by slabs (slabs.py) as
thick as a block, where a block does not span a section.

Killed at any moment, the same call goes on: a job is notes in the unfinished
volume (staging.py),

    job.json          what was asked for, what it becomes, block_zyx
    done/Z_Y_X        an empty file for each block that is written, by the
                      block's first voxel

and a note is written when the block and its coarser scales are stored. What was
written without a note is written again. Another job at the same place is
refused, and a second process on this machine, too. Two machines that do the
same job at once in a bucket do it twice, and right.

What is there is looked at before any work (attempt.py). A source is taken as it
is when it is read: that it changes between two attempts is noticed only where
its domain, dtype, kind or voxel size does.

Laws (tests/volume/test_conversion.py):
    whatever the blocks, slabs and kills: the voxels of the source, and the
    scales that a pyramid of them has
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import itertools
import json
import math
import os
import threading
from typing import Any

import numpy as np

from ffn_tf.volume import address as address_lib
from ffn_tf.volume import attempt, files, pyramid, staging, writing
from ffn_tf.volume.box import Box, Triple, triple
from ffn_tf.volume.formats import codec as codec_lib
from ffn_tf.volume.formats import scales as scales_lib
from ffn_tf.volume.formats.codec import Codec
from ffn_tf.volume.source import VolumeInfo
from ffn_tf.volume.store import Volume
from ffn_tf.volume.streams import slabs, stream

# Of voxels. A block is larger only if a unit of writing is.
_BLOCK_BYTES = 2**27


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be made.

    Attributes:
      output: address.
      info: of its finest scale.
      block_zyx: what is written, and noted, at a time.
      by_slabs: whether the source is read by slabs of whole sections.
      codec, num_scales: see layout.create_chunked.
      made_by: kept with the volume: "program", "options", and what else is
        good to know. Program and options tell jobs apart.
    """

    output: str
    info: VolumeInfo
    block_zyx: Triple
    by_slabs: bool
    codec: Codec
    num_scales: int | None
    made_by: dict[str, Any]

    @property
    def record(self) -> dict[str, Any]:
        """What all attempts at one job have in common, as JSON values."""
        becomes = dataclasses.asdict(self.info)
        becomes |= {"dtype": self.info.dtype.name, "block_zyx": self.block_zyx}
        return attempt.as_json({**self.made_by, "becomes": becomes})


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a job is, in voxels.

    Those of the finest scale, and of the scales that are made in the end.

    Attributes:
      done: written, in all attempts; now also of blocks that are not whole.
      before: written in earlier attempts.
      total: there are.
    """

    done: int
    before: int
    total: int


# -----------------------------------------------------------------------------
# What is to be done
# -----------------------------------------------------------------------------


def planned(
    source: Volume,
    output: str,
    info: VolumeInfo,
    *,
    codec: Codec | None = None,
    num_scales: int | None = None,
    whole_sections: bool = False,
    made_by: dict[str, Any] | None = None,
) -> Plan:
    """The plan of a copy; nothing is written.

    Args:
      source: what is copied; holds the voxels of `info.domain`.
      output: address of the new volume.
      info: what it will be.
      codec: how it is stored; by default, what suits it, without loss.
      num_scales: by default, until one fits in a chunk, where the format has
        scales.
      whole_sections: whether the function of `execute` needs them.
      made_by: see Plan.

    Raises:
      ValueError: the format cannot hold such a volume.
    """
    final = address_lib.parse(output, creating=True)
    codec = codec or Codec()
    try:
        if info.domain.is_empty:
            raise ValueError(f"a volume without voxels: {info.domain}.")
        if final.format in (*staging.FILES, "n5"):
            num_scales = _one(num_scales, final.format)
        scales_lib.plan(info, num_scales)
        storage = codec_lib.chosen(codec, final.format, info)
        if final.format in staging.FILES:
            storage = codec_lib.chosen(Codec(), "zarr3", info)
    except ValueError as error:
        raise ValueError(f"{output}: {error}") from error
    sections = whole_sections or _has_sections(source.info, info.domain)
    block = slabs.grown(storage.write_zyx, info, _BLOCK_BYTES, flat=sections)
    spans = all(b >= n for b, n in zip(block[1:], info.domain.size[1:]))
    return Plan(
        output,
        info,
        block,
        by_slabs=sections and not spans,
        codec=codec,
        num_scales=num_scales,
        made_by=made_by or {},
    )


def _one(num_scales: int | None, volume_format: str) -> int:
    if num_scales not in (None, 1):
        raise ValueError(
            f"num_scales: {volume_format} volumes have one scale, found "
            f"{num_scales}; choose precomputed, zarr or zarr3."
        )
    return 1


def _has_sections(source: VolumeInfo, domain: Box) -> bool:
    """Whether to read a part of a section costs as much as all of it."""
    return all(c >= n for c, n in zip(source.chunk_zyx[1:], domain.size[1:]))


# -----------------------------------------------------------------------------
# Doing it
# -----------------------------------------------------------------------------


def execute(
    plan: Plan,
    source: Volume,
    function: stream.Function | None = None,
    progress: Callable[[Progress], None] | None = None,
    order: Callable[[Box], int] | None = None,
) -> None:
    """Makes the new volume, or goes on with it; returns if it is complete.

    Args:
      plan: made for this source.
      source: what is copied.
      function: (box, voxels) -> (the same box, voxels of the plan's dtype).
      progress: called at the beginning, and after each part of a block and of
        the scales that are made in the end.
      order: of blocks; those of one value follow each other. For sources that
        are not read by slabs.

    Raises:
      FileExistsError: as attempt.look.
      BlockingIOError: another process is making the same volume.
      ValueError: the source is not what it was at an earlier attempt.
      OSError: reading or writing failed. Blocks that are written remain, if
        there are any, and a further call goes on with them.
    """
    unfinished = staging.Unfinished(plan.output)
    with _alone_in_folder(unfinished):
        state = attempt.look(plan.output, plan.made_by)
        if state == "complete":
            return
        _begin(plan, unfinished, state)
        with _alone_at_file(unfinished):
            _finish(plan, unfinished, state, source, function, progress, order)


@contextlib.contextmanager
def _alone_in_folder(unfinished: staging.Unfinished) -> Iterator[None]:
    """Refuses a second writer of a volume that is a folder of this machine."""
    where = unfinished.final
    if unfinished.is_file or where.place.is_remote:
        yield
        return
    os.makedirs(where.path, exist_ok=True)
    try:
        with files.locked(where.path, "making the same volume"):
            yield
    finally:
        with contextlib.suppress(OSError):  # It is not empty, or is gone.
            os.rmdir(where.path)


@contextlib.contextmanager
def _alone_at_file(unfinished: staging.Unfinished) -> Iterator[None]:
    """Refuses a second writer of a file, whose name is one for both."""
    if not unfinished.is_file:
        yield
        return
    with files.locked(unfinished.notes.url, "making the same file"):
        if unfinished.notes.read("job.json") is None:
            raise FileExistsError(
                f"{unfinished.final.text}: another process has just made it."
            )
        yield


def _finish(
    plan: Plan,
    unfinished: staging.Unfinished,
    state: attempt.State,
    source: Volume,
    function: stream.Function | None,
    progress: Callable[[Progress], None] | None,
    order: Callable[[Box], int] | None,
) -> None:
    job = None
    try:
        job = _Job(plan, unfinished, progress)
        _copy(plan, source, job, function, order)
        job.finish()
        unfinished.publish()
    except BaseException:
        if not job.wrote if job else state == "new":
            with contextlib.suppress(OSError):  # The first one is to tell.
                unfinished.discard()
        raise


def num_done(output: str) -> int:
    """How many blocks of an unfinished volume are written."""
    return len(staging.names_in(staging.Unfinished(output).notes, "done"))


def _begin(
    plan: Plan, unfinished: staging.Unfinished, state: attempt.State
) -> None:
    """Who finds job.json finds a volume that is ready to be written."""
    if state == "new":
        unfinished.forget()  # Of an attempt that was killed in these lines.
        unfinished.create(plan.info, plan.made_by, plan.codec, plan.num_scales)
        data = json.dumps(plan.record, indent=1).encode()
        unfinished.notes.write("job.json", data)
        return
    record = unfinished.notes.read_json("job.json") or {}
    changes = attempt.changes(record.get("becomes", {}), plan.record["becomes"])
    if changes:
        raise ValueError(
            f"{plan.output}: cannot go on with the unfinished copy: the input "
            f"has changed, or this program ({changes}). Delete "
            f"{unfinished.where} to begin anew."
        )


class _Job:
    """A pyramid that is written by blocks, and notes of them.

    Attributes:
      info: of the finest scale; its chunks are the blocks, so that a stream
        need not keep them apart.
      pyramid: the scales.
      wrote: whether any block is written, now or before.
    """

    def __init__(
        self,
        plan: Plan,
        unfinished: staging.Unfinished,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.info = dataclasses.replace(plan.info, chunk_zyx=plan.block_zyx)
        self.pyramid = pyramid.Pyramid(unfinished.scales(), plan.block_zyx)
        self.pyramid.num_in_pass = _in_pass(self.pyramid)
        self._notes = unfinished.notes
        self._written = staging.names_in(self._notes, "done")
        self._lock = threading.Lock()
        self._tell = progress or (lambda _: None)
        before = sum(
            box.num_voxels
            for box in self.pyramid.blocks()
            if _note(box) in self._written
        )
        total = plan.info.domain.num_voxels + self.pyramid.num_to_finish
        self._progress = Progress(before, before, total)
        self.wrote = before > 0
        self._tell(self._progress)

    def todo(self) -> Iterator[Box]:
        for box in self.pyramid.blocks():
            if _note(box) not in self._written:
                yield box

    def write(self, box: Box, voxels: np.ndarray) -> None:
        self.pyramid.write(box, voxels, self._add)
        self._notes.write(f"done/{_note(box)}", b"")
        self.wrote = True

    def finish(self) -> None:
        self.pyramid.finish(self._add)

    def _add(self, num_voxels: int) -> None:
        with self._lock:
            done = self._progress.done + num_voxels
            self._progress = dataclasses.replace(self._progress, done=done)
            self._tell(self._progress)


def _note(box: Box) -> str:
    return "_".join(map(str, box.start))


def _in_pass(of: pyramid.Pyramid) -> int:
    """How many scales to make in the pass.

    All that can be; but jpeg loses something each time that a part of a chunk
    is written, so of jpeg those that blocks fill by whole units of writing.
    """
    if not any(map(writing.loses, of.volumes)):
        return of.num_in_pass
    block = of.block_zyx
    for mip in range(1, of.num_in_pass):
        fine, coarse = of.volumes[mip - 1], of.volumes[mip]
        by = scales_lib.factors(fine.info, coarse.info)
        block = triple(-(-b // f) for b, f in zip(block, by))
        parts = zip(block, writing.unit(coarse), coarse.domain.size)
        if any(b % unit and b < extent for b, unit, extent in parts):
            return mip
    return of.num_in_pass


def _copy(
    plan: Plan,
    source: Volume,
    job: _Job,
    function: stream.Function | None,
    order: Callable[[Box], int] | None,
) -> None:
    size = math.prod(plan.block_zyx) * plan.info.dtype.itemsize
    if not plan.by_slabs:
        todo = sorted(job.todo(), key=order) if order else job.todo()
        slabs.streamed(source, job, todo, size, function)
        return
    domain = plan.info.domain
    for (first, last), row in itertools.groupby(
        job.todo(), key=lambda box: (box.start[0], box.end[0])
    ):
        slab = Box((first, *domain.start[1:]), (last, *domain.end[1:]))
        # No name for the voxels: they would stay while the next are read.
        slabs.streamed(
            slabs.read(source, slab, plan.info.dtype, function), job, row, size
        )
