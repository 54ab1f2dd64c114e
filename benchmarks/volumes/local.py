"""Bar 1 on this machine's disk: random cutouts of 33^3, and of 49^3.

Nothing cached: every round opens a volume anew; CloudVolume without an LRU
(it has none by default) or with one, h5py with its own cache of 1 MB. All
cached: a part of the volume that everybody has read once before; ours with
its 2 GB, CloudVolume with an LRU of 1 GB, h5py with a cache of 1 GB. Files are
in the system's memory all the time, so "disk" is what a fast one gives.

The limits of the machine: reading the same chunks as whole files, and copying
the boxes out of an array in memory. At last one large box, where nobody can be
ten times as fast.
"""

from __future__ import annotations

from collections.abc import Callable
import functools

import numpy as np

from ffn_tf import volume
from volumes import cloud, cutouts, table, turns
from volumes.workplace import CHUNK, Workplace

_OURS, _GZIP = "ours", "ours, of zarr with the same gzip"
_H5PY, _H5PY_TUNED = "h5py, gzip", "h5py, gzip, cache of 1 GB"
_FILES, _MEMORY = "the chunks as files", "copies out of memory"
_SLOW = ("CloudVolume", "CloudVolume, lru", "CloudVolume, 2 threads, lru")
_TUNED = {"rdcc_nbytes": 10**9, "rdcc_nslots": 100_003}
_CACHED_EDGE = 256


def run(place: Workplace) -> dict[str, float | None]:
    cold, warm = _cold(place, 33), _warm(place, 33)
    if not place.quick:
        _cold(place, 49)
        _warm(place, 49)
        _large_box(place)
    cold_best = turns.fastest(cold, list(_SLOW))
    warm_best = turns.fastest(warm, list(_SLOW[1:]))
    return {
        "disk_vs_cloudvolume": cold[_OURS].rate / cold[cold_best].rate,
        "disk_cached_vs_cloudvolume": warm[_OURS].rate / warm[warm_best].rate,
        "disk_vs_h5py": cold[_OURS].rate / cold[_H5PY].rate,
    }


def _cloud_works(
    prepared: Callable[[int, int], turns.Work],
) -> dict[str, Callable[[], turns.Work]]:
    """prepared(lru_bytes, threads)"""
    lru = cloud.LRU_BYTES
    settings = dict(zip(_SLOW, ((0, 1), (lru, 1), (lru, 2))))
    return {
        name: functools.partial(prepared, *how)
        for name, how in settings.items()
    }


def _cold(place: Workplace, edge: int) -> dict[str, turns.Times]:
    table.heading(
        f"Cutouts of {edge}^3 from local files, nothing cached: {place.edge}^3 "
        f"voxels of EM, chunks of 64^3"
    )
    count = place.pick(128, 48)
    boxes = place.boxes(edge, count)

    def cloudvolume(lru_bytes: int, threads: int) -> turns.Work:
        path = place.folder / place.anew(place.em)
        return _of_cloud(f"file://{path}", boxes, lru_bytes, threads)

    def here(scheme: str, name: str) -> str:
        return f"{scheme}://{place.folder / place.anew(name)}"

    works = {
        _OURS: lambda: cutouts.ours(here("precomputed", place.em), boxes),
        _GZIP: lambda: cutouts.ours(here("zarr", place.gzipped), boxes),
        **_cloud_works(cloudvolume),
        _H5PY: lambda: cutouts.in_h5(place.h5, boxes),
        _FILES: lambda: cutouts.files(place, boxes),
    }
    return _shown(works, count, place)


def _large_box(place: Workplace) -> None:
    """Printed only."""
    box = volume.Box.from_size((CHUNK,) * 3, place.edge // 2)
    table.heading(f"One box of {place.edge // 2}^3, from local files: MB/s")

    def path() -> str:
        return str(place.folder / place.anew(place.em))

    def cloudvolume(lru_bytes: int, threads: int) -> turns.Work:
        return _of_cloud(f"file://{path()}", [box], lru_bytes, threads)

    works = {
        _OURS: lambda: cutouts.ours(f"precomputed://{path()}", [box]),
        _SLOW[0]: lambda: cloudvolume(0, 1),
        _H5PY: lambda: cutouts.in_h5(place.h5, [box]),
        _MEMORY: lambda: cutouts.in_memory(place.voxels, [box]),
    }
    _shown(works, box.num_voxels / 1e6, place, "MB/s")


def _of_cloud(
    url: str, boxes: cutouts.Boxes, lru_bytes: int, threads: int
) -> turns.Work:
    opened = cloud.opened(url, lru_bytes)
    if threads == 1:
        return cloud.one_by_one(opened, boxes)
    return cloud.threaded(opened, boxes, threads)


def _warm(place: Workplace, edge: int) -> dict[str, turns.Times]:
    table.heading(
        f"Cutouts of {edge}^3 from local files, all cached: {_CACHED_EDGE}^3 "
        f"voxels of them"
    )
    count = place.pick(1000, 200)
    boxes = place.boxes(edge, count, _CACHED_EDGE)
    path = place.folder / place.anew(place.em)
    region = volume.Box.from_shape((_CACHED_EDGE,) * 3)
    voxels = np.ascontiguousarray(place.voxels[region.slices])
    mine = cutouts.ours(f"precomputed://{path}", boxes)
    tuned = cutouts.in_h5(place.h5, boxes, **_TUNED)

    def cloudvolume(lru_bytes: int, threads: int) -> turns.Work:
        return cutouts.warmed(
            _of_cloud(f"file://{path}", boxes, lru_bytes, threads)
        )

    works = {
        _OURS: lambda: cutouts.warmed(mine),
        **_cloud_works(cloudvolume),
        _H5PY_TUNED: lambda: cutouts.warmed(tuned),
        _MEMORY: lambda: cutouts.in_memory(voxels, boxes),
    }
    del works[_SLOW[0]]
    return _shown(works, count, place)


def _shown(
    works: dict[str, Callable[[], turns.Work]],
    count: float,
    place: Workplace,
    unit: str = "cutouts/s",
) -> dict[str, turns.Times]:
    sides = {name: turns.Side(work, count) for name, work in works.items()}
    times = turns.taken(sides, place.pick(7, 3))
    mine = times[_OURS].rate
    for name, side in times.items():
        note = f"ours is {mine / side.rate:.2g}x" if name != _OURS else ""
        table.times(name, side, unit, note)
    return times
