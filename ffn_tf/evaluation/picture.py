"""One picture of a comparison: three slices, side by side.

               EM        truth     segmentation     errors
    z = 125    [ ]        [ ]          [ ]            [ ]      rows y, cols x
    y = 125    [ ]        [ ]          [ ]            [ ]      rows z, cols x
    x = 125    [ ]        [ ]          [ ]            [ ]      rows z, cols y

Colours mean bodies, not ids of the segmentation: a segment has the colour of
the body that it shares the most voxels with. So where the two middle columns
differ, there is an error:

- a merge shows the colour of one body where the truth shows two;
- a split shows a line inside a body; its largest piece has the full colour,
  the other pieces are tints and shades of it;
- a segment that meets no body is grey; what has no segment is bare EM.

The last column says the same voxel by voxel (`matching.Error`). What belongs
to what is decided on all voxels compared, not on the slice. Colours are given
in the order of body size in the truth, so two segmentations scored on the
same box are coloured alike.
"""

from __future__ import annotations

import colorsys
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ffn_tf.evaluation import matching, slices

# In pixels. The longest edge of all panels is made at least _PANEL long; a row
# is at least _LOWEST high, for its title, and the page _NARROWEST wide.
_PANEL, _LOWEST, _NARROWEST = 440, 70, 1060
_GAP, _HEADING, _ROW_TITLE, _LEGEND = 8, 40, 112, 74
_PAPER, _INK, _FAINT = (255, 255, 255), (24, 24, 28), (105, 105, 112)

_FLAT_GREY = 70  # In place of the EM when none is given.
_OPACITY, _ERROR_OPACITY = 0.5, 0.7  # Of the colours over the EM.
_NO_BODY = (165, 165, 165)
_ERRORS = {
    matching.Error.MERGE: ("merge", (232, 48, 40)),
    matching.Error.SPLIT: ("split", (40, 120, 250)),
    matching.Error.BOTH: ("split and merge", (205, 70, 225)),
    matching.Error.MISSED: ("missed", (250, 205, 40)),
}
_CAPTION = (
    "A segment has the colour of the body that it shares most voxels with; "
    "further pieces of a body are paler or darker; grey: no body."
)


def draw(views: list[slices.Slice], match: matching.Matching) -> Image.Image:
    """The whole picture: a row for each of `views`, captions, a legend.

    All panels have one scale, and square pixels.
    """
    named = any(one.pixel_nm != (1, 1) for one in views)
    unit = "nm" if named else "voxels"
    views = slices.at_one_scale(views, _PANEL)
    rows = [_panels(one, match) for one in views]
    width = max(one.truth.shape[1] for one in views) + _GAP
    heights = [max(one.truth.shape[0], _LOWEST) + _GAP for one in views]
    page = Image.new(
        "RGB",
        (
            max(_ROW_TITLE + len(rows[0]) * width, _NARROWEST),
            _HEADING + sum(heights) + _LEGEND,
        ),
        _PAPER,
    )
    pen = ImageDraw.Draw(page)
    for column, heading in enumerate(rows[0]):
        left = _ROW_TITLE + column * width
        pen.text((left, 9), heading, _INK, ImageFont.load_default(20))
    top = _HEADING
    for one, row, height in zip(views, rows, heights):
        _draw_row_title(pen, top, one)
        for column, panel in enumerate(row.values()):
            place = (_ROW_TITLE + column * width, top)
            page.paste(Image.fromarray(panel), place)
        top += height
    _draw_legend(pen, top + 8, views[0].pixel_nm[1], unit)
    return page


def body_colours(bodies: np.ndarray, match: matching.Matching) -> np.ndarray:
    """[rows, columns, 3] float: each body in its colour."""
    return _palette(match.rank_of(bodies))


def segment_colours(
    segments: np.ndarray, match: matching.Matching
) -> np.ndarray:
    """[rows, columns, 3] float: each segment in its body's colour.

    All but the largest piece of a body are lighter and darker by turns.
    """
    body = match.body_of(segments)
    colours = _palette(match.rank_of(body))
    piece = match.rank_in_body(segments)
    for parity, target in ((1, 255), (0, 0)):
        shaded = (piece > 0) & (piece % 2 == parity)
        colours[shaded] = 0.5 * colours[shaded] + 0.5 * target
    colours[body == 0] = _NO_BODY
    return colours


def _palette(ranks: np.ndarray) -> np.ndarray:
    """[..., 3] float: a colour for each rank, near ranks far apart in hue."""
    distinct, index = np.unique(ranks, return_inverse=True)
    table = [
        colorsys.hsv_to_rgb(
            rank * 0.618034 % 1,
            (0.9, 0.55, 0.75)[rank % 3],
            (1, 0.85)[rank % 2],
        )
        for rank in distinct.tolist()
    ]
    return 255 * np.array(table)[index].reshape(*ranks.shape, 3)


def _panels(
    one: slices.Slice, match: matching.Matching
) -> dict[str, np.ndarray]:
    """Heading -> panel [rows, columns, 3] uint8, from left to right."""
    truth, segmentation, image = one.truth, one.segmentation, one.image
    opacity = (_OPACITY, _ERROR_OPACITY) if image is not None else (0.85, 0.85)
    if image is None:
        image = np.full(truth.shape, _FLAT_GREY, np.uint8)
    base = np.repeat(image[..., np.newaxis], 3, axis=-1).astype(np.float32)
    error_table = np.zeros((len(matching.Error), 3))
    for code, (_, colour) in _ERRORS.items():
        error_table[code] = colour
    errors = match.errors(truth, segmentation)
    panels = {
        "EM": base,
        "truth": _outlined(
            _painted(base, truth, body_colours(truth, match), opacity[0]),
            truth,
        ),
        "segmentation": _outlined(
            _painted(
                base,
                segmentation,
                segment_colours(segmentation, match),
                opacity[0],
            ),
            segmentation,
        ),
        "errors": _painted(base, errors, error_table[errors], opacity[1]),
    }
    if one.image is None:
        del panels["EM"]
    return {name: panel.astype(np.uint8) for name, panel in panels.items()}


def _painted(
    base: np.ndarray, ids: np.ndarray, colours: np.ndarray, opacity: float
) -> np.ndarray:
    """`colours` over `base`, where `ids` is not 0."""
    mixed = (1 - opacity) * base + opacity * colours
    return np.where((ids != 0)[..., np.newaxis], mixed, base)


def _outlined(panel: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The panel, darkened where the next pixel down or right differs."""
    edge = np.zeros(ids.shape, bool)
    edge[:-1] |= ids[:-1] != ids[1:]
    edge[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    return np.where(edge[..., np.newaxis], 0.25 * panel, panel)


def _draw_row_title(
    pen: ImageDraw.ImageDraw, top: int, one: slices.Slice
) -> None:
    pen.text((12, top + 2), one.title, _INK, ImageFont.load_default(20))
    axes = f"{one.axes[0]} down\n{one.axes[1]} right"
    pen.text((12, top + 30), axes, _FAINT, ImageFont.load_default(15))


def _draw_legend(
    pen: ImageDraw.ImageDraw, top: int, pixel_nm: float, unit: str
) -> None:
    """What the colours of the last two columns mean, and a scale bar."""
    font = ImageFont.load_default(16)
    left = float(_ROW_TITLE)
    for name, colour in _ERRORS.values():
        pen.rectangle((left, top + 2, left + 18, top + 18), colour)
        pen.text((left + 26, top), name, _INK, font)
        left += 26 + pen.textlength(name, font) + 28
    length = _round_length(120 * pixel_nm)
    pen.rectangle((left, top + 8, left + length / pixel_nm, top + 13), _INK)
    label = f"{length:g} {unit}"
    pen.text((left + length / pixel_nm + 8, top), label, _INK, font)
    pen.text((_ROW_TITLE, top + 28), _CAPTION, _FAINT, font)


def _round_length(longest: float) -> float:
    """The largest 1, 2 or 5 times a power of ten up to `longest`."""
    power = 10.0 ** math.floor(math.log10(longest))
    return max(n * power for n in (1, 2, 5) if n * power <= longest)
