"""Masks: voxels that google/ffn's MaskConfig messages exclude.

A message names where values come from, and which of them are masked:

    volume { mask { hdf5: "m.h5:mask" } channels { channel: 0 min_value: 1
                                                   max_value: 255 } }
    image { channels { max_value: 0 } }
    coordinate_expression { expression: "z < 10 or (x - 50)**2 < 100" }

A channel masks the `values` it lists, or those from `min_value` to `max_value`;
`invert` masks the others. Channels are united; `invert` of the message then
turns that round; messages are united.

An expression is arithmetic, comparisons, and `and`, `or`, `not` (or `&`, `|`,
`~`) of numbers and x, y, z, voxels of the volume. It is parsed, never run as
Python.

Laws (tests/inference/test_mask.py):
    read(box)[part of it] == read(part)
    masks that all invert, inverted: the same as without
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
import contextlib
import dataclasses
import operator
from typing import Any

import numpy as np

from ffn_tf import volume
from ffn_tf.inference import protos
from ffn_tf.inference import request as request_lib
from ffn_tf.volume import source

_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: np.logical_and,
    ast.BitOr: np.logical_or,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Not: np.logical_not,
    ast.Invert: np.logical_not,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_LARGEST_POWER = 8


@dataclasses.dataclass(frozen=True)
class Expression:
    """A condition on x, y, z.

    Raises:
      ValueError: not such a condition; says which part.
    """

    text: str

    def __post_init__(self) -> None:
        self.masked(volume.Box((0, 0, 0), (1, 1, 1)))

    def masked(self, box: volume.Box) -> np.ndarray:
        """[z, y, x] bool."""
        z, y, x = (a.astype(np.float64) for a in np.ogrid[box.slices])
        try:
            tree = ast.parse(self.text.strip(), mode="eval")
            with np.errstate(all="ignore"):
                value = self._value(tree.body, {"x": x, "y": y, "z": z})
        # TypeError: arithmetic with conditions.
        except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
            raise ValueError(
                f"coordinate_expression {self.text!r}: not an expression "
                f"({error})."
            ) from error
        found = np.asarray(value)
        if found.dtype != bool:
            raise ValueError(
                f"coordinate_expression {self.text!r}: a number, expected a "
                f"condition such as z < 10."
            )
        return np.broadcast_to(found, box.size)

    def _value(self, node: ast.AST, names: dict[str, np.ndarray]) -> Any:
        def value(of: ast.AST) -> Any:
            return self._value(of, names)

        match node:
            case ast.Constant(value=bool() | int() | float() as number):
                return np.asarray(number)
            case ast.Name(id=name) if name in names:
                return names[name]
            case ast.BinOp(left, ast.Pow(), ast.Constant(value=int() as n)):
                if 0 <= n <= _LARGEST_POWER:
                    return value(left) ** n
            case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(left), value(right))
            case ast.UnaryOp(op, operand):
                return _OPERATORS[type(op)](value(operand))
            case ast.BoolOp(op, values):
                first, *rest = map(value, values)
                for other in rest:
                    first = _OPERATORS[type(op)](first, other)
                return first
            case ast.Compare(left, operators, others):
                terms = [value(term) for term in (left, *others)]
                result: Any = np.asarray(True)
                for compared, a, b in zip(operators, terms, terms[1:]):
                    if type(compared) not in _OPERATORS:
                        break
                    result = result & _OPERATORS[type(compared)](a, b)
                else:
                    return result
        raise ValueError(
            f"coordinate_expression {self.text!r}: {ast.unparse(node)!r} is "
            f"not arithmetic or a comparison of x, y, z and numbers."
        )


class Masks:
    """Masks of one volume, united. A context manager, which closes them."""

    def __init__(self, messages: Iterable[Any], source: str) -> None:
        """Opens the volumes of MaskConfig messages.

        Args:
          messages: MaskConfig.
          source: where they come from, for errors.

        Raises:
          ValueError: a message that names no source of values, or no channel.
          OSError: a volume cannot be read.
        """
        self._parts: list[_Part] = []
        with contextlib.ExitStack() as opened:
            for message in messages:
                self._parts.append(_Part(message, source, opened))
            self._opened = opened.pop_all()

    def check(self, about: volume.Volume) -> None:
        """Whether they can be read wherever `about` has voxels.

        Raises:
          ValueError: a volume that lies elsewhere, or has voxels of another
            size.
        """
        unknown = source.UNKNOWN_VOXEL_SIZE
        for found in (v for part in self._parts for v in part.volumes):
            sizes = found.voxel_size_nm, about.voxel_size_nm
            if sizes[0] != sizes[1] and unknown not in sizes:
                raise ValueError(
                    f"mask {found.address}: its voxels are {sizes[0]} nm (z, "
                    f"y, x), those of {about.address} {sizes[1]}. Resample it "
                    f"(`upsample:` in a dataset description, docs/formats.md), "
                    f"or name another scale (?mip=, ?resolution_nm=)."
                )
            if about.domain.clipped(found.domain) != about.domain:
                raise ValueError(
                    f"mask {found.address}: has {found.domain}, and "
                    f"{about.address} has {about.domain}, so not every voxel "
                    f"has a mask. Pad it (`pad:` in a dataset description, "
                    f"docs/formats.md)."
                )

    @property
    def need_image(self) -> bool:
        return any(part.kind == "image" for part in self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def read(
        self, box: volume.Box, image: np.ndarray | None = None
    ) -> np.ndarray:
        """Which voxels of a box are masked: [z, y, x] bool.

        Args:
          image: [z, y, x] raw grey values of the box, if masks need them.

        Raises:
          ValueError: a volume does not hold the box.
        """
        result = np.zeros(box.size, bool)
        for part in self._parts:
            result |= part.read(box, image)
        return result

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> Masks:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def parse(text: str, source: str) -> Masks:
    """Masks of a MaskConfigs message in protobuf's text format; "" is none."""
    message = protos.parse_text("MaskConfigs", text, source)
    return Masks(message.masks, source)


class _Part:
    """One MaskConfig."""

    def __init__(
        self, message: Any, source: str, opened: contextlib.ExitStack
    ) -> None:
        self.kind = message.WhichOneof("source")
        self._invert = message.invert
        self.volumes: list[volume.Volume] = []
        self._channels: list[Any] = []
        if self.kind is None:
            raise ValueError(
                f"{source}: a mask without a source; give it volume, image or "
                f"coordinate_expression."
            )
        if self.kind == "coordinate_expression":
            text = message.coordinate_expression.expression
            self._expression = Expression(text)
            return
        options = getattr(message, self.kind)
        self._channels = list(options.channels)
        if not self._channels:
            raise ValueError(
                f"{source}: a mask without channels masks nothing; add "
                f"channels {{ channel: 0 min_value: 1 max_value: 255 }}."
            )
        if self.kind == "volume":
            address = request_lib.address_of(options.mask, source, "mask")
            joint = "&" if "?" in address else "?"
            for channel in self._channels:
                suffix = f"{joint}channel={channel.channel}"
                found = volume.open(address + suffix * bool(channel.channel))
                self.volumes.append(opened.enter_context(found))
        elif any(channel.channel for channel in self._channels):
            raise ValueError(
                f"{source}: images have one channel here, 0; found a mask of "
                f"another."
            )

    def read(self, box: volume.Box, image: np.ndarray | None) -> np.ndarray:
        if self.kind == "coordinate_expression":
            result = self._expression.masked(box)
            return ~result if self._invert else result
        result = np.zeros(box.size, bool)
        for index, channel in enumerate(self._channels):
            if self.kind == "volume":
                values = self.volumes[index].read(box)
            elif image is None:
                raise ValueError("A mask of the image, where there is none.")
            else:
                values = image
            result |= _selected(values, channel)
        return ~result if self._invert else result


def _selected(values: np.ndarray, channel: Any) -> np.ndarray:
    """Voxels [z, y, x] that a MaskChannelConfig selects."""
    if channel.values:
        # As the volume has them: mixed with others, 64 bits become floats.
        listed = np.array(channel.values, np.uint64).astype(values.dtype)
        same = listed.astype(np.uint64) == np.array(channel.values, np.uint64)
        found = np.isin(values, listed[same])
    else:
        found = (values >= channel.min_value) & (values <= channel.max_value)
    return ~found if channel.invert else found
