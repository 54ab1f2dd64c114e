"""The two pickled dictionaries of google/ffn's subvolume files, tamed.

google/ffn keeps `origins` and `overlaps` as 0-d object arrays, that is, as
pickles, and a pickle is a program. Neither side of this module runs one that
it does not know:

  written  opcode by opcode, so that no class has to be importable under
           google/ffn's name, and equal dictionaries give equal bytes;
  read     by an unpickler that knows google/ffn's OriginInfo and the four names
           that numpy arrays are pickled with, and refuses every other name
           before anything is called.

`OriginInfo` of a file becomes a class made for that one reading, so that a
file cannot leave anything behind in ours.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import io
import pickle
import struct
from typing import Any
import zlib

import numpy as np
from numpy._core import multiarray

# What a corrupt or hostile pickle can raise on its way.
_FAILURES = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    SystemError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclasses.dataclass(frozen=True)
class OriginInfo:
    """How an object came to be.

    Attributes:
      start_zyx: its seed, counted from the corner of the subvolume.
      iters: network calls that it took.
      walltime_sec: seconds that it took; 0 in files of ours, which must not
        depend on the clock.
    """

    start_zyx: tuple[int, int, int]
    iters: int
    walltime_sec: float = 0.0


# -----------------------------------------------------------------------------
# Writing: each function returns the opcodes that leave one value on the stack.
# -----------------------------------------------------------------------------


def _integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return pickle.BININT + struct.pack("<i", value)
    size = value.bit_length() // 8 + 1
    digits = value.to_bytes(size, "little", signed=True)
    return pickle.LONG1 + bytes([size]) + digits


def _real(value: float) -> bytes:
    return pickle.BINFLOAT + struct.pack(">d", value)


def _text(value: str) -> bytes:
    data = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data


def _bytes(value: bytes) -> bytes:
    return pickle.BINBYTES + struct.pack("<I", len(value)) + value


def _tuple(*items: bytes) -> bytes:
    return pickle.MARK + b"".join(items) + pickle.TUPLE


def _dictionary(items: Mapping[int, bytes]) -> bytes:
    pairs = b"".join(_integer(key) + items[key] for key in sorted(items))
    return pickle.EMPTY_DICT + pickle.MARK + pairs + pickle.SETITEMS


def _name(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _dtype(kind: str, order: str, flags: int) -> bytes:
    arguments = _tuple(_text(kind), pickle.NEWFALSE, pickle.NEWTRUE)
    made = _name("numpy", "dtype") + arguments + pickle.REDUCE
    state = _tuple(
        _integer(3),
        _text(order),
        *[pickle.NONE] * 3,
        *[_integer(-1)] * 2,
        _integer(flags),
    )
    return made + state + pickle.BUILD


def _array(shape: tuple[int, ...], dtype: bytes, data: bytes) -> bytes:
    # numpy 1 and 2 both still answer to this module's name.
    empty = (
        _name("numpy.core.multiarray", "_reconstruct")
        + _tuple(_name("numpy", "ndarray"), _tuple(_integer(0)), _bytes(b"b"))
        + pickle.REDUCE
    )
    state = _tuple(
        _integer(1),
        _tuple(*[_integer(n) for n in shape]),
        dtype,
        pickle.NEWFALSE,
        data,
    )
    return empty + state + pickle.BUILD


def _origin(origin: OriginInfo) -> bytes:
    return (
        _name("ffn.inference.storage", "OriginInfo")
        + _tuple(
            _tuple(*[_integer(int(value)) for value in origin.start_zyx]),
            _integer(int(origin.iters)),
            _real(origin.walltime_sec),
        )
        + pickle.NEWOBJ
    )


def _counts(table: np.ndarray) -> bytes:
    if table.ndim != 2 or len(table) != 2:
        raise ValueError(
            f"overlaps: expected [2, n], ids and voxel counts, found shape "
            f"{table.shape}."
        )
    data = np.ascontiguousarray(table, "<i8").tobytes()
    return _array(table.shape, _dtype("i8", "<", 0), _bytes(data))


def _object_member(dictionary: bytes) -> bytes:
    """The .npy bytes of a 0-d object array that holds one dictionary."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    data = pickle.EMPTY_LIST + dictionary + pickle.APPEND
    array = _array((), _dtype("O8", "|", 63), data)
    file.write(pickle.PROTO + b"\x03" + array + pickle.STOP)
    return file.getvalue()


def origins_member(origins: Mapping[int, OriginInfo]) -> bytes:
    """`origins.npy` as google/ffn's readers expect it."""
    return _object_member(
        _dictionary({int(key): _origin(v) for key, v in origins.items()})
    )


def overlaps_member(overlaps: Mapping[int, np.ndarray]) -> bytes:
    """`overlaps.npy`: id -> [2, n] int64, the ids it overlapped and voxels."""
    return _object_member(
        _dictionary(
            {int(key): _counts(np.asarray(v)) for key, v in overlaps.items()}
        )
    )


# -----------------------------------------------------------------------------
# Reading
# -----------------------------------------------------------------------------


class _Unpickler(pickle.Unpickler):
    """Resolves OriginInfo and numpy's array names; refuses all others."""

    def __init__(self, file: io.BytesIO) -> None:
        # Files of Python 2 hold array bytes as str; latin1 keeps them.
        super().__init__(file, encoding="latin1")

        class Origin(tuple):
            """What google/ffn's namedtuple is pickled as."""

            def __new__(cls, start: Any, iters: Any, seconds: Any) -> Origin:
                return super().__new__(cls, (start, iters, seconds))

        google3 = "google3.research.neuromancer.segmentation.ffn.storage"
        self._known: dict[tuple[str, str], Any] = {
            ("ffn.inference.storage", "OriginInfo"): Origin,
            (google3, "OriginInfo"): Origin,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
        }
        for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            for name in ("_reconstruct", "scalar"):
                self._known[module, name] = getattr(multiarray, name)

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._known[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no subvolume needs; the "
                f"file is not from google/ffn or this package, and may be "
                f"hostile"
            ) from None


def _read_dictionary(data: bytes, what: str) -> dict[int, Any]:
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version} of .npy, expected 1.0")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if shape != () or dtype != np.dtype(object):
            raise ValueError(
                f"expected one pickled dictionary, found {dtype} {shape}"
            )
        found = _Unpickler(file).load()
        if isinstance(found, np.ndarray):
            found = found.item()
        if not isinstance(found, dict):
            raise ValueError(f"expected a dictionary, found {type(found)}")
        return {int(key): value for key, value in found.items()}
    except _FAILURES as error:
        raise ValueError(
            f"{what} cannot be read: {error or type(error).__name__}."
        ) from error


def read_origins(data: bytes, what: str) -> dict[int, OriginInfo]:
    """The dictionary in the bytes of an `origins.npy`.

    Args:
      data: the bytes.
      what: the file's name, for errors.

    Raises:
      ValueError: not such a dictionary, or a pickle with other contents.
    """
    origins = {}
    for key, value in _read_dictionary(data, what).items():
        try:
            start, iters, seconds = value
            z, y, x = (int(v) for v in start)
            origins[key] = OriginInfo((z, y, x), int(iters), float(seconds))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{what}: expected an OriginInfo for id {key}, found {value!r}."
            ) from error
    return origins


def read_overlaps(data: bytes, what: str) -> dict[int, np.ndarray]:
    """The dictionary in the bytes of an `overlaps.npy`: [2, n] int64 each.

    Raises:
      ValueError: as `read_origins`.
    """
    overlaps = {}
    for key, value in _read_dictionary(data, what).items():
        table = value
        is_numeric = isinstance(table, np.ndarray) and table.dtype.kind in "iuf"
        if not is_numeric or table.ndim != 2 or len(table) != 2:
            raise ValueError(
                f"{what}: expected [2, n] ids and voxel counts for id {key}, "
                f"found {value!r}."
            )
        overlaps[key] = table.astype(np.int64)
    return overlaps
