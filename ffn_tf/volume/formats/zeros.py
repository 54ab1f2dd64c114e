"""Chunks of zeros in the shards of precomputed.

Where shards are boxes of chunks, as ours are, TensorStore leaves a chunk of
zeros out of its shard, leaves a shard as it was when only zeros would be left
of it, and reads a chunk that is not in its shard as zeros, all silently; its
options for zeros and for missing chunks do not reach there. So, here:

    written   what was zeros, and was left out, is put into the shard
    read      where all that was read of a chunk is zeros, the shard's index is
              asked whether the chunk is there

and a chunk that is missing is one that nobody wrote, or that is lost, as in
every other format. Chunks with other voxels cost a look at them, mostly at one
voxel; an index is asked for once, and again before a chunk counts as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
import functools
import itertools
import time
from typing import Any

import numpy as np
import tensorstore as ts

from ffn_tf.volume import failures, place
from ffn_tf.volume.box import Box, Triple, triple
from ffn_tf.volume.failures import Deadline, MissingError, Outcome
from ffn_tf.volume.formats import chunk_table
from ffn_tf.volume.formats.chunk_table import Chunk

_MOST_REMEMBERED = 100_000
_TRIES = 10
_NEVER = b"\2"  # TensorStore's generation of what is not there.


def of(view: ts.TensorStore, kvstore: Any = None) -> Zeros | None:
    """What TensorStore does not know of a view [z, y, x]; None if nothing.

    `kvstore` as for chunk_table.of. Nothing is known of views whose chunks
    cannot be told (chunk_table.py): only specs, which others wrote, make such.
    """
    scale = view.spec().to_json().get("scale_metadata", {})
    if not scale.get("sharding"):
        return None
    try:
        return Zeros(view, kvstore)
    except ValueError:
        return None


class Zeros:
    """The chunks of zeros of one view [z, y, x]. Any thread may use it."""

    def __init__(self, view: ts.TensorStore, kvstore: Any) -> None:
        said = view.spec().to_json()
        self._is_strict = not said.get("fill_missing_data_reads", True)
        self._view = view
        self._table = chunk_table.of(view, kvstore)
        assert self._table.shard is not None
        self._shards = self._table.shard("")
        self._domain = Box(
            triple(view.domain.inclusive_min), triple(view.domain.exclusive_max)
        )
        layout = view.chunk_layout
        self._chunk = triple(n or 1 for n in layout.read_chunk.shape or ())
        self._origin = triple(n or 0 for n in layout.grid_origin or ())
        self._since = time.time()
        self._there: set[bytes] = set()  # Chunks of zeros that exist.
        self._encoded: dict[Triple, bytes] = {}

    # ---------------------------------------------------------------- reading

    def checked(
        self,
        where: str,
        boxes: Sequence[Box],
        outcomes: list[Outcome],
        deadline: Deadline,
    ) -> list[Outcome]:
        """The outcomes, with an error for boxes of which a chunk is missing.

        Unless the view was opened to read them as zeros.
        """
        if not self._is_strict:
            return outcomes
        blank: dict[int, list[Chunk]] = {}
        for index, (box, found) in enumerate(zip(boxes, outcomes)):
            if isinstance(found, np.ndarray):
                parts = self.blank(box, found)
                if parts:
                    blank[index] = [self._chunk_of(part) for part in parts]
        asked = set(itertools.chain.from_iterable(blank.values()))
        try:
            # What an index said once is good; but perhaps it was not all.
            absent = self._absent(asked, self._since, deadline)
            missing = self._absent(absent, None, deadline)
            for index, chunks in blank.items():
                # Written since the volume was opened: so are its voxels.
                if not missing.intersection(chunks) and absent & {*chunks}:
                    part = self._anew[boxes[index].slices].read()
                    outcomes[index] = part.result(deadline.left())
        except (ValueError, OSError) as error:
            for index in blank:
                outcomes[index] = failures.of(where, boxes[index], error)
            return outcomes
        for index, chunks in blank.items():
            lost = next((chunk for chunk in chunks if chunk in missing), None)
            if lost is not None:
                outcomes[index] = MissingError(
                    where,
                    boxes[index],
                    f"chunk {lost.name} in {lost.file} is missing. "
                    f"{failures.IF_BACKGROUND}",
                )
        return outcomes

    def _chunk_of(self, part: Box) -> Chunk:
        return self._table.within(*self._table.ends(part))[0]

    def _absent(
        self, chunks: Iterable[Chunk], since: float | None, deadline: Deadline
    ) -> set[Chunk]:
        """Those that are in no shard, as an index said after `since`."""
        unknown = [c for c in chunks if c.inner not in self._there]
        pending = [
            self._shards.read(
                chunk.inner, byte_range=slice(0, 1), staleness_bound=since
            )
            for chunk in unknown
        ]
        found = [future.result(deadline.left()) for future in pending]
        if len(self._there) > _MOST_REMEMBERED:
            self._there.clear()
        if since is not None:
            self._there.update(
                c.inner for c, f in zip(unknown, found) if f.state == "value"
            )
        return {c for c, f in zip(unknown, found) if f.state == "missing"}

    @functools.cached_property
    def _anew(self) -> ts.TensorStore:
        """The view, without what was true when it was opened."""
        spec = self._view.spec().to_json() | {"recheck_cached_data": True}
        return ts.open(spec, read=True, context=place.context()).result()

    # ---------------------------------------------------------------- writing

    def blank(self, box: Box, voxels: np.ndarray) -> list[Box]:
        """The parts of `box`, each in a chunk, of which all voxels are 0."""
        return list(_blank(box, voxels, self._chunk, self._origin))

    def store(self, box: Box, voxels: np.ndarray) -> None:
        """Adds the chunks of zeros that were left out of what was written.

        Raises:
          ValueError, OSError: of TensorStore.
        """
        parts = {self._chunk_of(part): part for part in self.blank(box, voxels)}
        for attempt in range(_TRIES if parts else 0):
            left_out = self._left_out(parts)
            if not left_out:
                return
            try:
                with ts.Transaction() as transaction:
                    shards = self._uncached().with_transaction(transaction)
                    for chunk, generation in left_out.items():
                        zeros = self._zeros(chunk, parts[chunk])
                        shards.write(chunk.inner, zeros, if_equal=generation)
                self._there.update(chunk.inner for chunk in left_out)
                return
            except ValueError as error:
                # Someone else has written there meanwhile.
                if attempt == _TRIES - 1 or "ABORTED" not in str(error):
                    raise

    def _uncached(self) -> ts.KvStore:
        """The shards, for writing on conditions.

        Which TensorStore compares with the shard that it has in its cache.
        """
        context = ts.Context({"cache_pool": {}}, parent=place.context())
        return ts.KvStore.open(self._shards.spec(), context=context).result()

    def _left_out(self, parts: dict[Chunk, Box]) -> dict[Chunk, bytes]:
        """Chunks to be written as zeros, if they are still what they are."""
        pending = {
            chunk: self._shards.read(chunk.inner, byte_range=slice(0, 1))
            for chunk in parts
        }
        found: dict[Chunk, bytes] = {}
        for chunk, future in pending.items():
            answer = future.result()
            if answer.state == "missing":
                found[chunk] = _NEVER
            elif self._is_lost(parts[chunk]):
                found[chunk] = answer.stamp.generation
        return found

    def _is_lost(self, part: Box) -> bool:
        """Whether zeros were written there, and what was before is still there.

        So it is where nothing but zeros would be left of a shard.
        """
        whole = self._whole(part)
        view = self._view[tuple(map(slice, whole.start, whole.end))]
        voxels = view.read().result()
        inside = part.relative_to(whole.start).slices
        is_there = voxels[inside].any()
        voxels[inside] = 0
        return bool(is_there and not voxels.any())

    def _whole(self, part: Box) -> Box:
        return part.aligned(self._chunk, self._origin).clipped(self._domain)

    def _zeros(self, chunk: Chunk, part: Box) -> bytes:
        """A chunk of zeros, encoded."""
        whole = self._whole(part)
        if whole.size not in self._encoded:
            context = ts.Context({"memory_key_value_store": {}})
            memory = {"kvstore": "memory://"}
            told = {"store_data_equal_to_fill_value": True}
            store = ts.open(
                self._table.unsharded | memory | told,
                open=True,
                assume_metadata=True,
                context=context,
            ).result()
            store[tuple(map(slice, whole.start, whole.end))].write(0).result()
            files = ts.KvStore.open("memory://", context=context).result()
            self._encoded[whole.size] = bytes(files[chunk.name])
        return self._encoded[whole.size]


def _blank(
    box: Box, voxels: np.ndarray, chunk: Triple, origin: Triple
) -> Iterator[Box]:
    """The parts of `box`, each in a chunk, of which all voxels are 0."""
    if not voxels.size:
        return
    # Where chunks begin in it, along each axis.
    starts = [
        [0, *range(n - (s - o) % n, e - s, n)]
        for s, e, o, n in zip(box.start, box.end, origin, chunk)
    ]
    for corner in itertools.product(*starts):
        if voxels[corner]:  # Of most chunks, that is all.
            continue
        first = [s + c for s, c in zip(box.start, corner)]
        part = Box.from_size(first, 1).aligned(chunk, origin).intersected(box)
        if not voxels[part.relative_to(box.start).slices].any():
            yield part
