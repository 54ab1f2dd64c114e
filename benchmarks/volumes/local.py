"""Bar 1 on this machine's disk: random cutouts of 33^3, and of 49^3.

Nothing cached: every round opens a volume anew; CloudVolume without an LRU
(it has none by default) or with one, h5py with its own cache of 1 MB. All
cached: a part of the volume that everybody has read once before; ours with
its 2 GB, CloudVolume with an LRU of 1 GB, h5py with a cache of 1 GB. Files are
in the system's memory all the time, so "disk" is what a fast one gives.

The limits of the machine: reading the same chunks as whole files, and copying
the boxes out of an array in memory.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ffn_tf import volume
from volumes import cloud, cutouts, table, turns
from volumes.workplace import Workplace

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
    cold_best = turns.fastest(cold, list(_SLOW))
    warm_best = turns.fastest(warm, list(_SLOW[1:]))
    return {
        "disk_vs_cloudvolume": cold[_OURS].rate / cold[cold_best].rate,
        "disk_cached_vs_cloudvolume": warm[_OURS].rate / warm[warm_best].rate,
        "disk_vs_h5py": cold[_OURS].rate / cold[_H5PY].rate,
    }


def _cloud_sides(
    prepared: Callable[[int, int], turns.Work], count: int
) -> dict[str, turns.Side]:
    """prepared(lru_bytes, threads)"""
    lru = cloud.LRU_BYTES
    settings = dict(zip(_SLOW, ((0, 1), (lru, 1), (lru, 2))))
    return {
        name: turns.Side(lambda how=how: prepared(*how), count)  # type: ignore[misc]
        for name, how in settings.items()
    }


def _cold(place: Workplace, edge: int) -> dict[str, turns.Times]:
    table.heading(
        f"Cutouts of {edge}^3 from local files, nothing cached: {place.edge}^3 "
        f"voxels of EM, chunks of 64^3"
    )
    count = place.pick(256, 48)
    boxes = place.boxes(edge, count)

    def cloudvolume(lru_bytes: int, threads: int) -> turns.Work:
        path = place.folder / place.anew(place.em)
        return _of_cloud(f"file://{path}", boxes, lru_bytes, threads)

    def here(scheme: str, name: str) -> str:
        return f"{scheme}://{place.folder / place.anew(name)}"

    return _shown(
        {
            _OURS: turns.Side(
                lambda: cutouts.ours(here("precomputed", place.em), boxes),
                count,
            ),
            _GZIP: turns.Side(
                lambda: cutouts.ours(here("zarr", place.gzipped), boxes), count
            ),
            **_cloud_sides(cloudvolume, count),
            _H5PY: turns.Side(lambda: cutouts.in_h5(place.h5, boxes), count),
            _FILES: turns.Side(lambda: cutouts.files(place, boxes), count),
        },
        place,
    )


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
    count, fewer = place.pick(2000, 500), place.pick(500, 100)
    boxes = place.boxes(edge, count, _CACHED_EDGE)
    some = place.boxes(edge, fewer, _CACHED_EDGE)
    path = place.folder / place.anew(place.em)
    region = volume.Box.from_shape((_CACHED_EDGE,) * 3)
    voxels = np.ascontiguousarray(place.voxels[region.slices])
    mine = cutouts.ours(f"precomputed://{path}", boxes)
    tuned = cutouts.in_h5(place.h5, some, **_TUNED)

    def cloudvolume(lru_bytes: int, threads: int) -> turns.Work:
        return cutouts.warmed(
            _of_cloud(f"file://{path}", some, lru_bytes, threads)
        )

    cloud_sides = _cloud_sides(cloudvolume, fewer)
    del cloud_sides[_SLOW[0]]
    return _shown(
        {
            _OURS: turns.Side(lambda: cutouts.warmed(mine), count),
            **cloud_sides,
            _H5PY_TUNED: turns.Side(lambda: cutouts.warmed(tuned), fewer),
            _MEMORY: turns.Side(
                lambda: cutouts.in_memory(voxels, boxes), count
            ),
        },
        place,
    )


def _shown(
    sides: dict[str, turns.Side], place: Workplace
) -> dict[str, turns.Times]:
    times = turns.taken(sides, place.pick(9, 3))
    mine = times[_OURS].rate
    for name, side in times.items():
        note = f"ours is {mine / side.rate:.2g}x" if name != _OURS else ""
        table.rate(name, side.rate, "cutouts/s", note)
    return times
