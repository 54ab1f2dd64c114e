"""Any volume as a precomputed one, whose files are made as they are asked for.

    info              scales, dtype and kind, as Neuroglancer reads them
    S/X-X_Y-Y_Z-Z     a chunk of scale S: read from the volume, then encoded
    mesh/...          files of the folders that belong to it (sources.py)
    skeletons/...
    segment_properties/...

Nothing is copied, and only what the viewer looks at is read, so the volume may
have any size. The finest scale is the volume itself; coarser ones are those
that it has. Voxels are what they are, but where Neuroglancer has no such dtype:
ids become uint32 or uint64, compressed (compressed_segmentation); other images
than of up to 32 bits, or of booleans, become float32 and uint8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
import pathlib
import re
import types
from typing import Any

import compressed_segmentation
import numpy as np

from ffn_tf import volume
from ffn_tf.viewer.folder import Folder
from ffn_tf.volume import address as address_lib
from ffn_tf.volume.box import Triple, triple

_NAME = re.compile(
    r"(\d{1,3})/(-?\d+)-(-?\d+)_(-?\d+)-(-?\d+)_(-?\d+)-(-?\d+)", re.ASCII
)
# Voxels of a chunk: what is pleasant to wait for, and not too many requests.
_LEAST, _MOST = 2**15, 2**18
_BLOCK = (8, 8, 8)
_NO_MESH = b'{"fragments": []}'
_IMAGES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32")


class Chunks:
    """The files of one volume.

    Attributes:
      scales: the volume, and its coarser scales.
      beside: folders by what is in them: mesh, skeletons, segment_properties.
    """

    def __init__(
        self,
        scales: Sequence[volume.Volume],
        beside: Mapping[str, Folder] = types.MappingProxyType({}),
    ) -> None:
        self.scales = tuple(scales)
        self.beside = beside
        self._dtype = dtype_of(scales[0].info)
        self._chunks = [chunk_of(scale.info) for scale in scales]

    def get(self, path: str) -> bytes | pathlib.Path | None:
        """A file; None if there is none of that name.

        Raises:
          OSError: the volume cannot be read there.
        """
        if path == "info":
            return json.dumps(self.info()).encode()
        first, _, rest = path.partition("/")
        if first in self.beside:
            found = self.beside[first].get(rest)
            # A segment without a mesh; a picture would wait for it for ever.
            none = first == "mesh" and rest.endswith(":0") and found is None
            return _NO_MESH if none else found
        match = _NAME.fullmatch(path)
        if match is None:
            return None
        mip, *ends = map(int, match.groups())
        if mip >= len(self.scales):
            return None
        start, end = (address_lib.reversed_axes(ends[i::2]) for i in (0, 1))
        # The chunk that has that first voxel; is it what is asked for?
        domain = self.scales[mip].domain
        voxel = volume.Box.from_size(start, 1)
        box = voxel.aligned(self._chunks[mip], domain.start).clipped(domain)
        is_chunk = (box.start, box.end) == (start, end) and not box.is_empty
        return self._chunk(mip, box) if is_chunk else None

    def _chunk(self, mip: int, box: volume.Box) -> bytes:
        voxels = self.scales[mip].read(box).astype(self._dtype)
        if self.scales[0].info.kind == "image":
            return voxels.astype(self._dtype.newbyteorder("<")).tobytes()
        return bytes(
            compressed_segmentation.compress(voxels.T, _BLOCK, order="F")
        )

    def info(self) -> dict[str, Any]:
        """What Neuroglancer reads first."""
        kind = self.scales[0].info.kind
        encoding: dict[str, Any] = {"encoding": "raw"}
        if kind == "segmentation":
            encoding = {
                "encoding": "compressed_segmentation",
                "compressed_segmentation_block_size": _BLOCK,
            }
        return {
            "@type": "neuroglancer_multiscale_volume",
            "type": kind,
            "data_type": self._dtype.name,
            "num_channels": 1,
            "scales": [
                {
                    "key": f"{mip}",
                    "size": address_lib.reversed_axes(scale.domain.size),
                    "voxel_offset": address_lib.reversed_axes(
                        scale.domain.start
                    ),
                    "resolution": address_lib.reversed_axes(
                        scale.voxel_size_nm
                    ),
                    "chunk_sizes": [address_lib.reversed_axes(chunk)],
                    **encoding,
                }
                for mip, (scale, chunk) in enumerate(
                    zip(self.scales, self._chunks)
                )
            ],
            **{name: name for name in self.beside},
        }


def dtype_of(info: volume.VolumeInfo) -> np.dtype:
    """What the voxels are served as."""
    dtype = info.dtype
    if info.kind == "segmentation":
        small = dtype.kind in "bu" and dtype.itemsize <= 4
        return np.dtype(np.uint32 if small else np.uint64)
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return dtype if dtype.name in _IMAGES else np.dtype(np.float32)


def chunk_of(info: volume.VolumeInfo) -> Triple:
    """The volume's own chunk, cut or grown to a pleasant size."""
    chunk = [min(c, n) for c, n in zip(info.chunk_zyx, info.domain.size)]
    while np.prod(chunk) > _MOST:
        axis = int(np.argmax(chunk))
        chunk[axis] = -(-chunk[axis] // 2)
    while np.prod(chunk) < _LEAST:
        axes = [i for i in range(3) if chunk[i] < info.domain.size[i]]
        if not axes:
            break
        axis = min(axes, key=lambda axis: chunk[axis])
        chunk[axis] = min(2 * chunk[axis], info.domain.size[axis])
    return triple(chunk)
