"""Readers of random boxes: ours, TensorStore without us, files, h5py, memory.

Each is a side for turns.py whose `prepare` opens everything anew.
"""

from __future__ import annotations

from collections.abc import Sequence
import itertools
import os
import pathlib
from typing import Any

import h5py
import numpy as np
import tensorstore as ts

from ffn_tf import volume
from ffn_tf.volume import place as place_lib
from volumes import turns
from volumes.workplace import CHUNK, Workplace

Boxes = Sequence[volume.Box]


def ours(text: str, boxes: Boxes) -> turns.Work:
    """All boxes in one call."""
    opened = volume.open(text)
    return lambda: opened.read_many(boxes)


def ours_one_by_one(text: str, boxes: Boxes) -> turns.Work:
    opened = volume.open(text)
    return lambda: [opened.read(box) for box in boxes]


def bare_view(kvstore: dict[str, Any]) -> ts.TensorStore:
    """A precomputed store [z, y, x], opened as we open it, with our Context."""
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": kvstore,
        "fill_missing_data_reads": False,
        "recheck_cached_data": "open",
        "recheck_cached_metadata": "open",
    }
    store = ts.open(spec, read=True, context=place_lib.context()).result()
    return store[..., 0].T


def bare(view: ts.TensorStore, boxes: Boxes) -> turns.Work:
    """What one would write with TensorStore alone."""
    parts = [box.slices for box in boxes]

    def read() -> list[np.ndarray]:
        pending = [view[part].read() for part in parts]
        return [future.result() for future in pending]

    return read


def chunk_names(boxes: Boxes, volume_edge: int) -> list[str]:
    """Names of the chunks that boxes touch, each once, in a folder of raw."""
    corners = {}
    for box in boxes:
        whole = box.aligned(CHUNK, (0, 0, 0))
        axes = [
            range(s, e, CHUNK)
            for s, e in zip(whole.start[::-1], whole.end[::-1])
        ]
        corners.update(dict.fromkeys(itertools.product(*axes)))
    return [
        "_".join(f"{at}-{min(at + CHUNK, volume_edge)}" for at in corner)
        for corner in corners
    ]


def requests(place: Workplace, boxes: Boxes) -> turns.Work:
    """The same chunks over HTTP, as bytes: nothing is decoded or copied."""
    where = place_lib.Place(place.url(place.anew(place.em)))
    key = where.read_json("info")["scales"][0]["key"]  # type: ignore[index]
    store = ts.KvStore.open(
        where.kvstore(key), context=place_lib.context()
    ).result()
    names = chunk_names(boxes, place.edge)

    def read() -> list[Any]:
        pending = [store.read(name) for name in names]
        return [future.result() for future in pending]

    return read


def files(place: Workplace, boxes: Boxes) -> turns.Work:
    """The same chunks as files, one after the other."""
    folder = next(p for p in (place.folder / place.em).iterdir() if p.is_dir())
    names = [folder / name for name in chunk_names(boxes, place.edge)]
    return lambda: [pathlib.Path(name).read_bytes() for name in names]


def in_h5(path: str | os.PathLike[str], boxes: Boxes, **how: Any) -> turns.Work:
    """Box by box: h5py has no other way."""
    dataset = h5py.File(path, "r", **how)["em"]
    return lambda: [dataset[box.slices] for box in boxes]


def in_memory(voxels: np.ndarray, boxes: Boxes) -> turns.Work:
    """Copies out of an array: the limit of every cache."""
    parts = [box.slices for box in boxes]
    return lambda: [voxels[part].copy() for part in parts]


def warmed(work: turns.Work) -> turns.Work:
    """The same work, done once before."""
    work()
    return work
