"""Addresses: one string names a volume.

    em.h5:raw                      an HDF5 file and a dataset in it
    em.npy                         a numpy array
    seg.npz:segmentation           one array of an npz archive, read-only
    precomputed://em?mip=1         a folder in Neuroglancer's format, a scale
    zarr://em.zarr  zarr3://em.zarr  n5://em.n5
    em.zarr                        a folder, recognised by its metadata file
    slices/  em.tif                PNG or TIFF sections, read-only
    {"driver": "n5", ...}          a TensorStore spec, read-only

A path may be followed by `?key=value&...`, where the format has such things:
    mip=N          scale N of a multiscale volume (default 0)
    channel=N      channel N of a volume with channels (default 0)
    missing=zero   chunks that were never written read as 0; without it,
                   reading one is an error, so that nothing is lost silently

Some formats count axes x, y, z. `reversed_axes` is the conversion to and
from the z, y, x of everything in this package.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
from typing import Any, TypeVar
import urllib.parse

T = TypeVar("T")

SCHEMES = ("precomputed", "zarr", "zarr3", "n5")
_GRAMMAR = (
    "expected FILE.h5:DATASET, FILE.npy, FILE.npz:KEY, FILE.tif, a folder, or "
    "SCHEME://FOLDER with a scheme of " + ", ".join(SCHEMES)
)
_METADATA_FILES = {
    "info": "precomputed",
    "zarr.json": "zarr3",
    ".zarray": "zarr",
    ".zgroup": "zarr",
    "attributes.json": "n5",
}
_SUFFIXES = {".zarr": "zarr", ".n5": "n5"}
_TIFF = (".tif", ".tiff")
_QUERY_NAMES = {
    "mip": "mip",
    "channel": "channel",
    "missing_is_zero": "missing",
}
_HDF5 = re.compile(r"(?P<path>.+\.(?:h5|hdf5|hdf))(?::(?P<name>.*))?", re.I)
_NPZ = re.compile(r"(?P<path>.+\.npz)(?::(?P<name>.*))?", re.I)


@dataclasses.dataclass(frozen=True)
class Address:
    """A parsed address.

    Attributes:
      text: what was parsed; used in messages.
      format: hdf5, npy, npz, stack, precomputed, zarr, zarr3, n5 or spec.
      path: the file or folder.
      dataset: name inside an HDF5 file or npz archive.
      mip: scale of a multiscale volume; None if not given.
      channel: channel of a volume with channels.
      missing_is_zero: chunks never written read as 0.
      spec: TensorStore spec, for format "spec".
    """

    text: str
    format: str
    path: str
    dataset: str = ""
    mip: int | None = None
    channel: int = 0
    missing_is_zero: bool = False
    spec: dict[str, Any] | None = dataclasses.field(default=None, hash=False)


def reversed_axes(values: tuple[T, ...] | list[T]) -> tuple[T, ...]:
    """xyz -> zyx and back."""
    return tuple(values[::-1])


def parse(text: str, *, creating: bool = False) -> Address:
    """The parts of an address; looks at the disk to recognise a folder.

    Args:
      text: the address.
      creating: nothing is there yet: the address alone tells the format.

    Raises:
      ValueError: not an address.
      FileNotFoundError: a folder without scheme or telling suffix, missing.
    """
    text = os.fspath(text)
    if text.lstrip().startswith("{"):
        return _spec_address(text)
    rest, _, query = text.partition("?")
    options = _query(text, query)
    scheme, separator, path = rest.rpartition("://")
    if not separator:
        scheme, path = "", rest
    if scheme == "file":
        scheme = ""
    scheme = scheme.removesuffix("://file")
    if scheme and scheme not in SCHEMES:
        raise ValueError(f"{text}: unknown scheme {scheme}://; {_GRAMMAR}.")
    if not path:
        raise ValueError(f"{text!r}: no path; {_GRAMMAR}.")
    if scheme:
        found = None if creating else _format_on_disk(path)
        # Neuroglancer's zarr:// means either version, so ours does too.
        if scheme == "zarr" and found == "zarr3":
            scheme = found
        return Address(text, scheme, path, **options)
    return _file_or_folder(text, path, options, creating)


def _file_or_folder(
    text: str, path: str, options: dict[str, Any], creating: bool
) -> Address:
    for file_format, pattern in (("hdf5", _HDF5), ("npz", _NPZ)):
        match = pattern.fullmatch(path)
        if match:
            name = (match["name"] or "").strip("/")
            return _file(text, file_format, match["path"], name, options)
    for file_format, suffixes in (("npy", (".npy",)), ("stack", _TIFF)):
        if path.lower().endswith(suffixes):
            return _file(text, file_format, path, "", options)
    by_name = _SUFFIXES.get(pathlib.Path(path).suffix)
    found = by_name if creating else _format_on_disk(path) or by_name
    if found:
        return Address(text, found, path, **options)
    if creating:
        raise ValueError(f"{text}: the name tells no format; {_GRAMMAR}.")
    if os.path.isdir(path):
        if any(is_slice(name) for name in os.listdir(path)):
            return _file(text, "stack", path, "", options)
        raise ValueError(
            f"{text}: the folder holds none of "
            f"{', '.join(_METADATA_FILES)}, nor PNG or TIFF files, so it is "
            f"no volume of a known format; {_GRAMMAR}."
        )
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"{text}: no such file or folder, and the name does not tell a "
            f"format; {_GRAMMAR}."
        )
    raise ValueError(f"{text}: a file of no known format; {_GRAMMAR}.")


def _file(
    text: str, file_format: str, path: str, name: str, options: dict[str, Any]
) -> Address:
    """An address of a format that has one scale and no chunks to miss."""
    can = ("channel",) if file_format in ("hdf5", "npy", "npz") else ()
    for option in options:
        if option not in can:
            raise ValueError(
                f"{text}: ?{_QUERY_NAMES[option]}= means nothing for this "
                f"format; remove it."
            )
    return Address(text, file_format, path, name, **options)


def is_slice(name: str) -> bool:
    """Whether a file name is that of a section of an image stack."""
    is_image = name.lower().endswith((".png", *_TIFF))
    return is_image and not name.startswith(".")


def _format_on_disk(path: str) -> str | None:
    for name, found in _METADATA_FILES.items():
        if os.path.isfile(os.path.join(path, name)):
            return found
    return None


def _spec_address(text: str) -> Address:
    try:
        spec = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"{text}: begins with a brace but is not JSON ({error}); "
            f"expected a TensorStore spec."
        ) from error
    if not isinstance(spec, dict) or "driver" not in spec:
        raise ValueError(f'{text}: a TensorStore spec needs a "driver".')
    return Address(text, "spec", "", spec=spec)


def _query(text: str, query: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for key, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if key in ("mip", "channel") and value.isdecimal():
            options[key] = int(value)
        elif (key, value) == ("missing", "zero"):
            options["missing_is_zero"] = True
        else:
            raise ValueError(
                f"{text}: cannot understand ?{key}={value}; expected mip=N, "
                f"channel=N or missing=zero."
            )
    return options
