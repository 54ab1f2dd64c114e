"""Checks of what a YAML file or an address says, value by value.

Each takes a value and where it was found, gives it back as the type that it
stands for, and raises a ValueError that says what was found and expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
import difflib
import math
from typing import Any

import numpy as np

from ffn_tf.volume.box import Triple, triple

# (value, where) -> value
Check = Callable[[Any, str], Any]

_DTYPES = "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64".split()
_DTYPES += ["float16", "float32", "float64"]


def mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(
            f"{where}: expected `name: value` lines, found {value!r}."
        )
    return {str(key): item for key, item in value.items()}


def one_of(value: Any, where: str, known: Iterable[str], what: str) -> str:
    """`value`, which is one of the known ones; an error names the nearest."""
    names = list(known)
    if not isinstance(value, str) or value not in names:
        near = difflib.get_close_matches(str(value), names, 1, 0.0)
        guess = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(
            f"{where}: unknown {what} {value!r}; {guess}Known: "
            f"{', '.join(names) or '(none)'}."
        )
    return value


def keyed(
    value: Any, where: str, required: Sequence[str], allowed: Sequence[str]
) -> dict[str, Any]:
    """A mapping that has the required keys, and no others than allowed."""
    found = mapping(value, where)
    for key in found:
        one_of(key, where, allowed, "key")
    for key in required:
        if key not in found:
            raise ValueError(f"{where}: key {key!r} is missing.")
    return found


def choice(known: Sequence[str]) -> Check:
    """The check that a value is one of the known ones."""
    return lambda value, where: one_of(value, where, known, "value")


def integer(value: Any, where: str) -> int:
    if type(value) is not int:
        raise ValueError(f"{where}: expected an integer, found {value!r}.")
    return value


def integers(value: Any, where: str) -> list[int]:
    if not isinstance(value, list) or not value:
        raise ValueError(
            f"{where}: expected a list of integers, at least one, found "
            f"{value!r}."
        )
    return [integer(item, where) for item in value]


def number(value: Any, where: str) -> int | float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{where}: expected a number, found {value!r}.")
    return value


def positive(value: str, where: str) -> float:
    """A text that is a number above 0."""
    try:
        found = float(value)
    except ValueError:
        found = 0.0
    if not 0 < found < math.inf:
        raise ValueError(
            f"{where}: expected a positive number, found {value!r}."
        )
    return found


def flag(value: Any, where: str) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{where}: expected true or false, found {value!r}.")
    return value


def text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: expected a name, found {value!r}.")
    return value


def texts(value: Any, where: str) -> list[str]:
    """One name, or a list of names."""
    items = value if isinstance(value, list) and value else [value]
    return [text(item, where) for item in items]


def dtype(value: Any, where: str) -> np.dtype:
    return np.dtype(one_of(value, where, _DTYPES, "dtype"))


def three_integers(value: Any, where: str) -> Triple:
    if not _three(value, int):
        raise ValueError(
            f"{where}: expected three integers [z, y, x], found {value!r}."
        )
    return triple(value)


def three_numbers(value: Any, where: str) -> tuple[float, float, float]:
    if not _three(value, int, float) or not all(map(math.isfinite, value)):
        raise ValueError(
            f"{where}: expected three numbers [z, y, x], found {value!r}."
        )
    z, y, x = value
    return z, y, x


def three_positive(value: Any, where: str) -> tuple[float, float, float]:
    found = three_numbers(value, where)
    if min(found) <= 0:
        raise ValueError(
            f"{where}: expected three positive numbers [z, y, x], found "
            f"{value!r}."
        )
    return found


def _three(value: Any, *kinds: type) -> bool:
    is_list = isinstance(value, list) and len(value) == 3
    return is_list and all(type(item) in kinds for item in value)
