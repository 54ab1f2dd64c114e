"""Flags made from a frozen dataclass, so that a default is written once.

    @dataclasses.dataclass(frozen=True)
    class Options:
        image: str = program.option(help="address of the EM volume")
        radius_zyx: tuple[int, int, int] = program.option((8, 8, 8), help="...")

    program.define_flags(Options)            # at import, in the program only
    options = program.from_flags(Options)    # in main

A field without a default is a required flag. The type of a field decides the
flag: str, int, float, bool, `X | None`, `tuple[int, int, int]` (three
comma-separated integers), `tuple[str, ...]` (a comma-separated list), str with
`choices=` (an enum), and `Mapping[str, Any]` (a JSON object; by default empty).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import json
import math
import shlex
import types
import typing
from typing import Any, TypeVar

from absl import flags

T = TypeVar("T")

# --help shows the flags of the program; this module defines them for it.
flags.disclaim_key_flags()


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field that becomes the flag of the same name."""
    metadata = {"help": help, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


def mapping(*, help: str) -> Any:
    """A field of type Mapping that becomes a flag; by default it is empty."""
    metadata = {"help": help, "choices": ()}
    return dataclasses.field(default_factory=dict, metadata=metadata)


def _is_mapping(annotation: Any) -> bool:
    return typing.get_origin(annotation) is Mapping


def _plain_type(annotation: Any) -> Any:
    """`X` of `X | None`; anything else unchanged."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [a for a in typing.get_args(annotation) if a is not type(None)]
        return rest[0]
    return annotation


def _define(field: dataclasses.Field[Any], annotation: Any) -> None:
    name, meta = field.name, field.metadata
    missing = field.default is dataclasses.MISSING
    default: Any = None if missing else field.default
    plain = _plain_type(annotation)
    if _is_mapping(plain):
        flags.DEFINE_string(name, "{}", meta["help"])
        _validate_mapping(name)
        return
    if meta["choices"]:
        flags.DEFINE_enum(name, default, list(meta["choices"]), meta["help"])
    elif plain is bool:
        flags.DEFINE_bool(name, default, meta["help"])
    elif plain is int:
        flags.DEFINE_integer(name, default, meta["help"])
    elif plain is float:
        flags.DEFINE_float(name, default, meta["help"])
    elif plain is str:
        flags.DEFINE_string(name, default, meta["help"])
    elif typing.get_origin(plain) is tuple:
        text = None if default is None else [str(v) for v in default]
        flags.DEFINE_list(name, text, meta["help"])
        item, *rest = typing.get_args(plain)
        _validate_tuple(name, item, 0 if ... in rest else 1 + len(rest))
    else:
        raise TypeError(f"{name}: no flag is made of type {annotation}.")
    if missing:
        flags.register_validator(
            name,
            lambda value: value is not None,
            message=f"is required: {meta['help']}",
        )


def _validate_tuple(name: str, item: type, length: int) -> None:
    """Refuses lists of other things; of other lengths, if `length` is not 0."""
    number = f"{length} " if length else ""

    def is_valid(values: list[str] | None) -> bool:
        if values is None:
            return True
        try:
            return len([item(v) for v in values]) == (length or len(values))
        except ValueError:
            return False

    flags.register_validator(
        name,
        is_valid,
        message=f"expected {number}comma-separated {item.__name__} values",
    )


def _validate_mapping(name: str) -> None:
    def is_valid(text: str) -> bool:
        try:
            return isinstance(json.loads(text), dict)
        except (ValueError, RecursionError):
            return False

    flags.register_validator(
        name, is_valid, message="""expected a JSON object, {"name": value}"""
    )


def define_flags(options: type) -> None:
    """Defines one absl flag for each field of the dataclass `options`."""
    annotations = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        if "help" in field.metadata:
            _define(field, annotations[field.name])


def from_flags(options: type[T]) -> T:
    """The dataclass `options` filled from the parsed flags."""
    return options(**_values(options))


def given_flags(options: type) -> dict[str, Any]:
    """{field: value} of the flags that stand on the command line."""
    return {
        name: value
        for name, value in _values(options).items()
        if flags.FLAGS[name].present
    }


def command_line(name: str, *options: Any) -> str:
    """`python -m ffn_tf.NAME` with what the `options` have beside defaults.

    A name with a dot, such as segclr.train, is that of the whole module.
    """
    return _command(
        name,
        {
            field.name: getattr(part, field.name)
            for part in options
            for field in dataclasses.fields(part)
            if "help" in field.metadata
            and not _same(getattr(part, field.name), _default(field))
        },
    )


def given_line(
    name: str,
    *options: type,
    without: Sequence[str] = (),
    also: Mapping[str, Any] = types.MappingProxyType({}),
) -> str:
    """`python -m ffn_tf.NAME` with the flags that stand on the command line.

    Args:
      options: whose flags.
      without: flags that are left out.
      also: {flag: value} of flags that are added, unless they were given.
    """
    given = dict(also)
    for part in options:
        given |= given_flags(part)
    return _command(name, {k: v for k, v in given.items() if k not in without})


def _command(name: str, values: Mapping[str, Any]) -> str:
    module = name if "." in name else f"ffn_tf.{name}"
    words = ["python", "-m", module]
    for key, value in values.items():
        if isinstance(value, bool):
            words.append(f"--{key}" if value else f"--no{key}")
            continue
        if isinstance(value, Mapping):
            text = json.dumps(dict(value))
        else:
            several = value if isinstance(value, tuple) else (value,)
            text = ",".join(
                f"{v:.7g}" if isinstance(v, float) else str(v) for v in several
            )
        words.append(f"--{key}={text}")
    return shlex.join(words)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _same(value: Any, default: Any) -> bool:
    """Whether they are equal; of floats, as float32."""
    if isinstance(value, float) and isinstance(default, float):
        return math.isclose(value, default, rel_tol=1e-6)
    return bool(value == default)


def _values(options: type) -> dict[str, Any]:
    annotations = typing.get_type_hints(options)
    values = {}
    for field in dataclasses.fields(options):
        if "help" not in field.metadata:
            continue
        value = flags.FLAGS[field.name].value
        plain = _plain_type(annotations[field.name])
        if value is not None and typing.get_origin(plain) is tuple:
            item = typing.get_args(plain)[0]
            value = tuple(item(v) for v in value)
        if _is_mapping(plain):
            value = json.loads(str(value))
        values[field.name] = value
    return values
