"""Volumes that are numpy arrays: in memory, `.npy` files, `.npz` archives.

A `.npy` file is mapped, not loaded. It knows nothing but voxels, so a volume
that we create carries the rest in `FILE.npy.json` beside it. An array of an
`.npz` archive is loaded whole, without its neighbours, and is read-only.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
import os
from typing import Any
import zipfile

import numpy as np

from ffn_tf.volume import files
from ffn_tf.volume.address import Address
from ffn_tf.volume.box import Box, Triple, triple
from ffn_tf.volume.source import VolumeInfo

# An array has no chunks; this is what is read or written in one go.
CHUNK_ZYX = (64, 64, 64)


class ArraySource:
    """A volume that is an array [z, y, x] whose first voxel is the start."""

    def __init__(
        self,
        array: np.ndarray,
        info: VolumeInfo,
        attributes: dict[str, Any],
    ) -> None:
        self.info = info
        self.attributes = attributes
        self._array = array

    def _part(self, box: Box) -> np.ndarray:
        return self._array[box.relative_to(self.info.domain.start).slices]

    def read(self, box: Box) -> np.ndarray:
        return np.array(self._part(box), self.info.dtype, order="C")

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        return [self.read(box) for box in boxes]

    def write(self, box: Box, array: np.ndarray) -> None:
        self._part(box)[...] = array

    def close(self) -> None:
        if isinstance(self._array, np.memmap) and self._array.flags.writeable:
            self._array.flush()


def zyx_shape(shape: Sequence[int] | None, channel: int, where: str) -> Triple:
    """[z, y, x] of a shape [z, y, x] or [channel, z, y, x].

    Raises:
      ValueError: another rank, or no such channel.
    """
    if shape is None or len(shape) not in (3, 4):
        raise ValueError(
            f"{where}: expected an array [z, y, x] or [channel, z, y, x], "
            f"found {len(shape or ())} axes, shape {shape}."
        )
    channels = shape[0] if len(shape) == 4 else 1
    if channel >= channels:
        raise ValueError(
            f"{where}: channel {channel} does not exist; there are "
            f"{channels}, counted from 0."
        )
    return triple(shape[-3:])


def _of_channel(array: np.ndarray, channel: int, where: str) -> np.ndarray:
    zyx_shape(array.shape, channel, where)
    return array[channel] if array.ndim == 4 else array


def memory(
    array: np.ndarray, voxel_size_nm: Sequence[float], start: Sequence[int]
) -> ArraySource:
    """A volume over `array` [z, y, x], which is not copied."""
    array = np.asarray(array)
    if array.ndim != 3:
        raise ValueError(
            f"array in memory: expected [z, y, x], found {array.ndim} axes, "
            f"shape {array.shape}."
        )
    info = VolumeInfo(
        domain=Box.from_size(start, array.shape),
        dtype=array.dtype,
        voxel_size_nm=tuple(voxel_size_nm),  # type: ignore[arg-type]
        chunk_zyx=CHUNK_ZYX,
    )
    return ArraySource(array, info, {})


def open_npy(address: Address, writable: bool) -> ArraySource:
    """Maps a `.npy` file."""
    try:
        with np.errstate(over="ignore"):  # Of a shape; it is an error then.
            mapped = np.lib.format.open_memmap(
                address.path, mode="r+" if writable else "r"
            )
    except FileNotFoundError:
        raise FileNotFoundError(f"{address.text}: no such file.") from None
    except Exception as error:  # The header is Python, and parsed as such.
        raise OSError(
            f"{address.text}: cannot be read as a .npy file ({_said(error)}); "
            f"it may be truncated."
        ) from error
    array = _of_channel(mapped, address.channel, address.text)
    extra = _read_sidecar(address)
    info = VolumeInfo(
        domain=Box.from_size(extra.get("start_zyx", (0, 0, 0)), array.shape),
        dtype=array.dtype,
        voxel_size_nm=tuple(extra.get("voxel_size_nm", (1, 1, 1))),
        chunk_zyx=extra.get("chunk_zyx", CHUNK_ZYX),
        kind=extra.get("kind"),
    )
    return ArraySource(array, info, extra.get("attributes", {}))


def _said(error: Exception) -> str:
    """The first line of an error, without the advice that follows."""
    return str(error).partition("\n")[0] or repr(error)


def _read_sidecar(address: Address) -> dict[str, Any]:
    try:
        with open(f"{address.path}.json", encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise OSError(
            f"{address.path}.json: not JSON ({error}); repair or delete it."
        ) from error


def has_sidecar_of_others(path: str) -> bool:
    """Whether `FILE.npy.json` is there, and is not one that we wrote."""
    try:
        with open(f"{path}.json", encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return False
    except (ValueError, RecursionError):
        return True
    return not isinstance(found, dict) or "start_zyx" not in found


def create_npy(
    address: Address, info: VolumeInfo, attributes: dict[str, Any]
) -> None:
    """Writes a `.npy` file of zeros, and what it cannot say beside it."""
    extra = {
        "voxel_size_nm": info.voxel_size_nm,
        "start_zyx": info.domain.start,
        "chunk_zyx": info.chunk_zyx,
        "kind": info.kind,
        "attributes": attributes,
    }
    files.write_text(f"{address.path}.json", json.dumps(extra, indent=1))
    with files.atomic_path(address.path) as temporary:
        array = np.lib.format.open_memmap(
            temporary, mode="w+", dtype=info.dtype, shape=info.domain.size
        )
        array.flush()
        with open(temporary, "r+b") as file:
            # A full disk is an error here, not a crash at the first voxel.
            os.posix_fallocate(file.fileno(), 0, os.path.getsize(temporary))


def open_npz(address: Address) -> ArraySource:
    """Loads one array of an `.npz` archive; pickled ones are refused."""
    where, key = address.text, address.dataset
    if not os.path.exists(address.path):
        raise FileNotFoundError(f"{where}: no such file.")
    if not zipfile.is_zipfile(address.path):
        raise OSError(f"{where}: not an .npz archive; it may be truncated.")
    try:
        with np.load(address.path, allow_pickle=False) as archive:
            array = _member(archive, key, where)
    except ValueError:
        raise
    except Exception as error:  # As of .npy, or of the archive.
        raise OSError(
            f"{where}: cannot be read ({_said(error)}); the file is damaged."
        ) from error
    array = _of_channel(array, address.channel, where)
    info = VolumeInfo(Box.from_shape(array.shape), array.dtype)
    return ArraySource(array, info, {})


def _member(archive: Any, key: str, where: str) -> np.ndarray:
    if key not in archive.files:
        raise ValueError(
            f"{where}: no array {key!r} in the file; write FILE.npz:KEY with "
            f"one of: {_volumes_in(archive)}."
        )
    reason = "it is no array"
    try:
        array = archive[key]
    except ValueError as error:
        reason, array = _said(error), None
    if not isinstance(array, np.ndarray):
        raise ValueError(
            f"{where}: not a whole array of numbers ({reason}); pickles are "
            f"not opened; there are: {_volumes_in(archive)}."
        )
    return array


def _volumes_in(archive: Any) -> str:
    """Names of the arrays that can be volumes, by their headers."""
    names = [
        file.removesuffix(".npy")
        for file in sorted(archive.zip.namelist())
        if _is_volume(archive.zip, file)
    ]
    return ", ".join(names) or "(the file has none)"


def _is_volume(archive: zipfile.ZipFile, file: str) -> bool:
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        with archive.open(file) as stream:
            reader = readers[np.lib.format.read_magic(stream)]
            shape, _, dtype = reader(stream)
    except Exception:  # noqa: BLE001  As of .npy.
        return False
    return len(shape) in (3, 4) and dtype.kind in "biuf"
