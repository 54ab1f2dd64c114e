"""Types of neurites from their embeddings, and how sure that is.

    python -m segclr.classify --embeddings=out/embeddings-10um \\
        --labels=out/phantom/types.csv --output_dir=out/types

The fifth step, after aggregate. A small network learns the labels of some cells
(CSV: segment,label; segclr/classification/labels.py), is tested on others, and
then says of all nodes what they are. With `--unknown=glia` that class is not
learned but used to choose from which uncertainty on a node is called unknown.

    python -m segclr.classify --embeddings=out/others-10um \\
        --classifier=out/types/classifier --output_dir=out/others-types

applies one to other embeddings of the same encoder and radius. What is written:
predictions as Parquet, CSV, Neuroglancer's segment properties and annotations
(segclr/classification/predictions.py), and scores.json.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
from typing import Any

import numpy as np

from ffn_tf import program
from ffn_tf.model import folder as model_folder
from ffn_tf.volume import attempt, files
from segclr import classification
from segclr.aggregation import tables
from segclr.classification import classifier as classifier_lib
from segclr.classification import curves, fitting, labels, predictions, scores
from segclr.embedding import table


@dataclasses.dataclass(frozen=True)
class Options:
    """Of what, by what, and where to."""

    embeddings: str = program.option(
        help="Folder of segclr.embed or segclr.aggregate."
    )
    output_dir: str = program.option(help="Folder for types and scores.")
    labels: str = program.option("", help="CSV of segment,label to learn.")
    classifier: str = program.option(
        "", help="Folder of one that has learned, instead of --labels."
    )
    unknown: tuple[str, ...] = program.option(
        (), help="Classes that are not learned, but are to be found unknown."
    )
    skip_rare: bool = program.option(
        False,
        help="Leave out classes of too few cells, instead of ending.",
    )
    valid_share: float = program.option(
        0.15, help="Of each class' cells, to end the training by."
    )
    test_share: float = program.option(
        0.25, help="Of each class' cells, to score on."
    )
    seed: int = program.option(0, help="Of splits, weights and order.")
    radii_um: tuple[float, ...] = program.option(
        (),
        help="Also score means over these radii; --embeddings must be of "
        "segclr.embed.",
    )
    counts: tuple[int, ...] = program.option(
        (), help="Also score with only so many labelled nodes."
    )
    runs: int = program.option(3, help="For each of --counts.")

    def __post_init__(self) -> None:
        if bool(self.labels) == bool(self.classifier):
            raise ValueError(
                "Give either --labels, to learn, or --classifier, to apply one."
            )
        if self.classifier and (self.radii_um or self.counts or self.unknown):
            raise ValueError(
                "--radii_um, --counts and --unknown are for --labels."
            )
        if not 0 < self.valid_share < 1:
            raise ValueError(
                f"--valid_share: expected more than 0, for there to be an end "
                f"of the training, and less than 1; found {self.valid_share}."
            )
        if not all(0 <= r < np.inf for r in self.radii_um) or self.runs < 1:
            raise ValueError(
                f"--radii_um: expected 0 or more; --runs: 1 or more; found "
                f"{self.radii_um} and {self.runs}."
            )


@dataclasses.dataclass(frozen=True)
class Summary:
    """What has come of it.

    Attributes:
      nodes, segments: that have types now.
      unknown: of the nodes, those called so.
      scores: what scores.json says; empty where nothing was learned.
    """

    nodes: int
    segments: int
    unknown: int
    scores: dict[str, Any]


def run(options: Options, head: fitting.Options | None = None) -> Summary:
    """Learns, scores and predicts; or predicts.

    Raises:
      BlockingIOError: another process writes into the folder.
      FileNotFoundError: no embeddings, labels or classifier.
      ValueError: what does not go together; see labels.split and fit.
      OSError: reading or writing failed.
    """
    head = head or fitting.Options()
    source = pathlib.Path(options.embeddings)
    output = files.local(options.output_dir, "output_dir")
    made_of = table.described(source)
    if options.radii_um and "radius_um" in made_of:
        raise ValueError(
            f"{source}: holds means over {made_of['radius_um']} um already; "
            f"--radii_um needs the embeddings of segclr.embed."
        )
    nodes = table.read_nodes(source)
    found: dict[str, Any] = {}
    if options.classifier:
        made = classifier_lib.load(options.classifier)
        _refuse_others(options.classifier, source, made_of)
    else:
        made, found = _learned(options, head, nodes, made_of)
    output.mkdir(parents=True, exist_ok=True)
    with files.locked(output, "writing types into it"):
        # Of another run, and of nothing that is here then.
        (output / "scores.json").unlink(missing_ok=True)
        shutil.rmtree(output / "classifier", ignore_errors=True)
        if found:
            origin = {"program": "segclr.classify", "embeddings": made_of}
            made.save(output / "classifier", origin | {"options": _json(head)})
            files.write_text(
                output / "scores.json", json.dumps(found, indent=1)
            )
        told = {
            "program": "segclr.classify",
            "code": program.describe_code(),
            "options": _json(options)
            | ({} if options.classifier else _json(head)),
            "embeddings": made_of,
        }
        files.write_text(output / "types.json", json.dumps(told, indent=1))
        typed = predictions.typed(nodes, made)
        segments = predictions.write(output, typed)
    return Summary(
        len(nodes),
        len(segments.segment),
        int(typed.is_unknown.sum()),
        found,
    )


def _refuse_others(
    folder: str, source: pathlib.Path, made_of: dict[str, Any]
) -> None:
    """Raises ValueError if a classifier has learned from other embeddings."""
    origin = model_folder.described(pathlib.Path(folder))["origin"]
    learned, asked = (
        table.lineage(one) for one in (origin.get("embeddings", {}), made_of)
    )
    if learned != asked:
        changes = attempt.changes(learned, asked)
        raise ValueError(
            f"{folder}: has learned from other embeddings than those of "
            f"{source} ({changes}). Give embeddings of the same encoder, kind "
            f"and radius, or learn anew with --labels."
        )


def _json(options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(options)))
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class _Given:
    """Labels, and what they are for.

    Attributes:
      known: those that are learned.
      purpose: [n], of labels.split, of those.
      strange: by purpose, [n] bool: nodes that are to be found unknown.
    """

    known: labels.Labels
    purpose: np.ndarray
    strange: dict[int, np.ndarray]


def _given(options: Options, nodes: table.Nodes) -> _Given:
    everything = labels.read(options.labels, nodes.segment, nodes.node)
    if everything.unknown_segments:
        program.warn(
            f"{options.labels}: {everything.unknown_segments} of its segments "
            f"have no node in the table."
        )
    if predictions.UNKNOWN in everything.classes:
        raise ValueError(
            f"{options.labels}: {predictions.UNKNOWN!r} is what nodes are "
            f"called of which nothing is known; give the class another name."
        )
    if options.skip_rare:
        needed = labels.splits(options.valid_share, options.test_share)
        if rare := everything.rare(needed):
            program.warn(
                f"{options.labels}: fewer than {needed} cells of "
                f"{', '.join(rare)}, which is left out."
            )
        everything, _ = everything.without(rare)
    whole = labels.split(
        everything, options.valid_share, options.test_share, options.seed
    )
    known, is_strange = everything.without(options.unknown)
    return _Given(
        known,
        np.where(is_strange, labels.NONE, whole),
        {k: is_strange & (whole == k) for k in (labels.VALID, labels.TEST)},
    )


def _learned(
    options: Options,
    head: fitting.Options,
    nodes: table.Nodes,
    made_of: dict[str, Any],
) -> tuple[classification.Classifier, dict[str, Any]]:
    """A classifier, and its scores."""
    given = _given(options, nodes)
    known, x = given.known, nodes.embedding
    train, valid, test = (given.purpose == k for k in range(3))
    made = classifier_lib.fit(
        x, known.of_node, known.classes, train, valid, head, options.seed
    )
    threshold = scores.threshold(
        made.predict(x[valid]).uncertainty,
        made.predict(x[given.strange[labels.VALID]]).uncertainty,
    )
    made = dataclasses.replace(made, threshold=threshold)
    found = _scored(made, nodes, known, test)
    found |= _unknown_scored(made, nodes, test, given.strange[labels.TEST])
    for k, name in enumerate(labels.SPLITS):
        mine = given.purpose == k
        found[f"{name}_nodes"] = int(mine.sum())
        found[f"{name}_cells"] = len(np.unique(known.cell[mine]))
    found["options"] = _json(options) | _json(head)
    radius_um = made_of.get("radius_um", 0.0)
    return made, found | _curves(options, head, nodes, given, radius_um)


def _curves(
    options: Options,
    head: fitting.Options,
    nodes: table.Nodes,
    given: _Given,
    radius_um: float,
) -> dict[str, Any]:
    """What --radii_um and --counts ask for."""
    found = {}
    if options.radii_um:
        edges = table.read_edges(pathlib.Path(options.embeddings))
        by_radius = {
            radius: tables.means(nodes, edges, radius)
            for radius in sorted(options.radii_um)
        }
        points = curves.against_radius(
            by_radius, given.known, given.purpose, head, options.seed
        )
        found["by_radius"] = _told(points, len(by_radius), "radii")
    if options.counts:
        points = curves.against_count(
            nodes.embedding,
            radius_um,
            given.known,
            given.purpose,
            head,
            options.counts,
            options.runs,
        )
        found["by_count"] = _told(points, len(options.counts), "counts")
    return found


def _told(points: Any, total: int, unit: str) -> list[dict[str, Any]]:
    watched = program.watched(points, total, "Scoring", unit)
    return [dataclasses.asdict(point) for point in watched]


def _scored(
    made: classification.Classifier,
    nodes: table.Nodes,
    given: labels.Labels,
    test: np.ndarray,
) -> dict[str, Any]:
    """F1 and confusion of what was not learned from."""
    if not test.any():
        return {"classes": list(given.classes)}
    truth = given.of_node[test]
    said = made.predict(nodes.embedding[test]).label
    counts = scores.confusion(truth, said, len(given.classes))
    of_class = scores.f1(counts)
    return {
        "classes": list(given.classes),
        "macro_f1": scores.macro_f1(truth, said, len(given.classes)),
        "f1": {
            name: None if np.isnan(value) else float(value)
            for name, value in zip(given.classes, of_class)
        },
        "accuracy": float((truth == said).mean()),
        "confusion": counts.tolist(),
    }


def _unknown_scored(
    made: classification.Classifier,
    nodes: table.Nodes,
    test: np.ndarray,
    strange: np.ndarray,
) -> dict[str, Any]:
    """How well what was not learned is told from what was."""
    found: dict[str, Any] = {"threshold": made.threshold}
    if not strange.any() or not test.any():
        return found
    known = made.predict(nodes.embedding[test]).uncertainty
    unknown = made.predict(nodes.embedding[strange]).uncertainty
    return found | {
        "unknown_auroc": scores.auroc(known, unknown),
        "unknown_found": float((unknown >= made.threshold).mean()),
        "known_called_unknown": float((known >= made.threshold).mean()),
    }


def as_table(found: dict[str, Any]) -> str:
    """Scores, for people."""
    if "macro_f1" not in found:
        return "No cells were tested on (--test_share=0)."
    width = max(len(name) for name in found["classes"])
    lines = [f"{'class':<{width}}     F1   tested"]
    for name, row in zip(found["classes"], found["confusion"]):
        value = found["f1"][name]
        shown = "     -" if value is None else f"{value:6.3f}"
        lines.append(f"{name:<{width}} {shown} {sum(row):8,d}")
    lines.append(
        f"macro-F1 {found['macro_f1']:.3f} of {found['test_nodes']:,d} nodes "
        f"of {found['test_cells']:,d} cells, learned from "
        f"{found['train_nodes']:,d} of {found['train_cells']:,d}"
    )
    if "unknown_auroc" in found:
        lines.append(
            f"unknown   AUROC {found['unknown_auroc']:.3f}; above "
            f"{found['threshold']:.3f} are {found['unknown_found']:.0%} of "
            f"the unknown and {found['known_called_unknown']:.0%} of the known"
        )
    for point in found.get("by_radius", []):
        lines.append(f"R {point['radius_um']:5g} um  {point['macro_f1']:.3f}")
    for point in found.get("by_count", []):
        lines.append(
            f"{point['count']:7,d} labels  {point['macro_f1']:.3f}  "
            f"({point['low']:.3f} to {point['high']:.3f})"
        )
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    summary = run(options, program.from_flags(fitting.Options))
    if summary.scores:
        print(as_table(summary.scores))
    if summary.unknown:
        print(f"{summary.unknown:,} nodes are unknown: too uncertain.")
    program.finish(
        f"types of {summary.nodes:,} nodes of {summary.segments:,} segments in "
        f"{options.output_dir}",
        f"python -m segclr.report --types={options.output_dir} "
        f"--embeddings={options.embeddings}; or python -m ffn_tf.view IMAGE "
        f"SEGMENTATION --segment_properties={options.output_dir}/"
        f"{predictions.PROPERTIES}",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.define_flags(fitting.Options)
    program.start(main)
