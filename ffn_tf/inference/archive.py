"""`.npz` archives whose bytes depend on their arrays alone.

A zip archive normally holds the time of day. These do not: the same arrays in
the same order give the same bytes (with the same zlib), so that a run that was
killed and resumed can be compared with one that was not. They are written whole
or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import errno
import io
import os
from typing import Any
import zipfile
import zlib

import numpy as np

from ffn_tf.volume import files

_EPOCH = (1980, 1, 1, 0, 0, 0)  # The earliest time that zip can tell.

# What an archive that is damaged raises, in whichever layer notices.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # Encrypted, or a compression that zipfile does not know.
    ValueError,
)


def write(
    path: str | os.PathLike[str], members: Mapping[str, np.ndarray | bytes]
) -> None:
    """Writes an archive, whole or not at all.

    Args:
      path: where; its folder is made if missing.
      members: arrays, or .npy bytes that are ready, by key.
    """
    with (
        files.atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for key, member in members.items():
            info = zipfile.ZipInfo(f"{key}.npy", _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as file:
                if isinstance(member, bytes):
                    file.write(member)
                else:
                    np.lib.format.write_array(
                        file, np.asarray(member), allow_pickle=False
                    )


class Reader:
    """The members of one archive, by key; made by `read`."""

    def __init__(self, archive: zipfile.ZipFile, path: str) -> None:
        self._archive = archive
        self.path = path

    def __contains__(self, key: str) -> bool:
        return f"{key}.npy" in self._archive.namelist()

    def check(self) -> None:
        """Reads all of it, which its checksums must fit."""
        if damaged := self._archive.testzip():
            raise ValueError(f"{damaged} in it does not fit its checksum")

    def raw(self, key: str) -> bytes:
        """The .npy bytes of a member."""
        if key not in self:
            found = ", ".join(self._archive.namelist()) or "nothing"
            raise ValueError(f"no {key!r} in it; it holds {found}")
        return self._archive.read(f"{key}.npy")

    def array(self, key: str) -> np.ndarray:
        """A member that is not pickled."""
        return np.lib.format.read_array(
            io.BytesIO(self.raw(key)), allow_pickle=False
        )

    def shape(self, key: str) -> tuple[int, ...]:
        """Of a member's array, which is not read."""
        if key not in self:
            self.raw(key)  # Says so.
        with self._archive.open(f"{key}.npy") as file:
            # numpy has no public function for all versions of the header.
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            if read is None:
                raise ValueError(f"{key}: an array format {version}")
            shape, _, _ = read(file)
            return tuple(shape)

    def checksum(self, key: str) -> int:
        """CRC-32 of a member, as the archive has it."""
        return self._archive.getinfo(f"{key}.npy").CRC

    def text(self, key: str, default: str | None = None) -> str:
        """A member that is one string, or `default` if there is none."""
        if default is not None and key not in self:
            return default
        value: Any = self.array(key).item()
        return value.decode() if isinstance(value, bytes) else str(value)


@contextlib.contextmanager
def read(path: str | os.PathLike[str]) -> Iterator[Reader]:
    """Opens an archive; what is wrong with it becomes one clear error.

    Raises:
      FileNotFoundError: no such file.
      ValueError: damaged, or not what its reader expected; names the file.
    """
    name = os.fspath(path)
    try:
        with zipfile.ZipFile(name) as archive:
            yield Reader(archive, name)
    except (*_DAMAGE, OSError) as error:
        # Damage may ask for a place before the file, or look like bzip2.
        if isinstance(error, OSError) and error.errno not in (
            None,
            errno.EINVAL,
        ):
            raise
        raise ValueError(
            f"{name}: cannot be read as a result file: {error}. If a run of "
            f"ours made it, delete it and run again."
        ) from error
