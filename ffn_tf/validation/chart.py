"""(4) Chart: scores over steps, two panels one above the other.

    VOI       split, merge, their sum; and that of no segment at all, dashed
    shares    coverage, adapted Rand error, normalised run length if there is;
              0 to 1

A vertical line marks the best sum. One checkpoint is a dot.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from ffn_tf.validation.record import Scores

# In pixels.
_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _BOTTOM = 900, 240, 70, 20, 30, 40
_PAPER, _INK, _FAINT = (255, 255, 255), (24, 24, 28), (205, 205, 212)
_COLOURS = ((24, 24, 28), (40, 120, 250), (232, 48, 40))
_LINES_ACROSS = 4

Line = tuple[str, Sequence[float]]


def draw(steps: Sequence[int], scores: Sequence[Scores]) -> Image.Image:
    """The picture; steps ascend, at least one."""
    nothing = scores[0].voi_of_nothing
    bits: list[Line] = [
        ("VOI", [one.voi for one in scores]),
        ("split", [one.voi_split for one in scores]),
        ("merge", [one.voi_merge for one in scores]),
    ]
    shares: list[Line] = [
        ("coverage", [one.coverage for one in scores]),
        ("adapted Rand error", [one.arand for one in scores]),
    ]
    runs = [one.normalised_erl for one in scores]
    if None not in runs:
        shares.append(("normalised ERL", [float(run or 0) for run in runs]))
    costs = [one.cost for one in scores]
    marked = steps[costs.index(min(costs))]
    step = _TOP + _PANEL + _BOTTOM
    page = Image.new("RGB", (_WIDTH, 2 * step), _PAPER)
    most = max(nothing, *bits[0][1]) or 1.0
    for place, (lines, top) in enumerate(((bits, most), (shares, 1.0))):
        panel = _Panel(page, place * step + _TOP, steps, top)
        panel.frame(marked)
        if place == 0:
            panel.dashed(nothing)
        panel.plot(lines)
    return page


class _Panel:
    """One pair of axes: steps across, 0 to `most` upwards."""

    def __init__(
        self, page: Image.Image, top: int, steps: Sequence[int], most: float
    ) -> None:
        self._pen = ImageDraw.Draw(page)
        self._top, self._steps, self._most = top, steps, most

    def _x(self, step: float) -> float:
        first, last = self._steps[0], self._steps[-1]
        share = (step - first) / (last - first) if last > first else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return self._top + (1 - value / self._most) * _PANEL

    def frame(self, marked: int) -> None:
        """Lines across with their values, the ends of the axis, the best."""
        right, bottom = _WIDTH - _RIGHT, self._y(0)
        for k in range(_LINES_ACROSS + 1):
            value = self._most * k / _LINES_ACROSS
            y = self._y(value)
            self._pen.line((_LEFT, y, right, y), _FAINT)
            self._pen.text(
                (_LEFT - 8, y), f"{value:.2f}", _INK, _font(), anchor="rm"
            )
        x = self._x(marked)
        self._pen.line((x, self._top, x, bottom), _FAINT, 3)
        for step in sorted({self._steps[0], marked, self._steps[-1]}):
            text = f"best: {step:,}" if step == marked else f"{step:,}"
            half = self._pen.textlength(text, _font()) / 2
            x = min(max(self._x(step), half + 2), _WIDTH - half - 2)
            lower = 18 if step == marked else 4
            at = (x, bottom + lower)
            self._pen.text(at, text, _INK, _font(), anchor="mt")

    def dashed(self, value: float) -> None:
        y = self._y(value)
        for x in range(_LEFT, _WIDTH - _RIGHT, 10):
            self._pen.line((x, y, x + 5, y), _COLOURS[0])

    def plot(self, lines: Sequence[Line]) -> None:
        """The lines, and their names above."""
        left = float(_LEFT)
        for (name, values), colour in zip(lines, _COLOURS):
            points = [
                (self._x(step), self._y(value))
                for step, value in zip(self._steps, values)
            ]
            self._pen.line(points, colour, 2)
            for x, y in points:
                self._pen.ellipse((x - 3, y - 3, x + 3, y + 3), colour)
            self._pen.text((left, self._top - 22), name, colour, _font(15))
            left += self._pen.textlength(name, _font(15)) + 24


def _font(size: int = 12) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
