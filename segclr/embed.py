"""Turns places on segments into vectors: SegCLR's embeddings.

    python -m segclr.embed --encoder=out/segclr/checkpoints/step-00001000 \\
        --image=out/phantom/image.zarr \\
        --segmentation=out/phantom/labels.zarr \\
        --skeletons=out/skeletons --output_dir=out/embeddings

The third step, after skeletonize and train. Nodes are placed along the
skeletons; what is around each, masked by its segment, goes through the encoder.
The result is a table of Parquet files (segclr/embedding/table.py), which any
tool reads; with `--csvzip_dir`, also the released layout (csvzip.py). Killed,
the program goes on where it was when it is run again, in any number of workers.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib

import numpy as np

from ffn_tf import program
from ffn_tf.jobs import run as jobs
from segclr.embedding import csvzip, statistics, table
from segclr.embedding import run as run_lib


@dataclasses.dataclass(frozen=True)
class Options:
    """What else is to be written."""

    csvzip_dir: str = program.option(
        "", help="Folder for the embeddings in the released layout, too."
    )
    num_shards: int = program.option(10_000, help="Zips of --csvzip_dir.")
    bytewidth: int = program.option(
        64, help="Bytes of the ids that choose a zip."
    )


@dataclasses.dataclass(frozen=True)
class Summary:
    """What there is.

    Attributes:
      folder: of the table.
      nodes, segments: in it.
      made: nodes of this run.
      outside: of those, whose voxel is not in their segment.
      empty: nodes of this run that were left out.
      missing: parts that other shards are to do.
      statistics: of reading, over all attempts and shards.
      chunks_touched: of image and segmentation, by any node; 0 while parts are
        missing.
    """

    folder: str
    nodes: int = 0
    segments: int = 0
    made: int = 0
    outside: int = 0
    empty: int = 0
    missing: int = 0
    statistics: statistics.Statistics = dataclasses.field(
        default_factory=statistics.Statistics
    )
    chunks_touched: int = 0


def run(
    options: run_lib.Options,
    more: Options | None = None,
    who: jobs.Options | None = None,
) -> Summary:
    """Embeds all places, or goes on with it.

    Raises:
      FileExistsError, FileNotFoundError, ValueError, OSError: see
        `embedding.run.Embedding`; parts that could not be done.
    """
    more, who = more or Options(), who or jobs.Options()
    layout = csvzip.Layout(more.num_shards, more.bytewidth)
    counts = np.zeros(3, np.int64)
    with run_lib.Embedding(options) as job:
        places = job.begin()
        todo = job.todo(places)
        is_todo = set(todo)
        mine = [t for t in who.share(range(places.num_tasks)) if t in is_todo]
        before = places.num_tasks - len(todo)
        make = functools.partial(run_lib.worker, options)
        with program.Progress("Embedding", "parts") as progress:
            account = statistics.Account(job.folder, who.name)
            done = jobs.run(make, mine, who)
            for number, one in enumerate(done, before + 1):
                part = one.result
                counts += part.nodes, part.outside, part.empty
                account.add(part.statistics)
                progress.update(number, places.num_tasks, before)
        missing = len(job.todo(places))
        touched = 0 if missing else job.chunks_touched(places)
    made, outside, empty = counts.tolist()
    found = Summary(
        options.output_dir,
        made=made,
        outside=outside,
        empty=empty,
        missing=missing,
        statistics=statistics.read(job.folder),
        chunks_touched=touched,
    )
    if missing:
        return found
    nodes = table.read_nodes(pathlib.Path(options.output_dir))
    if more.csvzip_dir:
        _write_csvzips(nodes, pathlib.Path(more.csvzip_dir), layout)
    segments = len(np.unique(nodes.segment))
    return dataclasses.replace(found, nodes=len(nodes), segments=segments)


def _write_csvzips(
    nodes: table.Nodes, folder: pathlib.Path, layout: csvzip.Layout
) -> None:
    """Nodes in order of segments; x, y, z in nanometres."""
    ids, starts = np.unique(nodes.segment, return_index=True)
    bounds = [*starts.tolist(), len(nodes)]
    of_shard: dict[int, list[int]] = {}
    for i, id_ in enumerate(ids.tolist()):
        of_shard.setdefault(layout.shard(id_), []).append(i)
    with program.Progress("Writing", "zips") as progress:
        for number, (shard, members) in enumerate(sorted(of_shard.items()), 1):
            csvzip.write_shard(
                folder,
                shard,
                (
                    (int(ids[i]), [_rows(nodes, bounds[i], bounds[i + 1])])
                    for i in members
                ),
                layout,
            )
            progress.update(number, len(of_shard))


def _rows(nodes: table.Nodes, start: int, end: int) -> csvzip.Rows:
    z, y, x = nodes.position_nm_zyx[start:end].T
    return csvzip.Rows(
        nodes.node[start:end],
        np.stack([x, y, z], axis=1),
        nodes.embedding[start:end].astype(np.float32),
    )


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(run_lib.Options)
    more = program.from_flags(Options)
    summary = run(options, more, program.from_flags(jobs.Options))
    if summary.empty:
        program.warn(
            f"{summary.empty} nodes were left out: no voxel of their segment "
            f"is near."
        )
    if summary.outside:
        print(
            f"{summary.outside} of {summary.made} nodes are not in a voxel of "
            f"their segment (is_inside)."
        )
    if summary.made and summary.chunks_touched:
        said = summary.statistics.described(summary.chunks_touched)
        print(f"Reading: {said}")
    wrote = (
        f"embeddings of {summary.nodes:,} nodes of {summary.segments:,} "
        f"segments in {summary.folder}"
    )
    following = f"any tool that reads Parquet: {summary.folder}/nodes"
    if summary.missing:
        wrote = (
            f"{summary.made:,} nodes in {summary.folder}; {summary.missing} "
            f"parts are for others to do"
        )
        following = "the same, when all shards have ended"
    program.finish(wrote, following)


if __name__ == "__main__":
    program.define_flags(run_lib.Options)
    program.define_flags(Options)
    program.define_flags(jobs.Options)
    program.start(main)
