"""(4) Page: types, scores and merges in one file.

map         the embeddings' principal components, coloured by type
scores      F1 of each class, confusion, what is unknown
curves      F1 against the radius of means, and the number of labels
merges      how known ones are found, beside chance; the worst places, each
            with a picture and what shows it in Neuroglancer
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from ffn_tf.viewer import markup
from segclr.classification import predictions
from segclr.reporting import charts


@dataclasses.dataclass(frozen=True, eq=False)
class Merge:
    """A proposed cut.

    Attributes:
      told: its line in proposals.csv, by column.
      picture: [rows, columns, 3] uint8; None: not drawn.
      command, link: what shows it; "" if nothing does.
    """

    told: Mapping[str, str]
    picture: np.ndarray | None
    command: str
    link: str


@dataclasses.dataclass(frozen=True, eq=False)
class Facts:
    """What a page says.

    Attributes:
      title: of the page.
      typed: nodes and their types.
      points: [n, 2], of the map.
      variance: [2], shares that it shows.
      scores: of scores.json; empty if nothing was learned.
      trials: of trials.json; empty if there were none.
      merges: the worst.
    """

    title: str
    typed: predictions.Typed
    points: np.ndarray
    variance: np.ndarray
    scores: Mapping[str, Any]
    trials: Mapping[str, Sequence[Mapping[str, Any]]]
    merges: Sequence[Merge]


def written(facts: Facts) -> str:
    """The page."""
    segments = predictions.of_segments(facts.typed)
    tiles = [
        (f"{len(facts.typed.segment):,}", "nodes"),
        (f"{len(segments.segment):,}", "segments"),
        (f"{facts.typed.is_unknown.mean():.1%}", "of the nodes unknown"),
    ]
    if "macro_f1" in facts.scores:
        tiles.insert(0, (f"{facts.scores['macro_f1']:.3f}", "macro-F1"))
    parts = [
        f"<h1>{markup.text(facts.title)}</h1>",
        markup.tiles(tiles),
        _map(facts, segments),
        _scores(facts.scores),
        _curves(facts.scores),
        _trials(facts.trials),
        _merges(facts.merges),
    ]
    return markup.document(facts.title, filter(None, parts))


def _map(facts: Facts, segments: predictions.Segments) -> str:
    names = facts.typed.classes
    shown = charts.scatter(facts.points, facts.typed.label)
    share = float(facts.variance.sum())
    rows = []
    for k, name in enumerate((*names, predictions.UNKNOWN)):
        nodes = (facts.typed.label == k) & ~facts.typed.is_unknown
        count = int(nodes.sum())
        if k == len(names):
            count = int(facts.typed.is_unknown.sum())
        rows.append(
            (
                markup.text(name),
                f"{count:,}",
                f"{int((segments.label == name).sum()):,}",
            )
        )
    table = markup.table(("type", "nodes", "segments"), rows, {1, 2})
    caption = (
        f"each dot a node: first two principal components, {share:.0%} of the "
        f"variance"
    )
    return (
        f"<h2>Map</h2>{charts.legend(names)}"
        f'<div class="row">{markup.figure(shown, caption)}{table}</div>'
    )


def _scores(scores: Mapping[str, Any]) -> str:
    if "macro_f1" not in scores:
        return ""
    rows = [
        (
            markup.text(name),
            "-" if scores["f1"][name] is None else f"{scores['f1'][name]:.3f}",
            f"{sum(row):,}",
        )
        for name, row in zip(scores["classes"], scores["confusion"])
    ]
    table = markup.table(("class", "F1", "tested"), rows, {1, 2})
    confusion = charts.confusion(
        np.array(scores["confusion"]), scores["classes"]
    )
    unknown = ""
    if "unknown_auroc" in scores:
        unknown = (
            f"<p>What was not learned is told from what was with an AUROC of "
            f"{scores['unknown_auroc']:.3f}: above an uncertainty of "
            f"{scores['threshold']:.3f}, chosen on validation, are "
            f"{scores['unknown_found']:.0%} of the unknown and "
            f"{scores['known_called_unknown']:.0%} of the known.</p>"
        )
    said = (
        f"{scores['test_nodes']:,} nodes of {scores['test_cells']:,} cells, of "
        f"which nothing was learned; learned from {scores['train_nodes']:,} "
        f"nodes of {scores['train_cells']:,} others"
    )
    caption = "rows: labels; columns: what was found"
    return (
        f'<h2>Scores</h2><p class="faint">{said}.</p><div class="row">{table}'
        f"{markup.figure(confusion, caption)}</div>{unknown}"
    )


def _curves(scores: Mapping[str, Any]) -> str:
    figures = []
    if points := sorted(
        scores.get("by_radius", []), key=lambda p: p["radius_um"]
    ):
        drawn = charts.curve(
            [p["radius_um"] for p in points],
            {"macro-F1": [p["macro_f1"] for p in points]},
            "radius of the means, um",
        )
        figures.append(markup.figure(drawn, "macro-F1, all labels"))
    if points := sorted(scores.get("by_count", []), key=lambda p: p["count"]):
        drawn = charts.curve(
            [p["count"] for p in points],
            {
                "macro-F1": [p["macro_f1"] for p in points],
                "least": [p["low"] for p in points],
                "most": [p["high"] for p in points],
            },
            "labelled nodes",
            is_logarithmic=True,
        )
        figures.append(markup.figure(drawn, "macro-F1: mean, least, most"))
    if not figures:
        return ""
    return f'<h2>Curves</h2><div class="row">{"".join(figures)}</div>'


def _trials(trials: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    if not trials:
        return ""
    rows = []
    for name, results in trials.items():
        for one in results:
            located, chance = one["located"], one["chance_located"]
            divided, by_chance = one["divided"], one["chance_divided"]
            rows.append(
                (
                    f"by {markup.text(name)}",
                    markup.text(one["kind"]),
                    f"{one['merges']:,}",
                    f"{one['auroc']:.3f} ({one['geometry_auroc']:.3f})",
                    f"{located:.0%} ({chance:.0%})",
                    f"{divided:.0%} ({by_chance:.0%})",
                )
            )
    heading = (
        *("ranked", "kind", "merges", "AUROC (of geometry alone)"),
        *("located", "nodes divided rightly"),
    )
    return (
        f"<h2>Known merges</h2>{markup.table(heading, rows, {2, 3, 4, 5})}"
        f'<p class="faint">In brackets: chance. Embeddings tell what a '
        f"neurite is, not which: of one type, merges are hard to find.</p>"
    )


def _merges(merges: Iterable[Merge]) -> str:
    figures = []
    for one in merges:
        told = one.told
        change = ""
        if told.get("from_type"):
            change = f", {told['from_type']} to {told['to_type']}"
        caption = (
            f"{told['rank']}. segment {told['segment']}: score "
            f"{told['score']}{change}; a cut leaves {told['first_nodes']} and "
            f"{told['second_nodes']} nodes; z, y, x = {told['z_nm']}, "
            f"{told['y_nm']}, {told['x_nm']} nm"
        )
        shown = ""
        if one.picture is not None:
            shown = markup.picture(one.picture)
        more = ""
        if one.link:
            more = f'<p><a href="{markup.text(one.link)}">Neuroglancer</a></p>'
        elif one.command:
            more = (
                f'<p class="faint"><code>{markup.text(one.command)}</code></p>'
            )
        figures.append(
            f'<div style="max-width:640px;margin-bottom:18px">'
            f"{markup.figure(shown, caption)}{more}</div>"
        )
    if not figures:
        return ""
    return (
        f"<h2>Where segments may be two neurites</h2>"
        f'<div class="row">{"".join(figures)}</div>'
    )
