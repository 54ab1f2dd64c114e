"""Page: a run of run_inference as one HTML file, to be seen while it goes on.

    how far it is         subvolumes, objects, voxels, network calls, time left
    slices                EM under segments, through the middle of a subvolume
    objects               by size, by network calls; the largest
    time, memory          by stage; the most that a process has had
    seeds and moves       what became of them
    options               what decides the voxels

Everything is in the file, pictures too; it asks nobody for anything. While the
run goes on, the browser reads it anew each minute.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
import colorsys
import dataclasses
import html
import io
import time
from typing import Any

import numpy as np
from PIL import Image

from ffn_tf import volume
from ffn_tf.evaluation import slices
from ffn_tf.program import progress
from ffn_tf.viewer import findings as findings_lib

REFRESH_S = 60
_PANEL = 420  # Pixels of the longest edge of a slice, at least.
_OPACITY = 0.45
_UNITS = ("", "k", "M", "G", "T")
_COLOURS = ("#9498a0", "#efb118", "#3ca951", "#4269d0", "#ff725c", "#a463f2")

_COUNTERS = {
    "seeds-already-segmented": "seeds within an object",
    "seeds-too-close": "seeds too close to an object",
    "seeds-restricted": "seeds that a mask, or missing data, rules out",
    "seeds-without-steps": "seeds without a single step",
    "seeds-weak": "objects given up: their seed is weak in the end",
    "seeds-too-small": "objects given up: too small",
    "seeds-got-too-weak": "objects that stopped: their seed got weak",
    "moves-below-threshold": "moves not made: weak",
    "moves-invalid": "moves not made: outside, or into an object",
    "moves-restricted": "moves not made: a mask, or missing data",
    "voxels-overlapping": "voxels that later objects wanted, too",
    "fill-segments": "objects of the second pass (--fill)",
    "fill-voxels": "voxels of the second pass",
    "fill-steps": "network calls of the second pass",
}

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


@dataclasses.dataclass(frozen=True, eq=False)
class Facts:
    """What a page says.

    Attributes:
      title: of the page.
      done, total: subvolumes.
      expected_steps: network calls that all of them will take, roughly.
      found: in those that are finished, and under way.
      steps: network calls so far, those of given-up work included.
      steps_per_s: of all workers together, in this attempt; 0: not known.
      seconds: {stage: seconds}, in the order of their happening.
      peak_memory_bytes: 0 if not known.
      shown, image: labels and EM of which slices are drawn, if there are.
      shown_is: what `shown` is, in words.
      options: what decides the voxels.
    """

    title: str
    done: int
    total: int
    expected_steps: float
    found: findings_lib.Findings
    steps: int
    steps_per_s: float
    seconds: Mapping[str, float]
    peak_memory_bytes: int = 0
    shown: volume.Volume | None = None
    image: volume.Volume | None = None
    shown_is: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def written(facts: Facts) -> str:
    """The page."""
    reload = ""
    if facts.done < facts.total:
        reload = f'<meta http-equiv="refresh" content="{REFRESH_S}">'
    found = facts.found
    parts = [
        f"<h1>{_text(facts.title)}</h1>",
        _how_far(facts),
        _slices(facts),
        "<h2>Objects</h2>",
        '<div class="row">',
        _figure(
            _bars(found.sizes),
            f"{found.objects:,} objects by their voxels",
        ),
        _figure(
            _bars(found.steps),
            "by the network calls (fields of view) that they took",
        ),
        _largest(found.largest),
        "</div>",
        _time(facts),
        _counters(found.counters),
        _options(facts.options),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"{reload}<title>{_text(facts.title)}</title>"
        f"<style>{_STYLE}</style></head><body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body></html>\n"
    )


def _text(value: Any) -> str:
    return html.escape(str(value))


def _tiles(values: Iterable[tuple[str, str]]) -> str:
    tiles = (
        f'<div class="tile"><b>{_text(value)}</b>{_text(name)}</div>'
        for value, name in values
    )
    return f'<div class="row">{"".join(tiles)}</div>'


def _table(
    heading: Sequence[str], rows: Iterable[Sequence[str]], numbers: set[int]
) -> str:
    """Cells are HTML; those of the columns `numbers` stand right."""

    def line(cells: Sequence[str], tag: str) -> str:
        of = (' class="n"' if i in numbers else "" for i in range(len(cells)))
        return "".join(
            f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(of, cells)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    head = f"<tr>{line(heading, 'th')}</tr>" if heading else ""
    return f"<table>{head}{body}</table>"


def _figure(inner: str, caption: str) -> str:
    return f"<figure>{inner}<figcaption>{_text(caption)}</figcaption></figure>"


# -----------------------------------------------------------------------------
# The sections
# -----------------------------------------------------------------------------


def _how_far(facts: Facts) -> str:
    found, seconds = facts.found, sum(facts.seconds.values())
    rate = facts.steps_per_s
    is_done = facts.done >= facts.total
    share = 1.0
    if not is_done:
        share = min(0.99, facts.steps / max(1.0, facts.expected_steps))
    covered = 100 * found.voxels / max(1, found.all_voxels)
    tiles = [
        (f"{facts.done:,} of {facts.total:,}", "subvolumes finished"),
        (f"{found.objects:,}", "objects"),
        (f"{covered:.1f} %", f"of {progress.short(found.all_voxels)} voxels"),
        (f"{facts.steps:,}", "network calls"),
    ]
    if rate:
        tiles.append((f"{rate:.1f}/s", "fields of view, all workers"))
    elif seconds:
        each = f"{facts.steps / seconds:.1f}/s"
        tiles.append((each, "fields of view, each worker"))
    if seconds:
        tiles.append((progress.clock(seconds), "worked, all workers"))
    if rate and not is_done:
        left = (facts.expected_steps - facts.steps) / rate
        tiles.append((progress.clock(max(0.0, left)), "left, about"))
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    state = "Finished" if is_done else "Under way"
    return (
        f'<p class="faint">{state}; written {now}.</p>'
        f'<p><progress value="{share:.3f}"></progress></p>{_tiles(tiles)}'
    )


def _slices(facts: Facts) -> str:
    if facts.shown is None:
        return ""
    views = slices.read_middle(
        facts.shown,
        facts.shown,
        facts.image,
        facts.shown.domain,
        facts.shown.voxel_size_nm,
    )
    figures = []
    for one in slices.at_one_scale(views, _PANEL):
        wide = one.segmentation.shape[1]
        caption = f"{one.title}; {one.axes[0]} down, {one.axes[1]} right"
        # Side by side at one scale, however narrow the window.
        figures.append(
            f'<div style="flex: {wide} 1 0; max-width: {wide}px">'
            f"{_figure(_picture(_painted(one)), caption)}</div>"
        )
    return (
        f'<h2>Slices</h2><p class="faint">{_text(facts.shown_is)}, '
        f"{_text(facts.shown.domain)}.</p>"
        f'<div class="row slices">{"".join(figures)}</div>'
    )


def _painted(one: slices.Slice) -> np.ndarray:
    """[rows, columns, 3] uint8: EM under the colours of segments."""
    ids, index = np.unique(one.segmentation, return_inverse=True)
    colours = 255 * np.array(
        [
            colorsys.hsv_to_rgb(i * 0.618034 % 1, (0.85, 0.6)[i // 2 % 2], 1)
            for i in ids.tolist()
        ]
    )
    grey = one.image
    if grey is None:
        grey = np.full(one.segmentation.shape, 70, np.uint8)
    over = colours[index].reshape(*one.segmentation.shape, 3)
    opacity = np.where(one.segmentation > 0, _OPACITY, 0)[..., np.newaxis]
    mixed = (1 - opacity) * grey[..., np.newaxis] + opacity * over
    return mixed.astype(np.uint8)


def _picture(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'


def _bars(counts: np.ndarray) -> str:
    """A histogram of findings.histogram's classes."""
    some = np.flatnonzero(counts)
    if not some.size:
        return '<p class="faint">None yet.</p>'
    per = findings_lib.PER_DECADE
    # Whole factors of ten, at least two of them.
    low = max(0, (int(some[0]) - 1) // per * per)
    high = max(-(-int(some[-1]) // per) * per, low + 2 * per)
    wide, tall, left, bottom = 360, 150, 44, 22
    shown = counts[low + 1 : high + 1]
    step, most = wide / len(shown), int(max(counts[some]))
    parts = []
    for i, count in enumerate(shown.tolist()):
        high_of = tall * count / most
        parts.append(
            f'<rect x="{left + i * step + 1:.1f}" '
            f'y="{8 + tall - high_of:.1f}" width="{step - 2:.1f}" '
            f'height="{high_of:.1f}" fill="{_COLOURS[3]}"/>'
        )
    for decade in range(low // per, high // per + 1):
        x = left + (decade * per - low) * step
        said = f"{10 ** (decade % 3)} {_UNITS[decade // 3]}".strip()
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{8 + tall}" '
            f'y2="{13 + tall}" stroke="#9498a0"/><text x="{x:.1f}" '
            f'y="{tall + 26}" text-anchor="middle">{said}</text>'
        )
    parts.append(
        f'<line x1="{left}" x2="{left + wide}" y1="{8 + tall}" '
        f'y2="{8 + tall}" stroke="#9498a0"/>'
        f'<text x="{left - 6}" y="16" text-anchor="end">{most:,}</text>'
        f'<text x="{left - 6}" y="{8 + tall}" text-anchor="end">0</text>'
    )
    size = left + wide + 24, tall + bottom + 14
    return f'<svg width="{size[0]}" height="{size[1]}">{"".join(parts)}</svg>'


def _largest(objects: Sequence[findings_lib.Object]) -> str:
    if not objects:
        return ""
    rows = [
        (
            f"{one.voxels:,}",
            f"{one.steps:,}",
            ", ".join(map(str, one.seed_zyx)),
        )
        for one in objects
    ]
    heading = ("voxels", "calls", "seed z, y, x")
    return _figure(_table(heading, rows, {0, 1}), "the largest")


def _time(facts: Facts) -> str:
    total = sum(facts.seconds.values())
    tiles = ""
    if facts.peak_memory_bytes:
        said = f"{facts.peak_memory_bytes / 1e9:.2f} GB"
        tiles = _tiles([(said, "memory of a process, at most")])
    if not total:
        return f"<h2>Memory</h2>{tiles}" if tiles else ""
    parts, rows, x = [], [], 0.0
    for (stage, seconds), colour in zip(facts.seconds.items(), _COLOURS):
        wide = 800 * seconds / total
        parts.append(
            f'<rect x="{x:.2f}" width="{wide:.2f}" height="26" '
            f'fill="{colour}"/>'
        )
        x += wide
        rows.append(
            (
                f'<span class="swatch" style="background:{colour}"></span>'
                f"{_text(stage)}",
                f"{seconds:,.1f} s",
                f"{100 * seconds / total:.1f} %",
            )
        )
    return (
        f"<h2>Time and memory</h2>"
        f'<svg viewBox="0 0 800 26" width="100%" height="26" '
        f'preserveAspectRatio="none">{"".join(parts)}</svg>'
        f'<div class="row">{_table((), rows, {1, 2})}{tiles}</div>'
    )


def _counters(counters: Mapping[str, int]) -> str:
    rows = [
        (_text(said), f"{counters[name]:,}")
        for name, said in _COUNTERS.items()
        if counters.get(name)
    ]
    if not rows:
        return ""
    return f"<h2>Seeds and moves</h2>{_table((), rows, {1})}"


def _options(options: Mapping[str, Any]) -> str:
    if not options:
        return ""
    rows = "".join(
        f'<tr><td>{_text(name)}</td><td class="o">{_text(value)}</td></tr>'
        for name, value in sorted(options.items())
    )
    return (
        f"<h2>Options</h2><details><summary>what decides the voxels</summary>"
        f"<table>{rows}</table></details>"
    )
