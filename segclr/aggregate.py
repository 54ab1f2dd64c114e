"""Means of embeddings along neurites: what tells types better than one place.

    python -m segclr.aggregate --embeddings=out/embeddings \\
        --output_dir=out/embeddings-10um --radius_um=10

The fourth step, after embed. Each node's embedding becomes the mean over all
nodes within --radius_um along the neurite (segclr/aggregation/geodesic.py); 10
and 25 were released for H01 and MICrONS. The result is a table like the first.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
import shutil
from typing import Any

import numpy as np

from ffn_tf import program
from ffn_tf.volume import attempt, files
from segclr.aggregation import tables
from segclr.embedding import table

_PART = 1_000_000  # Nodes of a file, about.
_UNFINISHED = ".aggregate"  # Is there while means are made.


@dataclasses.dataclass(frozen=True)
class Options:
    """Of what, how far, and where to."""

    embeddings: str = program.option(help="Folder of segclr.embed.")
    output_dir: str = program.option(help="Folder for the means.")
    radius_um: float = program.option(
        10.0, help="Along the neurite; 0: each node alone."
    )

    def __post_init__(self) -> None:
        if not 0 <= self.radius_um < np.inf:
            raise ValueError(
                f"--radius_um: expected 0 or more, found {self.radius_um}."
            )


@dataclasses.dataclass(frozen=True)
class Summary:
    """What has been made.

    Attributes:
      nodes, segments: how many; None if they were there.
    """

    nodes: int | None = None
    segments: int | None = None


def run(options: Options) -> Summary:
    """Makes the means.

    Raises:
      FileExistsError: the output holds others.
      FileNotFoundError: no embeddings.
      ValueError: damaged ones.
      OSError: reading or writing failed.
    """
    source = pathlib.Path(options.embeddings)
    output = files.local(options.output_dir, "output_dir")
    decides = {
        "radius_um": options.radius_um,
        "embeddings": table.described(source),
    }
    if (output / "embed.json").exists():
        raise FileExistsError(
            f"{output}: holds embeddings that are no means; give another "
            f"--output_dir."
        )
    output.mkdir(parents=True, exist_ok=True)
    with files.locked(output, "averaging into it"):
        return _run(options, source, output, decides)


def _run(
    options: Options,
    source: pathlib.Path,
    output: pathlib.Path,
    decides: dict[str, Any],
) -> Summary:
    if (output / table.MEANS).exists():
        if changes := attempt.changes(table.options_of(output), decides):
            raise FileExistsError(
                f"{output}: holds means with other options ({changes}); give "
                f"another --output_dir."
            )
        return Summary()
    if (output / "nodes").exists() and not (output / _UNFINISHED).exists():
        raise FileExistsError(
            f"{output}: holds a table of somebody else; give another "
            f"--output_dir."
        )
    nodes, edges = table.read_nodes(source), table.read_edges(source)
    starts = np.unique(nodes.segment, return_index=True)[1]
    (output / _UNFINISHED).touch()
    shutil.rmtree(output / "nodes", ignore_errors=True)  # Of a killed run.
    with program.Progress("Averaging", "parts") as progress:
        bounds = _parts(starts, len(nodes))
        for number, (start, end) in enumerate(itertools.pairwise(bounds)):
            some = slice(start, end)
            taken = nodes.taken(some)
            made = tables.means(taken, edges, options.radius_um)
            part = dataclasses.replace(
                taken, embedding=made.astype(nodes.embedding.dtype)
            )
            table.write_nodes(table.part(output, number), part)
            progress.update(number + 1, len(bounds) - 1)
    table.write_edges(output, edges)
    told = {
        "program": "segclr.aggregate",
        "code": program.describe_code(),
        "options": decides,
    }
    files.write_text(output / table.MEANS, json.dumps(told, indent=1))
    (output / _UNFINISHED).unlink()
    return Summary(len(nodes), len(starts))


def _parts(starts: np.ndarray, count: int) -> list[int]:
    """Where files begin: each with whole segments."""
    bounds = [0]
    for start in [*starts[1:].tolist(), count]:
        if start - bounds[-1] >= _PART or start == count:
            bounds.append(start)
    return bounds


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    summary = run(options)
    wrote = f"nothing: {options.output_dir} is complete, made the same before"
    if summary.nodes is not None:
        wrote = (
            f"means of {summary.nodes:,} nodes of {summary.segments:,} "
            f"segments in {options.output_dir}"
        )
    program.finish(
        wrote, f"any tool that reads Parquet: {options.output_dir}/nodes"
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
