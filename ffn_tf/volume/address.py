"""Addresses: one string names a volume.

    em.h5:raw                      an HDF5 file and a dataset in it
    em.npy                         a numpy array
    seg.npz:segmentation           one array of an npz archive, read-only
    slices/  em.tif                PNG or TIFF sections, read-only
    precomputed://PLACE            a folder in Neuroglancer's format
    zarr://PLACE  zarr2://  zarr3://  n5://PLACE
    PLACE                          a folder, recognised by its metadata file
    PLACE/|neuroglancer-precomputed:   TensorStore's URLs, read-only
    {"driver": "n5", ...}          a TensorStore spec, read-only
    fib25.yaml#truth               a volume that a dataset file describes

A PLACE is a folder of this machine (`em`, `file:///data/em`), or

    gs://BUCKET/PATH               Google Cloud Storage
    s3://BUCKET/PATH               S3
    http://HOST/PATH  https://     a web server, read-only

What follows a question mark chooses a part, or says how to read:

    mip=N                 scale N of a multiscale volume (default 0)
    resolution_nm=Z,Y,X   the scale with voxels of that size
    channel=N             channel N of a volume with channels (default 0)
    region=NAME           a region of a dataset file
    missing=zero          chunks that were never written read as 0; without
                          it, reading one is an error, so that nothing is
                          lost silently
    access=METHOD         who reads it: see access.py (default auto)
    cache=disk            remote chunks are kept on the local disk from run to
                          run, and used while the server says that they have
                          not changed (cache/disk.py; FFN_CACHE_DIR and
                          FFN_CACHE_GB, 10 GB by default)
    cache=trusted         ... without asking the server
    tolerate=corrupt      damaged chunks read as 0, are counted, and are listed
                          when the volume is closed; else one is an error
    deadline_s=SECONDS    for one read, retries included; later is an error
    endpoint=URL          of s3: a server that is not Amazon's
    aws_region=NAME       of s3

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

from ffn_tf.volume import checks
from ffn_tf.volume import place as place_lib

T = TypeVar("T")

SCHEMES = ("precomputed", "zarr", "zarr3", "n5")
_ALIASES = {"zarr2": "zarr"}
_GRAMMAR = (
    "expected FILE.h5:DATASET, FILE.npy, FILE.npz:KEY, FILE.tif, a folder, or "
    "SCHEME://PLACE with a scheme of " + ", ".join(SCHEMES)
)
_WRITTEN = (
    "expected FILE.h5:DATASET, FILE.npy, FOLDER.zarr, FOLDER.n5, or "
    "SCHEME://PLACE with a scheme of " + ", ".join(SCHEMES)
)
# In the folder of a copy that is not complete: see staging.py.
PARTIAL = ".partial"
_METADATA_FILES = {
    "info": "precomputed",
    "zarr.json": "zarr3",
    ".zarray": "zarr",
    ".zgroup": "zarr",
    "attributes.json": "n5",
}
_SUFFIXES = {".zarr": "zarr", ".n5": "n5"}
_TIFF = (".tif", ".tiff")
_QUERY_NAMES = {"missing_is_zero": "missing"}  # Others are called alike.
_OF_CHUNKS = {
    "mip",
    "resolution_nm",
    "channel",
    "missing_is_zero",
    "access",
    "cache",
    "tolerate",
    "deadline_s",
}
_VALUES = {
    "access": ("auto", "tensorstore", "cloudvolume", "gcsfs"),
    "cache": ("disk", "trusted"),
    "tolerate": ("corrupt",),
}
_OF_S3 = {"endpoint", "aws_region"}
_CAN = {
    "hdf5": {"channel"},
    "npy": {"channel"},
    "npz": {"channel"},
    "stack": set(),
    "spec": set(),
    "dataset": {"region", *_OF_CHUNKS},
} | dict.fromkeys(SCHEMES, _OF_CHUNKS)
_HDF5 = re.compile(r"(?P<path>.+\.(?:h5|hdf5|hdf))(?::(?P<name>.*))?", re.I)
_DATASET = re.compile(r"(?P<path>.+\.ya?ml)(?:#(?P<name>.*))?", re.I)
_NPZ = re.compile(r"(?P<path>.+\.npz)(?::(?P<name>.*))?", re.I)


_NAMED = {"hdf5": _HDF5, "npz": _NPZ, "dataset": _DATASET}


@dataclasses.dataclass(frozen=True)
class Address:
    """A parsed address.

    Attributes:
      text: what was parsed; used in messages.
      format: hdf5, npy, npz, stack, precomputed, zarr, zarr3, n5, spec or
        dataset.
      path: the file, or the folder: a path or a URL (place.py).
      dataset: name inside an HDF5 file, npz archive or dataset file.
      mip: scale of a multiscale volume; None if not given.
      resolution_nm: voxel size of that scale, zyx; None if not given.
      channel: channel of a volume with channels.
      missing_is_zero: chunks never written read as 0.
      region: of a dataset file.
      access: who reads it.
      cache: disk, trusted, or "" for none.
      tolerate: corrupt, or "" for nothing.
      deadline_s: for one read; None for as long as it takes.
      endpoint, aws_region: of s3.
      spec: TensorStore spec or URL, for format "spec".
    """

    text: str
    format: str
    path: str
    dataset: str = ""
    mip: int | None = None
    resolution_nm: tuple[float, float, float] | None = None
    channel: int = 0
    missing_is_zero: bool = False
    region: str = ""
    access: str = "auto"
    cache: str = ""
    tolerate: str = ""
    deadline_s: float | None = None
    endpoint: str = ""
    aws_region: str = ""
    spec: Any = dataclasses.field(default=None, hash=False)

    @property
    def place(self) -> place_lib.Place:
        """The folder of the volume."""
        return place_lib.Place(self.path, self.endpoint, self.aws_region)


def reversed_axes(values: tuple[T, ...] | list[T]) -> tuple[T, ...]:
    """xyz -> zyx and back."""
    return tuple(values[::-1])


def parse(text: str, *, creating: bool = False) -> Address:
    """The parts of an address; looks into a folder to recognise it.

    Args:
      text: the address.
      creating: nothing is there yet: the address alone tells the format.

    Raises:
      ValueError: not an address; says which part is wrong.
      FileNotFoundError: a folder without scheme or telling suffix, missing.
      OSError: a remote folder that cannot be asked.
    """
    text = os.fspath(text)
    if text.lstrip().startswith("{"):
        return _spec_address(text)
    if "|" in text:  # TensorStore's own URLs end with the kind of the data.
        return Address(text, "spec", "", spec=text)
    rest, _, query = text.partition("?")
    options = _query(text, query)
    scheme, path = _split_scheme(text, rest)
    if not path or path.endswith("://"):
        grammar = _WRITTEN if creating else _GRAMMAR
        raise ValueError(f"{text!r}: no path; {grammar}.")
    if scheme:
        address = Address(text, scheme, path, **options)
        # Neuroglancer's zarr:// means either version, so ours does too.
        if scheme == "zarr" and not creating:
            found = _format_at(address.place)
            address = dataclasses.replace(address, format=found or "zarr")
    else:
        address = _without_scheme(text, path, options, creating)
    _check_options(address, options)
    return address


def _split_scheme(text: str, rest: str) -> tuple[str, str]:
    """("zarr", "gs://b/em") of "zarr://gs://b/em"; "" if there is none."""
    first, separator, after = rest.partition("://")
    if not separator:
        return "", rest
    scheme = _ALIASES.get(first, first)
    if scheme == "file":
        return "", after
    if scheme in place_lib.REMOTE:
        return "", rest
    if scheme not in SCHEMES:
        raise ValueError(f"{text}: unknown scheme {first}://; {_GRAMMAR}.")
    inner, separator, path = after.partition("://")
    if not separator:
        return scheme, after
    if inner == "file":
        return scheme, path
    if inner not in place_lib.REMOTE:
        raise ValueError(
            f"{text}: unknown place {inner}://; expected a path, file://, "
            f"{'://, '.join(place_lib.REMOTE)}://."
        )
    return scheme, after


def _check_options(address: Address, options: dict[str, Any]) -> None:
    can = set(_CAN[address.format])
    if address.place.scheme == "s3":
        can |= _OF_S3
    for option in options:
        if option not in can:
            raise ValueError(
                f"{address.text}: ?{_QUERY_NAMES.get(option, option)}= means "
                f"nothing for this format; remove it."
            )
    if address.cache and address.format != "dataset":
        if not address.place.is_remote:
            raise ValueError(
                f"{address.text}: ?cache= keeps chunks of remote volumes, and "
                f"this one is on this machine; remove it."
            )
    if address.mip is not None and address.resolution_nm is not None:
        raise ValueError(
            f"{address.text}: ?mip= and ?resolution_nm= both choose a scale; "
            f"give one."
        )


def _without_scheme(
    text: str, path: str, options: dict[str, Any], creating: bool
) -> Address:
    remote = place_lib.Place(path).is_remote
    if not remote:
        for name, pattern in _NAMED.items():
            match = pattern.fullmatch(path)
            if match:
                inside = (match["name"] or "").strip("/")
                return Address(text, name, match["path"], inside, **options)
        if path.lower().endswith(".npy"):
            return Address(text, "npy", path, **options)
        if path.lower().endswith(_TIFF):
            return Address(text, "stack", path, **options)
    by_name = _SUFFIXES.get(pathlib.PurePosixPath(path).suffix)
    address = Address(text, by_name or "", path, **options)
    found = by_name if creating else _format_at(address.place) or by_name
    if found:
        return dataclasses.replace(address, format=found)
    if creating:
        raise ValueError(f"{text}: the name tells no format; {_WRITTEN}.")
    refuse_unfinished(address)
    if remote:
        raise FileNotFoundError(
            f"{text}: no volume there: it holds none of "
            f"{', '.join(_METADATA_FILES)}."
        )
    return _local_stack(text, path, options)


def _local_stack(text: str, path: str, options: dict[str, Any]) -> Address:
    """A folder of sections, or an error that says what else it is."""
    if os.path.isdir(path):
        if any(is_slice(name) for name in os.listdir(path)):
            return Address(text, "stack", path, **options)
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


def refuse_unfinished(address: Address) -> None:
    """For a folder that is no volume: an error if it is becoming one."""
    if address.place.read(PARTIAL, "job.json") is not None:
        raise FileNotFoundError(
            f"{address.text}: an unfinished copy: run the same ingest again to "
            f"go on with it."
        )


def is_slice(name: str) -> bool:
    """Whether a file name is that of a section of an image stack."""
    is_image = name.lower().endswith((".png", *_TIFF))
    return is_image and not name.startswith(".")


def _format_at(place: place_lib.Place) -> str | None:
    """The format whose metadata file is there."""
    names = list(_METADATA_FILES)
    for name, data in zip(names, place.read_all(names)):
        if data is not None:
            return _METADATA_FILES[name]
    return None


def _spec_address(text: str) -> Address:
    try:
        spec = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{text:.200}: begins with a brace but is not JSON ({error}); "
            f"expected a TensorStore spec."
        ) from error
    if not isinstance(spec, dict) or "driver" not in spec:
        raise ValueError(f'{text}: a TensorStore spec needs a "driver".')
    return Address(text, "spec", "", spec=spec)


def _query(text: str, query: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for key, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if key in ("mip", "channel"):
            options[key] = _count(text, key, value)
        elif (key, value) == ("missing", "zero"):
            options["missing_is_zero"] = True
        elif key == "resolution_nm":
            options[key] = _resolution(text, value)
        elif key == "deadline_s":
            options[key] = checks.positive(value, f"{text}: deadline_s")
        elif key in _VALUES:
            if value not in _VALUES[key]:
                raise ValueError(
                    f"{text}: no {key}={value}; expected "
                    f"{', '.join(_VALUES[key])}."
                )
            options[key] = value
        elif key in ("region", *_OF_S3) and value:
            options[key] = value
        else:
            raise ValueError(
                f"{text}: cannot understand ?{key}={value}; expected mip=N, "
                f"resolution_nm=Z,Y,X, channel=N, missing=zero, region=NAME, "
                f"access=METHOD, cache=disk, cache=trusted, tolerate=corrupt, "
                f"deadline_s=S, endpoint=URL or aws_region=NAME."
            )
    return options


def _count(text: str, key: str, value: str) -> int:
    if not value.isdecimal():
        raise ValueError(
            f"{text}: {key} takes a number, 0 or more, found {value!r}."
        )
    return int(value)


def _resolution(text: str, value: str) -> tuple[float, ...]:
    try:
        lengths = tuple(float(part) for part in value.split(","))
    except ValueError:
        lengths = ()
    if len(lengths) != 3 or min(lengths) <= 0:
        raise ValueError(
            f"{text}: resolution_nm takes three lengths z,y,x, found {value!r}."
        )
    return lengths
