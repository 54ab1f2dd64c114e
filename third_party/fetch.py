"""Fetches the real data that the demo and the tests use.

    python third_party/fetch.py fib25 [--data_dir=data]

Every file comes from its public home (the README beside this program, and in
the folder of each origin), is checked against the checksum that is written
here, and appears whole or not at all. What is there already is checked and
left alone. Two files are put together rather than copied, so it is the voxels
whose checksum counts, not the HDF5 bytes:

  grayscale_maps.h5:raw  from the one file in Google Cloud Storage, or, if that
                         cannot be had, from its 250 sections on GitHub
  groundtruth.h5:stack   supervoxels, each replaced by its body from the table
                         `transforms` of the same file
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent import futures
import dataclasses
import gzip
import hashlib
import http.client
import io
import pathlib
import time
from typing import Protocol
import urllib.error
import urllib.request

import h5py
import numpy as np
from PIL import Image

from ffn_tf import program
from ffn_tf.volume import files

ROOT = pathlib.Path(__file__).resolve().parent.parent
_TIMEOUT_S = 60
_ATTEMPTS = 4
_BUSY = (429, 500, 502, 503, 504)  # HTTP: come back later.


@dataclasses.dataclass(frozen=True)
class Options:
    data_dir: str = program.option(
        str(ROOT / "data"), help="Folder in which <dataset>/ is made."
    )
    mirror: str = program.option(
        "",
        help="Take https://host/path from <mirror>/host/path instead, for "
        "machines that do not reach the public homes.",
    )


Get = Callable[[str], bytes]


# -----------------------------------------------------------------------------
# What can be fetched
# -----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Remote:
    """A file in its public home, with the SHA-256 of its bytes."""

    url: str
    size: int
    sha256: str

    def content(self, get: Get) -> bytes:
        data = get(self.url)
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise ValueError(
                f"{self.url}: expected {self.size} bytes with SHA-256 "
                f"{self.sha256}, found {len(data)} bytes with {found}. It was "
                f"changed or cut short on the way; nothing was written. Try "
                f"again."
            )
        return data


@dataclasses.dataclass(frozen=True)
class Copy:
    """A file that is kept as it is; `path` is below the data folder."""

    path: str
    remote: Remote

    def check(self, path: pathlib.Path) -> None:
        _expect(program.file_digest(path), f"sha256:{self.remote.sha256}", path)

    def write(self, path: pathlib.Path, get: Get) -> None:
        data = self.remote.content(get)
        with files.atomic_path(path) as temporary:
            temporary.write_bytes(data)


class Source(Protocol):
    """Where the voxels of a stack can be had."""

    @property
    def home(self) -> str: ...

    def voxels(self, get: Get) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Stack:
    """An HDF5 file with one dataset [z, y, x].

    Attributes:
      path: below the data folder.
      dataset: its name.
      sha256: of the voxels, little-endian, in C order.
      sources: what it can be made from; tried in order.
    """

    path: str
    dataset: str
    sha256: str
    sources: tuple[Source, ...]

    def check(self, path: pathlib.Path) -> None:
        found = _read_hdf5(str(path), self.dataset, str(path))
        _expect(_voxel_digest(found), self.sha256, path)

    def write(self, path: pathlib.Path, get: Get) -> None:
        voxels = self._voxels(get)
        with files.atomic_path(path) as temporary:
            with h5py.File(temporary, "w") as file:
                file.create_dataset(
                    self.dataset, data=voxels, chunks=True, compression="gzip"
                )

    def _voxels(self, get: Get) -> np.ndarray:
        failures = []
        for source in self.sources:
            try:
                voxels = source.voxels(get)
                _expect(_voxel_digest(voxels), self.sha256, source.home)
                return voxels
            except (OSError, ValueError) as error:
                failures.append(str(error))
        raise ValueError(f"{self.path}: " + " And then: ".join(failures))


def _expect(found: str, expected: str, where: object) -> None:
    if found != expected:
        raise ValueError(
            f"{where}: expected SHA-256 {expected}, found {found}. It is not "
            f"the file that it should be; delete it and fetch again."
        )


def _voxel_digest(voxels: np.ndarray) -> str:
    ordered = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("<"))
    return hashlib.sha256(ordered.data).hexdigest()


def _read_hdf5(file: str | io.BytesIO, dataset: str, where: str) -> np.ndarray:
    try:
        with h5py.File(file) as opened:
            return opened[dataset][...]
    except (OSError, KeyError) as error:
        raise ValueError(
            f"{where}: expected an HDF5 file with a dataset {dataset!r} "
            f"({error}). If it is yours, delete it and fetch again."
        ) from error


@dataclasses.dataclass(frozen=True)
class FromHdf5:
    """The voxels of a dataset in an HDF5 file."""

    home: str
    dataset: str

    def voxels(self, get: Get) -> np.ndarray:
        data = io.BytesIO(get(self.home))
        return _read_hdf5(data, self.dataset, self.home)


@dataclasses.dataclass(frozen=True)
class FromSections:
    """The voxels of grey images, one a section: `<home>/<name>`."""

    home: str
    names: Sequence[str]

    def voxels(self, get: Get) -> np.ndarray:
        with futures.ThreadPoolExecutor(max_workers=4) as pool:
            sections = pool.map(get, [f"{self.home}/{n}" for n in self.names])
            return np.stack(
                [np.asarray(Image.open(io.BytesIO(data))) for data in sections]
            )


@dataclasses.dataclass(frozen=True)
class FromSupervoxels:
    """Bodies, from `stack` (supervoxels) and `transforms` [n, 2], gzipped."""

    remote: Remote

    @property
    def home(self) -> str:
        return self.remote.url

    def voxels(self, get: Get) -> np.ndarray:
        data = io.BytesIO(gzip.decompress(self.remote.content(get)))
        supervoxels = _read_hdf5(data, "stack", self.home)
        table = _read_hdf5(data, "transforms", self.home)
        return bodies(supervoxels, table)


def bodies(supervoxels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Each supervoxel's body.

    Args:
      supervoxels: [z, y, x] integers.
      table: [n, 2] integers, supervoxel and its body.

    Returns:
      [z, y, x] uint64.

    Raises:
      ValueError: a supervoxel that the table lacks.
    """
    order = np.argsort(table[:, 0])
    known, body = table[order, 0], table[order, 1]
    place = np.searchsorted(known, supervoxels).clip(max=len(known) - 1)
    lost = known[place] != supervoxels
    if lost.any():
        raise ValueError(
            f"The table of bodies lacks supervoxel {supervoxels[lost][0]}."
        )
    return body[place].astype(np.uint64)


# -----------------------------------------------------------------------------
# The datasets
# -----------------------------------------------------------------------------

_FFN = (
    "https://raw.githubusercontent.com/google/ffn/"
    "6f61f6e4b1ba09208ecd01bc93fc43aa7437d3fa"
)
_NEUROPROOF = (
    "https://raw.githubusercontent.com/janelia-flyem/neuroproof_examples/"
    "ce839e17deaf4c01153827c6d028dfecfbb4b958"
)
_BUCKET = "https://storage.googleapis.com/ffn-flyem-fib25"
_CHECKPOINT = "model.ckpt-27465036"

_FIB25_COPIES = {
    "LICENSE.txt": Remote(
        f"{_NEUROPROOF}/LICENSE.txt",
        12833,
        "8bd14ac41d8cbb77106780a088bb41ab1f884328a68edbed17dde9b63e20d15e",
    ),
    "inference_training_sample2.pbtxt": Remote(
        f"{_FFN}/configs/inference_training_sample2.pbtxt",
        588,
        "23700347cb34359403174977312453cc595166f599ea5670378ab388e987235a",
    ),
    f"model/{_CHECKPOINT}.index": Remote(
        f"{_FFN}/models/fib25/{_CHECKPOINT}.index",
        2343,
        "6c7b66baa8dae766907f86ca068517fedcfdd85fb7e322d05cd2401ab7b252cc",
    ),
    f"model/{_CHECKPOINT}.data-00000-of-00001": Remote(
        f"{_FFN}/models/fib25/{_CHECKPOINT}.data-00000-of-00001",
        2553784,
        "a2910768255bbb1dc5be27a947e4107dd29ccd221646b676ec225981af5526f1",
    ),
    "sample-training2.npz": Remote(
        f"{_FFN}/results/fib25/sample-training2.npz",
        977000,
        "78136f6f2ddeb761e190cbe142196e68904a44845ea38cd38f6c72e6978b1950",
    ),
}
_FIB25_TRUTH = Stack(
    "fib25/groundtruth.h5",
    "stack",
    "858e6ed756ae5784fce9831e36de421b050517c66a0603682c707af68b52a07f",
    (
        FromSupervoxels(
            Remote(
                f"{_NEUROPROOF}/training_sample2/groundtruth.h5.gz",
                1240524,
                "0cf869f51c49653d6ae4219ece2bcc20"
                "bea6026d1544108eeb5a9cfdd2b9f17a",
            )
        ),
    ),
)
_FIB25_EM = Stack(
    "fib25/grayscale_maps.h5",
    "raw",
    "6660e2270cb80a92cb3317f53e2fe8c664508da3c70a7d56393f0de319fbeda0",
    (
        FromHdf5(f"{_BUCKET}/training_sample2/grayscale_maps.h5", "raw"),
        FromSections(
            f"{_NEUROPROOF}/training_sample2/grayscale_maps",
            tuple(f"iso.{number}.png" for number in range(2600, 2850)),
        ),
    ),
)

DATASETS: dict[str, tuple[Copy | Stack, ...]] = {
    "fib25": (
        *(Copy(f"fib25/{name}", r) for name, r in _FIB25_COPIES.items()),
        _FIB25_TRUTH,
        _FIB25_EM,
    )
}


# -----------------------------------------------------------------------------
# Fetching
# -----------------------------------------------------------------------------


def _get(url: str, mirror: str) -> bytes:
    """The bytes at `url`; asks again where the server is busy.

    Raises:
      OSError: they cannot be had; the message says what to do instead.
    """
    place = url
    if mirror:
        place = f"{mirror.rstrip('/')}/{url.removeprefix('https://')}"
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(place, timeout=_TIMEOUT_S) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if error.code not in _BUSY:
                break
        except urllib.error.URLError as error:
            reason = str(error.reason)
            break
        except (OSError, http.client.HTTPException) as error:
            reason = f"broke off ({error!r})"
        if attempt < _ATTEMPTS:
            time.sleep(2**attempt)
    raise OSError(
        f"{place}: {reason}. Is there a network? If not, copy the data from a "
        f"machine that has it and give its folder, or give --mirror."
    )


def run(options: Options, dataset: str) -> list[pathlib.Path]:
    """Fetches what is missing of a dataset; returns all its files.

    Raises:
      ValueError: an unknown dataset, or a file that is not what it should be.
      OSError: it cannot be reached or written.
    """
    if dataset not in DATASETS:
        raise ValueError(
            f"Expected a dataset of {', '.join(DATASETS)}, found {dataset!r}."
        )

    def get(url: str) -> bytes:
        return _get(url, options.mirror)

    paths = []
    for wanted in DATASETS[dataset]:
        path = pathlib.Path(options.data_dir) / wanted.path
        if path.exists():
            wanted.check(path)
            print(f"have     {path}", flush=True)
        else:
            wanted.write(path, get)
            print(f"fetched  {path}", flush=True)
        paths.append(path)
    return paths


def main(argv: list[str]) -> None:
    options = program.from_flags(Options)
    dataset = argv[1] if len(argv) > 1 else ""
    paths = run(options, dataset)
    program.finish(f"{len(paths)} files under {options.data_dir}", "make demo")


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main, max_arguments=1)
