"""A picture of what augmentation does, to look at before training.

                   before   after    before   after
                   y, x     y, x     z, x     z, x
    rotation       [ ]      [ ]      [ ]      [ ]
    elastic warp   [ ]      [ ]      [ ]      [ ]
    ...
    all that is on

A row for each operation alone, as if its probability were 1; those that are
off too, for one may want them. Of a few draws, the one that changes the image
most. The section shown is the middle one, or the one that changed most where
the middle one is spared; z, x is cut through the middle. Labels are outlines.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
import tensorflow as tf

from ffn_tf.training.augmentation import chain
from ffn_tf.training.augmentation.example import Example, Triple
from ffn_tf.training.augmentation.options import AugmentOptions

_DRAWS = 5
# In pixels. Panels are at most _PANEL wide, unless a voxel is a pixel.
_PANEL, _GAP, _TITLE, _HEADING, _LOWEST = 200, 6, 180, 44, 64
_PAPER, _INK, _FAINT = (255, 255, 255), (24, 24, 28), (105, 105, 112)
_OUTLINE = (255, 200, 0)
_NEAREST = Image.Resampling.NEAREST


@dataclasses.dataclass(frozen=True)
class Row:
    """One operation: its name, how often it happens, and it alone."""

    name: str
    rate: str
    options: AugmentOptions


def rows(options: AugmentOptions) -> Iterator[Row]:
    """The operations in order, each with the strength that `options` gives."""
    off: dict[str, Any] = {
        field.name: 0.0
        for field in dataclasses.fields(options)
        if field.name.endswith("_probability")
    } | {"permutable_axes": (), "reflectable_axes": ()}

    def row(name: str, rate: float, **changes: Any) -> Row:
        alone = dataclasses.replace(options, **off | changes)
        return Row(name, f"p = {rate:.2g}" if rate else "off", alone)

    def intensity(name: str, by_section: float, *ops: str) -> Row:
        rates = [getattr(options, f"{op}_probability") for op in ops]
        share = options.intensity_by_section
        return row(
            name,
            max(rates) * (share if by_section else 1 - share),
            intensity_by_section=by_section,
            **{f"{op}_probability": 1.0 for op in ops},
        )

    axes = {
        name: getattr(options, name)
        for name in ("permutable_axes", "reflectable_axes")
    }
    yield row("permute, reflect", float(any(axes.values())), **axes)
    yield row(
        "rotation", options.rotation_probability, rotation_probability=1.0
    )
    yield row(
        "elastic warp", options.elastic_probability, elastic_probability=1.0
    )
    for name, slips in (("slip", 1.0), ("translation", 0.0)):
        share = options.misalignment_slips
        yield row(
            name,
            options.misalignment_probability * (share if slips else 1 - share),
            misalignment_probability=1.0,
            misalignment_slips=slips,
        )
    yield row(
        "out of focus",
        options.out_of_focus_probability,
        out_of_focus_probability=1.0,
    )
    steps = ("contrast", "brightness", "gamma")
    for step in steps:
        yield intensity(step, 0.0, step)
    yield intensity("all three, by section", 1.0, *steps)
    for name, partial in (("missing section", 0.0), ("in part", 1.0)):
        share = options.missing_section_partial
        yield row(
            name,
            options.missing_section_probability
            * (share if partial else 1 - share),
            missing_section_probability=1.0,
            missing_section_partial=partial,
        )
    yield Row("all that is on", "", options)


def input_size(
    size: Triple,
    options: AugmentOptions,
    voxel_size_zyx: chain.VoxelSize = (1.0, 1.0, 1.0),
) -> Triple:
    """Sizes of the image that `draw` needs for examples of `size`."""
    needed = [
        chain.padded_size(size, row.options, voxel_size_zyx)
        for row in rows(options)
    ]
    z, y, x = (max(sizes) for sizes in zip(*needed))
    return z, y, x


def draw(
    image: np.ndarray,
    labels: np.ndarray,
    options: AugmentOptions,
    seed: int,
    size: Triple,
    voxel_size_zyx: chain.VoxelSize = (1.0, 1.0, 1.0),
) -> Image.Image:
    """The whole picture.

    Args:
      image: [z, y, x] of at least `input_size`, raw grey values.
      labels: [z, y, x], object mask or ids.
      options: how strong the operations are.
      seed: of the draws.
      size: zyx of the examples shown.
      voxel_size_zyx: rotations and the shape of panels go by it.
    """
    needed = input_size(size, options, voxel_size_zyx)
    if any(have < want for have, want in zip(image.shape, needed)):
        raise ValueError(
            f"A picture of examples of size_zyx {size} with these options "
            f"needs an image of at least {needed}, found {image.shape}. Give "
            f"a larger one, or smaller examples."
        )
    source = _odd(image, labels)
    table = list(rows(options))
    zoom = max(1, _PANEL // max(size[1:]))
    thickness = voxel_size_zyx[0] / voxel_size_zyx[2]
    layout = _Layout(
        width=size[2] * zoom,
        heights=(size[1] * zoom, round(size[0] * zoom * thickness)),
        rows=math.ceil(len(table) / 2),
    )
    page = Image.new("RGB", layout.page, _PAPER)
    for number, row in enumerate(table):
        padded = chain.padded_size(size, row.options, voxel_size_zyx)
        after = _most_changed(
            source.cropped(padded), row, seed, size, voxel_size_zyx
        )
        _draw_row(page, layout, number, row, (source.cropped(size), after))
    return page


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Where panels are, in pixels: two blocks of rows side by side.

    Attributes:
      width: of a panel.
      heights: of the panels y, x and z, x.
      rows: of the first block.
    """

    width: int
    heights: tuple[int, int]
    rows: int

    @property
    def block(self) -> int:
        return _TITLE + 4 * (self.width + _GAP)

    @property
    def step(self) -> int:
        return max(*self.heights, _LOWEST) + _GAP

    @property
    def page(self) -> tuple[int, int]:
        return 2 * self.block, _HEADING + self.rows * self.step

    def corner(self, number: int) -> tuple[int, int]:
        """Upper left corner of a row."""
        block, row = divmod(number, self.rows)
        return block * self.block, _HEADING + row * self.step


def _draw_row(
    page: Image.Image,
    layout: _Layout,
    number: int,
    row: Row,
    examples: tuple[Example, Example],
) -> None:
    """One row, and the headings if it is the first of its block."""
    pen = ImageDraw.Draw(page)
    left, top = layout.corner(number)
    z, y, _ = examples[0].size
    section = _section(*examples)
    pen.text((left + 8, top), row.name, _INK, _font(16))
    note = f"{row.rate}\nz = {section - z // 2:+d}".strip()
    pen.text((left + 8, top + 24), note, _FAINT, _font(13))
    left += _TITLE
    for cut, axes, height in (
        (np.s_[section], "y down, x right", layout.heights[0]),
        (np.s_[:, y // 2], "z down, x right", layout.heights[1]),
    ):
        for heading, example in zip(("before", "after"), examples):
            panel = _panel(example, cut, row.options, (layout.width, height))
            page.paste(panel, (left, top))
            if number % layout.rows == 0:
                pen.text((left, 2), heading, _INK, _font(16))
                pen.text((left, 23), axes, _FAINT, _font(12))
            left += layout.width + _GAP


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _odd(image: np.ndarray, labels: np.ndarray) -> Example:
    """The volume as an example; the last voxel of an even axis goes."""
    whole = tuple(slice(n - 1 + n % 2) for n in image.shape)
    return Example(
        tf.constant(image[whole].astype(np.float32)),
        tf.constant(labels[whole].astype(np.int64)),
        tf.ones([s.stop for s in whole]),
    )


def _most_changed(
    source: Example,
    row: Row,
    seed: int,
    size: Triple,
    voxel_size_zyx: chain.VoxelSize,
) -> Example:
    """Of a few draws, the one whose image differs most from the input."""
    before = source.cropped(size).image
    found = [
        chain.augment(
            source,
            tf.constant([seed, number]),
            row.options,
            size,
            voxel_size_zyx,
        )
        for number in range(_DRAWS)
    ]
    return max(
        found, key=lambda e: float(tf.reduce_mean(tf.abs(e.image - before)))
    )


def _section(before: Example, after: Example) -> int:
    """The middle section; if it is as before, the one that changed most."""
    change = tf.reduce_mean(tf.abs(after.image - before.image), [1, 2]).numpy()
    middle = len(change) // 2
    return middle if change[middle] else int(np.argmax(change))


def _panel(
    example: Example, cut: Any, options: AugmentOptions, size: tuple[int, int]
) -> Image.Image:
    """One cut through image and labels, `size` (width, height) pixels."""
    grey = np.interp(example.image.numpy()[cut], options.grey_range, (0, 255))
    _, ids = np.unique(example.labels.numpy()[cut], return_inverse=True)
    large, bounds = (
        np.asarray(Image.fromarray(array).resize(size, _NEAREST))
        for array in (
            grey.astype(np.uint8),
            ids.reshape(grey.shape).astype(np.int32),
        )
    )
    edge = np.zeros(bounds.shape, bool)
    edge[1:] |= bounds[1:] != bounds[:-1]
    edge[:, 1:] |= bounds[:, 1:] != bounds[:, :-1]
    panel = np.where(edge[..., None], _OUTLINE, large[..., None])
    return Image.fromarray(panel.astype(np.uint8))
