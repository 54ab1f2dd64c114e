"""What the volumes of the release say of themselves, as TensorStore specs.

Sizes are those of the true release: a volume of 33 x 8 x 8 nm has half the
voxels of the EM along y and x, one of 66 x 64 x 64 nm an eighth of that, and
half the sections, rounded up.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ffn_tf import volume
from ffn_tf.volume.box import Triple
from ffn_tf.volume.formats import scales as scales_lib

FOLDER = "data/20210601"
EM_ZYX = (5293, 712_800, 1_031_784)  # Of 33 x 4 x 4 nm.
TRUNCATED_FROM_Z = 5221


@dataclasses.dataclass(frozen=True)
class Layout:
    """One volume.

    Attributes:
      path: in the bucket.
      by_zyx: how many voxels of the EM make its first one.
      num_scales: how many.
      kind: image or segmentation.
      members: of `info`, beside those of every volume.
    """

    path: str
    by_zyx: Triple
    num_scales: int
    kind: str = "segmentation"
    members: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint8 if self.kind == "image" else np.uint64)

    def scales(self) -> tuple[volume.VolumeInfo, ...]:
        """The scales, the finest first."""
        size = [-(-n // by) for n, by in zip(EM_ZYX, self.by_zyx)]
        z, y, x = (nm * by for nm, by in zip((33.0, 4.0, 4.0), self.by_zyx))
        first = volume.VolumeInfo(
            volume.Box.from_shape(size), self.dtype, (z, y, x), kind=self.kind
        )
        planned = scales_lib.plan(first, self.num_scales)
        return tuple(
            dataclasses.replace(info, chunk_zyx=self._chunk(info))
            for info in planned
        )

    def _chunk(self, info: volume.VolumeInfo) -> Triple:
        deep = {4: 16, 8: 32, 16: 64}.get(int(info.voxel_size_nm[2]), 0)
        return (deep, 128, 128) if deep and self.kind == "image" else (64,) * 3

    def spec(self, info: volume.VolumeInfo) -> dict[str, Any]:
        """What creates one scale with TensorStore; axes are x, y, z."""
        coding: dict[str, Any] = {"encoding": "jpeg", "jpeg_quality": 90}
        if self.kind == "segmentation":
            coding = {
                "encoding": "compressed_segmentation",
                "compressed_segmentation_block_size": [8, 8, 8],
            }
        return {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "memory", "path": f"{self.path}/"},
            "multiscale_metadata": {
                "type": self.kind,
                "data_type": self.dtype.name,
                "num_channels": 1,
            },
            "scale_metadata": coding
            | {
                "size": info.domain.size[::-1],
                "voxel_offset": [0, 0, 0],
                "resolution": info.voxel_size_nm[::-1],
                "chunk_size": info.chunk_zyx[::-1],
                "sharding": sharding(info, self.kind),
            },
        }


def grid_zyx(info: volume.VolumeInfo) -> Triple:
    """How many chunks a scale has."""
    z, y, x = (-(-n // c) for n, c in zip(info.domain.size, info.chunk_zyx))
    return z, y, x


def sharding(info: volume.VolumeInfo, kind: str) -> dict[str, Any]:
    """Up to 2^9 chunks in a minishard, and 2^6 of these in a shard."""
    total = sum((count - 1).bit_length() for count in grid_zyx(info))
    preshift = min(9, total)
    minishard = min(6, total - preshift)
    return {
        "@type": "neuroglancer_uint64_sharded_v1",
        "hash": "identity",
        "preshift_bits": preshift,
        "minishard_bits": minishard,
        "shard_bits": total - preshift - minishard,
        "minishard_index_encoding": "gzip",
        "data_encoding": "raw" if kind == "image" else "gzip",
    }


_BY_8 = (1, 2, 2)  # 33 x 8 x 8 nm
_BY_64 = (2, 16, 16)  # 66 x 64 x 64 nm
_OF_C3 = {"skeletons": "skeletons", "segment_properties": "segment_properties"}

# By their names in configs/datasets/h01.yaml.
VOLUMES = {
    "em": Layout(f"{FOLDER}/4nm_raw", (1, 1, 1), 13, "image"),
    "em_8nm": Layout(f"{FOLDER}/8nm_raw", _BY_8, 12, "image"),
    "c3": Layout(f"{FOLDER}/c3", _BY_8, 4, members=_OF_C3),
    "c2": Layout(f"{FOLDER}/c2", _BY_8, 4),
    "subcompartments": Layout(f"{FOLDER}/c3/subcompartments", _BY_64, 2),
    "tissue": Layout(f"{FOLDER}/masking", _BY_64, 2),
    "cell_bodies": Layout(f"{FOLDER}/cell_bodies", _BY_8, 2),
    "blood_vessels": Layout(f"{FOLDER}/blood_vessels_segmented", _BY_8, 2),
    "proofread_104": Layout(f"{FOLDER}/proofread_104", _BY_8, 2),
    "synapses": Layout("data/20210729/c3/synapses/whole_ei_onlyvol", _BY_8, 2),
}
