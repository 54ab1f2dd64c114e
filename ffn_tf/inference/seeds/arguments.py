"""What users may write in `seed_policy_args`: JSON values, all checked.

google/ffn drops the arguments that it does not know, and fails on values of
other types where they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import inspect
import math
from typing import Any

# What policies are given; users do not write it.
GIVEN = ("image", "excluded", "segmentation")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_integer(value) and value >= 0


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, float) or _is_integer(value)
    return is_real and math.isfinite(value)


def _are(values: Any, is_right: Callable[[Any], bool]) -> bool:
    """True for a list of right values, at least one."""
    return (
        isinstance(values, (list, tuple))
        and len(values) > 0
        and all(map(is_right, values))
    )


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_part(value: Any) -> bool:
    """True for ["PolicyGrid3d", {"step": 8}]."""
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], Mapping)
    )


_Check = tuple[str, Callable[[Any], bool]]
_INTEGER: _Check = ("an integer", _is_integer)
_COUNT: _Check = ("an integer, not negative", _is_count)
_NUMBER: _Check = ("a finite number", _is_number)

# All arguments of all policies: what is expected, and whether it is that.
_CHECKS: dict[str, _Check] = {
    "corner": ("3 integers, zyx", lambda v: _are(v, _is_count) and len(v) == 3),
    "disk_radius": _COUNT,
    "invert": ("true or false", lambda v: isinstance(v, bool)),
    "min_distance": _COUNT,
    "min_distance_2d": _INTEGER,
    "min_distance_3d": _INTEGER,
    "num_erosions": _COUNT,
    "offsets": ("integers, not negative", lambda v: _are(v, _is_count)),
    "policies": (
        "one or more [name, arguments]",
        lambda v: _are(v, _is_part),
    ),
    "policy_to_reverse": ("a policy's name", lambda v: isinstance(v, str)),
    "segmentation_dir": ("a folder", lambda v: isinstance(v, str) and v != ""),
    "sort_cmp": (
        "'ascending' or 'descending'",
        lambda v: isinstance(v, str) and v.strip().lower()[:2] in ("as", "de"),
    ),
    "step": ("an integer > 0", lambda v: _is_count(v) and v > 0),
    "threshold": _NUMBER,
    "threshold_abs": _NUMBER,
    "threshold_rel": _NUMBER,
    "voxel_size_zyx": (
        "3 positive numbers",
        lambda v: _are(v, _is_positive) and len(v) == 3,
    ),
}


def of(policy: Callable[..., Any]) -> dict[str, bool]:
    """What users may tell the policy, and whether they must."""
    return {
        name: parameter.default is inspect.Parameter.empty
        for name, parameter in inspect.signature(policy).parameters.items()
        if name not in GIVEN
    }


def check(
    name: str, known: Mapping[str, bool], arguments: Mapping[str, Any]
) -> None:
    """Refuses arguments that the policy called `name` does not take.

    Args:
      name: for the message.
      known: as `of` gives it.
      arguments: what the user wrote.

    Raises:
      ValueError: an unknown name, one that is missing, or a wrong value.
    """
    unknown = sorted(arguments.keys() - known.keys())
    if unknown:
        raise ValueError(
            f"seed_policy_args: {name} takes {sorted(known)}, found {unknown}."
        )
    missing = sorted({key for key in known if known[key]} - arguments.keys())
    if missing:
        raise ValueError(
            f"seed_policy_args: {name} needs {missing}, found "
            f"{sorted(arguments)}."
        )
    for key, value in arguments.items():
        expected, is_right = _CHECKS[key]
        if not is_right(value):
            raise ValueError(
                f"seed_policy_args: {name}: {key}: expected {expected}, found "
                f"{value!r}."
            )
