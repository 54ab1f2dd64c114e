"""Whether volumes can be read, how fast, and what is in them.

Of each volume, in this order:

    info        it opens; what it is, who reads it
    chunks      some chunks, by each method (access.py): milliseconds each,
                MB/s, and whether all methods give the same voxels
    again       the same chunks once more, from the memory cache
    regions     the named regions of the dataset, or the middle
    statistics  of the voxels that were read
    robustness  what is wrong is refused: a box outside, a scale and a
                neighbour that do not exist

A check passes, fails, or is left out with a reason (a method that does not
read such volumes). MB are 10^6 bytes of voxels, not of what was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import resource
import time

import numpy as np

from ffn_tf.volume import access, grid, store
from ffn_tf.volume.box import Box

_NUM_CHUNKS = 4


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
    """

    volume: str
    name: str
    passed: bool | None
    detail: str
    method: str = ""
    milliseconds: float = 0.0
    megabytes: float = 0.0
    memory_megabytes: float = 0.0

    @property
    def rate(self) -> float:
        """MB/s; 0 if nothing was read."""
        return 1e3 * self.megabytes / max(self.milliseconds, 1e-3)


class Verification:
    """The checks of one volume.

    Args:
      name: of the volume in the dataset.
      address: of the volume, without `?access=`.
      regions: boxes in its voxels, by name.
      methods: of access.METHODS, to be compared.
      most_megabytes: read of a region.
    """

    def __init__(
        self,
        name: str,
        address: str,
        regions: Callable[[store.Volume], Mapping[str, Box]],
        methods: Sequence[str],
        most_megabytes: float,
    ) -> None:
        self._name, self._address = name, address
        self._regions = regions
        self._methods = methods
        self._most_megabytes = most_megabytes
        self.slice: np.ndarray | None = None  # [y, x] of an image's region.

    def checks(self) -> Iterator[Check]:
        """All checks, as they are made; a volume that does not open is one."""
        start = time.perf_counter()
        try:
            opened = store.open(self._address)
        except (ValueError, OSError) as error:
            yield self._check("info", False, str(error), start)
            return
        with opened:
            yield self._check(
                "info",
                True,
                described(opened),
                start,
                method=opened.served.method,
            )
            boxes = middle_chunks(opened.domain, opened.info.chunk_zyx)
            yield from self._chunks(opened, boxes)
            yield self._read("again", opened, boxes)[0]
            voxels = []
            for name, box in self._regions(opened).items():
                check, found = self._read(
                    name, opened, self._parts(opened, box)
                )
                yield check
                voxels += found
            yield from self._statistics(voxels, opened.info.kind)
            yield from self._robustness(opened)

    def _check(
        self,
        name: str,
        passed: bool | None,
        detail: str,
        start: float,
        method: str = "",
        megabytes: float = 0.0,
    ) -> Check:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        return Check(
            self._name,
            name,
            passed,
            detail,
            method,
            1e3 * (time.perf_counter() - start),
            megabytes,
            peak,
        )

    def _read(
        self, name: str, opened: store.Volume, boxes: Sequence[Box]
    ) -> tuple[Check, list[np.ndarray]]:
        start = time.perf_counter()
        try:
            found = opened.read_many(boxes)
        except (ValueError, OSError) as error:
            return self._check(name, False, str(error), start), []
        size = sum(array.nbytes for array in found) / 1e6
        detail = f"{len(boxes)} boxes of {boxes[0].size}"
        method = opened.served.method
        check = self._check(name, True, detail, start, method, size)
        return check, found

    def _chunks(
        self, opened: store.Volume, boxes: Sequence[Box]
    ) -> Iterator[Check]:
        """The same chunks by each method, compared with the first."""
        if opened.served.method not in METHODS:  # There is no other way.
            yield self._read("chunks", opened, boxes)[0]
            return
        expected: list[np.ndarray] | None = None
        for method in self._methods:
            start = time.perf_counter()
            try:
                other = store.open(self._asking(f"access={method}"))
            except (ValueError, OSError) as error:
                yield self._check("chunks", None, str(error), start, method)
                continue
            with other:
                check, found = self._read("chunks", other, boxes)
            if expected is None:
                expected = found or None
            elif found and (worst := _difference(expected, found)):
                detail = f"differs from the first by up to {worst:g}"
                check = dataclasses.replace(check, passed=False, detail=detail)
            yield check

    def _asking(self, query: str) -> str:
        mark = "&" if "?" in self._address else "?"
        return f"{self._address}{mark}{query}"

    def _parts(self, opened: store.Volume, box: Box) -> list[Box]:
        """Boxes of whole chunks from the region's start, not too many."""
        clipped = box.clipped(opened.domain)
        chunk = opened.info.chunk_zyx
        tiles = grid.aligned(clipped, chunk, opened.domain.start, 64)
        parts: list[Box] = []
        most = self._most_megabytes * 1e6 / opened.dtype.itemsize
        for tile in tiles:
            if parts and sum(p.num_voxels for p in [*parts, tile]) > most:
                break
            parts.append(tile)
        return parts

    def _statistics(
        self, voxels: Sequence[np.ndarray], kind: str | None
    ) -> Iterator[Check]:
        if not voxels:
            return
        start = time.perf_counter()
        if self.slice is None and kind == "image":
            self.slice = voxels[0][len(voxels[0]) // 2]
        flat = np.concatenate([array.ravel() for array in voxels])
        yield self._check("statistics", True, statistics(flat, kind), start)

    def _robustness(self, opened: store.Volume) -> Iterator[Check]:
        start = time.perf_counter()
        beyond = Box.from_size(opened.domain.end, (1, 1, 1))
        for name, wrong in {
            "a box outside": lambda: opened.read(beyond),
            "a scale": lambda: store.open(self._asking("mip=99")),
        }.items():
            try:
                wrong()
            except (ValueError, OSError) as error:
                detail = f"{name} is refused: {type(error).__name__}"
                yield self._check("robustness", True, detail, start)
            else:
                detail = f"{name} that does not exist was read"
                yield self._check("robustness", False, detail, start)


def described(opened: store.Volume) -> str:
    """One line about a volume."""
    size = " x ".join(f"{n:,}" for n in opened.domain.size)
    nm = " x ".join(f"{v:g}" for v in opened.voxel_size_nm)
    return (
        f"{size} voxels (z, y, x) of {nm} nm, {opened.dtype}, "
        f"{opened.info.kind}, {len(opened.scales_nm)} scale(s)"
    )


def middle_chunks(domain: Box, chunk: Sequence[int]) -> list[Box]:
    """Some neighbouring chunks in the middle of a volume, whole."""
    middle = [
        s + n // 2 // c * c for s, n, c in zip(domain.start, domain.size, chunk)
    ]
    boxes = [
        Box.from_size((middle[0], middle[1], middle[2] + i * chunk[2]), chunk)
        for i in range(_NUM_CHUNKS)
    ]
    clipped = [box.clipped(domain) for box in boxes]
    return [box for box in clipped if not box.is_empty]


def statistics(voxels: np.ndarray, kind: str | None) -> str:
    """One line about voxels [n]: grey levels, or ids."""
    zeros = 1 - np.count_nonzero(voxels) / voxels.size
    if kind == "segmentation":
        ids = len(np.unique(voxels))
        return f"{ids} ids, {100 * zeros:.1f} % zero"
    values = voxels.astype(np.float64)
    return (
        f"{values.min():g} to {values.max():g}, mean {values.mean():.1f}, "
        f"std {values.std():.1f}, {100 * zeros:.1f} % zero"
    )


def _difference(
    expected: Sequence[np.ndarray], found: Sequence[np.ndarray]
) -> float:
    """The largest difference between voxels; 0 if all are equal."""
    return max(
        float(np.abs(np.subtract(a, b, dtype=np.float64)).max())
        if not np.array_equal(a, b)
        else 0.0
        for a, b in zip(expected, found, strict=True)
    )


METHODS = tuple(access.METHODS)
