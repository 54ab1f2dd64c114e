"""Markup: the pieces that our HTML pages are made of.

Everything is in the page, pictures too; it asks nobody for anything.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
import html
import io
from typing import Any

import numpy as np
from PIL import Image

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #18181c; margin: 0 auto;
  max-width: 1320px; padding: 24px; background: #fff; }
h1 { font-size: 22px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 32px 0 10px; }
p.faint, figcaption, .faint { color: #69696f; }
progress { width: 100%; height: 10px; accent-color: #4269d0; }
.row { display: flex; flex-wrap: wrap; gap: 20px; align-items: flex-start; }
.tile { border: 1px solid #dcdce2; border-radius: 6px; padding: 8px 14px; }
.tile b { display: block; font-size: 20px; font-weight: 600; }
.slices { flex-wrap: nowrap; }
figure { margin: 0; }
figure img { width: 100%; display: block; }
figcaption { font-size: 13px; margin-top: 4px; }
table { border-collapse: collapse; }
td, th { padding: 2px 14px 2px 0; text-align: left; font-weight: normal; }
th { color: #69696f; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td.o { overflow-wrap: anywhere; font-family: ui-monospace, monospace;
  font-size: 13px; }
svg text { font: 12px system-ui, sans-serif; fill: #69696f; }
.swatch { display: inline-block; width: 11px; height: 11px; margin-right: 7px; }
"""


def document(title: str, parts: Iterable[str], head: str = "") -> str:
    """A page of parts, which are HTML, as is what else is in its head."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"{head}<title>{text(title)}</title>"
        f"<style>{_STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def text(value: Any) -> str:
    """As HTML."""
    return html.escape(str(value))


def tiles(values: Iterable[tuple[str, str]]) -> str:
    """Numbers, and what they are, side by side."""
    each = (
        f'<div class="tile"><b>{text(value)}</b>{text(name)}</div>'
        for value, name in values
    )
    return f'<div class="row">{"".join(each)}</div>'


def table(
    heading: Sequence[str], rows: Iterable[Sequence[str]], numbers: set[int]
) -> str:
    """A table. Cells are HTML; those of the columns `numbers` stand right."""

    def line(cells: Sequence[str], tag: str) -> str:
        of = (' class="n"' if i in numbers else "" for i in range(len(cells)))
        return "".join(
            f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(of, cells)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    head = f"<tr>{line(heading, 'th')}</tr>" if heading else ""
    return f"<table>{head}{body}</table>"


def figure(inner: str, caption: str) -> str:
    """HTML with a caption beneath."""
    return f"<figure>{inner}<figcaption>{text(caption)}</figcaption></figure>"


def picture(pixels: np.ndarray) -> str:
    """Of [rows, columns] or [rows, columns, 3] uint8."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'
