"""Bar 1 over the network: random cutouts, 20 ms per request.

    ours, batched        Volume.read_many of all boxes
    ours, one by one     Volume.read, box after box
    CloudVolume, ...     cloud.py; the fastest of them counts
    the wire             the same chunks asked for by the same client, 128 at
                         a time, neither decoded nor cut: what the server, the
                         loopback and HTTP leave to any reader

Each round reads from a volume that nobody has anything of in a cache, and all
read the same boxes.
"""

from __future__ import annotations

import functools

import numpy as np

from ffn_tf import volume
from volumes import cloud, cutouts, table, turns
from volumes.workplace import Workplace

LATENCY_MS = 20
_OURS, _OURS_SLOW = "ours, batched", "ours, one by one"
_WIRE = "the wire (requests only)"
_CLOUD_SLOW = "CloudVolume, one by one"
# Boxes of a round, full and quick: of those who batch, and of the others.
_COUNTS = {
    33: ((256, 96), (16, 8)),
    49: ((128, 48), (8, 4)),
    129: ((24, 8), (4, 1)),
}
_THREADS = (8, 32)


def run(place: Workplace) -> dict[str, float | None]:
    table.heading(
        f"Cutouts over HTTP, {LATENCY_MS} ms per request: {place.edge}^3 "
        f"voxels of EM, precomputed, raw chunks of 64^3, nothing cached"
    )
    place.server.set(latency_ms=LATENCY_MS)
    try:
        found: dict[str, float | None] = {}
        for edge in _COUNTS:
            found |= _cutouts(place, edge)
        return found
    finally:
        place.server.reset()


def _sides(place: Workplace, edge: int) -> dict[str, turns.Side]:
    many, few = (place.pick(*counts) for counts in _COUNTS[edge])
    boxes, some = place.boxes(edge, many), place.boxes(edge, few)

    def address() -> str:
        return f"precomputed://{place.url(place.anew(place.em))}"

    def cloudvolume(threads: int) -> turns.Work:
        opened = cloud.opened(place.url(place.anew(place.em)))
        if threads == 1:
            return cloud.one_by_one(opened, some)
        return cloud.threaded(opened, boxes, threads)

    sides = {
        _OURS: turns.Side(lambda: cutouts.ours(address(), boxes), many),
        _OURS_SLOW: turns.Side(
            lambda: cutouts.ours_one_by_one(address(), some), few
        ),
        _WIRE: turns.Side(lambda: cutouts.requests(place, boxes), many),
        _CLOUD_SLOW: turns.Side(lambda: cloudvolume(1), few),
    }
    for threads in _THREADS:
        sides[f"CloudVolume, {threads} threads, lru"] = turns.Side(
            functools.partial(cloudvolume, threads), many
        )
    return sides


def _cutouts(place: Workplace, edge: int) -> dict[str, float | None]:
    if edge == 33:
        check(place)
    times = turns.taken(_sides(place, edge), place.pick(3, 1))
    threads = [name for name in times if name.endswith("lru")]
    best = turns.fastest(times, threads)
    mine = times[_OURS].rate
    for name, side in times.items():
        note = f"ours is {mine / side.rate:.1f}x" if name != _OURS else ""
        if name == best:
            note += ", the fastest of CloudVolume's"
        table.times(f"{edge}^3  {name}", side, "cutouts/s", note)
    megabytes = mine * edge**3 / 1e6
    table.remark(
        f"ours: {megabytes:,.0f} MB/s of voxels, "
        f"{100 * mine / times[_WIRE].rate:.0f} % of the wire"
    )
    found: dict[str, float | None] = {
        f"http_vs_cloudvolume_{edge}": mine / times[best].rate
    }
    if edge == 33:
        found["http_vs_sync_33"] = mine / times[_OURS_SLOW].rate
    return found


def check(place: Workplace) -> None:
    """Both give the voxels that there are."""
    boxes = place.boxes(33, 5)
    url = place.url(place.anew(place.em))
    with volume.open(f"precomputed://{url}") as opened:
        mine = opened.read_many(boxes)
    theirs = cloud.threaded(cloud.opened(url), boxes, 2)()
    for box, one, other in zip(boxes, mine, theirs):  # type: ignore[call-overload]
        np.testing.assert_array_equal(one, place.voxels[box.slices])
        np.testing.assert_array_equal(other[..., 0].T, one)
