"""A section of an image as a picture, beside it the labels that lie over it.

    em, z = 2646            c3
    [               ]       [               ]
    |------| 200 nm

Pixels are enlarged by whole numbers, so that each is seen, and square in
nanometres. A label has one colour, over the image; 0 has none. Grey levels are
stretched: all but the darkest and the brightest two hundredth.
"""

from __future__ import annotations

from collections.abc import Sequence
import colorsys
import dataclasses
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ffn_tf.volume.box import Box, triple
from ffn_tf.volume.source import UNKNOWN_VOXEL_SIZE, Nanometres
from ffn_tf.volume.store import Volume

# In pixels.
_WIDTH, _HIGHEST, _GAP, _TITLE, _FOOT, _FONT = 512, 4096, 12, 32, 40, 18
_PAPER, _INK = (255, 255, 255), (24, 24, 28)
_OPACITY = 0.45


@dataclasses.dataclass(frozen=True, eq=False)
class Section:
    """One section of a volume.

    Attributes:
      name: of the volume.
      voxel_size_nm: of the volume.
      box: one voxel deep.
      pixels: [y, x].
    """

    name: str
    voxel_size_nm: Nanometres
    box: Box
    pixels: np.ndarray


def middle(
    box: Box, tiles: Sequence[Box], voxels: Sequence[np.ndarray]
) -> tuple[Box, np.ndarray]:
    """The section [y, x] in the middle of a box read in tiles, and its box."""
    z = box.start[0] + box.size[0] // 2
    section = np.zeros(box.size[1:], voxels[0].dtype)
    for tile, found in zip(tiles, voxels):
        if tile.start[0] <= z < tile.end[0]:
            _, rows, columns = tile.relative_to(box.start).slices
            section[rows, columns] = found[z - tile.start[0]]
    return Box.from_size((z, *box.start[1:]), (1, *box.size[1:])), section


def labels_over(section: Section, labels: Volume) -> np.ndarray | None:
    """Ids [y, x] under the centre of each pixel; None where there are none."""
    sizes = section.voxel_size_nm, labels.voxel_size_nm
    if (sizes[0] == UNKNOWN_VOXEL_SIZE) != (sizes[1] == UNKNOWN_VOXEL_SIZE):
        return None
    at = [
        np.floor((start + np.arange(n) + 0.5) * ours / theirs).astype(np.int64)
        for start, n, ours, theirs in zip(
            section.box.start, section.box.size, *sizes
        )
    ]
    box = Box(
        triple(int(a[0]) for a in at), triple(int(a[-1]) + 1 for a in at)
    ).clipped(labels.domain)
    if box.is_empty:
        return None
    found = np.zeros(section.pixels.shape, labels.dtype)
    _, rows, columns = (
        (a >= s) & (a < e) for a, s, e in zip(at, box.start, box.end)
    )
    found[np.ix_(rows, columns)] = labels.read(box)[0][
        np.ix_(at[1][rows] - box.start[1], at[2][columns] - box.start[2])
    ]
    return found if found.any() else None


def grey(pixels: np.ndarray) -> np.ndarray:
    """[y, x] uint8 of pixels of any dtype; what is not finite is black."""
    values = pixels.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(pixels.shape, np.uint8)
    low, high = np.percentile(values[finite], [0.5, 99.5])
    values[~finite] = low
    scaled = (values - low) / max(high - low, 1e-9)
    return (255 * scaled.clip(0, 1)).astype(np.uint8)


def draw(
    section: Section, labels: np.ndarray | None = None, labels_name: str = ""
) -> Image.Image:
    """The picture; `labels` [y, x] as of `labels_over`."""
    image = np.repeat(grey(section.pixels)[..., np.newaxis], 3, axis=-1)
    panels = {f"{section.name}, z = {section.box.start[0]:,}": image}
    if labels is not None:
        panels[labels_name] = _painted(image, labels)
    rows, columns = _enlargement(section)
    height, width = image.shape[0] * rows, image.shape[1] * columns
    page = Image.new(
        "RGB",
        (len(panels) * (width + _GAP) + _GAP, _TITLE + height + _FOOT),
        _PAPER,
    )
    pen, left = ImageDraw.Draw(page), _GAP
    font = ImageFont.load_default(_FONT)
    for title, panel in panels.items():
        pen.text((left, 5), title, _INK, font)
        large = panel.repeat(rows, axis=0).repeat(columns, axis=1)
        page.paste(Image.fromarray(large), (left, _TITLE))
        left += width + _GAP
    length, said = _scale_bar(section, columns, width)
    top = _TITLE + height + 12
    pen.rectangle((_GAP, top, _GAP + length, top + 6), _INK)
    pen.text((_GAP + length + 8, top - 8), said, _INK, font)
    return page


def _enlargement(section: Section) -> tuple[int, int]:
    """How many pixels of the picture one of the section becomes, y and x."""
    _, high, wide = section.voxel_size_nm
    y, x = (max(1, round(nm / min(high, wide))) for nm in (high, wide))
    rows, columns = section.pixels.shape
    by = min(-(-_WIDTH // (columns * x)), _HIGHEST // (rows * y))
    return y * max(by, 1), x * max(by, 1)


def _scale_bar(section: Section, columns: int, width: int) -> tuple[int, str]:
    """Length in pixels, up to a third of the width, and what it means."""
    pixel = section.voxel_size_nm[2] / columns
    tens = 10.0 ** math.floor(math.log10(width * pixel / 3))
    longest = width * pixel / 3
    length = max(tens * (k if k * tens <= longest else 1) for k in (1, 2, 5))
    unit = "voxels" if section.voxel_size_nm == UNKNOWN_VOXEL_SIZE else "nm"
    return round(length / pixel), f"{length:,g} {unit}"


def _painted(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`image` [y, x, 3] uint8 under colours, near ids far apart in hue."""
    ids, index = np.unique(labels, return_inverse=True)
    colours = 255 * np.array(
        [
            colorsys.hsv_to_rgb(rank * 0.618034 % 1, 0.85, 1)
            for rank in range(len(ids))
        ]
    )
    index = index.reshape(labels.shape)
    opacity = np.where(labels == 0, 0, _OPACITY)[..., np.newaxis]
    mixed = (1 - opacity) * image + opacity * colours[index]
    return mixed.astype(np.uint8)
