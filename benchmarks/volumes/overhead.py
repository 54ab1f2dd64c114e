"""Bar 1: what Volume costs over TensorStore alone.

The same boxes of 33^3 by the same futures, of a store opened with the same
spec and the same Context. Three cases: all in the cache, where the least else
is done and a cost shows most; local files; HTTP with 20 ms per request, where
it must vanish. The bar is for the worst of the first two (over HTTP a
difference is the network's).
"""

from __future__ import annotations

from collections.abc import Callable
import functools

from ffn_tf.volume import place as place_lib
from volumes import cutouts, remote, table, turns
from volumes.workplace import Workplace

_OURS, _BARE = "ours", "TensorStore alone"
_EDGE = 33
_CACHED_EDGE = 256


def run(place: Workplace) -> dict[str, float | None]:
    table.heading(f"Cutouts of {_EDGE}^3: ours against TensorStore alone")
    name = place.anew(place.em)
    boxes = place.boxes(_EDGE, place.pick(2000, 500), _CACHED_EDGE)
    worst = max(
        _case(
            "cached",
            {
                _OURS: functools.partial(_warm, _ours, place, name, boxes),
                _BARE: functools.partial(_warm, _bare, place, name, boxes),
            },
            len(boxes),
            place.pick(81, 41),
        ),
        _cold_case(place, "local files", 256, place.pick(41, 21), _ours, _bare),
    )
    place.server.set(latency_ms=remote.LATENCY_MS)
    try:
        _cold_case(
            place,
            "HTTP, 20 ms",
            place.pick(256, 64),
            place.pick(7, 3),
            _ours_remote,
            _bare_remote,
        )
    finally:
        place.server.reset()
    return {"overhead": worst}


_Prepared = Callable[[Workplace, str, cutouts.Boxes], turns.Work]


def _ours(place: Workplace, name: str, boxes: cutouts.Boxes) -> turns.Work:
    return cutouts.ours(f"precomputed://{place.folder / name}", boxes)


def _bare(place: Workplace, name: str, boxes: cutouts.Boxes) -> turns.Work:
    where = place_lib.Place(str(place.folder / name))
    return cutouts.bare(cutouts.bare_view(where.kvstore()), boxes)


def _ours_remote(
    place: Workplace, name: str, boxes: cutouts.Boxes
) -> turns.Work:
    return cutouts.ours(f"precomputed://{place.url(name)}", boxes)


def _bare_remote(
    place: Workplace, name: str, boxes: cutouts.Boxes
) -> turns.Work:
    where = place_lib.Place(place.url(name))
    return cutouts.bare(cutouts.bare_view(where.kvstore()), boxes)


def _warm(
    prepared: _Prepared, place: Workplace, name: str, boxes: cutouts.Boxes
) -> turns.Work:
    return cutouts.warmed(prepared(place, name, boxes))


def _cold_case(
    place: Workplace,
    name: str,
    count: int,
    rounds: int,
    ours: _Prepared,
    bare: _Prepared,
) -> float:
    boxes = place.boxes(_EDGE, count)

    def prepared(how: _Prepared) -> turns.Work:
        return how(place, place.anew(place.em), boxes)

    works: dict[str, Callable[[], turns.Work]] = {
        _OURS: functools.partial(prepared, ours),
        _BARE: functools.partial(prepared, bare),
    }
    return _case(name, works, count, rounds)


def _case(
    name: str,
    works: dict[str, Callable[[], turns.Work]],
    count: int,
    rounds: int,
) -> float:
    sides = {side: turns.Side(work, count) for side, work in works.items()}
    times = turns.taken(sides, rounds)
    part = turns.excess(times[_OURS], times[_BARE])
    table.times(f"{name}, {_BARE}", times[_BARE], "cutouts/s")
    cpu = times[_OURS].cpu_ms / times[_BARE].cpu_ms - 1
    note = f"{100 * part:+.1f} % time, {100 * cpu:+.1f} % CPU"
    table.times(f"{name}, ours", times[_OURS], "cutouts/s", note)
    return part
