"""Finds where segments may be two neurites: where embeddings change.

    python -m segclr.detect_merges --embeddings=out/embeddings \\
        --types=out/types --output_dir=out/merges

Along each skeleton the means of either side are compared, edge by edge
(segclr/merges/discontinuity.py); with --types, of segclr.classify, so are the
types. The most changed places are written as proposals.csv, each with what a
cut there would part, and as annotations for Neuroglancer.

Embeddings tell what a neurite is, not which: a merge of two axons of one type
is hardly found. How well, on merges that are known (segclr.make_merges, or of
proofreading), `--seams=out/merged/seams.csv` says, beside chance.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib

import numpy as np

from ffn_tf import program, skeleton
from ffn_tf.volume import annotation_files, files
from segclr.aggregation import sides, tables
from segclr.classification import predictions
from segclr.embedding import table
from segclr.merges import discontinuity, proposals, synthetic, trial


@dataclasses.dataclass(frozen=True)
class Options:
    """Where, and how."""

    embeddings: str = program.option(help="Folder of segclr.embed.")
    output_dir: str = program.option(help="Folder for proposals.")
    types: str = program.option("", help="Folder of segclr.classify.")
    radius_um: float = program.option(
        10.0, help="Of the means on either side, along the neurite."
    )
    min_nodes: int = program.option(
        2, help="That a side must have for its mean to be told."
    )
    most: int = program.option(1000, help="Proposals.")
    seams: str = program.option(
        "", help="CSV of merges that are known: tries how they are found."
    )
    tolerance_um: float = program.option(
        1.5, help="How near a found place must be to a seam."
    )

    def __post_init__(self) -> None:
        if not 0 <= self.radius_um < np.inf or self.min_nodes < 1:
            raise ValueError(
                f"--radius_um: expected 0 or more, --min_nodes: 1 or more; "
                f"found {self.radius_um} and {self.min_nodes}."
            )


@dataclasses.dataclass(frozen=True)
class Summary:
    """What was found.

    Attributes:
      edges: that were looked at.
      proposals: how many.
      trials: of --seams, by what was ranked: "embedding", "type".
    """

    edges: int
    proposals: int
    trials: dict[str, list[trial.Result]]


def run(options: Options) -> Summary:
    """Finds them.

    Raises:
      FileNotFoundError: no embeddings, types or seams.
      ValueError: of other nodes; means instead of embeddings.
      OSError: reading or writing failed.
    """
    source = pathlib.Path(options.embeddings)
    output = files.local(options.output_dir, "output_dir")
    if "radius_um" in table.described(source):
        raise ValueError(
            f"{source}: holds means, which change slowly everywhere; give "
            f"the embeddings of segclr.embed."
        )
    seams = []
    if options.seams:
        seams = synthetic.read_seams(pathlib.Path(options.seams))
    nodes = table.read_nodes(source)
    typed = None
    if options.types:
        typed = _types(pathlib.Path(options.types), nodes)
    edges, lengths = tables.links(nodes, table.read_edges(source))
    if not len(edges):
        raise ValueError(f"{source}: no two nodes are joined by an edge.")
    radius_nm = 1000 * options.radius_um
    score = discontinuity.scores(
        nodes.embedding, edges, lengths, radius_nm, options.min_nodes
    )
    change = np.full(len(edges), np.nan)
    if typed is not None:
        change = discontinuity.type_changes(
            typed.probability, edges, lengths, radius_nm
        )
        change[np.isnan(score)] = np.nan
    found = _proposed(options, nodes, typed, edges, score, change)
    trials = {}
    if seams:
        by = {"embedding": score} | ({"type": change} if typed else {})
        trials = _tried(options, nodes, edges, lengths, by, seams)
    output.mkdir(parents=True, exist_ok=True)
    with files.locked(output, "writing merges into it"):
        told = {
            "program": "segclr.detect_merges",
            "code": program.describe_code(),
            "options": dataclasses.asdict(options),
            "embeddings": table.described(source),
        }
        files.write_text(output / "merges.json", json.dumps(told, indent=1))
        _write(output, found, trials)
    return Summary(len(edges), len(found), trials)


def _write(
    output: pathlib.Path,
    found: list[proposals.Proposal],
    trials: dict[str, list[trial.Result]],
) -> None:
    (output / "trials.json").unlink(missing_ok=True)  # Of another run.
    files.write_text(output / "proposals.csv", proposals.as_csv(found))
    annotation_files.write(
        output / "annotations",
        np.array([one.position_nm_zyx for one in found]).reshape(-1, 3),
        np.array([one.segment for one in found], np.uint64),
        {"score": np.array([one.score for one in found])},
    )
    if trials:
        told = {
            name: [dataclasses.asdict(one) for one in results]
            for name, results in trials.items()
        }
        files.write_text(output / "trials.json", json.dumps(told, indent=1))


def _tried(
    options: Options,
    nodes: table.Nodes,
    edges: np.ndarray,
    lengths: np.ndarray,
    by: dict[str, np.ndarray],
    seams: list[synthetic.Seam],
) -> dict[str, list[trial.Result]]:
    """How known merges are found, by each score."""
    beside = pathlib.Path(options.seams).parent / "skeletons"
    firsts = {
        seam.segment: seam.first_vertices
        for seam in seams
        if seam.first_vertices
    }
    first_places = {}
    if firsts and beside.exists():
        first_places = {
            one.id: one.vertices_nm_zyx[: firsts[one.id]]
            for one in skeleton.read(beside)
            if one.id in firsts
        }
    nothing = np.zeros((len(nodes), 1), np.float32)
    _, counts = sides.means(nothing, edges, lengths, 1000 * options.radius_um)
    return {
        name: trial.run(
            trial.Forest(
                nodes.segment,
                nodes.position_nm_zyx,
                edges,
                ranked,
                counts.min(1),
            ),
            seams,
            1000 * options.tolerance_um,
            first_places,
        )
        for name, ranked in by.items()
    }


def _types(folder: pathlib.Path, nodes: table.Nodes) -> predictions.Typed:
    """Types of the same nodes.

    Raises:
      ValueError: of others.
    """
    typed = predictions.read(folder)
    if not (
        np.array_equal(typed.segment, nodes.segment)
        and np.array_equal(typed.node, nodes.node)
    ):
        raise ValueError(
            f"{folder}: types of other nodes ({len(typed.segment)}) than the "
            f"embeddings' ({len(nodes)}); run segclr.classify on these."
        )
    return typed


def _proposed(
    options: Options,
    nodes: table.Nodes,
    typed: predictions.Typed | None,
    edges: np.ndarray,
    score: np.ndarray,
    change: np.ndarray,
) -> list[proposals.Proposal]:
    middle = nodes.position_nm_zyx[edges].mean(1)
    segment = nodes.segment[edges[:, 0]]
    chosen = proposals.best(
        score, middle, segment, 1000 * options.radius_um, options.most
    )
    found = []
    for edge in chosen.tolist():
        first, last = (
            int(np.searchsorted(nodes.segment, segment[edge], side))
            for side in ("left", "right")
        )
        names = ("", "")
        if typed is not None:
            one, two = (typed.classes[typed.label[n]] for n in edges[edge])
            names = (one, two)
        z, y, x = middle[edge].tolist()
        one, two = nodes.node[edges[edge]].tolist()
        found.append(
            proposals.Proposal(
                edge,
                int(segment[edge]),
                float(score[edge]),
                float(change[edge]),
                *names,
                (z, y, x),
                (one, two),
                proposals.cut(edges, first, last, edge),
            )
        )
    return found


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    summary = run(options)
    for name, results in summary.trials.items():
        print(f"By {name}:")
        print(trial.as_table(results))
    program.finish(
        f"{summary.proposals:,} places, of {summary.edges:,} edges, in "
        f"{options.output_dir}/proposals.csv",
        f"python -m segclr.report --merges={options.output_dir} "
        f"--types={options.types or 'TYPES'} --embeddings={options.embeddings}",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
