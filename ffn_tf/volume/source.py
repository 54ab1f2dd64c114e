"""VolumeInfo: what a volume is; Source: what a storage format provides.

A format's module makes Sources; `store.Volume` puts one face, and one set of
checks, before all of them. A Source is only ever given boxes inside its
domain, and arrays of its dtype and of the box's size.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from typing import Any, Literal, Protocol

import numpy as np

from ffn_tf.volume.box import Box, Triple, triple

Kind = Literal["image", "segmentation"]
Nanometres = tuple[float, float, float]

UNKNOWN_VOXEL_SIZE: Nanometres = (1.0, 1.0, 1.0)


def kind_of(dtype: np.dtype) -> Kind:
    """What voxels of a dtype mean where a format does not say it.

    Ids need more than 16 bits and are never fractions.
    """
    is_ids = np.issubdtype(dtype, np.integer) and dtype.itemsize > 2
    return "segmentation" if is_ids else "image"


@dataclasses.dataclass(frozen=True)
class VolumeInfo:
    """What a volume is, apart from its voxels.

    Attributes:
      domain: the voxels that exist.
      dtype: of one voxel, in the byte order of this machine.
      voxel_size_nm: edge lengths of a voxel, zyx; (1, 1, 1) where unknown.
      chunk_zyx: the unit of storage.
      kind: "image" or "segmentation"; by default, what the dtype suggests.
    """

    domain: Box
    dtype: np.dtype
    voxel_size_nm: Nanometres = UNKNOWN_VOXEL_SIZE
    chunk_zyx: Triple = (64, 64, 64)
    kind: Kind | None = None

    def __post_init__(self) -> None:
        dtype = np.dtype(self.dtype)
        if dtype.kind not in "buif":
            raise ValueError(
                f"Voxels are numbers: found dtype {dtype}, expected an "
                f"integer, floating-point or boolean type."
            )
        sizes = tuple(float(v) for v in self.voxel_size_nm)
        if len(sizes) != 3 or not all(0 < v < float("inf") for v in sizes):
            raise ValueError(
                f"voxel_size_nm: expected 3 positive lengths (z, y, x), "
                f"found {sizes}."
            )
        kind = self.kind or kind_of(dtype)
        if kind not in ("image", "segmentation"):
            raise ValueError(
                f"kind: expected image or segmentation, found {kind!r}."
            )
        chunk = triple(self.chunk_zyx, "chunk_zyx")
        if min(chunk) < 1:
            raise ValueError(f"chunk_zyx: expected at least 1, found {chunk}.")
        object.__setattr__(self, "dtype", dtype.newbyteorder("="))
        object.__setattr__(self, "voxel_size_nm", sizes)
        object.__setattr__(self, "chunk_zyx", chunk)
        object.__setattr__(self, "kind", kind)


class Source(Protocol):
    """One open volume of one format."""

    @property
    def info(self) -> VolumeInfo: ...

    @property
    def attributes(self) -> dict[str, Any]:
        """What `create` was given as attributes; empty if nothing."""

    def read(self, box: Box) -> np.ndarray:
        """A fresh array [z, y, x] of the voxels in `box`."""

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]: ...

    def write(self, box: Box, array: np.ndarray) -> None: ...

    def close(self) -> None: ...
