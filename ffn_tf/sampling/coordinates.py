"""(3) Coordinates: centres of examples, each class as often as the others.

google/ffn's balancing. Every class of partitions (background too, 255 not) gets
as many examples as the largest has voxels, `most`: a class of n voxels has each
of them `most // n` times, and `most % n` of them, drawn at random, once more.
All examples are shuffled together. Classes are counted over all volumes, so a
larger volume has more of the examples.

With a cap, `most` is the cap: of a class with more voxels than that, so many
are drawn, all equally likely.

Nothing here grows with the number of examples but files:

    partitions --blocks--> voxels, repeated --at random--> buckets (on disk)
               each bucket --shuffled--> records --> its shard

To put each example into a bucket at random, and to shuffle each bucket, is to
shuffle all.

Laws (tests/sampling/test_coordinates.py):
    each class has `most` examples, and its voxels as often, give or take one
    with a cap, each voxel of a class is drawn as often, over many seeds
    whatever the blocks and buckets: the same counts; the same seed and blocks:
    the same bytes
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
import pathlib

import numpy as np

from ffn_tf import program, volume
from ffn_tf.sampling import partitions
from ffn_tf.volume import grid
from ffn_tf.volume.box import Triple

_BLOCK = (64, 256, 256)
# Examples in a bucket, about, and on their way to the buckets, at most.
_BUCKET = 2**18
_SLICE = 2**20
# numpy draws without bias from at most so many.
_HYPERGEOMETRIC = 10**9

_EXAMPLE = np.dtype([("volume", "<u2"), ("voxel", "<u8")])


@dataclasses.dataclass(frozen=True)
class Source:
    """Partitions to draw from.

    Attributes:
      name: of the volume, in the records.
      partitions: uint8.
      box: centres lie in it.
    """

    name: str
    partitions: volume.Volume
    box: volume.Box

    @classmethod
    def within(
        cls, name: str, found: volume.Volume, margin_zyx: Triple
    ) -> Source:
        """All of a volume but a margin.

        Raises:
          ValueError: not partitions, or nothing is left.
        """
        if found.dtype != np.uint8:
            raise ValueError(
                f"{found.address}: partitions are uint8, found {found.dtype}; "
                f"make them with compute_partitions."
            )
        if any(n <= 2 * m for n, m in zip(found.domain.size, margin_zyx)):
            raise ValueError(
                f"{found.address}: a margin of zyx {margin_zyx} leaves nothing "
                f"of {found.domain}."
            )
        return cls(name, found, found.domain.padded(-m for m in margin_zyx))


@dataclasses.dataclass(frozen=True)
class Plan:
    """How many examples there will be.

    Attributes:
      voxels: of each class, over all sources.
      most: examples of each class.
    """

    voxels: dict[int, int]
    most: int

    @property
    def num_examples(self) -> int:
        return self.most * len(self.voxels)


def planned(sources: Sequence[Source], cap: int | None = None) -> Plan:
    """Counts the voxels of the classes.

    Raises:
      ValueError: all voxels are excluded, or a cap below 1.
    """
    if cap is not None and cap < 1:
        raise ValueError(f"--max_per_class: expected at least 1, found {cap}.")
    voxels: dict[int, int] = {}
    for source in sources:
        found = partitions.voxels_of_classes(source.partitions, source.box)
        for value, count in found.items():
            if value != partitions.EXCLUDED:
                voxels[value] = voxels.get(value, 0) + count
    if not voxels:
        names = ", ".join(source.partitions.address for source in sources)
        raise ValueError(
            f"{names}: an empty partition: within the margin all voxels are "
            f"excluded (255), so there is no place for an example."
        )
    most = max(voxels.values())
    return Plan(
        dict(sorted(voxels.items())), most if cap is None else min(cap, most)
    )


class _Drawing:
    """One class, while its voxels pass by."""

    def __init__(self, voxels: int, most: int, rng: np.random.Generator):
        self._times, self._once_more = divmod(most, voxels)
        self._to_come = voxels
        self._rng = rng

    def drawn(self, voxels: np.ndarray) -> Iterator[np.ndarray]:
        """Of the next [n] voxels of the class, those that are taken.

        In slices: one voxel may be taken a billion times.
        """
        n = len(voxels)
        count = self._count(n)
        self._to_come -= n
        self._once_more -= count
        extra = self._rng.choice(n, count, replace=False, shuffle=False)
        often = n * self._times
        for first in range(0, often, _SLICE):
            places = np.arange(first, min(first + _SLICE, often))
            yield voxels[places // self._times]
        yield voxels[extra]

    def _count(self, n: int) -> int:
        """How many of the next n are taken once more; exactly fair."""
        wanted, rest = self._once_more, self._to_come - n
        if not rest:
            return wanted
        if self._to_come < _HYPERGEOMETRIC:
            return int(self._rng.hypergeometric(n, rest, wanted))
        # Of so many, taking one changes little; the mean is the same, and
        # what remains can always be taken from the rest.
        count = self._rng.binomial(n, wanted / self._to_come)
        return int(np.clip(count, max(0, wanted - rest), min(n, wanted)))


def examples(
    sources: Sequence[Source],
    plan: Plan,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """All examples, in no good order: arrays [n] of `volume`, `voxel`.

    `voxel` counts in the source's box, x fastest.
    """
    drawing = {
        value: _Drawing(count, plan.most, rng)
        for value, count in plan.voxels.items()
    }
    for index, source in enumerate(sources):
        for block in program.watched(
            grid.tile(source.box, _BLOCK),
            grid.count(source.box, _BLOCK),
            f"Drawing from {source.name}",
            "blocks",
        ):
            values = source.partitions.read(block).ravel()
            at = np.argsort(values, kind="stable")
            ends = np.cumsum(np.bincount(values, minlength=256))
            for value, drawer in drawing.items():
                first = ends[value - 1] if value else 0
                for local in drawer.drawn(at[first : ends[value]]):
                    found = np.empty(len(local), _EXAMPLE)
                    found["volume"] = index
                    found["voxel"] = _in_box(local, block, source.box)
                    yield found


def _in_box(
    local: np.ndarray, block: volume.Box, box: volume.Box
) -> np.ndarray:
    """[n] places in a block, counted in the box around it."""
    z, y, x = np.unravel_index(local, block.size)
    start = block.relative_to(box.start).start
    at = (z + start[0], y + start[1], x + start[2])
    # Not ravel_multi_index: boxes may have more voxels than it allows.
    return (at[0] * box.size[1] + at[1]) * box.size[2] + at[2]


def centers_xyz(found: np.ndarray, sources: Sequence[Source]) -> np.ndarray:
    """[n, 3] int64, voxels of the volumes, of examples [n]."""
    result = np.empty((len(found), 3), np.int64)
    for index, source in enumerate(sources):
        mine = found["volume"] == index
        voxel = found["voxel"][mine].astype(np.int64)
        _, height, width = source.box.size
        z, y, x = source.box.start
        result[mine, 0] = voxel % width + x
        result[mine, 1] = voxel // width % height + y
        result[mine, 2] = voxel // width // height + z
    return result


class Buckets:
    """Files of examples, each of which gets its share at random."""

    def __init__(
        self, folder: pathlib.Path, num_examples: int, num_shards: int
    ) -> None:
        each = -(-num_examples // (_BUCKET * num_shards))
        self._paths = [folder / f"{i}" for i in range(each * num_shards)]
        self._num_shards = num_shards

    def fill(
        self, arriving: Iterator[np.ndarray], rng: np.random.Generator
    ) -> None:
        for path in self._paths:
            path.touch()
        count = len(self._paths)
        for found in arriving:
            bucket = rng.integers(count, size=len(found))
            order = np.argsort(bucket, kind="stable")
            ends = np.searchsorted(bucket[order], np.arange(count))
            parts = np.split(found[order], ends[1:])
            for path, part in zip(self._paths, parts):
                if len(part):
                    # Not kept open: there may be more than a process may have.
                    with open(path, "ab") as file:
                        file.write(part.tobytes())

    def of_shard(self, shard: int) -> list[pathlib.Path]:
        return self._paths[shard :: self._num_shards]


def shuffled(path: pathlib.Path, rng: np.random.Generator) -> np.ndarray:
    """The examples [n] of a bucket."""
    return rng.permutation(np.fromfile(path, _EXAMPLE))
