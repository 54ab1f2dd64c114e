"""Where each chunk of a store lies: its name, its file, its place in a shard.

    index   of a chunk in the grid, in the axes of the store (not zyx)
    name    under which an unsharded store of the same metadata looks for it
    file    that holds it, below the store's folder; the name, if not sharded
    inner   its key in the shard; none, if not sharded

    precomputed   name KEY/0-64_0-64_0-64         x, y, z
                  file KEY/0f.shard, inner the compressed Morton code
    zarr, n5      name 0.0.0 or 0/0/0
    zarr3         name c/0/0/0, file that of the outer chunk, inner the index
                  in it

A shard is written anew when one of its chunks changes, so the file is what
has a generation (ETag). Sharded stores are read with TensorStore's drivers
for shards; `unsharded` is the metadata of the store that their chunks, one by
one, make up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import functools
import itertools
import math
import struct
from typing import Any

import tensorstore as ts

from ffn_tf.volume import place
from ffn_tf.volume.box import Box
from ffn_tf.volume.formats import sharding

Index = tuple[int, ...]
Axes = tuple[tuple[int | None, int], ...]


@dataclasses.dataclass(frozen=True)
class Chunk:
    """One chunk; see the module."""

    name: str
    file: str
    inner: bytes = b""


@dataclasses.dataclass(frozen=True)
class ChunkTable:
    """The chunks of one store.

    Attributes:
      origin, shape: of the grid and of a chunk, in the axes of the store.
      chunk: the chunk at an index.
      shard: a shard's chunks, by inner key, given the shard's file; None if
        there are no shards.
      unsharded: spec of a store that finds its chunks by their names.
      axes: for each axis of the store, that of the view, if any, and what is
        added to it.
    """

    origin: Index
    shape: Index
    chunk: Callable[[Index], Chunk]
    shard: Callable[[str], ts.KvStore] | None
    unsharded: dict[str, Any]
    axes: Axes = ()

    def ends(self, box: Box) -> tuple[Sequence[int], Sequence[int]]:
        """Start and end of a box of the view, in the axes of the store."""
        start, end = box.start, box.end
        return (
            [o if a is None else start[a] + o for a, o in self.axes],
            [o + 1 if a is None else end[a] + o for a, o in self.axes],
        )

    def within(self, start: Sequence[int], end: Sequence[int]) -> list[Chunk]:
        """The chunks of a box of the store, last axis fastest."""
        ranges = self._ranges(start, end)
        return [self.chunk(index) for index in itertools.product(*ranges)]

    def count(self, start: Sequence[int], end: Sequence[int]) -> int:
        """How many chunks a box of the store touches."""
        return math.prod(len(indices) for indices in self._ranges(start, end))

    def _ranges(self, start: Sequence[int], end: Sequence[int]) -> list[range]:
        return [
            range((s - o) // n, -((o - e) // n) if s < e else (s - o) // n)
            for s, e, o, n in zip(start, end, self.origin, self.shape)
        ]


def of(store: ts.TensorStore, kvstore: Any = None) -> ChunkTable:
    """The table of an open store, or of a view of one.

    Args:
      store: whose chunks.
      kvstore: spec of where they lie, if the store's own says more than that.

    Raises:
      ValueError: of a driver, of shards, or of a view that it cannot be made
        for.
    """
    spec = store.spec().to_json()
    files = store.kvstore
    if kvstore is not None:
        spec["kvstore"], files = kvstore, _opened(kvstore)
    assert files is not None
    makers = {
        "neuroglancer_precomputed": _precomputed,
        "zarr": _zarr,
        "zarr3": _zarr3,
        "n5": _n5,
    }
    if spec["driver"] not in makers:
        raise ValueError(
            f"chunks of driver {spec['driver']!r} are not known one by one; "
            f"expected one of {', '.join(makers)}."
        )
    table = makers[spec["driver"]](spec, files)
    # Neighbours in a batch have chunks in common.
    chunk = functools.lru_cache(maxsize=2**16)(table.chunk)
    return dataclasses.replace(table, chunk=chunk, axes=_axes(store))


def _axes(view: ts.TensorStore) -> Axes:
    axes: list[tuple[int | None, int]] = []
    transform = view.spec().transform
    assert transform is not None
    for output in transform.output:
        if output.method == ts.OutputIndexMethod.constant:
            axes.append((None, output.offset))
        elif output.stride == 1:
            axes.append((output.input_dimension, output.offset))
        else:
            raise ValueError("a view that is more than moved and transposed.")
    return tuple(axes)


def _zarr(spec: dict[str, Any], files: ts.KvStore) -> ChunkTable:
    metadata = spec["metadata"]
    separator = metadata.get("dimension_separator", ".")
    return _plain(metadata["chunks"], separator.join, spec)


def _n5(spec: dict[str, Any], files: ts.KvStore) -> ChunkTable:
    return _plain(spec["metadata"]["blockSize"], "/".join, spec)


def _plain(
    shape: Sequence[int],
    joined: Callable[[Iterable[str]], str],
    spec: dict[str, Any],
) -> ChunkTable:
    def chunk(index: Index) -> Chunk:
        name = joined(map(str, index))
        return Chunk(name, name)

    return ChunkTable((0,) * len(shape), tuple(shape), chunk, None, spec)


# -----------------------------------------------------------------------------
# precomputed
# -----------------------------------------------------------------------------


def _precomputed(spec: dict[str, Any], files: ts.KvStore) -> ChunkTable:
    scale = spec["scale_metadata"]
    folder, shards = scale["key"], scale.get("sharding")
    if ".." in folder.split("/"):
        raise ValueError(f"a scale outside of its volume: {folder!r}.")
    origin, size, step = (
        tuple(scale[key]) for key in ("voxel_offset", "size", "chunk_size")
    )
    grid = tuple(-(-n // c) for n, c in zip(size, step))
    channels = spec["multiscale_metadata"]["num_channels"]

    def chunk(index: Index) -> Chunk:
        edges = [
            (o + i * c, o + min((i + 1) * c, n))
            for i, o, n, c in zip(index, origin, size, step)
        ]
        name = f"{folder}/{'_'.join(f'{s}-{e}' for s, e in edges)}"
        if shards is None:
            return Chunk(name, name)
        number = sharding.morton(_zyx(index), _zyx(grid))
        file = f"{folder}/{shard_name(number, shards)}.shard"
        return Chunk(name, file, number.to_bytes(8, "big"))

    @functools.cache
    def in_shards(file: str) -> ts.KvStore:
        # One store reads all the shards; it finds them by itself.
        return _opened(
            {
                "driver": "neuroglancer_uint64_sharded",
                "metadata": shards,
                "base": _below(files, f"{folder}/"),
            }
        )

    return ChunkTable(
        (*origin, 0),
        (*step, channels),
        chunk,
        (lambda file: in_shards("")) if shards else None,
        spec | {"scale_metadata": scale | {"sharding": None}},
    )


def _zyx(index: Index) -> tuple[int, int, int]:
    x, y, z = index[:3]
    return z, y, x


def shard_name(number: int, shards: dict[str, Any]) -> str:
    """The name of the shard of chunk `number`."""
    hashed = number >> shards["preshift_bits"]
    if shards["hash"] == "murmurhash3_x86_128":
        hashed = _murmur(hashed)
    bits = shards["shard_bits"]
    shard = hashed >> shards["minishard_bits"] & (1 << bits) - 1
    return format(shard, "x").zfill(-(-bits // 4))


def _murmur(number: int) -> int:
    """The low 64 bits of MurmurHash3_x86_128, seed 0, of 8 bytes."""
    low, high = struct.unpack("<II", struct.pack("<Q", number))
    length = 8
    state = [
        _rotated(low * 0x239B961B, 15) * 0xAB0E9789 ^ length,
        _rotated(high * 0xAB0E9789, 16) * 0x38B34AE5 ^ length,
        length,
        length,
    ]
    state = [_mixed(word) for word in _summed(state)]
    first, second, *_ = _summed(state)
    return second << 32 | first


def _summed(words: list[int]) -> list[int]:
    first = sum(words)
    return [
        word & 0xFFFFFFFF for word in [first, *(w + first for w in words[1:])]
    ]


def _rotated(word: int, by: int) -> int:
    word &= 0xFFFFFFFF
    return word << by | word >> 32 - by


def _mixed(word: int) -> int:
    word = (word ^ word >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    word = (word ^ word >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return word ^ word >> 16


# -----------------------------------------------------------------------------
# zarr 3
# -----------------------------------------------------------------------------


def _zarr3(spec: dict[str, Any], files: ts.KvStore) -> ChunkTable:
    metadata = spec["metadata"]
    outer = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    named = _zarr3_names(metadata["chunk_key_encoding"])
    shards = _zarr3_sharding(metadata["codecs"])
    if shards is None:
        return _plain(outer, named, spec)
    inner = shards["chunk_shape"]
    ratio = [o // i for o, i in zip(outer, inner)]

    def chunk(index: Index) -> Chunk:
        file = named(str(i // n) for i, n in zip(index, ratio))
        place = [i % n for i, n in zip(index, ratio)]
        key = struct.pack(f">{len(place)}I", *place)
        return Chunk(named(map(str, index)), file, key)

    @functools.lru_cache(maxsize=1024)
    def in_shard(file: str) -> ts.KvStore:
        return _opened(
            {
                "driver": "zarr3_sharding_indexed",
                "grid_shape": ratio,
                "index_codecs": shards["index_codecs"],
                "index_location": shards["index_location"],
                "base": _below(files, file),
            }
        )

    regular = {"name": "regular", "configuration": {"chunk_shape": inner}}
    unsharded = metadata | {
        "chunk_grid": regular,
        "codecs": shards["codecs"],
    }
    return ChunkTable(
        (0,) * len(inner),
        tuple(inner),
        chunk,
        in_shard,
        spec | {"metadata": unsharded},
    )


def _zarr3_names(encoding: dict[str, Any]) -> Callable[[Iterable[str]], str]:
    configuration = encoding.get("configuration", {})
    if encoding["name"] == "v2":
        return str(configuration.get("separator", ".")).join
    separator = configuration.get("separator", "/")
    return lambda parts: separator.join(["c", *parts])


def _zarr3_sharding(codecs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The configuration of the shards; None if there are none."""
    names = [codec["name"] for codec in codecs]
    if "sharding_indexed" not in names:
        return None
    found = codecs[names.index("sharding_indexed")]["configuration"]
    inside = [codec["name"] for codec in found["codecs"]]
    if len(names) > 1 or "sharding_indexed" in inside:
        raise ValueError(
            f"shards in shards, or with codecs around them ({names})."
        )
    return found


# -----------------------------------------------------------------------------
# Stores of bytes
# -----------------------------------------------------------------------------


def _below(files: ts.KvStore, path: str) -> dict[str, Any]:
    return (files / path).spec().to_json()


def _opened(spec: dict[str, Any]) -> ts.KvStore:
    return ts.KvStore.open(spec, context=place.context()).result()
