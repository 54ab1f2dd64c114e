"""What a folder of chunks says of itself: scales, voxel size, provenance.

    precomputed   `info`, `provenance`
    zarr 2        `.zarray` or `.zgroup`, `.zattrs`
    zarr 3        `zarr.json`
    n5            `attributes.json`

A group of zarr or n5 arrays is a volume if it lists its scales (OME-NGFF). One
of its zarr arrays, named alone, is the volume that it is by way of the group.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import os
from typing import Any

import numpy as np

from ffn_tf import program
from ffn_tf.volume import physical
from ffn_tf.volume.address import Address, refuse_unfinished, reversed_axes
from ffn_tf.volume.box import Triple
from ffn_tf.volume.source import UNKNOWN_VOXEL_SIZE, Nanometres


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Of one scale of a volume.

    Attributes:
      values: the metadata file, or its user attributes.
      array_path: of the scale's array inside the folder, of zarr and n5.
      mip: which scale it is.
      scales_nm: voxel size of each scale, zyx; empty for a single array.
      of_group: voxel size and first voxel, zyx, where a group tells them.
      axes: names of the array's axes, where a group tells them.
    """

    values: dict[str, Any]
    array_path: str = ""
    mip: int = 0
    scales_nm: tuple[Nanometres, ...] = ()
    of_group: tuple[Nanometres | None, Triple] | None = None
    axes: tuple[str, ...] = ()


def read(address: Address) -> Metadata:
    """The metadata of the scale that `address` asks for.

    Raises:
      FileNotFoundError: no volume of the address's format there.
      ValueError: no such scale, or a group without scales.
      OSError: damaged metadata.
    """
    try:
        return _read(address)
    except FileNotFoundError:
        refuse_unfinished(address)
        raise


def _read(address: Address) -> Metadata:
    if address.format == "precomputed":
        return _precomputed(address)
    values, is_array = _zarr_or_n5(address)
    if is_array:
        if address.mip:
            raise ValueError(
                f"{address.text}: a single array, which has no scale "
                f"{address.mip}."
            )
        return _by_way_of_group(address, values) or Metadata(values)
    try:
        return _group(address, values)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(
            f"{address.text}: a group without OME-NGFF multiscales, not an "
            f"array; name one of the folders in it: "
            f"{', '.join(address.place.folders()) or '(there are none)'}."
        ) from error


def provenance(address: Address) -> dict[str, Any]:
    """What `create` was given as attributes of a precomputed volume."""
    steps = (address.place.read_json("provenance") or {}).get("processing", [])
    ours = [s["method"] for s in steps if "ffn_tf" in s.get("method", {})]
    return ours[0]["ffn_tf"] if ours else {}


def _precomputed(address: Address) -> Metadata:
    info = address.place.read_json("info")
    if info is None:
        raise FileNotFoundError(
            f"{address.text}: no precomputed volume: there is no "
            f"{address.place.name('info')}."
        )
    try:
        sizes = tuple(reversed_axes(s["resolution"]) for s in info["scales"])
    except (KeyError, TypeError) as error:
        raise OSError(
            f"{address.place.name('info')} describes no volume ({error!r})."
        ) from error
    mip = chosen_scale(address, sizes)
    return Metadata(info, mip=mip, scales_nm=sizes)


def _zarr_or_n5(address: Address) -> tuple[dict[str, Any], bool]:
    """User attributes of an array or a group; True if it is an array."""
    place = address.place
    if address.format == "zarr":
        attributes = place.read_json(".zattrs") or {}
        array, group = place.read_all([".zarray", ".zgroup"])
        is_array, exists = array is not None, (array or group) is not None
    elif address.format == "zarr3":
        node = place.read_json("zarr.json")
        exists = node is not None
        attributes = (node or {}).get("attributes", {})
        is_array = (node or {}).get("node_type") == "array"
    else:
        node = place.read_json("attributes.json")
        exists = node is not None
        attributes = node or {}
        is_array = "dimensions" in attributes
    if not exists:
        there = place.is_remote or os.path.isdir(place.url)
        raise FileNotFoundError(
            f"{address.text}: no {address.format} volume in folder {place.url}"
            f"{'' if there else ', which does not exist'}."
        )
    return attributes, is_array


def _by_way_of_group(
    address: Address, values: dict[str, Any]
) -> Metadata | None:
    """Of an array that the group around it lists as a scale; else None."""
    above = address.place.parent
    if above is None or address.format == "n5":
        return None
    folder, name = above
    group = dataclasses.replace(address, path=folder, resolution_nm=None)
    try:
        of_group, _ = _zarr_or_n5(group)
        paths = physical.paths_of_multiscales(of_group)
        if name not in paths:
            return None
        group = dataclasses.replace(group, mip=paths.index(name))
        found = _group(group, of_group)
    except (FileNotFoundError, KeyError, TypeError, IndexError, AttributeError):
        return None  # No group, or none of OME-NGFF.
    except OSError as error:
        program.warn(
            f"{address.text}: whether the folder around it knows its offset "
            f"and voxel size cannot be seen, so they are the array's own: "
            f"{error}"
        )
        return None
    knows_size = found.of_group is not None and found.of_group[0] is not None
    if not knows_size and physical.from_attributes(values, address.text)[0]:
        return None
    return dataclasses.replace(
        found, values=of_group | values, array_path="", mip=0, scales_nm=()
    )


def _group(address: Address, values: dict[str, Any]) -> Metadata:
    count = len(physical.paths_of_multiscales(values))
    scales = [physical.from_multiscales(values, mip) for mip in range(count)]
    sizes = tuple(size or UNKNOWN_VOXEL_SIZE for _, size, _ in scales)
    mip = chosen_scale(address, sizes)
    path, size, start = scales[mip]
    # n5 counts its axes from x, whatever a group says.
    axes = (
        () if address.format == "n5" else physical.axes_of_multiscales(values)
    )
    return Metadata(values, path, mip, sizes, (size, start), axes)


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
