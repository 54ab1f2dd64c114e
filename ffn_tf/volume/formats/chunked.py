"""Volumes in folders of chunks: precomputed, zarr 2, zarr 3, n5 (TensorStore).

Each is opened as a view [z, y, x] of the whole store:

    precomputed, n5   count axes x, y, z(, channel): the view is transposed,
                      which also reads large boxes nearly three times faster
    zarr 2 and 3      [z, y, x], [c, z, y, x] or [t, c, z, y, x] with one t;
                      axes that the array or its OME-NGFF group calls x, y, z
                      go by these names

What TensorStore does by itself, and we do not let it:

    missing chunks read as zeros, silently: an error, unless the address says
    ?missing=zero (zeros.py: in shards of precomputed too); CloudVolume's
    gzipped local chunks, which count as missing: an error on opening; no
    cache, and every read looks at the file's date: 2 GB of cache, and a
    volume open for reading is what it was when opened
"""

from __future__ import annotations

from collections.abc import Sequence
import copy
import os
from typing import Any
import urllib.parse

import numpy as np
import tensorstore as ts

from ffn_tf.volume import failures, grid, physical
from ffn_tf.volume import place as place_lib
from ffn_tf.volume.address import Address, reversed_axes
from ffn_tf.volume.box import Box, triple
from ffn_tf.volume.formats import metadata as metadata_lib
from ffn_tf.volume.formats import zeros as zeros_lib
from ffn_tf.volume.source import UNKNOWN_VOXEL_SIZE, Nanometres, VolumeInfo

_DRIVERS = {"precomputed": "neuroglancer_precomputed"}
_CHUNK_DRIVERS = {"neuroglancer_precomputed", "zarr", "zarr3", "n5"}
NGFF_VERSIONS = {"zarr": "0.4", "zarr3": "0.5"}
_SPACE = ("z", "y", "x")


context = place_lib.context
short = place_lib.short
chosen_scale = metadata_lib.chosen_scale


class ChunkedSource:
    """One open store, seen as [z, y, x]."""

    def __init__(
        self,
        view: ts.TensorStore,
        info: VolumeInfo,
        attributes: dict[str, Any],
        where: str,
        scales_nm: tuple[Nanometres, ...] = (),
        deadline_s: float | None = None,
        zeros: zeros_lib.Zeros | None = None,
    ) -> None:
        self.info = info
        self.scales_nm = scales_nm or (info.voxel_size_nm,)
        self.attributes = attributes
        self.view = view
        self._where = where
        self._deadline_s = deadline_s  # Of one `read` or `read_many`.
        self._zeros = zeros

    def with_view(
        self,
        view: ts.TensorStore,
        where: str = "",
        zeros: zeros_lib.Zeros | None = None,
    ) -> ChunkedSource:
        """The same source, with another store [z, y, x] behind it.

        Args:
          view: the store.
          where: its address, if it is another one.
          zeros: of the store; None leaves chunks of zeros out of shards.
        """
        source = copy.copy(self)
        source.view = view
        source._where = where or self._where
        source._zeros = zeros
        return source

    def _part(self, box: Box) -> ts.TensorStore:
        return self.view[box.slices]

    def read(self, box: Box) -> np.ndarray:
        return self.read_many([box])[0]

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        view = self.view
        pending = [view[box.slices].read() for box in boxes]
        deadline = failures.Deadline(self._deadline_s)
        outcomes = failures.settled(self._where, boxes, pending, deadline)
        if self._zeros:
            outcomes = self._zeros.checked(
                self._where, boxes, outcomes, deadline
            )
        return failures.voxels(self._where, outcomes)

    def write(self, box: Box, array: np.ndarray) -> None:
        # Chunk by chunk, so that all have ended, well or not, when we return:
        # a single write of TensorStore returns with its first failure, and
        # goes on with the other chunks.
        layout = self.view.chunk_layout
        chunk = triple(n or 1 for n in layout.write_chunk.shape or ())
        tiles = grid.aligned(
            box, chunk, triple(n or 0 for n in layout.grid_origin or ()), 1
        )
        pending = [
            self._part(tile).write(array[tile.relative_to(box.start).slices])
            for tile in tiles
        ]
        errors = [future.exception() for future in pending]
        try:
            for error in filter(None, errors):
                raise error
            if self._zeros:
                self._zeros.store(box, array)
        except (ValueError, OSError) as error:
            raise OSError(
                f"{self._where}: cannot write {box}: {short(error)}."
            ) from error

    def close(self) -> None:
        pass


def kvstore(*parts: str) -> dict[str, Any]:
    """A folder, as TensorStore names it."""
    return place_lib.Place(parts[0]).kvstore(*parts[1:])


def _open_spec(
    address: Address, metadata: metadata_lib.Metadata, writable: bool
) -> Any:
    if isinstance(address.spec, str):
        return _strict(_from_url(address.spec))
    if address.spec is not None:
        return _strict(address.spec)
    spec: dict[str, Any] = {
        "driver": _DRIVERS.get(address.format, address.format),
        "kvstore": address.place.kvstore(metadata.array_path),
        "fill_missing_data_reads": address.missing_is_zero,
    }
    if address.format == "precomputed":
        spec["scale_index"] = metadata.mip
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
    """The spec that a URL of TensorStore's, or PATH|..., stands for."""
    place, bar, kinds = url.partition("|")
    if "://" not in place:
        slash = "/" if place.endswith("/") else ""
        place = "file://" + urllib.parse.quote(os.path.abspath(place)) + slash
    try:
        return ts.Spec(place + bar + kinds).to_json()
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
    metadata = metadata_lib.Metadata({})
    if address.spec is None:
        metadata = metadata_lib.read(address)
    spec = _open_spec(address, metadata, writable)
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


def _source(
    address: Address, store: ts.TensorStore, metadata: metadata_lib.Metadata
) -> ChunkedSource:
    view = _as_zyx(store, address, metadata.axes)
    ours = metadata.values.get("ffn_tf", {})
    kind = ours.get("kind", metadata.values.get("type"))
    size, start = _physical(address, view, metadata)
    if not metadata.scales_nm:
        _refuse_other_size(address, size)
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
        attributes = metadata_lib.provenance(address)
    return ChunkedSource(
        view,
        info,
        attributes,
        address.text,
        metadata.scales_nm,
        address.deadline_s,
        zeros_lib.of(view),
    )


def _refuse_other_size(address: Address, size: Nanometres | None) -> None:
    """?resolution_nm= of a single array, which has no scales to choose."""
    wanted = address.resolution_nm
    if wanted is None:
        return
    if size is None:
        raise ValueError(
            f"{address.text}: a single array, which does not say its voxel "
            f"size; remove ?resolution_nm=."
        )
    if not np.allclose(size, wanted, rtol=1e-3):
        raise ValueError(
            f"{address.text}: a single array of "
            f"{', '.join(f'{v:g}' for v in size)} nm (z, y, x), and "
            f"?resolution_nm= asks for another; remove it."
        )


def _physical(
    address: Address, view: ts.TensorStore, metadata: metadata_lib.Metadata
) -> tuple[Any, Any]:
    """Voxel size and first voxel; None where the store itself knows."""
    values = metadata.values
    size = physical.from_units(view.dimension_units)
    if metadata.of_group is not None:
        stored, start = metadata.of_group
        return stored or size, start
    if address.format == "precomputed":
        return size, None
    if address.format == "n5":
        # Without units, Paintera's: nanometres.
        known: dict[str, Any] = {
            name: reversed_axes(values[name])[-3:]
            for name in ("resolution", "offset")
            if isinstance(values.get(name), list)
        }
        if size:
            known["resolution"] = size
        return physical.from_attributes(known, address.text)
    stored, start = physical.from_attributes(values, address.text)
    return (stored, start) if stored else (size, None)


def _names(
    store: ts.TensorStore, address: Address, of_group: Sequence[str]
) -> Sequence[str]:
    """What the axes are called, by the array or by its group."""
    labels = [label.lower() for label in store.domain.labels]
    if not of_group:
        return labels
    if len(of_group) != store.rank or any(
        label in _SPACE and label != axis
        for label, axis in zip(labels, of_group)
    ):
        raise ValueError(
            f"{address.text}: the group says axes {', '.join(of_group)}, but "
            f"its array has {store.rank}, named {labels}; correct whichever "
            f"is wrong (OME-NGFF `axes` of the group, zarr 3's "
            f"`dimension_names` of the array)."
        )
    return of_group


def _as_zyx(
    store: ts.TensorStore, address: Address, of_group: Sequence[str]
) -> ts.TensorStore:
    """The view [z, y, x] of a store of any rank and axis order."""
    labels = _names(store, address, of_group)
    if set(_SPACE) <= set(labels):
        rest = [i for i in range(store.rank) if labels[i] not in _SPACE]
        rest.sort(key=lambda i: labels[i] != "t")  # Of which there is one.
        order = rest + [labels.index(axis) for axis in _SPACE]
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
