"""Views: volumes that are made of other volumes, voxel by voxel, when read.

A view is a Volume like any other, so views are made of views. Making one
reads nothing and costs nothing that grows with the volume; reading a box of
it reads, of each volume below, only the voxels that the box is made of (and,
for strided, those between them that lie in the same chunks).

    index.py     other places       cropped translated strided transposed
                                    flipped
    border.py    beyond the border  padded broadcast
    resample.py  other voxel sizes  downsampled upsampled resampled
    values.py    other values       cast rescaled
    combine.py   several volumes    masked concatenated stacked overlaid
    description.py                  views as YAML says them

    a read of a view     box --needs--> boxes below
                                          | one read_many for each volume
                         voxels <--made-- patches

`read_many` of a view calls `read_many` of each volume below it once, with
everything that all boxes need, so that requests stay concurrent. Only where
that would hold more than a gigabyte (`LIMIT`) are boxes read in turns, large
ones in halves; cropped, translated and masked hand boxes on as they are.

What a view is, its `info` says: the domain in the view's own voxels, its dtype,
voxel size, chunks (what fits those of the volume below) and kind. Attributes
are those of the volume below, the first if there are several. Voxel i of an
axis lies at i * voxel_size_nm, and views keep that place, except those that say
otherwise: translated, transposed, flipped. Views are only read, but for
cropped and translated, which write through where the volume below is
writable. Closing a view closes what it is made of.

Laws (tests/volume/views/test_view.py), of every view:
    read(box) == read()[that box];  read_many(boxes) == [read(b) for b in boxes]
    nothing is read before `read`, and then only what is needed
    a domain of 10^18 voxels costs what one of 10^3 does
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence
import dataclasses
import itertools
from typing import Any

import numpy as np

from ffn_tf.volume.box import Box, Triple, triple
from ffn_tf.volume.source import VolumeInfo
from ffn_tf.volume.store import Volume

# Bytes that one turn of reading may take from below.
LIMIT = 2**30

# Which of the volumes below, and a box of it.
Part = tuple[int, Box]
# A box of a volume below, and its voxels.
Patch = tuple[Box, np.ndarray]


class View(abc.ABC):
    """A Source that is made of volumes."""

    def __init__(
        self, volumes: Sequence[Volume], info: VolumeInfo, what: str
    ) -> None:
        """`what` was done to the (first) volume, for messages."""
        self.info = info
        self.volumes = tuple(volumes)
        self.address = f"{volumes[0].address} > {what}"

    @property
    def attributes(self) -> dict[str, Any]:
        return self.volumes[0].attributes

    def read(self, box: Box) -> np.ndarray:
        return self.read_many([box])[0]

    @abc.abstractmethod
    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]: ...

    def write(self, box: Box, array: np.ndarray) -> None:
        raise ValueError(
            f"{self.address}: a view of this kind is only read; write to "
            f"{self.volumes[0].address} itself."
        )

    def close(self) -> None:
        for volume in self.volumes:
            volume.close()

    def opened(self) -> Volume:
        """The Volume of this Source."""
        # Not because it is writable, but because `write` says why it is not.
        return Volume(self, self.address, writable=True)


class PatchView(View):
    """A view whose boxes are made of boxes below."""

    @abc.abstractmethod
    def needs(self, box: Box) -> list[Part]:
        """What a box, which is not empty, is made of."""

    @abc.abstractmethod
    def made(self, box: Box, patches: list[Patch]) -> np.ndarray:
        """Voxels of `box` from those that it `needs`, in that order.

        The arrays are fresh, and so must be the result.
        """

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        plans = [[] if box.is_empty else self.needs(box) for box in boxes]
        divisible = len(boxes) > 1 or any(b.num_voxels > 1 for b in boxes)
        if divisible and self._num_bytes(plans) > LIMIT:
            return self._read_in_turns(boxes)
        patches = self._patches(itertools.chain(*plans))
        return [
            np.zeros(box.size, self.info.dtype)
            if box.is_empty
            else self.made(box, [next(patches) for _ in plan])
            for box, plan in zip(boxes, plans)
        ]

    def _num_bytes(self, plans: list[list[Part]]) -> int:
        sizes = [volume.dtype.itemsize for volume in self.volumes]
        return sum(
            box.num_voxels * sizes[which]
            for plan in plans
            for which, box in plan
        )

    def _patches(self, parts: Iterable[Part]) -> Iterator[Patch]:
        """The voxels of parts, in their order."""
        parts = list(parts)
        asked: list[list[Box]] = [[] for _ in self.volumes]
        for which, box in parts:
            asked[which].append(box)
        found = [
            iter(volume.read_many(boxes) if boxes else ())
            for volume, boxes in zip(self.volumes, asked)
        ]
        return ((box, next(found[which])) for which, box in parts)

    def _read_in_turns(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        if len(boxes) > 1:
            half = len(boxes) // 2
            return self.read_many(boxes[:half]) + self.read_many(boxes[half:])
        (box,) = boxes
        voxels = np.empty(box.size, self.info.dtype)
        for part in _halves(box):
            place = part.relative_to(box.start).slices
            voxels[place] = self.read(part)
        return [voxels]


def _halves(box: Box) -> tuple[Box, Box]:
    """A box cut in the middle of its longest axis."""
    axis = int(np.argmax(box.size))
    first_end, second_start = list(box.end), list(box.start)
    first_end[axis] = second_start[axis] = box.center[axis]
    return Box(box.start, triple(first_end)), Box(triple(second_start), box.end)


def coarser(info: VolumeInfo, factors: Triple, domain: Box) -> VolumeInfo:
    """`info` with voxels that are `factors` times as large."""
    z, y, x = (v * f for v, f in zip(info.voxel_size_nm, factors))
    chunk = triple(-(-c // f) for c, f in zip(info.chunk_zyx, factors))
    return dataclasses.replace(
        info, domain=domain, voxel_size_nm=(z, y, x), chunk_zyx=chunk
    )
