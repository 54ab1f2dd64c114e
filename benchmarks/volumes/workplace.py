"""A temporary folder with real EM in it, and a server of that folder.

The EM is FIB-25's 250^3 voxels, mirrored at its faces until there are enough:
so many chunks that random cutouts seldom meet in one. `anew` gives the same
volume another name, under which nobody has anything of it in a cache (the
pages of its files are in the system's memory all the time).
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import itertools
import os
import pathlib
import tempfile

import fib25
import h5py
import numpy as np
from servers import handle, http_server

from ffn_tf import volume
from ffn_tf.volume import address
from ffn_tf.volume.formats import codec, layout

CHUNK = 64
_numbers = itertools.count()


@dataclasses.dataclass(frozen=True)
class Workplace:
    """Where everything happens.

    Attributes:
      server: of the files in its folder.
      quick: less of everything.
    """

    server: http_server.HttpServer
    quick: bool

    @property
    def folder(self) -> pathlib.Path:
        return self.server.folder

    def pick(self, full: int, quick: int) -> int:
        """The one or the other, as `quick` says."""
        return quick if self.quick else full

    @property
    def edge(self) -> int:
        """Of the volume `em`, in voxels."""
        return self.pick(768, 384)

    @functools.cached_property
    def voxels(self) -> np.ndarray:
        """Of the volume `em`: [z, y, x] uint8."""
        with volume.open(fib25.IMAGE) as source:
            real = source.read()
        beyond = [(0, max(0, self.edge - n)) for n in real.shape]
        mirrored = np.pad(real, beyond, mode="symmetric")
        return mirrored[: self.edge, : self.edge, : self.edge]

    @functools.cached_property
    def em(self) -> str:
        """Name of a precomputed volume of raw chunks."""
        text = f"precomputed://{self.folder / 'em'}"
        with volume.create(text, self._info) as target:
            target.write(target.domain, self.voxels)
        return "em"

    @functools.cached_property
    def gzipped(self) -> str:
        """Name of the same in zarr, gzip of level 1."""
        folder = self.folder / "em.zarr"
        where = address.parse(f"zarr://{folder}", creating=True)
        wanted = codec.Codec(encoding="gzip")
        layout.create_chunked(where, self._info, {}, wanted)
        with volume.open(f"zarr://{folder}", mode="r+") as target:
            target.write(target.domain, self.voxels)
        return folder.name

    @functools.cached_property
    def h5(self) -> pathlib.Path:
        """An HDF5 file whose dataset `em` is the same, gzip of level 1."""
        path = self.folder / "em.h5"
        with h5py.File(path, "x") as file:
            file.create_dataset(
                "em",
                data=self.voxels,
                chunks=(CHUNK,) * 3,
                compression="gzip",
                compression_opts=1,
            )
        return path

    @property
    def _info(self) -> volume.VolumeInfo:
        domain = volume.Box.from_shape((self.edge,) * 3)
        return volume.VolumeInfo(
            domain, np.dtype(np.uint8), (10, 10, 10), (CHUNK,) * 3
        )

    def unused(self, name: str) -> str:
        """A name that nothing in the folder has."""
        return f"{next(_numbers)}-{name}"

    def anew(self, name: str) -> str:
        """Another name of a volume, which nobody knows yet."""
        new = self.unused(name)
        os.symlink(self.folder / name, self.folder / new)
        return new

    def url(self, name: str) -> str:
        return f"{self.server.url}/{name}"

    def boxes(
        self, edge: int, count: int, within: int | None = None
    ) -> list[volume.Box]:
        """Random boxes of edge^3 voxels, the same ones each time."""
        generator = np.random.default_rng([edge, count])
        last = (within or self.edge) - edge
        starts = generator.integers(0, last, (count, 3), endpoint=True)
        return [volume.Box.from_size(s.tolist(), edge) for s in starts]


@contextlib.contextmanager
def opened(quick: bool) -> Iterator[Workplace]:
    """The folder and its server, until the block ends."""
    fib25.require()
    os.environ.update(handle.OFFLINE)
    with tempfile.TemporaryDirectory(prefix="bench-volumes-") as folder:
        os.environ["FFN_CACHE_DIR"] = f"{folder}/cache"
        with http_server.start(folder) as server:
            yield Workplace(server, quick)


def size_of(folder: str | os.PathLike[str]) -> int:
    """Bytes of all files below a folder."""
    paths = pathlib.Path(folder).rglob("*")
    return sum(path.stat().st_size for path in paths if path.is_file())
