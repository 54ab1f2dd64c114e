"""(1) Patches: image, labels and weights around a centre, of several volumes.

    image     raw grey values; outside of the volume its mean
    mask      1 where the label is that of the centre, and not 0; of a centre in
              the background, 0 everywhere
    weights   1; 0 outside of the volume, where a mask volume is not 0, and, if
              asked for, of voxels with a neighbour of another object: in
              labels without background, whose a membrane is was chance

Everything that a batch of centres needs is asked for at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent import futures
import contextlib
import dataclasses
from typing import NamedTuple

import numpy as np

from ffn_tf import volume
from ffn_tf.volume.box import Triple


class Patches:
    """The volumes of a training. A context manager, which closes them.

    Attributes:
      names: of the volumes; others refer to them by their place here.
    """

    def __init__(
        self,
        images: Mapping[str, str],
        labels: Mapping[str, str],
        masks: Mapping[str, str] | None = None,
        *,
        ignore_borders: bool = False,
    ) -> None:
        """Opens volumes, {name: address}.

        Args:
          images: grey values.
          labels: integers, of the same names.
          masks: of some of them: voxels that are not 0 have no weight.
          ignore_borders: nor have those next to another object.

        Raises:
          ValueError: names that do not match, or volumes that do not fit.
          OSError: a volume cannot be read.
        """
        masks = masks or {}
        if images.keys() != labels.keys() or not images:
            raise ValueError(
                f"--data_volumes and --label_volumes need the same names: "
                f"found {sorted(images)} and {sorted(labels)}."
            )
        unknown = masks.keys() - images.keys()
        if unknown:
            raise ValueError(
                f"--loss_mask_volumes: no --data_volumes called "
                f"{sorted(unknown)}, only {sorted(images)}."
            )
        self.names = sorted(images)
        with contextlib.ExitStack() as stack:
            self._volumes = [
                _Volumes(
                    stack.enter_context(volume.open(images[name])),
                    stack.enter_context(volume.open(labels[name])),
                    stack.enter_context(volume.open(masks[name]))
                    if name in masks
                    else None,
                    ignore_borders,
                )
                for name in self.names
            ]
            self._pool = stack.enter_context(futures.ThreadPoolExecutor(3))
            self._closing = stack.pop_all()

    @property
    def voxel_size_nm(self) -> tuple[float, float, float]:
        """Of the (first) volume, zyx."""
        return self._volumes[0].image.voxel_size_nm

    def image(self, name: str) -> volume.Volume:
        return self._volumes[self.names.index(name)].image

    def index(self, name: str) -> int:
        """The place of a name.

        Raises:
          ValueError: no flag has it.
        """
        if name not in self.names:
            raise ValueError(
                f"The coordinates name a volume {name!r}, and --data_volumes "
                f"and --label_volumes only have {self.names}."
            )
        return self.names.index(name)

    def read(
        self,
        indices: Sequence[int],
        centers_zyx: np.ndarray,
        size: Triple,
        means: Sequence[float],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Patches around centres.

        Args:
          indices: [n] places of volumes.
          centers_zyx: [n, 3] voxels.
          size: of the patches, zyx; `center - (size - 1) // 2` is the first
            voxel.
          means: grey value outside of each volume.

        Returns:
          image [n, z, y, x] float32, mask [n, z, y, x] uint8,
          weights [n, z, y, x] float32.

        Raises:
          ValueError: a centre outside of its volume, or NaN in an image.
          OSError: voxels cannot be read.
        """
        shape = (len(indices), *size)
        image = np.empty(shape, np.float32)
        image[:] = np.take(means, indices)[:, None, None, None]
        mask = np.zeros(shape, np.uint8)
        weights = np.zeros(shape, np.float32)
        boxes = [
            volume.Box.from_size(
                [int(c) - (n - 1) // 2 for c, n in zip(center, size)], size
            )
            for center in centers_zyx
        ]
        for index, found in enumerate(self._volumes):
            mine = [i for i, other in enumerate(indices) if other == index]
            if mine:
                found.check_inside(self.names[index], centers_zyx[mine])
                wanted = [boxes[i] for i in mine]
                for i, part in zip(mine, found.read(wanted, self._pool)):
                    at = (i, *part.place)
                    image[at], mask[at], weights[at] = part.voxels
        return image, mask, weights

    def close(self) -> None:
        self._closing.close()

    def __enter__(self) -> Patches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Part(NamedTuple):
    """The part of a patch that is in the volume.

    Attributes:
      place: where in the patch.
      voxels: image, mask and weights [z, y, x] there.
    """

    place: tuple[slice, slice, slice]
    voxels: tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass
class _Volumes:
    """Image, labels and perhaps a mask of one place."""

    image: volume.Volume
    labels: volume.Volume
    mask: volume.Volume | None
    ignore_borders: bool

    def __post_init__(self) -> None:
        if self.labels.dtype.kind not in "iu":
            raise ValueError(
                f"{self.labels.address}: labels are integers, found "
                f"{self.labels.dtype}."
            )
        others = [self.labels] + ([self.mask] if self.mask else [])
        for other in others:
            if other.domain != self.image.domain:
                raise ValueError(
                    f"{other.address} has {other.domain}, and the image "
                    f"{self.image.address} has {self.image.domain}: they must "
                    f"be the same box. A dataset file can crop one "
                    f"(docs/formats.md)."
                )
            sizes = (other.voxel_size_nm, self.image.voxel_size_nm)
            if sizes[0] != sizes[1] and (1.0, 1.0, 1.0) not in sizes:
                raise ValueError(
                    f"{other.address} has voxels of zyx {sizes[0]} nm, and the "
                    f"image {self.image.address} of {sizes[1]} nm: they must "
                    f"be of one scale."
                )

    def check_inside(self, name: str, centers_zyx: np.ndarray) -> None:
        domain = self.image.domain
        outside = (centers_zyx < domain.start) | (centers_zyx >= domain.end)
        if outside.any():
            z, y, x = centers_zyx[outside.any(axis=1)][0]
            raise ValueError(
                f"The coordinates have a centre x, y, z = {x}, {y}, {z} in "
                f"the volume {name!r}, which is {domain}: they were made for "
                f"another volume."
            )

    def read(
        self, boxes: Sequence[volume.Box], pool: futures.Executor
    ) -> list[_Part]:
        """Of boxes that may stick out, but for their centre."""
        inner = [box.clipped(self.image.domain) for box in boxes]
        waiting = [
            pool.submit(opened.read_many, inner)
            for opened in (self.image, self.labels, self.mask)
            if opened is not None
        ]
        images, labels, *masks = (future.result() for future in waiting)
        result = []
        for i, (box, part) in enumerate(zip(boxes, inner)):
            if images[i].dtype.kind == "f" and not np.isfinite(images[i]).all():
                raise ValueError(
                    f"{self.image.address}: NaN or infinity in {part}; replace "
                    f"such voxels, or leave their neighbourhood out with "
                    f"compute_partitions --mask_configs."
                )
            middle = tuple(
                s + (n - 1) // 2 - p
                for s, n, p in zip(box.start, box.size, part.start)
            )
            own = labels[i][middle]
            mask = (labels[i] == own) & (own != 0)
            weights = masks[0][i] == 0 if masks else np.ones_like(mask)
            if self.ignore_borders:
                weights = weights & ~volume.labels.borders(labels[i])
            place = part.relative_to(box.start).slices
            result.append(_Part(place, (images[i], mask, weights)))
        return result
