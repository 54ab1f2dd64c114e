"""What a folder of chunks looks like that we create.

    precomputed  info + provenance (CloudVolume's file of that name, in which
                 our attributes are one step of processing); all scales are in
                 the one info
    zarr, zarr3  an OME-NGFF group (0.4, 0.5) whose scales are the arrays `0`,
                 `1`, ..., so that viewers find voxel size and origin
    n5           one array with `resolution`, `units` and `offset` (Paintera),
                 `pixelResolution` (n5-viewer), x y z as n5 counts; one scale

Where a format has user attributes, ours are under the one key `ffn_tf`:
{"kind": ..., "attributes": what `create` was given}.

TensorStore makes the metadata, in memory; each file is then written once, and
only if it is not there yet, also when two processes try at the same time. The
file that makes a folder a volume is the last: a volume has its scales, its
attributes and its provenance from its first moment on.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
from typing import Any

import tensorstore as ts

from ffn_tf.volume import physical, place
from ffn_tf.volume.address import Address, reversed_axes
from ffn_tf.volume.formats import chunked, scales
from ffn_tf.volume.formats import codec as codec_lib
from ffn_tf.volume.formats.codec import Codec, Storage
from ffn_tf.volume.source import VolumeInfo

_LEVELS = {"gzip": "level", "zstd": "level", "blosc": "clevel"}


def create_chunked(
    address: Address,
    info: VolumeInfo,
    attributes: dict[str, Any],
    codec: Codec | None = None,
    num_scales: int | None = 1,
) -> None:
    """Makes an empty volume; chunks are written when voxels are.

    Args:
      address: where, and in which format.
      info: what the volume is, at its finest scale.
      attributes: kept with it.
      codec: how voxels are stored; by default, what suits them.
      num_scales: None: until a scale fits in a chunk (scales.py).

    Raises:
      FileExistsError: there is one already, or someone else was faster.
      ValueError: the format cannot hold such a volume.
      OSError: it cannot be written.
    """
    try:
        infos = scales.plan(info, num_scales)
        if address.format == "n5" and num_scales != 1:
            raise ValueError("num_scales: n5 volumes of ours have one scale.")
        storages = codec_lib.chosen_for_scales(
            codec or Codec(), address.format, infos
        )
        made = _metadata(address.format, infos, storages, attributes)
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{address.text}: cannot be created: {place.short(error)}"
        ) from error
    for name, data in made.items():
        _write_new(address, name, data)


def _write_new(address: Address, name: str, data: bytes) -> None:
    """Writes a small file that nobody has written yet, whole or not at all."""
    try:
        folder = ts.KvStore.open(
            address.place.kvstore(), context=place.context()
        ).result()
        before = folder.read(name).result()
        written = b""
        if before.state == "missing":
            # Empty, and nothing written, if someone else did meanwhile.
            writing = folder.write(name, data, if_equal=before.stamp.generation)
            written = writing.result().generation
    except (ValueError, OSError, NotImplementedError) as error:
        raise OSError(
            f"{address.text}: {name} cannot be written: {place.short(error)}."
        ) from error
    if not written:
        raise FileExistsError(
            f"{address.text}: {name} exists already, and nothing is "
            f"overwritten; delete the volume or name another output."
        )


def _metadata(
    volume_format: str,
    infos: Sequence[VolumeInfo],
    storages: Sequence[Storage],
    attributes: dict[str, Any],
) -> dict[str, bytes]:
    """Files by name; the last is the one that makes the folder a volume."""
    ours = {"kind": infos[0].kind, "attributes": attributes}
    make_spec = {
        "precomputed": _precomputed_spec,
        "zarr": _zarr_spec,
        "zarr3": _zarr3_spec,
        "n5": _n5_spec,
    }[volume_format]
    is_group = volume_format in chunked.NGFF_VERSIONS
    alone = ts.Context()
    for mip, (info, storage) in enumerate(zip(infos, storages)):
        spec = make_spec(info, storage)
        if volume_format == "n5":
            spec["metadata"]["ffn_tf"] = ours
        path = f"{mip}/" if is_group else ""
        spec["kvstore"] = {"driver": "memory", "path": path}
        ts.open(spec, create=True, open=False, context=alone).result()
    memory = ts.KvStore.open("memory://", context=alone).result()
    found = {
        name.decode(): bytes(memory[name])
        for name in sorted(memory.list().result())
    }
    if volume_format == "precomputed":
        return {"provenance": _json(_provenance(attributes)), **found}
    return found | _group(volume_format, infos, ours)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode()


def _group(
    volume_format: str, infos: Sequence[VolumeInfo], ours: dict[str, Any]
) -> dict[str, bytes]:
    if volume_format == "n5":
        return {}
    version = chunked.NGFF_VERSIONS[volume_format]
    user = physical.to_multiscales(infos, version) | {"ffn_tf": ours}
    if volume_format == "zarr3":
        group = {"zarr_format": 3, "node_type": "group", "attributes": user}
        return {"zarr.json": _json(group)}
    return {".zattrs": _json(user), ".zgroup": _json({"zarr_format": 2})}


def _provenance(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": "",
        "owners": [],
        "processing": [{"by": "ffn_tf", "method": {"ffn_tf": attributes}}],
        "sources": [],
    }


def _precomputed_spec(info: VolumeInfo, storage: Storage) -> dict[str, Any]:
    # gzip is a matter of the shards; the voxels in them are raw.
    encoding = "raw" if storage.encoding == "gzip" else storage.encoding
    scale: dict[str, Any] = {
        "size": reversed_axes(info.domain.size),
        "voxel_offset": reversed_axes(info.domain.start),
        "resolution": reversed_axes(info.voxel_size_nm),
        "chunk_size": reversed_axes(info.chunk_zyx),
        "encoding": encoding,
    }
    if encoding == "compressed_segmentation":
        scale["compressed_segmentation_block_size"] = (8, 8, 8)
    if encoding == "jpeg":
        scale["jpeg_quality"] = storage.level
    if storage.division:
        preshift, minishard, shard = storage.division.bits
        zipped = storage.encoding in ("gzip", "compressed_segmentation")
        scale["sharding"] = {
            "@type": "neuroglancer_uint64_sharded_v1",
            "hash": "identity",
            "preshift_bits": preshift,
            "minishard_bits": minishard,
            "shard_bits": shard,
            "minishard_index_encoding": "gzip",
            "data_encoding": "gzip" if zipped else "raw",
        }
    return {
        "driver": "neuroglancer_precomputed",
        "multiscale_metadata": {
            "type": info.kind,
            "data_type": info.dtype.name,
            "num_channels": 1,
        },
        "scale_metadata": scale,
    }


def _zarr_spec(info: VolumeInfo, storage: Storage) -> dict[str, Any]:
    name = storage.encoding
    compressor: dict[str, Any] | None = None
    if name != "raw":
        compressor = {"id": name, _LEVELS[name]: storage.level}
    if compressor and name == "blosc":
        compressor |= {"cname": "zstd", "shuffle": int(_is_shuffled(info))}
    return {
        "driver": "zarr",
        "metadata": {
            "shape": info.domain.size,
            "chunks": info.chunk_zyx,
            "dtype": info.dtype.str,
            "fill_value": False if info.dtype == bool else 0,
            "dimension_separator": "/",
            "compressor": compressor,
        },
    }


def _is_shuffled(info: VolumeInfo) -> bool:
    """Whether blosc sorts bytes by their place in the voxel.

    For images it helps, or does nothing; labels grow by half, because their
    runs of equal ids are torn.
    """
    return info.kind == "image"


def _zarr3_spec(info: VolumeInfo, storage: Storage) -> dict[str, Any]:
    codecs = _zarr3_codecs(info, storage)
    if storage.division:
        index = [_LITTLE_ENDIAN, _CHECKSUM]
        sharding = {
            "chunk_shape": info.chunk_zyx,
            "codecs": codecs,
            "index_codecs": index,
        }
        codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    return {
        "driver": "zarr3",
        "metadata": {
            "shape": info.domain.size,
            "data_type": info.dtype.name,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": storage.write_zyx},
            },
            "dimension_names": ["z", "y", "x"],
            "fill_value": False if info.dtype == bool else 0,
            "codecs": codecs,
        },
        "schema": {"dimension_units": [[v, "nm"] for v in info.voxel_size_nm]},
    }


_LITTLE_ENDIAN = {"name": "bytes", "configuration": {"endian": "little"}}
# The one checksum that notices a flipped bit.
_CHECKSUM = {"name": "crc32c"}


def _zarr3_codecs(info: VolumeInfo, storage: Storage) -> list[dict[str, Any]]:
    name = storage.encoding
    if name == "raw":
        return [_LITTLE_ENDIAN, _CHECKSUM]
    configuration: dict[str, Any] = {_LEVELS[name]: storage.level}
    if name == "blosc":
        configuration |= {
            "cname": "zstd",
            "shuffle": "shuffle" if _is_shuffled(info) else "noshuffle",
            "typesize": info.dtype.itemsize,
            "blocksize": 0,
        }
    compressed = {"name": name, "configuration": configuration}
    return [_LITTLE_ENDIAN, compressed, _CHECKSUM]


def _n5_spec(info: VolumeInfo, storage: Storage) -> dict[str, Any]:
    size_xyz = reversed_axes(info.voxel_size_nm)
    name = storage.encoding
    compression: dict[str, Any] = {"type": name}
    if name != "raw":
        compression[_LEVELS[name]] = storage.level
    if name == "blosc":
        compression |= {"cname": "zstd", "shuffle": int(_is_shuffled(info))}
    return {
        "driver": "n5",
        "metadata": {
            "dimensions": reversed_axes(info.domain.size),
            "blockSize": reversed_axes(info.chunk_zyx),
            "dataType": info.dtype.name,
            "compression": compression,
            "axes": ["x", "y", "z"],
            "units": ["nm", "nm", "nm"],
            "resolution": size_xyz,
            "offset": reversed_axes(physical.offset_nm(info)),
            "pixelResolution": {"unit": "nm", "dimensions": size_xyz},
        },
    }
