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

from collections.abc import Mapping, Sequence
import colorsys
import dataclasses
import time
from typing import Any

import numpy as np

from ffn_tf import volume
from ffn_tf.evaluation import slices
from ffn_tf.program import progress
from ffn_tf.viewer import findings as findings_lib
from ffn_tf.viewer import markup

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
        f"<h1>{markup.text(facts.title)}</h1>",
        _how_far(facts),
        _slices(facts),
        "<h2>Objects</h2>",
        '<div class="row">',
        markup.figure(
            _bars(found.sizes),
            f"{found.objects:,} objects by their voxels",
        ),
        markup.figure(
            _bars(found.steps),
            "by the network calls (fields of view) that they took",
        ),
        _largest(found.largest),
        "</div>",
        _time(facts),
        _counters(found.counters),
        _options(facts.options),
    ]
    return markup.document(facts.title, filter(None, parts), reload)


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
        f'<p><progress value="{share:.3f}"></progress></p>{markup.tiles(tiles)}'
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
            f"{markup.figure(markup.picture(_painted(one)), caption)}</div>"
        )
    return (
        f'<h2>Slices</h2><p class="faint">{markup.text(facts.shown_is)}, '
        f"{markup.text(facts.shown.domain)}.</p>"
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
    return markup.figure(markup.table(heading, rows, {0, 1}), "the largest")


def _time(facts: Facts) -> str:
    total = sum(facts.seconds.values())
    tiles = ""
    if facts.peak_memory_bytes:
        said = f"{facts.peak_memory_bytes / 1e9:.2f} GB"
        tiles = markup.tiles([(said, "memory of a process, at most")])
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
                f"{markup.text(stage)}",
                f"{seconds:,.1f} s",
                f"{100 * seconds / total:.1f} %",
            )
        )
    return (
        f"<h2>Time and memory</h2>"
        f'<svg viewBox="0 0 800 26" width="100%" height="26" '
        f'preserveAspectRatio="none">{"".join(parts)}</svg>'
        f'<div class="row">{markup.table((), rows, {1, 2})}{tiles}</div>'
    )


def _counters(counters: Mapping[str, int]) -> str:
    rows = [
        (markup.text(said), f"{counters[name]:,}")
        for name, said in _COUNTERS.items()
        if counters.get(name)
    ]
    if not rows:
        return ""
    return f"<h2>Seeds and moves</h2>{markup.table((), rows, {1})}"


def _options(options: Mapping[str, Any]) -> str:
    if not options:
        return ""
    rows = "".join(
        f"<tr><td>{markup.text(name)}</td>"
        f'<td class="o">{markup.text(value)}</td></tr>'
        for name, value in sorted(options.items())
    )
    return (
        f"<h2>Options</h2><details><summary>what decides the voxels</summary>"
        f"<table>{rows}</table></details>"
    )
