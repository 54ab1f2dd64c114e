"""Views as a dataset file says them: steps, each made of the one before.

    view:
      - crop: {start_zyx: [0, 512, 512], size_zyx: [100, 2048, 2048]}
      - downsample: {factors_zyx: [1, 2, 2], method: mean}
      - cast: {dtype: uint8}
      - mask: {by: tissue_mask, keep: [1]}

Steps, with what may be left out in brackets (see the functions):

    crop         start_zyx, size_zyx                       index.cropped
    translate    start_zyx                                 index.translated
    stride       step_zyx                                  index.strided
    transpose    axes                                      index.transposed
    flip         axes                                      index.flipped
    pad          margin_zyx, [mode], [fill]                border.padded
    pad_to       start_zyx, size_zyx, [mode], [fill]       border.padded
    broadcast    start_zyx, size_zyx                       border.broadcast
    downsample   factors_zyx, [method]                     resample.downsampled
    upsample     factors_zyx                               resample.upsampled
    resample     voxel_size_nm, [method]                   resample.resampled
    cast         dtype, [exact]                            values.cast
    rescale      scale, [offset], [dtype]                  values.rescaled
    mask         by, [keep], [fill]                        combine.masked
    overlay      by, [fill]                                combine.overlaid
    concatenate  by, axis                                  combine.concatenated
    stack        by, axis                                  combine.stacked

`by` names another volume of the same dataset, or, where several make sense, a
list of them. A description is the whole of a volume that has no address:

    of: em
    view: [...]

`parsed` finds what is wrong with the words, before anything is opened;
`applied` what is wrong with the volumes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import contextlib
import dataclasses
from typing import Any

from ffn_tf.volume import checks
from ffn_tf.volume.box import Box, Triple
from ffn_tf.volume.store import Volume
from ffn_tf.volume.views import border, combine, index, resample, values

# From the name of a volume of the dataset to that volume, opened.
OpenNamed = Callable[[str], Volume]


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a view.

    Attributes:
      name: crop, mask, ...
      arguments: checked, by name.
      where: it was found; for messages.
    """

    name: str
    arguments: Mapping[str, Any]
    where: str


@dataclasses.dataclass(frozen=True)
class _Rule:
    """What a step does, and what it must and may say.

    Attributes:
      does: makes the view of a volume and the arguments, of which `by` has
        become volumes, and the others have lost their suffix `_zyx`.
      required: checks by argument.
      optional: likewise.
    """

    does: Callable[..., Volume]
    required: Mapping[str, checks.Check]
    optional: Mapping[str, checks.Check] = dataclasses.field(
        default_factory=dict
    )


def _cropped(volume: Volume, start: Triple, size: Triple) -> Volume:
    return index.cropped(volume, Box.from_size(start, size))


def _padded(volume: Volume, margin: Triple, **how: Any) -> Volume:
    return border.padded(volume, volume.domain.padded(margin), **how)


def _padded_to(
    volume: Volume, start: Triple, size: Triple, **how: Any
) -> Volume:
    return border.padded(volume, Box.from_size(start, size), **how)


def _broadcast(volume: Volume, start: Triple, size: Triple) -> Volume:
    return border.broadcast(volume, Box.from_size(start, size))


def _masked(volume: Volume, by: list[Volume], **how: Any) -> Volume:
    return combine.masked(volume, by[0], **how)


def _overlaid(volume: Volume, by: list[Volume], **how: Any) -> Volume:
    return combine.overlaid([volume, *by], **how)


def _concatenated(volume: Volume, by: list[Volume], axis: str) -> Volume:
    return combine.concatenated([volume, *by], axis)


def _stacked(volume: Volume, by: list[Volume], axis: str) -> Volume:
    return combine.stacked([volume, *by], axis)


_TRIPLE = checks.three_integers
_BOX = {"start_zyx": _TRIPLE, "size_zyx": _TRIPLE}
_METHOD = {"method": checks.choice(resample.METHODS)}
_BY_AXIS = {"by": checks.texts, "axis": checks.choice("zyx")}
_BORDER = {"mode": checks.choice(border.MODES), "fill": checks.number}
_RULES = {
    "crop": _Rule(_cropped, _BOX),
    "translate": _Rule(index.translated, {"start_zyx": _TRIPLE}),
    "stride": _Rule(index.strided, {"step_zyx": _TRIPLE}),
    "transpose": _Rule(index.transposed, {"axes": checks.text}),
    "flip": _Rule(index.flipped, {"axes": checks.text}),
    "pad": _Rule(_padded, {"margin_zyx": _TRIPLE}, _BORDER),
    "pad_to": _Rule(_padded_to, _BOX, _BORDER),
    "broadcast": _Rule(_broadcast, _BOX),
    "downsample": _Rule(
        resample.downsampled, {"factors_zyx": _TRIPLE}, _METHOD
    ),
    "upsample": _Rule(resample.upsampled, {"factors_zyx": _TRIPLE}),
    "resample": _Rule(
        resample.resampled, {"voxel_size_nm": checks.three_numbers}, _METHOD
    ),
    "cast": _Rule(values.cast, {"dtype": checks.dtype}, {"exact": checks.flag}),
    "rescale": _Rule(
        values.rescaled,
        {"scale": checks.number},
        {"offset": checks.number, "dtype": checks.dtype},
    ),
    "mask": _Rule(
        _masked,
        {"by": checks.text},
        {"keep": checks.integers, "fill": checks.number},
    ),
    "overlay": _Rule(_overlaid, {"by": checks.texts}, {"fill": checks.number}),
    "concatenate": _Rule(_concatenated, _BY_AXIS),
    "stack": _Rule(_stacked, _BY_AXIS),
}


def parsed(value: Any, where: str) -> tuple[Step, ...]:
    """The steps of a view.

    Args:
      value: what YAML makes of it.
      where: it was found; for messages.

    Raises:
      ValueError: a step or an argument is unknown, missing or of a wrong type.
    """
    if not isinstance(value, list) or not value:
        raise ValueError(
            f"{where}: expected a list of steps, such as `- cast: {{dtype: "
            f"uint8}}`, found {value!r}."
        )
    return tuple(
        _step(item, f"{where}[{number}]") for number, item in enumerate(value)
    )


def _step(value: Any, where: str) -> Step:
    found = checks.mapping(value, where)
    if len(found) != 1:
        raise ValueError(
            f"{where}: expected one step, found {len(found)}: "
            f"{', '.join(found)}; begin each with a dash of its own."
        )
    ((name, arguments),) = found.items()
    rule = _RULES[checks.one_of(name, where, _RULES, "step")]
    where = f"{where}.{name}"
    known = {**rule.required, **rule.optional}
    given = checks.keyed(arguments, where, tuple(rule.required), tuple(known))
    return Step(
        name,
        {key: known[key](v, f"{where}.{key}") for key, v in given.items()},
        where,
    )


def applied(
    volume: Volume, steps: Sequence[Step], open_named: OpenNamed
) -> Volume:
    """The view that `steps` make of a volume. Reads no voxel.

    Closing it closes the volume, and those that `open_named` opened; so does
    a failure.

    Raises:
      ValueError: a step does not fit the volume.
      OSError: from `open_named`.
    """
    with contextlib.ExitStack() as opened:
        opened.enter_context(volume)

        def named(names: str | list[str]) -> list[Volume]:
            names = [names] if isinstance(names, str) else names
            return [opened.enter_context(open_named(name)) for name in names]

        for step in steps:
            given: dict[str, Any] = {
                key.removesuffix("_zyx"): named(value) if key == "by" else value
                for key, value in step.arguments.items()
            }
            try:
                volume = _RULES[step.name].does(volume, **given)
            except ValueError as error:
                raise ValueError(f"{step.where}: {error}") from error
        opened.pop_all()
    return volume


def from_description(
    description: Mapping[str, Any], open_named: OpenNamed, where: str = "volume"
) -> Volume:
    """The volume that `of` and `view` describe (see above).

    Args:
      description: what YAML makes of it.
      open_named: opens the volumes that it names.
      where: it was found; for messages.

    Raises:
      ValueError: a wrong key, step or argument, or one that does not fit.
      OSError: from `open_named`.
    """
    keys = ("of", "view")
    found = checks.keyed(dict(description), where, keys, keys)
    name = checks.text(found["of"], f"{where}.of")
    steps = parsed(found["view"], f"{where}.view")
    return applied(open_named(name), steps, open_named)
