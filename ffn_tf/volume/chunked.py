"""Volumes in folders of chunks: precomputed, zarr 2, zarr 3, n5 (TensorStore).

Each is opened as a view [z, y, x] of the whole store:

    precomputed, n5   count axes x, y, z(, channel): the view is transposed,
                      which also reads large boxes nearly three times faster
    zarr 2 and 3      [z, y, x], [c, z, y, x] or [t, c, z, y, x] with one t;
                      axes labelled x, y, z go by their labels

What TensorStore does by itself, and we do not let it:

    missing chunks read as zeros, silently: an error, unless the address says
    ?missing=zero; CloudVolume's gzipped local chunks, which count as missing:
    an error on opening; no cache, and every read looks at the file's date:
    2 GB of cache, and a volume open for reading is what it was when opened
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import os
from typing import Any

import numpy as np
import tensorstore as ts

from ffn_tf.volume import grid, physical
from ffn_tf.volume import place as place_lib
from ffn_tf.volume.address import Address, reversed_axes
from ffn_tf.volume.box import Box, triple
from ffn_tf.volume.source import UNKNOWN_VOXEL_SIZE, VolumeInfo

_DRIVERS = {"precomputed": "neuroglancer_precomputed"}
_CHUNK_DRIVERS = {"neuroglancer_precomputed", "zarr", "zarr3", "n5"}
NGFF_VERSIONS = {"zarr": "0.4", "zarr3": "0.5"}


context = place_lib.context
short = place_lib.short


class ChunkedSource:
    """One open store, seen as [z, y, x]."""

    def __init__(
        self,
        view: ts.TensorStore,
        info: VolumeInfo,
        attributes: dict[str, Any],
        where: str,
    ) -> None:
        self.info = info
        self.attributes = attributes
        self._view = view
        self._where = where

    def _part(self, box: Box) -> ts.TensorStore:
        return self._view[tuple(slice(*e) for e in zip(box.start, box.end))]

    def read(self, box: Box) -> np.ndarray:
        return self.read_many([box])[0]

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        pending = [self._part(box).read() for box in boxes]
        voxels = []
        for box, future in zip(boxes, pending):
            try:
                voxels.append(future.result())
            except (ValueError, OSError) as error:
                raise OSError(self._explained(error, box)) from error
        return voxels

    def _explained(self, error: Exception, box: Box) -> str:
        text = f"{self._where}: cannot read {box}: {short(error)}."
        if "NOT_FOUND" in str(error):
            text += (
                " A chunk is missing. If chunks that were never written mean "
                "background, add ?missing=zero to the address."
            )
        return text

    def write(self, box: Box, array: np.ndarray) -> None:
        # Chunk by chunk, so that all have ended, well or not, when we return:
        # a single write of TensorStore returns with its first failure, and
        # goes on with the other chunks.
        layout = self._view.chunk_layout
        chunk = triple(n or 1 for n in layout.write_chunk.shape or ())
        tiles = grid.aligned(
            box, chunk, triple(n or 0 for n in layout.grid_origin or ()), 1
        )
        pending = [
            self._part(tile).write(array[tile.relative_to(box.start).slices])
            for tile in tiles
        ]
        errors = [future.exception() for future in pending]
        for error in filter(None, errors):
            raise OSError(
                f"{self._where}: cannot write {box}: {short(error)}."
            ) from error

    def close(self) -> None:
        pass


def kvstore(*parts: str) -> dict[str, Any]:
    """A folder, as TensorStore names it."""
    return place_lib.Place(parts[0]).kvstore(*parts[1:])


def _open_spec(
    address: Address, array_path: str, mip: int, writable: bool
) -> Any:
    if isinstance(address.spec, str):
        return _strict(_from_url(address.spec))
    if address.spec is not None:
        return _strict(address.spec)
    spec: dict[str, Any] = {
        "driver": _DRIVERS.get(address.format, address.format),
        "kvstore": address.place.kvstore(array_path),
        "fill_missing_data_reads": address.missing_is_zero,
    }
    if address.format == "precomputed":
        spec["scale_index"] = mip
    if writable:
        # Zeros are written like other values, so that a chunk that is
        # missing was never written, and reading it is an error.
        spec["store_data_equal_to_fill_value"] = True
    else:
        # "open": what was true when the volume was opened stays true.
        spec["recheck_cached_data"] = "open"
        spec["recheck_cached_metadata"] = "open"
    return spec


def _from_url(url: str) -> dict[str, Any]:
    """The spec that a URL of TensorStore's stands for."""
    try:
        return ts.Spec(url).to_json()
    except ValueError as error:
        raise ValueError(
            f"{url}: not a TensorStore URL: {short(error)}"
        ) from error


def _strict(spec: Any) -> Any:
    """A TensorStore spec in which a missing chunk is an error.

    Unless it says otherwise; also in the specs that it is made of.
    """
    if isinstance(spec, list):
        return [_strict(item) for item in spec]
    if not isinstance(spec, dict):
        return spec
    strict = {key: _strict(value) for key, value in spec.items()}
    if spec.get("driver") in _CHUNK_DRIVERS:
        strict.setdefault("fill_missing_data_reads", False)
    return strict


def open_chunked(address: Address, writable: bool) -> ChunkedSource:
    """Opens a folder of chunks, or a TensorStore spec."""
    path, mip, metadata = "", 0, {}
    if address.format in NGFF_VERSIONS or address.format == "n5":
        metadata = _metadata(address)
        path, metadata = _array_in_group(address, metadata)
    elif address.format == "precomputed":
        metadata = _info(address)
        mip = _scale(address, metadata)
    spec = _open_spec(address, path, mip, writable)
    try:
        store = ts.open(
            spec, open=True, read=True, write=writable, context=context()
        ).result()
    except (ValueError, OSError) as error:
        missing = "NOT_FOUND" in str(error)
        kind = FileNotFoundError if missing else OSError
        raise kind(
            f"{address.text}: cannot be opened: {short(error)}."
        ) from error
    return _source(address, store, metadata)


def _info(address: Address) -> dict[str, Any]:
    """The `info` of a precomputed volume."""
    info = address.place.read_json("info")
    if info is None:
        raise FileNotFoundError(
            f"{address.text}: no precomputed volume: there is no "
            f"{address.place.name('info')}."
        )
    return info


def _scale(address: Address, info: dict[str, Any]) -> int:
    """The index of the scale that the address asks for."""
    try:
        sizes = [reversed_axes(s["resolution"]) for s in info["scales"]]
    except (KeyError, TypeError) as error:
        raise OSError(
            f"{address.place.name('info')} describes no volume ({error!r})."
        ) from error
    return chosen_scale(address, sizes)


def chosen_scale(address: Address, sizes_nm: Sequence[Any]) -> int:
    """The index of the scale that an address asks for.

    Args:
      sizes_nm: the voxel size of each scale, zyx.

    Raises:
      ValueError: there is no such scale; names those that there are.
    """
    wanted = address.resolution_nm
    if wanted is None:
        chosen = address.mip or 0
    else:
        near = [np.allclose(size, wanted, rtol=1e-3) for size in sizes_nm]
        chosen = near.index(True) if any(near) else len(sizes_nm)
    if chosen >= len(sizes_nm):
        there = "; ".join(
            f"mip={index}: {', '.join(f'{v:g}' for v in size)}"
            for index, size in enumerate(sizes_nm)
        )
        asked = f"mip={address.mip}" if wanted is None else "that resolution_nm"
        raise ValueError(
            f"{address.text}: no scale {asked}; there are (nm, z,y,x) {there}."
        )
    return chosen


def _source(
    address: Address, store: ts.TensorStore, metadata: dict[str, Any]
) -> ChunkedSource:
    view = _as_zyx(store, address)
    ours = metadata.get("ffn_tf", {})
    kind = ours.get("kind", metadata.get("type"))
    size, start = _physical(address, view, metadata)
    if start is not None:
        view = view[ts.d[:].translate_to[start]]
    domain = view.domain
    info = VolumeInfo(
        domain=Box(triple(domain.inclusive_min), triple(domain.exclusive_max)),
        dtype=view.dtype.numpy_dtype,
        voxel_size_nm=size or UNKNOWN_VOXEL_SIZE,
        chunk_zyx=triple(
            n or 1 for n in view.chunk_layout.read_chunk.shape or ()
        ),
        kind=kind if kind in ("image", "segmentation") else None,
    )
    attributes = ours.get("attributes", {})
    if address.format == "precomputed":
        _refuse_compressed_files(address, store)
        attributes = _provenance(address)
    return ChunkedSource(view, info, attributes, address.text)


def _physical(
    address: Address, view: ts.TensorStore, metadata: dict[str, Any]
) -> tuple[Any, Any]:
    """Voxel size and first voxel; None where the store itself knows."""
    if "scale" in metadata:  # from the group of a multiscale volume
        return metadata["scale"]
    size = physical.from_units(view.dimension_units)
    if address.format == "precomputed":
        return size, None
    if address.format == "n5":
        # Without units, Paintera's: nanometres.
        known: dict[str, Any] = {
            name: reversed_axes(metadata[name])[-3:]
            for name in ("resolution", "offset")
            if isinstance(metadata.get(name), list)
        }
        if size:
            known["resolution"] = size
        return physical.from_attributes(known)
    stored, start = physical.from_attributes(metadata)
    return (stored, start) if stored else (size, None)


def _as_zyx(store: ts.TensorStore, address: Address) -> ts.TensorStore:
    """The view [z, y, x] of a store of any rank and axis order."""
    labels = [label.lower() for label in store.domain.labels]
    if {"x", "y", "z"} <= set(labels):
        rest = [
            i for i in range(store.rank) if labels[i] not in ("x", "y", "z")
        ]
        order = rest + [labels.index(axis) for axis in "zyx"]
        store = store[ts.d[order].transpose[:]]
    elif address.format == "n5":
        store = store.T
    shape = store.shape
    if store.rank not in (3, 4, 5) or (store.rank == 5 and shape[0] != 1):
        raise ValueError(
            f"{address.text}: expected axes [z, y, x] or [channel, z, y, x], "
            f"found {store.rank}, shape {shape}, labels "
            f"{store.domain.labels}."
        )
    channels = shape[-4] if store.rank > 3 else 1
    if address.channel >= channels:
        raise ValueError(
            f"{address.text}: channel {address.channel} does not exist; "
            f"there are {channels}, counted from 0."
        )
    if store.rank == 5:
        store = store[store.domain.inclusive_min[0]]
    if store.rank == 4:
        store = store[store.domain.inclusive_min[0] + address.channel]
    return store


def _metadata(address: Address, path: str = "") -> dict[str, Any]:
    """User attributes of a zarr or n5 array or group; key "_array" if array."""
    if address.format == "zarr":
        attributes = address.place.read_json(path, ".zattrs") or {}
        is_array = address.place.read(path, ".zarray") is not None
        exists = is_array or address.place.read(path, ".zgroup") is not None
    elif address.format == "zarr3":
        node = address.place.read_json(path, "zarr.json")
        exists = node is not None
        attributes = (node or {}).get("attributes", {})
        is_array = (node or {}).get("node_type") == "array"
    else:
        node = address.place.read_json(path, "attributes.json")
        exists = node is not None
        attributes = node or {}
        is_array = "dimensions" in attributes
    if not exists:
        raise FileNotFoundError(
            f"{address.text}: no {address.format} volume in folder "
            f"{address.place.name(path)}."
        )
    return attributes | {"_array": is_array}


def _array_in_group(
    address: Address, metadata: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Path of the array that a mip of a group means, and its metadata."""
    if metadata["_array"]:
        if address.mip:
            raise ValueError(
                f"{address.text}: a single array, which has no scale "
                f"{address.mip}."
            )
        return "", metadata
    try:
        path, size, start = physical.from_multiscales(
            metadata, _ngff_scale(address, metadata)
        )
    except ValueError as error:
        raise ValueError(f"{address.text}: {error}.") from error
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(
            f"{address.text}: a group without OME-NGFF multiscales, not an "
            f"array; name one of the folders in it: "
            f"{', '.join(address.place.folders()) or '(there are none)'}."
        ) from error
    return path, metadata | {"scale": (size, start)}


def _ngff_scale(address: Address, metadata: dict[str, Any]) -> int:
    """The index of the scale of a multiscale group."""
    if address.resolution_nm is None:
        return address.mip or 0
    sizes: list[Any] = []
    with contextlib.suppress(ValueError):  # There is no further scale.
        while True:
            _, size, _ = physical.from_multiscales(metadata, len(sizes))
            sizes.append(size or UNKNOWN_VOXEL_SIZE)
    return chosen_scale(address, sizes)


def _refuse_compressed_files(address: Address, store: ts.TensorStore) -> None:
    """CloudVolume's `.gz` and `.br` chunks would read as zeros."""
    key = store.spec().to_json()["scale_metadata"]["key"]
    folder = os.path.join(address.path, key)
    if address.place.is_remote or not os.path.isdir(folder):
        return
    with os.scandir(folder) as entries:
        first = next((entry.name for entry in entries), "")
    if first.endswith((".gz", ".br")):
        raise OSError(
            f"{address.text}: chunks are compressed files ({first}), as "
            f"CloudVolume writes by default on local disks and nothing else "
            f"reads; write them again with compress=False, or unpack them."
        )


def _provenance(address: Address) -> dict[str, Any]:
    steps = (address.place.read_json("provenance") or {}).get("processing", [])
    ours = [s["method"] for s in steps if "ffn_tf" in s.get("method", {})]
    return ours[0]["ffn_tf"] if ours else {}
