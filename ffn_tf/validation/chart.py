"""(4) Chart: scores over steps, two panels one above the other.

    VOI       split, merge, their sum; and that of no segment at all, dashed
    shares    coverage, adapted Rand error, normalised run length if there is;
              0 to 1

A vertical line marks the best sum. One checkpoint is a dot.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from ffn_tf.program import panel
from ffn_tf.validation.record import Scores


def draw(steps: Sequence[int], scores: Sequence[Scores]) -> Image.Image:
    """The picture; steps ascend, at least one."""
    nothing = scores[0].voi_of_nothing
    bits: list[panel.Line] = [
        ("VOI", [one.voi for one in scores]),
        ("split", [one.voi_split for one in scores]),
        ("merge", [one.voi_merge for one in scores]),
    ]
    shares: list[panel.Line] = [
        ("coverage", [one.coverage for one in scores]),
        ("adapted Rand error", [one.arand for one in scores]),
    ]
    runs = [one.normalised_erl for one in scores]
    if None not in runs:
        shares.append(("normalised ERL", [float(run or 0) for run in runs]))
    costs = [one.cost for one in scores]
    best = steps[costs.index(min(costs))]
    page = Image.new("RGB", (panel.WIDTH, 2 * panel.HEIGHT), panel.PAPER)
    most = max(nothing, *bits[0][1]) or 1.0
    for place, (lines, top) in enumerate(((bits, most), (shares, 1.0))):
        drawn = panel.Panel(page, place * panel.HEIGHT, steps, top)
        drawn.frame(best)
        if place == 0:
            drawn.dashed(nothing)
        drawn.plot(lines)
    return page
