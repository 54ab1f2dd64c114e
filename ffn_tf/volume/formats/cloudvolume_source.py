"""Precomputed volumes read by CloudVolume, where TensorStore cannot.

It knows what TensorStore does not: jxl, crackle, compresso, fpzip, chunks
that are gzipped or brotlied files on a local disk, `info` that is not quite
as it should be. Boxes are read by threads (workers.py), a few at a time.

Asked as a library that only reads: no cache on disk, no progress, no
redirections (TensorStore follows none either), no look for credentials of
Google's (buckets are public, unless you have put a secret where CloudVolume
looks for it or set GOOGLE_APPLICATION_CREDENTIALS). Buckets of s3:// are read
by HTTP, so they are public, too.

What it does by itself, and we do not let it:

    one voxel of several channels comes out wrong: its whole chunk is read
    colours of jpeg and png, and 16 bits of png, come out wrong: refused
    a truncated chunk of compressed_segmentation ends the process: checked
    web servers are waited for without end: 30 s
    damaged chunks are printed: they are errors, which name the chunk

With ?missing=zero a chunk that is an empty file, or forbidden on a web
server, counts as missing: CloudVolume makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
import functools
import gzip
import json
import os
from typing import Any
import zlib

import numpy as np

from ffn_tf.volume import failures
from ffn_tf.volume.address import Address, reversed_axes
from ffn_tf.volume.box import Box
from ffn_tf.volume.failures import (
    CorruptError,
    MissingError,
    ReadError,
)
from ffn_tf.volume.formats import decoding, precomputed, workers
from ffn_tf.volume.place import Place

_SILENCE_SECONDS = 30
_AMAZON = "https://s3.amazonaws.com"
_DAMAGE = {  # Errors of its libraries.
    "CRC32CIntegrityError",
    "DecodingError",
    "DecompressionError",
    "DeflateError",
    "EmptyFileException",
    "MD5IntegrityError",
    "SpecViolation",
}


class CloudVolumeSource:
    """One scale and channel of a precomputed volume, read by CloudVolume."""

    def __init__(
        self,
        opened: Any,
        scale: precomputed.Scale,
        attributes: dict[str, Any],
        address: Address,
    ) -> None:
        self.info = scale.info
        self.scales_nm = scale.scales_nm
        self.attributes = attributes
        self._opened = opened
        self._scale = scale
        self._address = address

    def read(self, box: Box) -> np.ndarray:
        return self.read_many([box])[0]

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        where, seconds = self._address.text, self._address.deadline_s
        return workers.read_many(where, self._read, boxes, seconds)

    def _read(self, box: Box) -> np.ndarray:
        if box.is_empty:
            return np.zeros(box.size, self.info.dtype)
        try:
            return self._downloaded(box)
        except Exception as error:  # Of any of its libraries.
            raise self._told(box, error) from error

    def _downloaded(self, box: Box) -> np.ndarray:
        """[z, y, x]"""
        from cloudvolume import Bbox

        asked = self._widened(box) if box.num_voxels == 1 else box
        voxels = self._opened.download(
            Bbox(reversed_axes(asked.start), reversed_axes(asked.end)),
            mip=self._scale.mip,
        )
        found = np.asarray(voxels)[..., self._address.channel].T
        if asked is not box:
            found = found[box.relative_to(asked.start).slices]
        # A view would keep what is beside it.
        return found if found.nbytes == voxels.nbytes else found.copy()

    def _widened(self, box: Box) -> Box:
        """The chunk of a voxel; if that is all of it, what is around it."""
        (chunk,) = self._scale.chunks(box)
        if chunk.num_voxels > 1:
            return chunk
        return box.padded(1).clipped(self.info.domain)

    def _told(self, box: Box, error: Exception) -> ReadError:
        """Why a box cannot be read: which chunk of it, if that can be told."""
        where, chunks = self._address.text, self._scale.chunks(box)
        if len(chunks) > 1:
            for chunk in chunks:
                try:
                    self._read(chunk)
                except ReadError as found:
                    return type(found)(where, box, found.reason)
            return ReadError(where, box, f"{error!r}.")
        name = f"chunk {self._scale.name_of(chunks[0])}"
        kind, reason = ReadError, f"{name} cannot be read: {error!r}."
        if type(error).__name__ == "EmptyVolumeException":
            kind = MissingError
            reason = f"{name} is missing. {failures.IF_BACKGROUND}"
        elif _is_damage(error):
            kind = CorruptError
        return kind(where, box, reason)

    def write(self, box: Box, array: np.ndarray) -> None:
        raise ValueError(f"{self._address.text}: CloudVolume only reads here.")

    def close(self) -> None:
        pass


def _is_damage(error: Exception) -> bool:
    """Whether a file ends too early, or a codec or a checksum complains.

    Libraries of the network complain otherwise.
    """
    answer = getattr(error, "response", None)
    return (
        isinstance(error, (ValueError, EOFError, zlib.error, gzip.BadGzipFile))
        or type(error).__name__ in _DAMAGE
        or getattr(answer, "status_code", None) == 416  # No such range.
    )


def open_cloudvolume(address: Address) -> CloudVolumeSource:
    """Opens a precomputed volume for reading.

    Raises:
      FileNotFoundError: it is not there.
      ValueError: another format, or no such scale or channel.
      OSError: CloudVolume or a codec is missing; `info` is damaged; the
        server fails.
    """
    if address.format != "precomputed":
        raise ValueError(
            f"{address.text}: CloudVolume reads precomputed volumes only."
        )
    module = _cloudvolume()
    if address.place.scheme == "gs":
        _without_credentials(address.path.split("/")[2])
    try:
        opened = module.CloudVolume(
            _cloud_path(address.place),
            bounded=True,
            cache=False,
            fill_missing=address.missing_is_zero,
            max_redirects=0,
            parallel=1,
            progress=False,
        )
    except module.exceptions.InfoUnavailableError as error:
        raise FileNotFoundError(
            f"{address.text}: no precomputed volume: there is no "
            f"{address.place.name('info')} that everybody may read."
        ) from error
    except Exception as error:  # Of any of its libraries.
        raise OSError(
            f"{address.text}: CloudVolume cannot open it: {error!r}."
        ) from error
    scale = precomputed.scale_of(address, opened.info)
    _refuse_unreadable(scale)
    provenance = json.loads(opened.provenance.serialize())
    attributes = precomputed.attributes_of(provenance)
    return CloudVolumeSource(opened, scale, attributes, address)


@functools.cache
def _cloudvolume() -> Any:
    """The package: it takes a second to import, so only when needed."""
    codecs = decoding.load("CloudVolume")
    from cloudfiles import compression, interfaces
    import cloudvolume
    from cloudvolume.datasource.precomputed.image import rx
    from requests import adapters

    class Patient(adapters.HTTPAdapter):
        def send(self, *args: Any, **settings: Any) -> Any:
            settings["timeout"] = settings.get("timeout") or _SILENCE_SECONDS
            return super().send(*args, **settings)

    interfaces.HttpInterface.adaptor = Patient(pool_maxsize=128)
    rx.print = compression.print = lambda *_, **__: None
    unchecked = codecs.decode_compressed_segmentation

    def checked(data: bytes, shape: Any, dtype: Any, block_size: Any) -> Any:
        decoding.check_segmentation(data, shape, dtype, block_size)
        return unchecked(data, shape, dtype, block_size)

    codecs.decode_compressed_segmentation = checked
    return cloudvolume


def _refuse_unreadable(scale: precomputed.Scale) -> None:
    encoding, channels = scale.encoding, scale.channels
    decoding.refuse_unreadable(scale)
    if channels > 1 and encoding not in decoding.PLANAR:
        raise OSError(
            f"encoding {encoding} with {channels} channels: CloudVolume "
            f"mixes the channels up."
        )
    if encoding != "png":
        return
    if scale.info.dtype.itemsize > 1:
        raise OSError("encoding png: CloudVolume reads 8 bits only.")
    decoding.refuse_uninstalled(encoding)


def _without_credentials(bucket: str) -> None:
    """Spares the look for credentials that a public bucket does not need.

    It prints, asks the network, and fails where there are none.
    """
    from cloudfiles import secrets
    from google.auth import credentials

    names = ("google-secret.json", f"{bucket}-google-secret.json")
    if "GOOGLE_APPLICATION_CREDENTIALS" not in os.environ and not any(
        os.path.exists(secrets.secretpath(name)) for name in names
    ):
        nobody = (None, credentials.AnonymousCredentials())
        secrets.GOOGLE_CREDENTIALS_CACHE.setdefault(bucket, nobody)


def _cloud_path(place: Place) -> str:
    """A folder, as CloudVolume names it."""
    if not place.is_remote:
        return f"precomputed://file://{os.path.abspath(place.url)}"
    if place.scheme == "s3":
        server = place.endpoint.rstrip("/") or _AMAZON
        return f"precomputed://{server}/{place.url.removeprefix('s3://')}"
    return f"precomputed://{place.url}"
