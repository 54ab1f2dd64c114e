"""Volumes that are datasets [z, y, x] or [channel, z, y, x] of HDF5 files.

Read and written with h5py, which takes one request at a time in a process;
`read_many` is therefore a loop. What we create is chunked, gzip-compressed,
and says what it is in attributes of the dataset:

    resolution       voxel size, nm, z y x        (CREMI, funlib)
    offset           of the first voxel, nm, z y x  (CREMI, funlib)
    element_size_um  voxel size, micrometres, z y x (ilastik, Fiji)
    ffn_tf           JSON: kind, and the attributes that `create` was given

Chunks that were never written read as the dataset's fill value, as HDF5 has it;
a virtual dataset whose files are missing would read as that too, and is an
error.

A new file appears with its dataset or not at all; a dataset that joins an
existing file is added in place here, and into a copy by staging.py.
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import itertools
import json
import os
from typing import Any

import h5py
import numpy as np

from ffn_tf.volume import files, physical
from ffn_tf.volume.address import Address
from ffn_tf.volume.box import Box
from ffn_tf.volume.formats import arrays
from ffn_tf.volume.source import UNKNOWN_VOXEL_SIZE, VolumeInfo

# h5py's default of 1 MiB holds not even the chunks of one cutout, so that
# neighbouring reads decompress them again and again.
_READ_CACHE = {"rdcc_nbytes": 512 * 2**20, "rdcc_nslots": 100_003}
# Written chunks go to the file at once: when the disk is full, chunks that
# wait in the cache make the HDF5 library crash the process at exit.
_WRITE_CACHE = {"rdcc_nbytes": 0}


class Hdf5Source:
    """One dataset of an open file."""

    def __init__(
        self,
        dataset: h5py.Dataset,
        info: VolumeInfo,
        channel: int | None,
        where: str,
    ) -> None:
        self.info = info
        self._dataset = dataset
        self._file = dataset.file
        self._where = where
        self._channel = () if channel is None else (channel,)

    @property
    def attributes(self) -> dict[str, Any]:
        return _ours(self._dataset).get("attributes", {})

    def _index(self, box: Box) -> tuple[int | slice, ...]:
        return (
            *self._channel,
            *box.relative_to(self.info.domain.start).slices,
        )

    def read(self, box: Box) -> np.ndarray:
        try:
            voxels = self._dataset[self._index(box)]
        except OSError as error:
            raise OSError(
                f"{self._where}: cannot read {box} ({error}); the file may "
                f"be damaged."
            ) from error
        return np.ascontiguousarray(voxels, self.info.dtype)

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        return [self.read(box) for box in boxes]

    def write(self, box: Box, array: np.ndarray) -> None:
        try:
            self._dataset[self._index(box)] = array
        except (OSError, RuntimeError) as error:
            raise _not_written(self._where, error) from error

    def close(self) -> None:
        try:
            self._file.close()
        except (OSError, RuntimeError) as error:
            raise _not_written(self._where, error) from error


def _not_written(where: str, error: Exception) -> OSError:
    # HDF5 goes on with addresses of its buffers.
    reason = str(error).split(" (")[0]
    return OSError(
        f"{where}: cannot be written ({reason}); is the disk full, or "
        f"the file open elsewhere?"
    )


def _ours(dataset: h5py.Dataset) -> dict[str, Any]:
    text = dataset.attrs.get("ffn_tf", "{}")
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise OSError(
            f"{dataset.file.filename}:{dataset.name.lstrip('/')}: its "
            f"attribute ffn_tf is no JSON object: {text[:60]!r}. What made "
            f"the volume is lost, its voxels are not: delete the attribute "
            f'with h5py (del file["{dataset.name}"].attrs["ffn_tf"]).'
        )
    return found


def _open_file(address: Address, mode: str) -> h5py.File:
    if not os.path.exists(address.path):
        raise FileNotFoundError(f"{address.text}: no such file.")
    try:
        cache = _READ_CACHE if mode == "r" else _WRITE_CACHE
        return h5py.File(address.path, mode, **cache)
    except OSError as error:
        raise OSError(
            f"{address.text}: cannot be opened as an HDF5 file ({error}); it "
            f"may be truncated, or open elsewhere for writing."
        ) from error


def dataset_names(file: h5py.File) -> list[str]:
    """Full names of the datasets of a file, sorted."""
    names: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            names.append(name)

    file.visititems(visit)
    return sorted(names)


def open_hdf5(address: Address, writable: bool) -> Hdf5Source:
    """Opens the dataset that an address names."""
    file = _open_file(address, "r+" if writable else "r")
    try:
        return _source(file, address)
    except BaseException:
        file.close()
        raise


def _source(file: h5py.File, address: Address) -> Hdf5Source:
    dataset = _found(file, address.dataset)
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(
            f"{address.text}: no dataset {address.dataset!r} in the file; "
            f"write FILE:DATASET with one of: "
            f"{', '.join(dataset_names(file)) or '(the file has none)'}."
        )
    _refuse_without_sources(dataset, address)
    shape = arrays.zyx_shape(dataset.shape, address.channel, address.text)
    size, start = physical.from_attributes(dataset.attrs, address.text)
    info = VolumeInfo(
        domain=Box.from_size(start, shape),
        dtype=dataset.dtype,
        voxel_size_nm=size or UNKNOWN_VOXEL_SIZE,
        chunk_zyx=(dataset.chunks or arrays.CHUNK_ZYX)[-3:],
        kind=_ours(dataset).get("kind"),
    )
    channel = address.channel if dataset.ndim == 4 else None
    return Hdf5Source(dataset, info, channel, address.text)


def _found(file: h5py.File, name: str) -> Any:
    """What has that name; None for nothing, and links that lead nowhere."""
    try:
        return file.get(name) if name else None
    except (OSError, RuntimeError):
        return None


def _refuse_without_sources(dataset: h5py.Dataset, address: Address) -> None:
    """HDF5 gives the fill value for what files that are missing hold."""
    if not dataset.is_virtual:
        return
    here = os.path.dirname(os.path.realpath(address.path))
    prefix = os.environ.get("HDF5_VDS_PREFIX", "").replace("${ORIGIN}", here)
    # In the order in which HDF5 looks for them; a % numbers many files.
    folders = (prefix, here, os.path.dirname(address.path), "")
    missing = [
        name
        for name in sorted({s.file_name for s in dataset.virtual_sources()})
        if name != "." and "%" not in name
        if not any(os.path.exists(os.path.join(f, name)) for f in folders)
    ]
    if missing:
        raise FileNotFoundError(
            f"{address.text}: a virtual dataset, and {len(missing)} of the "
            f"files with its voxels are missing, such as {missing[0]}; put "
            f"them beside {address.path}."
        )


def exists(address: Address) -> bool:
    """Whether the dataset is there.

    Raises:
      ValueError: the address names no dataset, or one inside of another.
    """
    if not address.dataset:
        raise ValueError(f"{address.text}: no dataset; write FILE:DATASET.")
    if not os.path.exists(address.path):
        return False
    with _open_file(address, "r") as file:
        _refuse_inside(file, address)
        return address.dataset in file


def _refuse_inside(file: h5py.File, address: Address) -> None:
    """A dataset can only be in groups."""
    parts = address.dataset.split("/")
    for group in itertools.accumulate(parts[:-1], "{}/{}".format):
        if group not in file:
            return
        if not isinstance(_found(file, group), h5py.Group):
            raise ValueError(
                f"{address.text}: {group} in the file is no group, so that "
                f"nothing can be in it; name another dataset."
            )


def create_hdf5(
    address: Address, info: VolumeInfo, attributes: dict[str, Any]
) -> None:
    """Adds an empty (zero) dataset to a new or an existing file."""
    new = not os.path.exists(address.path)
    place = (
        files.atomic_path(address.path)
        if new
        else contextlib.nullcontext(address.path)
    )
    try:
        with place as path, h5py.File(path, "w" if new else "r+") as file:
            _add_dataset(file, address.dataset, info, attributes)
    except (OSError, RuntimeError) as error:
        raise _not_written(address.text, error) from error


def _add_dataset(
    file: h5py.File, name: str, info: VolumeInfo, attributes: dict[str, Any]
) -> None:
    dataset = file.create_dataset(
        name,
        shape=info.domain.size,
        dtype=info.dtype,
        chunks=tuple(
            min(c, n) for c, n in zip(info.chunk_zyx, info.domain.size)
        ),
        compression="gzip",
        compression_opts=1,
    )
    dataset.attrs["resolution"] = info.voxel_size_nm
    dataset.attrs["offset"] = physical.offset_nm(info)
    dataset.attrs["element_size_um"] = [v / 1e3 for v in info.voxel_size_nm]
    dataset.attrs["ffn_tf"] = json.dumps(
        {"kind": info.kind, "attributes": attributes}
    )
