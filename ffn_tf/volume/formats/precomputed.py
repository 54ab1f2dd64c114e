"""One scale of a precomputed volume, for those who read it chunk by chunk.

TensorStore knows all this by itself; cloudvolume_source.py and
gcsfs_source.py take it from here:

    info -> Scale     domain, chunks, channels, encoding, sharding
    box -> chunks     those that hold its voxels; the last ones of an axis end
                      where the domain does
    chunk -> name     KEY/x-X_y-Y_z-Z, its first and last voxels, x first
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import posixpath
from typing import Any

import numpy as np

from ffn_tf.volume import grid
from ffn_tf.volume.address import Address, reversed_axes
from ffn_tf.volume.box import Box, Triple, triple
from ffn_tf.volume.formats import metadata as metadata_lib
from ffn_tf.volume.source import Nanometres, VolumeInfo


@dataclasses.dataclass(frozen=True)
class Scale:
    """One scale of a precomputed volume.

    Attributes:
      info: what the scale is, as a volume.
      mip: which scale it is.
      scales_nm: voxel size of every scale, zyx.
      key: its folder, in the volume's.
      encoding: of a chunk.
      channels: how many.
      block_xyz: block of compressed_segmentation, in the order of its codec.
      sharding: where chunks lie in shards; None if each is a file.
    """

    info: VolumeInfo
    mip: int
    scales_nm: tuple[Nanometres, ...]
    key: str
    encoding: str
    channels: int
    block_xyz: Triple = (8, 8, 8)
    sharding: dict[str, Any] | None = dataclasses.field(
        default=None, hash=False
    )

    @property
    def grid_zyx(self) -> Triple:
        """How many chunks there are along each axis."""
        size, chunk = self.info.domain.size, self.info.chunk_zyx
        return triple(-(-n // c) for n, c in zip(size, chunk))

    def chunks(self, box: Box) -> list[Box]:
        """The chunks with voxels of `box`, z slowest."""
        if box.is_empty:
            return []
        domain, chunk = self.info.domain, self.info.chunk_zyx
        whole = box.aligned(chunk, domain.start)
        return [tile.clipped(domain) for tile in grid.tile(whole, chunk)]

    def index_of(self, chunk: Box) -> Triple:
        """Which chunk along each axis, zyx."""
        offset = chunk.relative_to(self.info.domain.start)
        return triple(s // c for s, c in zip(offset.start, self.info.chunk_zyx))

    def name_of(self, chunk: Box) -> str:
        """The file of a chunk, in the volume's folder."""
        spans = [f"{s}-{e}" for s, e in zip(chunk.start, chunk.end)]
        return self.path("_".join(reversed_axes(spans)))

    def path(self, name: str) -> str:
        """A file of the scale, in the volume's folder."""
        return posixpath.normpath(posixpath.join(self.key, name))


def scale_of(address: Address, info: Mapping[str, Any]) -> Scale:
    """The scale that `address` asks for, of a volume with that `info`.

    Raises:
      ValueError: there is no such scale or channel.
      OSError: `info` describes no volume.
    """
    where = address.place.name("info")
    try:
        scales = [_scale(info, mip) for mip in range(len(info["scales"]))]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise OSError(f"{where} describes no volume ({error!r}).") from error
    sizes = tuple(scale.info.voxel_size_nm for scale in scales)
    chosen = scales[metadata_lib.chosen_scale(address, sizes)]
    if address.channel >= chosen.channels:
        raise ValueError(
            f"{address.text}: channel {address.channel} does not exist; "
            f"there are {chosen.channels}, counted from 0."
        )
    return dataclasses.replace(chosen, scales_nm=sizes)


def _scale(info: Mapping[str, Any], mip: int) -> Scale:
    scale, kind = info["scales"][mip], info.get("type")
    block = scale.get("compressed_segmentation_block_size", (8, 8, 8))
    return Scale(
        info=VolumeInfo(
            domain=Box.from_size(
                reversed_axes(scale.get("voxel_offset", (0, 0, 0))),
                reversed_axes(scale["size"]),
            ),
            dtype=np.dtype(info["data_type"]),
            voxel_size_nm=triple_nm(scale["resolution"]),
            chunk_zyx=triple(reversed_axes(_chunk_xyz(scale))),
            kind=kind if kind in ("image", "segmentation") else None,
        ),
        mip=mip,
        scales_nm=(),
        key=scale["key"],
        encoding=scale["encoding"],
        channels=int(info.get("num_channels", 1)),
        block_xyz=triple(block),
        sharding=scale.get("sharding"),
    )


def _chunk_xyz(scale: Mapping[str, Any]) -> list[int]:
    """The first chunk size is the one that everybody reads."""
    return scale["chunk_sizes"][0]


def triple_nm(resolution_xyz: list[float]) -> Nanometres:
    """A `resolution` of precomputed metadata as a voxel size, zyx."""
    z, y, x = (float(value) for value in reversed_axes(resolution_xyz))
    return z, y, x


def attributes_of(provenance: Mapping[str, Any] | None) -> dict[str, Any]:
    """What `create` was given as attributes, in a `provenance`."""
    for step in (provenance or {}).get("processing", []):
        method = step.get("method") if isinstance(step, dict) else None
        if isinstance(method, dict) and "ffn_tf" in method:
            return method["ffn_tf"]
    return {}
