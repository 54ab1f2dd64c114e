"""Panel: lines over steps, as part of a picture.

page = Image.new("RGB", (panel.WIDTH, panel.HEIGHT), panel.PAPER)
drawn = panel.Panel(page, 0, steps, most=1.0)
drawn.frame(best=200)
drawn.plot([("coverage", values)])
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

# In pixels; HEIGHT is that of a panel with its names and its axis.
WIDTH, _LINES, _LEFT, _RIGHT, _TOP, _BOTTOM = 900, 240, 70, 20, 30, 40
HEIGHT = _TOP + _LINES + _BOTTOM
PAPER, _INK, _FAINT = (255, 255, 255), (24, 24, 28), (205, 205, 212)
_COLOURS = ((24, 24, 28), (40, 120, 250), (232, 48, 40))
_LINES_ACROSS = 4
_MOST_DOTS = 40

Line = tuple[str, Sequence[float]]


class Panel:
    """One pair of axes: steps across, 0 to `most` upwards."""

    def __init__(
        self, page: Image.Image, y: int, steps: Sequence[int], most: float
    ) -> None:
        """
        Args:
          page: to draw on, WIDTH wide.
          y: of the upper edge of the panel, which is HEIGHT high.
          steps: ascending, at least one.
          most: value at the top.
        """
        self._pen = ImageDraw.Draw(page)
        self._top, self._steps, self._most = y + _TOP, steps, most

    def _x(self, step: float) -> float:
        first, last = self._steps[0], self._steps[-1]
        share = (step - first) / (last - first) if last > first else 0.5
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return self._top + (1 - value / self._most) * _LINES

    def frame(self, best: int | None = None) -> None:
        """Lines across with their values, the ends of the axis, the best."""
        right, bottom = WIDTH - _RIGHT, self._y(0)
        for k in range(_LINES_ACROSS + 1):
            value = self._most * k / _LINES_ACROSS
            y = self._y(value)
            self._pen.line((_LEFT, y, right, y), _FAINT)
            self._pen.text(
                (_LEFT - 8, y), f"{value:.2f}", _INK, _font(), anchor="rm"
            )
        ends = {self._steps[0], self._steps[-1]}
        if best is not None:
            x = self._x(best)
            self._pen.line((x, self._top, x, bottom), _FAINT, 3)
            ends.add(best)
        for step in sorted(ends):
            text = f"best: {step:,}" if step == best else f"{step:,}"
            half = self._pen.textlength(text, _font()) / 2
            x = min(max(self._x(step), half + 2), WIDTH - half - 2)
            lower = 18 if step == best else 4
            at = (x, bottom + lower)
            self._pen.text(at, text, _INK, _font(), anchor="mt")

    def dashed(self, value: float) -> None:
        y = self._y(value)
        for x in range(_LEFT, WIDTH - _RIGHT, 10):
            self._pen.line((x, y, x + 5, y), _COLOURS[0])

    def plot(self, lines: Sequence[Line]) -> None:
        """The lines, and their names above; dots where they are few."""
        left = float(_LEFT)
        for (name, values), colour in zip(lines, _COLOURS):
            points = [
                (self._x(step), self._y(value))
                for step, value in zip(self._steps, values)
            ]
            self._pen.line(points, colour, 2)
            for x, y in points if len(points) <= _MOST_DOTS else ():
                self._pen.ellipse((x - 3, y - 3, x + 3, y + 3), colour)
            self._pen.text((left, self._top - 22), name, colour, _font(15))
            left += self._pen.textlength(name, _font(15)) + 24


def _font(size: int = 12) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
