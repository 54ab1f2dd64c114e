"""Volume: one face for every storage format.

    with volume.open("em.h5:raw") as em:
        voxels = em.read(volume.Box((0, 0, 0), (64, 64, 64)))

A volume is a box of voxels (its domain, which need not start at zero), read
and written by boxes in the volume's own coordinates. What goes wrong raises
one error that says what was found, what was expected, where, and what to do:

    FileNotFoundError, FileExistsError   the volume is not there, or is there
    ValueError                           the request does not fit the volume
    OSError                              the volume cannot be read or written
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses
import os
from typing import Any, Literal

import numpy as np

from ffn_tf.volume import access
from ffn_tf.volume import address as address_lib
from ffn_tf.volume.box import Box
from ffn_tf.volume.formats import arrays, hdf5, layout, stack
from ffn_tf.volume.source import Nanometres, Source, VolumeInfo

Mode = Literal["r", "r+"]

_MEMORY = access.Served("memory")
# What our code runs into where metadata hold text for numbers, infinity, lists
# for mappings, or lists in lists in lists.
_NONSENSE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
)
_READ_ONLY = ("dataset", "npz", "spec", "stack")


class Volume:
    """An open volume. Also a context manager, which closes it."""

    def __init__(
        self,
        source: Source,
        address: str,
        *,
        writable: bool,
        info: VolumeInfo | None = None,
        served: access.Served = _MEMORY,
    ) -> None:
        self.address = address
        self.info = info or source.info
        self.served = served  # Who reads it, and why not the others.
        self._source = source
        self._writable = writable

    @property
    def domain(self) -> Box:
        return self.info.domain

    @property
    def dtype(self) -> np.dtype:
        return self.info.dtype

    @property
    def voxel_size_nm(self) -> Nanometres:
        """Edge lengths of a voxel, zyx."""
        return self.info.voxel_size_nm

    @property
    def source(self) -> Source:
        """What is behind it, for the modules of this room."""
        return self._source

    @property
    def scales_nm(self) -> tuple[Nanometres, ...]:
        """Voxel size of each scale of a multiscale volume, zyx."""
        return getattr(self._source, "scales_nm", (self.voxel_size_nm,))

    @property
    def attributes(self) -> dict[str, Any]:
        """What `create` was given as attributes; empty if nothing."""
        return dict(self._source.attributes)

    def report(self) -> list[str]:
        """Lines about what was read: cache hits, damaged chunks."""
        said: list[str] = getattr(self._source, "report", list)()
        return said

    def read(self, box: Box | None = None) -> np.ndarray:
        """Voxels of `box`, by default all: a fresh array [z, y, x].

        Raises:
          ValueError: `box` is not inside the domain.
          OSError: voxels are missing or damaged.
        """
        box = self.domain if box is None else box
        self._check_inside(box)
        return self._source.read(box)

    def read_many(self, boxes: Iterable[Box]) -> list[np.ndarray]:
        """`[read(box) for box in boxes]`, concurrently where possible."""
        boxes = list(boxes)
        domain = self.domain
        for box in boxes:
            if not domain.contains(box):
                self._check_inside(box)
        return self._source.read_many(boxes)

    def write(self, box: Box, array: np.ndarray) -> None:
        """Replaces the voxels of `box` by `array` [z, y, x].

        Raises:
          ValueError: opened for reading only; `box` is not inside the domain;
            `array` is of another shape than the box or dtype than the volume.
          OSError: the storage failed.
        """
        if not self._writable:
            raise ValueError(
                f'{self.address}: opened for reading; open it with mode "r+" '
                f"to write."
            )
        self._check_inside(box)
        if array.shape != box.size:
            raise ValueError(
                f"{self.address}: to write box {box} takes an array of shape "
                f"{box.size}, found {array.shape}."
            )
        if array.dtype != self.dtype:
            raise ValueError(
                f"{self.address}: holds {self.dtype}, found an array of "
                f"{array.dtype}; convert it first."
            )
        self._source.write(box, array)

    def _check_inside(self, box: Box) -> None:
        if not self.domain.contains(box):
            raise ValueError(
                f"{self.address}: box {box} is not inside the volume, which "
                f"is {self.domain}."
            )

    def described(self, **changes: Any) -> Volume:
        """The same voxels, with other entries in `info`."""
        info = dataclasses.replace(self.info, **changes)
        return Volume(
            self._source,
            self.address,
            writable=self._writable,
            info=info,
            served=self.served,
        )

    def close(self) -> None:
        """Ends reading and writing; written voxels are in the file."""
        self._source.close()

    def __enter__(self) -> Volume:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.close()
        except OSError:
            if kind is None:  # Otherwise the first failure is the one to tell.
                raise

    def __repr__(self) -> str:
        return f"Volume({self.address!r}, {self.domain}, {self.dtype})"


def open(address: str, *, mode: Mode = "r") -> Volume:
    """Opens the volume that `address` names (see address.py).

    Raises:
      FileNotFoundError: it does not exist.
      ValueError: the address, its dataset, scale or channel is wrong.
      OSError: it is damaged.
    """
    if mode not in ("r", "r+"):
        raise ValueError(f"mode: expected r or r+, found {mode!r}.")
    where = address_lib.parse(address)
    writable = mode == "r+"
    if where.format == "dataset":
        return _open_of_dataset(where, writable)
    if writable and where.format in _READ_ONLY:
        raise ValueError(f"{address}: a format that is only read.")
    try:
        source, served = _open_source(where, writable)
        dict(source.attributes)
    except (ValueError, OSError) as error:
        is_named = where.place.is_remote and where.place.url in str(error)
        if is_named or where.text in str(error):
            raise
        kind = OSError if isinstance(error, OSError) else ValueError
        raise kind(f"{where.text}: {error}") from error
    except _NONSENSE as error:
        raise OSError(
            f"{where.text}: what the volume says of itself makes no sense "
            f"({error!r}); it may be damaged."
        ) from error
    return Volume(source, str(address), writable=writable, served=served)


def _open_of_dataset(where: address_lib.Address, writable: bool) -> Volume:
    from ffn_tf.volume import dataset  # Which opens volumes itself.

    if writable:
        raise ValueError(f"{where.text}: a dataset file names volumes to read.")
    _, _, query = where.text.partition("?")
    query = "&".join(
        part for part in query.split("&") if not part.startswith("region=")
    )
    described = dataset.load(where.path)
    if not where.dataset:
        names = list(described.volumes)
        raise ValueError(
            f"{where.text}: a dataset file; name a volume of it: "
            f"{where.path}#{[*names, 'NAME'][0]} (known: {', '.join(names)})."
        )
    opened = described.open(where.dataset, query, where.region)
    opened.address = where.text
    return opened


def _open_source(
    where: address_lib.Address, writable: bool
) -> tuple[Source, access.Served]:
    if where.format == "hdf5":
        return hdf5.open_hdf5(where, writable), access.Served("h5py")
    if where.format == "npy":
        return arrays.open_npy(where, writable), access.Served("numpy")
    if where.format == "npz":
        return arrays.open_npz(where), access.Served("numpy")
    if where.format == "stack":
        return stack.open_stack(where), access.Served("images")
    return access.open_source(where, writable)


def refuse_existing(address: str) -> None:
    """Raises unless a volume can be created at `address`.

    Raises:
      FileExistsError: something is there.
      ValueError: the format is only read, or the address asks for a part.
    """
    where = address_lib.parse(address, creating=True)
    if where.mip is not None or where.channel:
        raise ValueError(
            f"{where.text}: a new volume has one scale and one channel; "
            f"remove what follows the question mark."
        )
    if where.format in _READ_ONLY:
        raise ValueError(
            f"{where.text}: a format that is only read; write .h5, .npy, "
            f"precomputed, zarr, zarr3 or n5."
        )
    if where.format == "hdf5":
        there = hdf5.exists(where)
    elif where.place.is_remote or os.path.isdir(where.path):
        there = not where.place.is_empty()
    else:
        there = os.path.lexists(where.path)
    if there:
        raise FileExistsError(
            f"{where.text}: exists already, and nothing is overwritten; "
            f"delete it or name another output."
        )
    if where.format == "npy" and arrays.has_sidecar_of_others(where.path):
        raise FileExistsError(
            f"{where.path}.json: is not of a volume, and would be overwritten "
            f"by what {where.path} cannot say itself; name another output."
        )


def create(
    address: str,
    info: VolumeInfo,
    *,
    attributes: dict[str, Any] | None = None,
) -> Volume:
    """Creates an empty volume, and opens it for writing.

    Args:
      address: where; what the format is follows from it.
      info: what the volume is.
      attributes: kept with the volume (JSON values): what made it.

    Raises:
      FileExistsError: it exists; nothing is overwritten.
      ValueError: the format cannot hold such a volume.
    """
    where = address_lib.parse(address, creating=True)
    attributes = attributes or {}
    refuse_existing(address)
    if info.domain.is_empty:
        raise ValueError(f"{address}: a volume without voxels: {info.domain}.")
    if where.format == "hdf5":
        hdf5.create_hdf5(where, info, attributes)
    elif where.format == "npy":
        arrays.create_npy(where, info, attributes)
    else:
        layout.create_chunked(where, info, attributes)
    return open(address, mode="r+")


def from_array(
    array: np.ndarray,
    *,
    voxel_size_nm: Sequence[float] = (1, 1, 1),
    start: Sequence[int] = (0, 0, 0),
) -> Volume:
    """A volume over `array` [z, y, x], which is not copied."""
    source = arrays.memory(array, voxel_size_nm, start)
    return Volume(source, "array in memory", writable=array.flags.writeable)
