"""The two pickled dictionaries of google/ffn's subvolume files, tamed.

google/ffn keeps `origins` and `overlaps` as 0-d object arrays, that is, as
pickles, and a pickle is a program. Neither side of this module runs one that
it does not know:

  written  opcode by opcode, so that no class has to be importable under
           google/ffn's name, and equal dictionaries give equal bytes;
  read     by an unpickler that refuses, before anything is called, every name
           but google/ffn's OriginInfo and the four that numpy arrays are
           pickled with; and those stand for small classes of our own. (numpy's
           own take an object dtype whose flags say "plain bytes" at its word:
           bytes of the file become pointers.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import io
import pickle
import re
import struct
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

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


class _DType:
    """Stands in for numpy.dtype."""

    def __init__(self, kind: str, *unused: Any) -> None:
        self.kind = kind
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def numbers(self, data: bytes | str, shape: Any, order: Any) -> np.ndarray:
        if not re.fullmatch(r"[iuf][1248]", self.kind):
            raise pickle.UnpicklingError(f"an array of {self.kind!r} in it")
        if isinstance(data, str):
            data = data.encode("latin1")
        byte_order = ">" if self.order == ">" else "<"
        flat = np.frombuffer(data, byte_order + self.kind)
        return flat.reshape(shape, order=order)


class _Array:
    """Stands in for what numpy's _reconstruct makes: an array to be filled."""

    def __init__(self, *unused: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def value(self) -> Any:
        _, shape, dtype, is_fortran, data = self.state
        if shape == () and dtype.kind.startswith("O"):
            (item,) = data
            return item
        return dtype.numbers(data, shape, "F" if is_fortran else "C")


class _Scalar:
    """Stands in for numpy.core.multiarray.scalar."""

    def __init__(self, dtype: _DType, data: bytes | str) -> None:
        self._dtype, self._data = dtype, data

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a number with a state in it")

    def value(self) -> Any:
        return self._dtype.numbers(self._data, (), "C").item()


class _Origin:
    """Stands in for google/ffn's OriginInfo, a namedtuple."""

    def __new__(cls, *fields: Any) -> _Origin:
        made = super().__new__(cls)
        made.fields = fields
        return made

    fields: tuple[Any, ...]

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("an OriginInfo with a state in it")


_KNOWN: dict[tuple[str, str], Any] = {
    ("ffn.inference.storage", "OriginInfo"): _Origin,
    (
        "google3.research.neuromancer.segmentation.ffn.storage",
        "OriginInfo",
    ): _Origin,
    ("numpy", "ndarray"): "ndarray",  # Only ever an argument.
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _Scalar,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "scalar"): _Scalar,
}


class _Unpickler(pickle.Unpickler):
    """Knows the names above, and refuses all others."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no subvolume needs; the "
                f"file is not from google/ffn or this package, and may be "
                f"hostile"
            ) from None


def _value(found: Any) -> Any:
    """What a stand-in holds; anything else unchanged."""
    return found.value() if isinstance(found, (_Array, _Scalar)) else found


def _read_dictionary(
    data: bytes, what: str, convert: Callable[[Any], T]
) -> dict[int, T]:
    file = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("expected version 1.0 of .npy")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if shape != () or dtype != np.dtype(object):
            raise ValueError(
                f"expected one pickled dictionary, found {dtype} {shape}"
            )
        # Files of Python 2 hold array bytes as str; latin1 keeps them.
        found = _value(_Unpickler(file, encoding="latin1").load())
        if not isinstance(found, dict):
            raise ValueError(f"expected a dictionary, found {type(found)}")
        return {int(_value(key)): convert(v) for key, v in found.items()}
    except _FAILURES as error:
        raise ValueError(
            f"{what} cannot be read: {error or type(error).__name__}."
        ) from error


def _to_origin(found: Any) -> OriginInfo:
    start, iters, seconds = found.fields
    z, y, x = (int(_value(v)) for v in _value(start))
    return OriginInfo((z, y, x), int(_value(iters)), float(_value(seconds)))


def _to_counts(found: Any) -> np.ndarray:
    table = np.asarray(_value(found))
    if table.dtype.kind not in "iuf" or table.ndim != 2 or len(table) != 2:
        raise ValueError(
            f"expected [2, n] ids and voxel counts, found {table.dtype} of "
            f"shape {table.shape}"
        )
    return table.astype(np.int64)


def read_origins(data: bytes, what: str) -> dict[int, OriginInfo]:
    """The dictionary in the bytes of an `origins.npy`.

    Args:
      data: the bytes.
      what: what to call them in an error.

    Raises:
      ValueError: not such a dictionary, or a pickle with other contents.
    """
    return _read_dictionary(data, what, _to_origin)


def read_overlaps(data: bytes, what: str) -> dict[int, np.ndarray]:
    """The dictionary in the bytes of an `overlaps.npy`: [2, n] int64 each.

    Raises:
      ValueError: as `read_origins`.
    """
    return _read_dictionary(data, what, _to_counts)
