"""Bar 4: the second pass over a remote region, from the disk cache.

    precomputed://http://...?cache=disk

Each pass opens the volume anew, as another run of a program would: nothing is
left in memory but the system's pages. First passes find an empty disk cache.

Layouts: H01's (chunks of 64^3, jpeg, many in a shard), and raw chunks that are
files of their own. The server is asked whether what is on disk is still true:
once for a shard, but once for every chunk that is a file; not at all with
cache=trusted. What a region costs depends on how it is read, so both are
shown: box after box, each waiting for the one before, and all boxes in one
call. The bar is for H01's layout, asked, box after box; the last row is what a
link of 12.5 MB/s makes of a pass in one call.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import statistics
import time

import numpy as np

from ffn_tf import volume
from ffn_tf.volume import address, grid
from ffn_tf.volume.formats import codec, layout
from volumes import remote, table
from volumes.workplace import CHUNK, Workplace

_SLOW_LINK_MBPS = 12.5
_BOX = 64


@dataclasses.dataclass(frozen=True)
class Way:
    """How a region is read twice.

    Attributes:
      sharded: H01's layout; else one raw chunk a file.
      cache: disk or trusted.
      at_once: all boxes in one call.
      link_mbps: of the server, in megabytes a second; 0 is no limit.
    """

    sharded: bool
    cache: str = "disk"
    at_once: bool = False
    link_mbps: float = 0.0

    def __str__(self) -> str:
        said = "jpeg in shards" if self.sharded else "raw files"
        said += ", trusted" if self.cache == "trusted" else ", asked"
        said += ", one call" if self.at_once else ", box by box"
        return said + (f", {self.link_mbps} MB/s" if self.link_mbps else "")


@dataclasses.dataclass(frozen=True)
class Passes:
    """Medians of a first and a second pass.

    Attributes:
      first, second: seconds.
      hit_rate: of the second, chunks from the disk.
    """

    first: float
    second: float
    hit_rate: float

    @property
    def speedup(self) -> float:
        return self.first / self.second


_OF_THE_BAR = Way(sharded=True)
_WAYS = (
    _OF_THE_BAR,
    Way(True, "trusted"),
    Way(True, at_once=True),
    Way(False),
    Way(False, "trusted"),
    Way(False, at_once=True),
    Way(False, "trusted", at_once=True),
    Way(False, at_once=True, link_mbps=_SLOW_LINK_MBPS),
)
_QUICK_WAYS = (_OF_THE_BAR, _WAYS[2], _WAYS[5])


def run(place: Workplace) -> dict[str, float | None]:
    edge = place.pick(256, 192)
    region = volume.Box.from_size((CHUNK // 2,) * 3, edge)
    table.heading(
        f"Second pass over {edge}^3 voxels at {remote.LATENCY_MS} ms per "
        f"request, in boxes of {_BOX}^3, through the disk cache"
    )
    names = {True: _jpeg_in_shards(place), False: place.em}
    found: dict[str, float | None] = {}
    for way in _QUICK_WAYS if place.quick else _WAYS:
        place.server.set(latency_ms=remote.LATENCY_MS, total_mbps=way.link_mbps)
        try:
            passes = _measured(place, way, names[way.sharded], region)
        finally:
            place.server.reset()
        megabytes = region.num_voxels / 1e6
        table.rate(
            str(way),
            passes.speedup,
            "x",
            f"{megabytes / passes.first:,.0f} -> "
            f"{megabytes / passes.second:,.0f} MB/s, hits "
            f"{100 * passes.hit_rate:.1f} %",
        )
        if way == _OF_THE_BAR:
            found["disk_cache_speedup"] = passes.speedup
            found["disk_cache_hit_rate"] = passes.hit_rate
    return found


def _jpeg_in_shards(place: Workplace) -> str:
    """Name of a volume in H01's layout."""
    name = place.unused("h01")
    text = f"precomputed://{place.folder / name}"
    domain = volume.Box.from_shape((place.pick(512, 256),) * 3)
    info = volume.VolumeInfo(
        domain, np.dtype(np.uint8), (33, 4, 4), (CHUNK,) * 3
    )
    wanted = codec.Codec(encoding="jpeg", sharded="yes")
    where = address.parse(text, creating=True)
    layout.create_chunked(where, info, {}, wanted)
    with volume.open(text, mode="r+") as target:
        target.write(domain, place.voxels[domain.slices])
    return name


def _measured(
    place: Workplace, way: Way, name: str, region: volume.Box
) -> Passes:
    boxes = list(grid.tile(region, _BOX))
    firsts, seconds, rates = [], [], []
    for _ in range(place.pick(3, 1)):
        text = f"precomputed://{place.url(place.anew(name))}?cache={way.cache}"
        read = functools.partial(_pass, text, boxes, way.at_once)
        took, voxels, _ = read()
        firsts.append(took)
        took, again, hit_rate = read()
        seconds.append(took)
        rates.append(hit_rate)
        for one, other in zip(voxels, again):
            np.testing.assert_array_equal(one, other)
    median: Callable[[list[float]], float] = statistics.median
    return Passes(median(firsts), median(seconds), min(rates))


def _pass(
    text: str, boxes: list[volume.Box], at_once: bool
) -> tuple[float, list[np.ndarray], float]:
    """Seconds without opening and closing, voxels, and the hit rate."""
    with volume.open(text) as opened:
        start = time.perf_counter()
        if at_once:
            voxels = opened.read_many(boxes)
        else:
            voxels = [opened.read(box) for box in boxes]
        took = time.perf_counter() - start
        hit_rate = opened.source.statistics().hit_rate  # type: ignore[attr-defined]
    return took, voxels, hit_rate
