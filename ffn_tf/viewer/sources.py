"""Where the browser gets a volume from: from where it is, or from our server.

Neuroglancer reads precomputed volumes in buckets and behind web servers itself.
All others come from our server (chunks.py): those of this machine; zarr, which
Neuroglancer shows half a voxel off (docs/formats.md); and what the address
changes, after a question mark or in a dataset file.

What was never written is shown as 0, as Neuroglancer does; so is what is
damaged, which is listed at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
import pathlib
import re

import numpy as np

from ffn_tf import program, volume
from ffn_tf.viewer.folder import Folder
from ffn_tf.volume import address as address_lib
from ffn_tf.volume import dataset
from ffn_tf.volume.source import UNKNOWN_VOXEL_SIZE

_BESIDE = ("mesh", "skeletons", "segment_properties")
_OBJECTS = {"mesh", "skeletons"}  # Shown in three dimensions.
# Of the file of a segment; else that of a mesh of one resolution.
_SUFFIXES = {
    "neuroglancer_skeletons": "",
    "neuroglancer_multilod_draco": ".index",
}


def plain(address: str) -> str:
    """What a dataset file only gives a name to; else the address itself."""
    path, _, rest = address.partition("#")
    name, _, query = rest.partition("?")
    if not path.lower().endswith((".yaml", ".yml")) or not name:
        return address
    entry = dataset.load(path).volumes.get(name)
    if entry is None or entry.of or entry.view:
        return address
    return entry.address + (f"?{query}" if query else "")


def _parsed(address: str) -> address_lib.Address | None:
    """None of what is no address of a volume, such as results."""
    try:
        return address_lib.parse(plain(address))
    except (ValueError, OSError):
        return None


def public(address: str) -> str:
    """What Neuroglancer reads by itself, as it names it; else ""."""
    parsed = _parsed(address)
    if parsed is None or parsed.format != "precomputed" or "?" in parsed.text:
        return ""
    return f"precomputed://{parsed.path}" if parsed.place.is_remote else ""


def tolerant(address: str) -> str:
    """The same volume; of missing and damaged chunks nothing is shown."""
    parsed = _parsed(address)
    if parsed is None or parsed.format not in address_lib.SCHEMES:
        return address
    words = [] if parsed.missing_is_zero else ["missing=zero"]
    words += [] if parsed.tolerate else ["tolerate=corrupt"]
    for word in words:
        address += f"{'&' if '?' in address else '?'}{word}"
    return address


def same_size(volumes: Sequence[volume.Volume]) -> list[volume.Volume]:
    """Volumes whose voxel size is not known get the first that is."""
    sizes = [opened.voxel_size_nm for opened in volumes]
    known = [size for size in sizes if size != UNKNOWN_VOXEL_SIZE]
    return [
        opened.described(voxel_size_nm=known[0])
        if known and opened.voxel_size_nm == UNKNOWN_VOXEL_SIZE
        else opened
        for opened in volumes
    ]


def with_coarser(base: volume.Volume) -> list[volume.Volume]:
    """A volume and its coarser scales, the finest first."""
    sizes = base.scales_nm
    if base.voxel_size_nm not in sizes:  # Not its own: of the others shown.
        return [base]
    address, _, query = base.address.partition("?")
    words = [
        word
        for word in query.split("&")
        if not word.startswith(("mip=", "resolution_nm="))
    ]
    coarser = [
        mip
        for mip, size in enumerate(sizes)
        if np.prod(size) > np.prod(base.voxel_size_nm)
    ]
    return [
        base,
        *(
            volume.open(f"{address}?{'&'.join([*words, f'mip={mip}'])}")
            for mip in coarser
        ),
    ]


def beside(address: str) -> dict[str, Folder]:
    """The folders that the info of a local precomputed volume names."""
    parsed = _parsed(address)
    if parsed is None or parsed.format != "precomputed":
        return {}
    if parsed.place.is_remote:
        return {}
    root, found = pathlib.Path(parsed.path), {}
    for name, inside in _named(parsed).items():
        path = root / inside
        if not path.resolve().is_relative_to(root.resolve()):
            program.warn(
                f"{address}: its info says that the folder of {name} is "
                f"{inside}, outside of the volume; nothing of it is shown."
            )
        elif path.is_dir():
            found[name] = Folder(path)
    return found


def properties(folder: str) -> Folder:
    """A folder of segment properties.

    Raises:
      FileNotFoundError: there is none.
      ValueError: its info is of something else.
    """
    path = pathlib.Path(folder) / "info"
    if not path.exists():
        raise FileNotFoundError(
            f"{folder}: no segment properties; expected a folder with `info`, "
            f"as segclr.classify writes."
        )
    try:
        kind = json.loads(path.read_text(encoding="utf-8")).get("@type")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: damaged ({error}).") from error
    if kind != "neuroglancer_segment_properties":
        raise ValueError(
            f"{path}: expected neuroglancer_segment_properties, found {kind}."
        )
    return Folder(folder)


def objects(address: str) -> set[str]:
    """Of "mesh" and "skeletons", what a precomputed volume has."""
    parsed = _parsed(address)
    if parsed is None or parsed.format != "precomputed":
        return set()
    return _OBJECTS & _named(parsed).keys()


def with_objects(address: str, segments: Sequence[int]) -> list[int]:
    """Those segments that have meshes and skeletons, as far as known.

    A picture would wait for others for ever. What is in shards is not known.
    """
    parsed, kept = address_lib.parse(plain(address)), list(segments)
    for name, folder in _named(parsed).items():
        about = parsed.place.read_json(folder, "info") or {}
        if name not in _OBJECTS or "sharding" in about:
            continue
        suffix = _SUFFIXES.get(about.get("@type", ""), ":0")
        files = [f"{folder}/{segment}{suffix}" for segment in kept]
        plain_ones = parsed.place.read_all(files)
        zipped = parsed.place.read_all([f"{file}.gz" for file in files])
        kept = [
            segment
            for segment, *found in zip(kept, plain_ones, zipped)
            if found != [None, None]
        ]
    return kept


def _named(parsed: address_lib.Address) -> dict[str, str]:
    info = parsed.place.read_json("info") or {}
    return {n: info[n] for n in _BESIDE if isinstance(info.get(n), str)}


def names(addresses: Sequence[str]) -> list[str]:
    """A short name for each, no two alike."""
    found: list[str] = []
    for address in addresses:
        end = re.split(r"[/:#]", address.partition("?")[0].rstrip("/|:"))[-1]
        name = base = re.sub(r"[^\w.-]+", "_", end).strip("_")[-40:] or "volume"
        number = 1
        while name in found:
            number += 1
            name = f"{base}_{number}"
        found.append(name)
    return found
