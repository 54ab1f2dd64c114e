"""(2) Reading: what the encoder sees of many places.

    masked_em   grey values of the place's own segment, 0 elsewhere
    em          all grey values
    seg         1 within the segment, 0 elsewhere

A place in nanometres is in the voxel `trunc(nm / voxel size)` of the image, and
that is the middle of its cutout: other rounding gives other embeddings
(shared/reference/segclr_behaviour.md 1.3). Outside of the volume all is 0.
Grey values of integers are divided by the largest number of their type.

Image and segmentation may have voxels of different size: each voxel of the
image has the segment that its centre lies in.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent import futures
import contextlib
import dataclasses
import time
from typing import NamedTuple

import numpy as np

from ffn_tf import volume
from ffn_tf.volume import traffic
from ffn_tf.volume.box import Triple, triple
from segclr.cutouts import agglomeration

KINDS = ("masked_em", "em", "seg")
_TOLERANCE = 0.1  # Of the voxel size that an encoder is made for.


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """What is around some places.

    Attributes:
      image: [n, z, y, x] float32, grey values of 0 to 1.
      mask: [n, z, y, x] bool, the segment of each place.
      storage_seconds: for which voxels were waited, to have it.
    """

    image: np.ndarray
    mask: np.ndarray
    storage_seconds: float = 0.0

    def cutouts(self, kind: str) -> np.ndarray:
        """[n, z, y, x] float32, of one of KINDS."""
        if kind == "em":
            return self.image
        if kind == "seg":
            return self.mask.astype(np.float32)
        return np.where(self.mask, self.image, np.float32(0))

    @property
    def is_inside(self) -> np.ndarray:
        """[n] bool: whether the place is in its segment."""
        z, y, x = (n // 2 for n in self.mask.shape[1:])
        found: np.ndarray = self.mask[:, z, y, x]
        return found


class _Places(NamedTuple):
    """Where a box of the image is in the segmentation.

    Attributes:
      ours: the part of the box that the segmentation has.
      theirs: along each axis, the voxel in `box` of each of those.
      box: of the segmentation.
    """

    ours: tuple[slice, ...]
    theirs: tuple[np.ndarray, ...]
    box: volume.Box


class Cutouts:
    """An image and its segmentation. A context manager, which closes them.

    Args:
      image, segmentation: addresses; `?mip=3` names a scale.
      size_zyx: voxels of a cutout, odd.
      objects: which segments are one.
      voxel_size_nm: that the encoder is made for, zyx; None: any.

    Raises:
      ValueError: volumes that do not fit each other, or the encoder.
      OSError: a volume cannot be opened.
    """

    def __init__(
        self,
        image: str,
        segmentation: str,
        size_zyx: Triple,
        objects: agglomeration.Agglomeration = agglomeration.NONE,
        voxel_size_nm: Sequence[float] | None = None,
    ) -> None:
        if not all(n > 0 and n % 2 for n in size_zyx):
            raise ValueError(
                f"Cutouts have a voxel in the middle: expected odd sizes, "
                f"found {tuple(size_zyx)}."
            )
        self._size, self._objects = size_zyx, objects
        with contextlib.ExitStack() as stack:
            self.image = stack.enter_context(volume.open(image))
            self.segmentation = stack.enter_context(volume.open(segmentation))
            self._check(voxel_size_nm)
            self._pool = stack.enter_context(futures.ThreadPoolExecutor(2))
            self._closing = stack.pop_all()

    def _check(self, wanted: Sequence[float] | None) -> None:
        image, segments = self.image, self.segmentation
        if segments.dtype.kind not in "iu":
            raise ValueError(
                f"{segments.address}: segments are integers, found "
                f"{segments.dtype}."
            )
        sizes = image.voxel_size_nm, segments.voxel_size_nm
        if (1.0, 1.0, 1.0) in sizes and sizes[0] != sizes[1]:
            raise ValueError(
                f"{image.address} has voxels of zyx {sizes[0]} nm, and "
                f"{segments.address} of {sizes[1]} nm: one of them does not "
                f"say how large they are. Give --voxel_size_nm=z,y,x to "
                f"ffn_tf.ingest, which makes a volume that does, or "
                f"voxel_size_nm in a dataset file (docs/formats.md)."
            )
        boxes = [
            np.array([one.domain.start, one.domain.end]) * one.voxel_size_nm
            for one in (image, segments)
        ]
        low = np.maximum(boxes[0][0], boxes[1][0])
        high = np.minimum(boxes[0][1], boxes[1][1])
        if (low >= high).any():
            raise ValueError(
                f"{image.address} and {segments.address} do not overlap: zyx "
                f"{boxes[0].tolist()} and {boxes[1].tolist()} nm. Are they of "
                f"the same place?"
            )
        if wanted is None:
            return
        if not np.allclose(sizes[0], wanted, rtol=_TOLERANCE):
            scales = "; ".join(
                f"?mip={i}: {size}" for i, size in enumerate(image.scales_nm)
            )
            raise ValueError(
                f"{image.address} has voxels of zyx {sizes[0]} nm, and the "
                f"encoder is made for {tuple(wanted)} nm. Name the scale that "
                f"fits ({scales}), or train an encoder for these voxels."
            )

    def voxels_zyx(self, places_nm_zyx: np.ndarray) -> np.ndarray:
        """The voxel of the image that each place is in, [n, 3] int64.

        Raises:
          ValueError: a place outside of the volume.
        """
        size = np.asarray(self.image.voxel_size_nm)
        voxels = np.trunc(np.asarray(places_nm_zyx) / size).astype(np.int64)
        domain = self.image.domain
        outside = ((voxels < domain.start) | (voxels >= domain.end)).any(axis=1)
        if outside.any():
            at = np.flatnonzero(outside)[0]
            raise ValueError(
                f"Place {at} is z, y, x = {voxels[at].tolist()}, voxels of "
                f"{self.image.address}, which is {domain}: the skeletons are "
                f"of another volume, or in other units than nanometres."
            )
        return voxels

    def read(self, voxels_zyx: np.ndarray, objects: np.ndarray) -> Batch:
        """Cutouts around voxels.

        Args:
          voxels_zyx: [n, 3] of the image, within it.
          objects: [n] ids, whose segments are seen.

        Raises:
          OSError: voxels cannot be read.
        """
        boxes, inner = self._boxes(voxels_zyx)
        grey = self._pool.submit(self.image.read_many, inner)
        seen = [
            (i, place)
            for i, box in enumerate(inner)
            if (place := self._places(box)) is not None
        ]
        start = time.perf_counter()
        found = self.segmentation.read_many([place.box for _, place in seen])
        waited = time.perf_counter() - start
        shape = (len(boxes), *self._size)
        image, mask = np.zeros(shape, np.float32), np.zeros(shape, bool)
        at = [
            (i, *part.relative_to(box.start).slices)
            for i, (box, part) in enumerate(zip(boxes, inner))
        ]
        for (i, place), segments in zip(seen, found):
            is_seen = self._objects.objects_of(segments) == objects[i]
            mask[at[i]][place.ours] = is_seen[np.ix_(*place.theirs)]
        start = time.perf_counter()
        voxels = grey.result()
        waited += time.perf_counter() - start
        for i, one in enumerate(voxels):
            image[at[i]] = one
        if self.image.dtype.kind in "iu":
            image /= np.float32(np.iinfo(self.image.dtype).max)
        return Batch(image, mask, waited)

    def _boxes(
        self, voxels_zyx: np.ndarray
    ) -> tuple[list[volume.Box], list[volume.Box]]:
        """Of cutouts around voxels, and what the image has of those."""
        half = np.array(self._size) // 2
        boxes = [
            volume.Box.from_size(start.tolist(), self._size)
            for start in np.asarray(voxels_zyx) - half
        ]
        return boxes, [box.clipped(self.image.domain) for box in boxes]

    def chunks(self, voxels_zyx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Chunks of image and segmentation around voxels (volume.traffic)."""
        half = np.array(self._size) // 2
        domain = self.image.domain
        low = np.maximum(voxels_zyx - half, domain.start)
        high = np.minimum(voxels_zyx + half + 1, domain.end)
        times = np.array(self.image.voxel_size_nm)
        times /= self.segmentation.voxel_size_nm
        theirs = self.segmentation.domain
        first, last = (
            np.floor((edge + 0.5) * times).astype(np.int64)
            for edge in (low, high - 1)
        )
        return (
            traffic.chunks(self.image, low, high),
            traffic.chunks(
                self.segmentation,
                np.maximum(first, theirs.start),
                np.minimum(last + 1, theirs.end),
            ),
        )

    def _places(self, box: volume.Box) -> _Places | None:
        """What the segmentation has of a box of the image; None: nothing."""
        ours, theirs, starts, ends = [], [], [], []
        for axis in range(3):
            edges = np.arange(box.start[axis], box.end[axis]) + 0.5
            size = self.image.voxel_size_nm[axis]
            place = edges * size / self.segmentation.voxel_size_nm[axis]
            index = np.floor(place).astype(np.int64)  # Ascending.
            domain = self.segmentation.domain
            first, end = np.searchsorted(
                index, [domain.start[axis], domain.end[axis]]
            )
            if first == end:
                return None
            ours.append(slice(first, end))
            starts.append(int(index[first]))
            ends.append(int(index[end - 1]) + 1)
            theirs.append(index[first:end] - starts[-1])
        read = volume.Box(triple(starts), triple(ends))
        return _Places(tuple(ours), tuple(theirs), read)

    def close(self) -> None:
        self._closing.close()

    def __enter__(self) -> Cutouts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
