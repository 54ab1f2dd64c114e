"""Whether volumes can be read, how fast, and what is in them.

Of each volume, in this order:

    info        it opens; what it is, who reads it
    chunks      some chunks, by each method (access.py): milliseconds each,
                MB/s, and whether all methods give the same voxels
    again       the same chunks once more, from the memory cache; hit rate
    regions     the named regions of the dataset, or the middle: their first
                corner, in whole chunks
    statistics  of the voxels that were read; an image of one grey level fails
    robustness: box, scale, channel
                that are not there are refused
    reading     what the volume says of its reading (the disk cache, damaged
                chunks), if it says anything

and of each resource of gs:// that something is there.

A check passes, fails, or is left out with a reason (a method that reads other
formats or places; no second one to compare with). What is on a server that
could not be reached is not tried, and fails. MB are 10^6 bytes of voxels, not
of what was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
import itertools
import math
import re
import resource as process
import time
from typing import Any

import numpy as np
import tensorstore as ts

from ffn_tf.volume import (
    access,
    grid,
    place,
    section,
    store,
    voxel_statistics,
)
from ffn_tf.volume.box import Box
from ffn_tf.volume.formats import decoding, gcsfs_source
from ffn_tf.volume.voxel_statistics import counted

_NUM_CHUNKS = 4
_EDGE = 64  # Voxels of what is read at a time; sections of a region, first.


@dataclasses.dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
      volume: name in the dataset.
      name: of the check.
      passed: None: left out.
      detail: what was seen, or what went wrong.
      method: who read.
      milliseconds: it took.
      megabytes: of voxels read.
      memory_megabytes: most that the process has ever held.
      hit_rate: share of chunks that were in the memory cache; None if nobody
        asked it.
    """

    volume: str
    name: str
    passed: bool | None
    detail: str
    method: str = ""
    milliseconds: float = 0.0
    megabytes: float = 0.0
    memory_megabytes: float = 0.0
    hit_rate: float | None = None

    @property
    def rate(self) -> float:
        """MB/s; 0 if nothing was read."""
        return 1e3 * self.megabytes / max(self.milliseconds, 1e-3)


class Verification:
    """The checks of one volume.

    Args:
      name: of the volume in the dataset.
      address: of the volume, without `?access=`.
      regions: boxes in its voxels, by name; at least one.
      methods: of access.METHODS, to be compared.
      most_megabytes: read of a region.
      host: of the server that it is on; "" if nobody knows.
      unreached: hosts that could not be reached, known and found.
    """

    def __init__(
        self,
        name: str,
        address: str,
        regions: Callable[[store.Volume], Mapping[str, Box]],
        methods: Sequence[str],
        most_megabytes: float,
        host: str,
        unreached: set[str],
    ) -> None:
        self.name = name
        self.address = address
        self.kind: str | None = None  # Of the volume, once it is open.
        self._host = host
        self._unreached = unreached
        self._check = functools.partial(_checked, name)
        self._regions = regions
        self._methods = methods
        self._most_megabytes = most_megabytes
        self.section: section.Section | None = None  # Of an image's region.

    def checks(self) -> Iterator[Check]:
        """All checks, as they are made; a volume that does not open is one."""
        start = time.perf_counter()
        if self._host in self._unreached:
            yield self._check("info", False, _not_tried(self._host), start)
            return
        try:
            opened = store.open(self.address)
        except (ValueError, OSError) as error:
            self._unreached.update(_unreached(error))
            yield self._check("info", False, told(error), start)
            return
        with opened:
            self.kind = opened.info.kind
            detail = described(opened)
            for method, reason in opened.served.refused:
                detail += f"; not by {method}: {reason}"
            method = opened.served.method
            yield self._check("info", True, detail, start, method)
            regions = self._regions(opened)
            part, _ = self._parts(opened, next(iter(regions.values())))
            chunks = first_chunks(part, opened)
            yield from self._chunks(opened, chunks)
            yield self._again(opened, chunks)
            yield from self._contents(opened, regions)
            yield from self._robustness(opened)
            start = time.perf_counter()
            for line in opened.report():
                yield self._check("reading", True, line, start)

    def _read(
        self, name: str, opened: store.Volume, boxes: Sequence[Box]
    ) -> tuple[Check, list[np.ndarray]]:
        start = time.perf_counter()
        method = opened.served.method
        try:
            found = opened.read_many(boxes)
        except (ValueError, OSError) as error:
            return self._check(name, False, told(error), start, method), []
        size = sum(array.nbytes for array in found) / 1e6
        largest = max(boxes, key=lambda box: box.num_voxels).size
        number = counted(len(boxes), "box", "boxes")
        detail = f"{number} of up to {largest}"
        check = self._check(name, True, detail, start, method, size)
        return check, found

    def _chunks(
        self, opened: store.Volume, boxes: Sequence[Box]
    ) -> Iterator[Check]:
        """The same chunks by each method, compared with the first."""
        if opened.served.method not in METHODS:  # There is no other way.
            start = time.perf_counter()
            yield self._read("chunks", opened, boxes)[0]
            detail = "there is no other way to read it: nothing is compared"
            yield self._check("chunks", None, detail, start)
            return
        expected: list[np.ndarray] | None = None
        for method in self._methods:
            start = time.perf_counter()
            try:
                other = store.open(self._asking(f"access={method}"))
            except (ValueError, OSError) as error:
                failed = None if _is_not_for_it(error) else False
                yield self._check("chunks", failed, told(error), start, method)
                continue
            with other:
                check, found = self._read("chunks", other, boxes)
            if expected is None:
                expected = found or None
            elif found:
                detail = voxel_statistics.difference(expected, found)
                if detail:
                    check = dataclasses.replace(
                        check, passed=False, detail=detail
                    )
            yield check

    def _again(self, opened: store.Volume, boxes: Sequence[Box]) -> Check:
        before = _cache_counts()
        check, _ = self._read("again", opened, boxes)
        hits, misses = (a - b for a, b in zip(_cache_counts(), before))
        if not check.passed or not hits + misses:
            return check
        rate = hits / (hits + misses)
        detail = f"{check.detail}, {100 * rate:.0f} % from memory"
        return dataclasses.replace(check, detail=detail, hit_rate=rate)

    def _asking(self, query: str) -> str:
        mark = "&" if "?" in self.address else "?"
        return f"{self.address}{mark}{query}"

    def _contents(
        self, opened: store.Volume, regions: Mapping[str, Box]
    ) -> Iterator[Check]:
        """The regions, and what is in them."""
        kind, seconds = opened.info.kind, 0.0
        seen = voxel_statistics.Statistics()
        for name, box in regions.items():
            part, tiles = self._parts(opened, box)
            check, found = self._read(name, opened, tiles)
            if found and part != box:
                detail = f"{check.detail}: the first {part.size} of {box.size}"
                check = dataclasses.replace(check, detail=detail)
            yield check
            if not found:
                continue
            start = time.perf_counter()
            if self.section is None and kind == "image":
                self.section = section.Section(
                    self.name,
                    opened.voxel_size_nm,
                    *section.middle(part, tiles, found),
                )
            for array in found:
                seen.add(array, kind)
            seconds += time.perf_counter() - start
        if seen.count:
            start = time.perf_counter() - seconds
            is_there = kind != "image" or seen.least < seen.most
            yield self._check("statistics", is_there, seen.said(kind), start)

    def _parts(self, opened: store.Volume, box: Box) -> tuple[Box, list[Box]]:
        """What is read of a region, and that in boxes of whole chunks."""
        most = int(self._most_megabytes * 1e6 / opened.dtype.itemsize)
        chunk, origin = opened.info.chunk_zyx, opened.domain.start
        part = first_corner(box, chunk, most)
        return part, list(grid.aligned(part, chunk, origin, _EDGE))

    def _robustness(self, opened: store.Volume) -> Iterator[Check]:
        beyond = Box.from_size(opened.domain.end, (1, 1, 1))
        wrong: dict[str, Callable[[], Any]] = {
            "box": lambda: opened.read(beyond),
            "scale": lambda: store.open(self._asking("mip=99")),
            "channel": lambda: store.open(self._asking("channel=99")),
        }
        for name, tried in wrong.items():
            start = time.perf_counter()
            try:
                tried()
            except ValueError as error:
                passed, detail = True, f"refused: {type(error).__name__}"
            except OSError as error:  # The server fails, which is no answer.
                passed, detail = False, f"cannot be asked for: {told(error)}"
            else:
                passed, detail = False, "one that is not there was read"
            yield self._check(f"robustness: {name}", passed, detail, start)


def _is_not_for_it(error: Exception) -> bool:
    """Whether a method reads other formats, places or encodings."""
    return isinstance(error, ValueError) or any(
        isinstance(cause, decoding.UnsupportedError)
        for cause in (error, error.__cause__)
    )


def _checked(
    volume: str,
    name: str,
    passed: bool | None,
    detail: str,
    start: float,
    method: str = "",
    megabytes: float = 0.0,
) -> Check:
    """A check that began at `start` and ends now."""
    peak = process.getrusage(process.RUSAGE_SELF).ru_maxrss / 1e3
    milliseconds = 1e3 * (time.perf_counter() - start)
    return Check(
        volume, name, passed, detail, method, milliseconds, megabytes, peak
    )


def told(error: Exception) -> str:
    """An error without the volume's address, where it names a file of that."""
    text = str(error)
    address, _, rest = text.partition(": ")
    path = re.sub(r"^\w+://(?=.+://|/)", "", address.partition("?")[0])
    return rest if path and path in rest else text


def _unreached(error: BaseException | None) -> Iterator[str]:
    """The host that could not be reached, if that was the cause."""
    while error is not None:
        if isinstance(error, place.UnreachedError):
            yield error.host
        error = error.__cause__


def _not_tried(host: str) -> str:
    return f"not tried: {host} cannot be reached"


def resource(name: str, address: str, unreached: set[str]) -> Check:
    """Whether there is anything at the address of a resource.

    Args:
      unreached: hosts that could not be reached, known and found.
    """
    check = functools.partial(_checked, name, "resource")
    start = time.perf_counter()
    if not address.startswith("gs://"):
        return check(None, f"{address}: only gs:// is looked at", start)
    host = place.Place(address).host
    if host in unreached:
        return check(False, _not_tried(host), start)
    try:
        found = _about(address)
    except OSError as error:
        unreached.update(_unreached(error))
        return check(False, str(error), start, "gcsfs")
    detail = f"a {found['type']}"
    if found["type"] == "file":
        detail += f" of {found['size']:,} bytes"
    return check(True, detail, start, "gcsfs")


def _about(address: str) -> dict[str, Any]:
    place.Place(address).look_up()
    files = gcsfs_source._file_system()
    try:
        return files.info(address.removeprefix("gs://"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{address}: nothing is there.") from error
    except Exception as error:  # Of any of its libraries.
        raise OSError(f"{address}: cannot be asked: {error!r}.") from error


def described(opened: store.Volume) -> str:
    """One line about a volume."""
    size = " x ".join(f"{n:,}" for n in opened.domain.size)
    nm = " x ".join(f"{v:g}" for v in opened.voxel_size_nm)
    return (
        f"{size} voxels (z, y, x) of {nm} nm, {opened.dtype}, "
        f"{opened.info.kind}, {counted(len(opened.scales_nm), 'scale')}"
    )


def first_chunks(box: Box, opened: store.Volume) -> list[Box]:
    """Some whole chunks of a volume, from where a box begins."""
    chunk, domain = opened.info.chunk_zyx, opened.domain
    whole = box.aligned(chunk, domain.start)
    first = itertools.islice(grid.tile(whole, chunk), _NUM_CHUNKS)
    return [tile.clipped(domain) for tile in first]


def first_corner(box: Box, chunk: Sequence[int], most_voxels: int) -> Box:
    """At most so many voxels of a box, but a chunk at least, from its start.

    It is about square, as that gives the best picture; as many sections as it
    takes for that, and then as many as there may be.
    """
    deep = min(box.size[0], max(_EDGE, chunk[0]))
    edge = math.isqrt(most_voxels // deep)
    high, wide = (
        min(max(edge // c * c, c), n) for c, n in zip(chunk[1:], box.size[1:])
    )
    deep = max(deep, most_voxels // (high * wide) // chunk[0] * chunk[0])
    return Box.from_size(box.start, (deep, high, wide)).clipped(box)


def _cache_counts() -> tuple[int, int]:
    """Hits and misses of TensorStore's memory cache in this process."""
    prefix = "/tensorstore/cache/"
    counts = {
        metric["name"].removeprefix(prefix): metric["values"][0]["value"]
        for metric in ts.experimental_collect_matching_metrics(prefix)
    }
    return counts.get("hit_count", 0), counts.get("miss_count", 0)


METHODS = tuple(access.METHODS)
