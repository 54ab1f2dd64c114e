"""(2) Charts: the map, curves and confusion, as SVG and HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ffn_tf.viewer import markup

PALETTE = (
    *("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951"),
    *("#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#9498a0"),
)
_MOST = 4000  # Points of a map.


def colour(number: int) -> str:
    """Of a class."""
    return PALETTE[number % len(PALETTE)]


def legend(names: Sequence[str]) -> str:
    """Classes and their colours."""
    return (
        "<p>"
        + " &nbsp; ".join(
            f'<span class="swatch" style="background:{colour(k)}"></span>'
            f"{markup.text(name)}"
            for k, name in enumerate(names)
        )
        + "</p>"
    )


def scatter(points: np.ndarray, classes: np.ndarray, edge: int = 460) -> str:
    """Points [n, 2] in the colours of their classes [n]; some of many."""
    chosen = np.arange(len(points))
    if len(points) > _MOST:
        chosen = np.random.default_rng(0).permutation(len(points))[:_MOST]
    # The outermost in a hundred may lie on the border.
    low, high = np.quantile(points, (0.005, 0.995), axis=0)
    unit = np.clip((points - low) / np.maximum(high - low, 1e-12), 0, 1)
    places = 6 + unit[chosen] * (edge - 12)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{edge - y:.1f}" r="2.2" fill="{colour(k)}"/>'
        for (x, y), k in zip(places.tolist(), classes[chosen].tolist())
    )
    return (
        f'<svg width="{edge}" height="{edge}" fill-opacity="0.6">'
        f'<rect width="{edge}" height="{edge}" fill="none" '
        f'stroke="#dcdce2"/>{dots}</svg>'
    )


def curve(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    unit: str,
    *,
    is_logarithmic: bool = False,
) -> str:
    """F1 from 0 to 1 against x, a line for each name."""
    wide, tall, left, top = 340, 220, 40, 10
    at = np.asarray(x, np.float64)
    scaled = np.log(np.maximum(at, 1e-9)) if is_logarithmic else at
    span = max(float(scaled[-1] - scaled[0]), 1e-12)
    columns = left + 10 + (scaled - scaled[0]) / span * (wide - 20)
    parts = []
    for tenth in range(0, 11, 2):
        y = top + tall * (1 - tenth / 10)
        parts.append(
            f'<line x1="{left}" x2="{left + wide}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="#ececf0"/><text x="{left - 6}" y="{y + 4:.1f}" '
            f'text-anchor="end">{tenth / 10:g}</text>'
        )
    for column, value in zip(columns.tolist(), at.tolist()):
        parts.append(
            f'<text x="{column:.1f}" y="{top + tall + 18}" '
            f'text-anchor="middle">{value:g}</text>'
        )
    for k, (name, values) in enumerate(lines.items()):
        rows = top + tall * (1 - np.asarray(values, np.float64))
        pairs = list(zip(columns.tolist(), rows.tolist()))
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke-width="2" '
            f'stroke="{colour(k)}"/>'
        )
        parts += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour(k)}">'
            f"<title>{markup.text(name)}: {v:.3f}</title></circle>"
            for (a, b), v in zip(pairs, values)
        ]
    parts.append(
        f'<text x="{left + wide / 2}" y="{top + tall + 38}" '
        f'text-anchor="middle">{markup.text(unit)}</text>'
    )
    return (
        f'<svg width="{left + wide + 16}" height="{top + tall + 48}">'
        f"{''.join(parts)}</svg>"
    )


def confusion(counts: np.ndarray, names: Sequence[str]) -> str:
    """A table: rows are the truth, columns what was found; shares of rows."""
    total = np.maximum(counts.sum(1, keepdims=True), 1)
    shares = counts / total
    head = "".join(f"<th>{markup.text(name)}</th>" for name in names)
    rows = []
    for name, row, share in zip(names, counts.tolist(), shares.tolist()):
        cells = "".join(
            f'<td class="n" style="padding:6px 10px;background:'
            f'rgba(66,105,208,{0.75 * s:.2f})">{n:,}</td>'
            for n, s in zip(row, share)
        )
        rows.append(f"<tr><th>{markup.text(name)}</th>{cells}</tr>")
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"
