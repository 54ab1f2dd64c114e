"""Encoded chunks in memory, where TensorStore decodes them.

    missing = held.pin(names)     # these are not here; none will go away
    held.put(name, data)          # for each of `missing`
    held.read(box, voxels)        # of which `names` are the chunks
    held.unpin(names)

A bounded number of bytes, beyond those that are pinned: what was used longest
ago goes first. A chunk that does not exist is held too, as None.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
import threading
from typing import Any

import numpy as np
import tensorstore as ts

from ffn_tf.volume import place
from ffn_tf.volume.box import Box

# What a name takes beside its chunk.
_NAME_BYTES = 500


class Held:
    """The chunks of one store. Any thread may use it.

    Args:
      spec: of the store that finds the chunks by their names.
      where: name of the store's folder, for messages.
      max_bytes: of chunks that nobody has pinned.

    Attributes:
      dtype: of its voxels.
    """

    def __init__(
        self, spec: dict[str, Any], where: str, max_bytes: int
    ) -> None:
        context = ts.Context(
            {"memory_key_value_store": {}}, parent=place.context()
        )
        kvstore = {"driver": "memory", "path": where.rstrip("/") + "/"}
        # With a look into `_bytes` at every read: a decoder that comes late,
        # after a failure, may have found nothing where there is something now.
        changed = {"kvstore": kvstore, "recheck_cached_data": True}
        self._store = ts.open(
            spec | changed,
            read=True,
            open=True,
            assume_metadata=True,
            context=context,
        ).result()
        self.dtype: np.dtype = self._store.dtype.numpy_dtype
        self._bytes = ts.KvStore.open(kvstore, context=context).result()
        self._max_bytes = max_bytes
        self._total = 0
        self._sizes: collections.OrderedDict[str, int] = (
            collections.OrderedDict()
        )
        self._pins: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()

    def pin(self, names: Iterable[str]) -> list[str]:
        """Keeps what is here until `unpin`; the names that are not here."""
        missing = []
        with self._lock:
            for name in names:
                self._pins[name] += 1
                if name in self._sizes:
                    self._sizes.move_to_end(name)
                else:
                    missing.append(name)
        return missing

    def put(self, name: str, data: bytes | None) -> None:
        """Adds a chunk that is pinned."""
        if data is not None:
            self._bytes.write(name, data).result()
        with self._lock:
            self._total -= self._sizes.pop(name, 0)
            self._sizes[name] = _NAME_BYTES + len(data or b"")
            self._total += self._sizes[name]

    def read(self, box: Box, voxels: np.ndarray) -> ts.WriteFutures:
        """Decodes the chunks of a box; `voxels` [z, y, x] when it is done."""
        part = self._store[tuple(slice(*e) for e in zip(box.start, box.end))]
        # Not `part.read()`, which would be a copy more.
        there = ts.array(voxels, context=place.context())
        return there[ts.d[:].translate_to[box.start]].write(part)

    def unpin(self, names: Iterable[str]) -> None:
        """Ends one `pin`; removes what is too much."""
        with self._lock:
            for name in names:
                self._pins[name] -= 1
                if not self._pins[name]:
                    del self._pins[name]
            excess = self._total - self._max_bytes
            if excess > 0:
                self._remove_oldest(excess)

    def _remove_oldest(self, excess: int) -> None:
        chosen = []
        for name, size in self._sizes.items():
            if excess <= 0:
                break
            if name not in self._pins:
                chosen.append(name)
                excess -= size
        for name in chosen:
            self._remove(name)

    def _remove(self, name: str) -> None:
        self._total -= self._sizes.pop(name)
        # Under the lock, so that nobody puts it again in between.
        self._bytes.write(name, None).result()

    def forget(self, names: Iterable[str]) -> None:
        """Removes chunks that nobody else has pinned."""
        with self._lock:
            for name in names:
                if name in self._sizes and self._pins[name] <= 1:
                    self._remove(name)
