"""Volumes that are image stacks: a folder of slices, or a multi-page TIFF.

    slices/                one PNG or TIFF file per section, in the order of
        em_9.png           their numbers (section_names.py); other files are
        em_10.png          not looked at
    em.tif                 one page per section

Read-only. Every section has the same size and dtype, one grey value (or id)
per pixel; the headers of all of them are checked when the stack is opened, and
the checksums of a PNG file when it is read. A TIFF in which 0 is white is
refused, because viewers show its negative; masks of one bit are as stored.
A section is decoded whole, so read slabs of whole sections where you can.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent import futures
import os
import pathlib
import struct
import threading
from typing import Any, Protocol
import zlib

import numpy as np
from PIL import Image
import tifffile

from ffn_tf.volume.address import Address
from ffn_tf.volume.box import Box
from ffn_tf.volume.formats import section_names
from ffn_tf.volume.source import VolumeInfo

# Sections of EM are larger than what Pillow takes for an attack.
Image.MAX_IMAGE_PIXELS = None

_DTYPES = {
    "1": np.bool_,
    "L": np.uint8,
    "I;16": np.uint16,
    "I;16B": np.uint16,
    "I": np.int32,
    "F": np.float32,
}


# What decoders raise for bytes that make no sense; a tail of zeros, as copies
# that were broken off have it, meets most of them.
_NONSENSE = (
    ValueError,
    OSError,
    RuntimeError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    SyntaxError,
    struct.error,
    zlib.error,
)


class Sections(Protocol):
    """Sections of one shape [y, x] and dtype."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """[z, y, x]."""

    @property
    def dtype(self) -> np.dtype: ...

    def section(self, z: int) -> np.ndarray:
        """Section z, [y, x]."""

    def close(self) -> None: ...


class StackSource:
    """A volume of decoded sections."""

    def __init__(self, sections: Sections) -> None:
        _, height, width = sections.shape
        self.info = VolumeInfo(
            domain=Box.from_shape(sections.shape),
            dtype=sections.dtype,
            chunk_zyx=(1, height, width),
        )
        self.attributes: dict[str, Any] = {}
        self._sections = sections

    def read(self, box: Box) -> np.ndarray:
        voxels = np.empty(box.size, self.info.dtype)
        if box.is_empty:
            return voxels
        planes, rows, columns = box.slices

        def decode(z: int) -> None:
            section = self._sections.section(z)
            voxels[z - box.start[0]] = section[rows, columns]

        with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(decode, range(planes.start, planes.stop)))
        return voxels

    def read_many(self, boxes: Sequence[Box]) -> list[np.ndarray]:
        return [self.read(box) for box in boxes]

    def write(self, box: Box, array: np.ndarray) -> None:
        raise AssertionError("image stacks are opened for reading only")

    def close(self) -> None:
        self._sections.close()


def open_stack(address: Address) -> StackSource:
    """Opens a folder of slices or a TIFF file.

    Raises:
      FileNotFoundError: it does not exist.
      ValueError: sections differ, or are not grey.
      OSError: a file is damaged.
    """
    path = pathlib.Path(address.path)
    if path.is_dir():
        return StackSource(Folder(address))
    if not path.exists():
        raise FileNotFoundError(f"{address.text}: no such file.")
    return StackSource(_Tiff(path))


class Folder:
    """One file per section.

    Attributes:
      shape: [z, y, x].
      dtype: of a pixel.
    """

    def __init__(self, address: Address) -> None:
        self._paths = section_names.in_order(pathlib.Path(address.path))
        first = self._paths[0]
        size, dtype = header(first)
        for path in self._paths[1:]:
            found = header(path)
            if found != (size, dtype):
                raise ValueError(
                    f"{path}: found {found[0]} pixels (y, x) of {found[1]}, "
                    f"expected {size} of {dtype} as in {first.name}; all "
                    f"sections of a stack are alike."
                )
        self.shape = (len(self._paths), size[0], size[1])
        self.dtype = dtype

    def section(self, z: int) -> np.ndarray:
        path = self._paths[z]
        if path.suffix.lower() != ".png":
            with open_tiff(path) as tiff:
                return page(path, tiff, 0)
        verify(path)
        try:
            with Image.open(path) as image:
                return np.asarray(image, self.dtype)
        except _NONSENSE as error:
            raise OSError(
                f"{path}: cannot be decoded ({error}); is it damaged?"
            ) from error

    def close(self) -> None:
        pass


def verify(path: pathlib.Path) -> None:
    """Compares the checksums of a PNG file, which decoding does not.

    Raises:
      OSError: it is damaged, or not whole.
    """
    try:
        with Image.open(path) as image:
            image.verify()
    except _NONSENSE as error:
        raise OSError(f"{path}: not a whole PNG file ({error}).") from error


def header(path: pathlib.Path) -> tuple[tuple[int, int], np.dtype]:
    """Size (y, x) and dtype of a slice, without decoding it."""
    if path.suffix.lower() != ".png":
        with open_tiff(path) as tiff:
            shape, dtype = _checked(path, tiff)
        if shape[0] != 1:
            raise ValueError(
                f"{path}: a TIFF of {shape[0]} pages in a folder of slices; "
                f"name the file itself to read it as a stack."
            )
        return (shape[1], shape[2]), dtype
    try:
        with Image.open(path) as image:
            mode, (width, height) = image.mode, image.size
    except OSError as error:
        raise OSError(f"{path}: not a readable PNG file ({error}).") from error
    if mode not in _DTYPES:
        raise _not_grey(path, f"mode {mode}")
    return (height, width), np.dtype(_DTYPES[mode])


def _not_grey(path: pathlib.Path, found: str) -> ValueError:
    return ValueError(
        f"{path}: a colour, palette or transparent image ({found}); expected "
        f"one grey value per pixel. Convert it first, for example with "
        f"ImageMagick: mogrify -alpha off -colorspace Gray FILE."
    )


class _Tiff:
    """One page per section."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._tiff = open_tiff(path)
        try:
            self.shape, self.dtype = _checked(path, self._tiff)
            self._mapped = self._mapped_pages()
        except BaseException:
            self._tiff.close()
            raise

    def _mapped_pages(self) -> np.ndarray | None:
        """Raw pages that lie back to back; ImageJ lists only the first."""
        offset = self._tiff.series[0].dataoffset
        if offset is None:
            return None
        dtype = self.dtype.newbyteorder(self._tiff.byteorder)
        try:
            return np.memmap(self._path, dtype, "r", offset, self.shape)
        except ValueError as error:
            raise OSError(
                f"{self._path}: ends before its last page ({error}); the "
                f"file is truncated."
            ) from error

    def section(self, z: int) -> np.ndarray:
        if self._mapped is not None:
            return self._mapped[z]
        with self._lock:
            return page(self._path, self._tiff, z)

    def close(self) -> None:
        self._tiff.close()


def open_tiff(path: pathlib.Path) -> tifffile.TiffFile:
    tiff = None
    try:
        tiff = tifffile.TiffFile(path)
        following = _next_page(tiff)
    except _NONSENSE as error:
        if tiff is not None:
            tiff.close()
        raise _damaged(path, error) from error
    if following:
        pages = len(tiff.pages)
        tiff.close()
        raise OSError(
            f"{path}: the list of pages breaks off after {pages}; the file "
            f"is truncated."
        )
    return tiff


def _damaged(path: pathlib.Path, found: object) -> OSError:
    return OSError(
        f"{path}: cannot be read as a TIFF file ({found}); is it damaged?"
    )


def page(path: pathlib.Path, tiff: tifffile.TiffFile, z: int) -> np.ndarray:
    try:
        return tiff.asarray(key=z)
    except _NONSENSE as error:
        remedy = "is it damaged?"
        if "imagecodecs" in str(error):
            remedy = "pip install imagecodecs, or save it uncompressed."
        raise OSError(
            f"{path}: cannot decode page {z} ({error}); {remedy}"
        ) from error


def _checked(
    path: pathlib.Path, tiff: tifffile.TiffFile
) -> tuple[tuple[int, int, int], np.dtype]:
    """Shape [z, y, x] and dtype of a TIFF of equal grey pages."""
    try:
        sizes = sorted({series.shape for series in tiff.series})
    except _NONSENSE as error:
        raise _damaged(path, error) from error
    if not sizes or not all(map(all, sizes)):
        raise _damaged(path, f"pages of shapes {sizes}")
    if len(sizes) > 1 or len(tiff.series) > 1:
        raise ValueError(
            f"{path}: expected pages of one size, found {len(tiff.series)} "
            f"groups of shapes {sizes}."
        )
    series = tiff.series[0]
    if "S" in series.axes or series.keyframe.samplesperpixel != 1:
        raise _not_grey(path, f"axes {series.axes}, shape {series.shape}")
    if series.keyframe.photometric == tifffile.PHOTOMETRIC.PALETTE:
        raise _not_grey(path, "palette")
    # Of one bit it is how tifffile writes masks.
    is_negative = series.keyframe.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    if is_negative and series.dtype != bool:
        raise ValueError(
            f"{path}: a TIFF in which 0 is white (MINISWHITE), so viewers show "
            f"the negative of its numbers. Write what they show to a new file: "
            f'tifffile.imwrite("NEW.tif", ~tifffile.imread("{path.name}"), '
            f'photometric="minisblack"); labels without the ~.'
        )
    shape = (1,) * (3 - series.ndim) + series.shape
    if len(shape) != 3:
        raise ValueError(
            f"{path}: expected pages along one axis, found axes "
            f"{series.axes}, shape {series.shape}."
        )
    if series.dtype is None:
        raise _damaged(path, "pixels of no known type")
    # Where an ImageJ stack breaks off, tifffile falls back to its first page.
    stated = (tiff.imagej_metadata or {}).get("images", shape[0])
    if stated != shape[0]:
        raise OSError(
            f"{path}: an ImageJ stack of {stated} sections, of which "
            f"{shape[0]} can be read; the file is truncated."
        )
    return shape, series.dtype.newbyteorder("=")


def _next_page(tiff: tifffile.TiffFile) -> int:
    """Where the last known page says that the next one is; 0 for nowhere.

    tifffile only logs that a file breaks off in the middle of its pages.
    """
    layout, file = tiff.tiff, tiff.filehandle
    offset = tiff.pages[len(tiff.pages) - 1].offset
    file.seek(offset)
    (tags,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
    file.seek(offset + layout.tagnosize + max(tags - 1, 0) * layout.tagsize)
    if not any(file.read(layout.tagsize)) or not tags:
        return offset  # Zeros, where a page should be described.
    (following,) = struct.unpack(
        layout.offsetformat, file.read(layout.offsetsize)
    )
    return following
