"""What a folder of chunks looks like that we create.

    precomputed  info + provenance (CloudVolume's file of that name, in which
                 our attributes are one step of processing); images raw, ids
                 of 32 and 64 bits compressed_segmentation
    zarr, zarr3  an OME-NGFF group (0.4, 0.5) whose only scale is the array
                 `0`, so that viewers find voxel size and origin
    n5           one array with `resolution`, `units` and `offset` (Paintera),
                 `pixelResolution` (n5-viewer), x y z as n5 counts

Where a format has user attributes, ours are under the one key `ffn_tf`:
{"kind": ..., "attributes": what `create` was given}. The metadata that makes
a folder a volume is written last.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import tensorstore as ts

from ffn_tf.volume import chunked, files, physical
from ffn_tf.volume.address import Address, reversed_axes
from ffn_tf.volume.source import VolumeInfo


def create_chunked(
    address: Address, info: VolumeInfo, attributes: dict[str, Any]
) -> None:
    """Makes an empty volume; chunks are written when voxels are."""
    spec = {
        "precomputed": _precomputed_spec,
        "zarr": _zarr_spec,
        "zarr3": _zarr3_spec,
        "n5": _n5_spec,
    }[address.format](info)
    if address.format == "n5":
        spec["metadata"]["ffn_tf"] = _ours(info, attributes)
    group = "0" if address.format in chunked.NGFF_VERSIONS else ""
    spec["kvstore"] = chunked.kvstore(address.path, group)
    try:
        ts.open(
            spec, create=True, open=False, context=chunked.context()
        ).result()
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{address.text}: cannot be created: {chunked.short(error)}."
        ) from error
    if address.format in chunked.NGFF_VERSIONS:
        _write_group(address, info, attributes)
    if address.format == "precomputed":
        _write_provenance(address, attributes)


def _ours(info: VolumeInfo, attributes: dict[str, Any]) -> dict[str, Any]:
    return {"kind": info.kind, "attributes": attributes}


def _precomputed_spec(info: VolumeInfo) -> dict[str, Any]:
    is_ids = info.kind == "segmentation"
    compressible = is_ids and info.dtype in (np.uint32, np.uint64)
    scale: dict[str, Any] = {
        "size": reversed_axes(info.domain.size),
        "voxel_offset": reversed_axes(info.domain.start),
        "resolution": reversed_axes(info.voxel_size_nm),
        "chunk_size": reversed_axes(info.chunk_zyx),
        "encoding": "compressed_segmentation" if compressible else "raw",
    }
    if compressible:
        scale["compressed_segmentation_block_size"] = (8, 8, 8)
    return {
        "driver": "neuroglancer_precomputed",
        "multiscale_metadata": {
            "type": info.kind,
            "data_type": info.dtype.name,
            "num_channels": 1,
        },
        "scale_metadata": scale,
    }


def _zarr_spec(info: VolumeInfo) -> dict[str, Any]:
    return {
        "driver": "zarr",
        "metadata": {
            "shape": info.domain.size,
            "chunks": info.chunk_zyx,
            "dtype": info.dtype.str,
            "fill_value": False if info.dtype == bool else 0,
            "dimension_separator": "/",
            "compressor": {
                "id": "blosc",
                "cname": "zstd",
                "clevel": 3,
                "shuffle": 1,
            },
        },
    }


def _zarr3_spec(info: VolumeInfo) -> dict[str, Any]:
    return {
        "driver": "zarr3",
        "metadata": {
            "shape": info.domain.size,
            "data_type": info.dtype.name,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": info.chunk_zyx},
            },
            "dimension_names": ["z", "y", "x"],
            "fill_value": False if info.dtype == bool else 0,
            "codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "zstd", "configuration": {"level": 3}},
                # The one checksum that notices a flipped bit.
                {"name": "crc32c"},
            ],
        },
        "schema": {"dimension_units": [[v, "nm"] for v in info.voxel_size_nm]},
    }


def _n5_spec(info: VolumeInfo) -> dict[str, Any]:
    size_xyz = reversed_axes(info.voxel_size_nm)
    return {
        "driver": "n5",
        "metadata": {
            "dimensions": reversed_axes(info.domain.size),
            "blockSize": reversed_axes(info.chunk_zyx),
            "dataType": info.dtype.name,
            "compression": {"type": "gzip", "level": 1},
            "axes": ["x", "y", "z"],
            "units": ["nm", "nm", "nm"],
            "resolution": size_xyz,
            "offset": reversed_axes(physical.offset_nm(info)),
            "pixelResolution": {"unit": "nm", "dimensions": size_xyz},
        },
    }


def _write_group(
    address: Address, info: VolumeInfo, attributes: dict[str, Any]
) -> None:
    version = chunked.NGFF_VERSIONS[address.format]
    found = physical.to_multiscales(info, version)
    found["ffn_tf"] = _ours(info, attributes)
    if address.format == "zarr3":
        group = {"zarr_format": 3, "node_type": "group", "attributes": found}
        _write_json(address, "zarr.json", group)
    else:
        _write_json(address, ".zattrs", found)
        _write_json(address, ".zgroup", {"zarr_format": 2})


def _write_provenance(address: Address, attributes: dict[str, Any]) -> None:
    _write_json(
        address,
        "provenance",
        {
            "description": "",
            "owners": [],
            "processing": [{"by": "ffn_tf", "method": {"ffn_tf": attributes}}],
            "sources": [],
        },
    )


def _write_json(address: Address, name: str, value: dict[str, Any]) -> None:
    path = os.path.join(address.path, name)
    files.write_text(path, json.dumps(value, indent=1))
