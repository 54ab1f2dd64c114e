"""Makes one segmentation of the subvolumes of run_inference.

    python -m ffn_tf.reconcile --segmentation_dir=out/segments \\
        --output=precomputed://out/segmentation

Each subvolume counts its objects from 1. Where two of them overlap, objects
that are each other's best, and agree well enough, become one
(ffn_tf/assembly/matching.py); every object gets an id that is good everywhere,
and each voxel is taken from the subvolume in which it lies deepest. What is
then smaller than run_inference's --min_segment_size is left out. The output is
any address that can be written, in a bucket too; precomputed and zarr have all
scales. In precomputed, Neuroglancer lists the segments by their size;
ffn_tf.mesh adds meshes.

    segments.csv, report.json    in --work_dir: every segment; what to look at

The result does not depend on the order of anything. Killed, the program goes on
where it was when it is run again; with other options it refuses. What exists is
never overwritten.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import json
import pathlib
import shlex
from typing import Any

import numpy as np

from ffn_tf import program, volume
from ffn_tf.assembly import (
    assembled,
    cores,
    global_ids,
    matching,
    overlaps,
    summary,
)
from ffn_tf.assembly import pieces as pieces_lib
from ffn_tf.volume import attempt, conversion, files, segment_properties

# Segments that are listed for viewers, the largest first.
_LISTED = 500_000


@dataclasses.dataclass(frozen=True)
class Options:
    """What to assemble, and where to; matching.Rule says how."""

    segmentation_dir: str = program.option(
        help="Folder of the subvolumes: run_inference's of that name."
    )
    output: str = program.option(help="Address of the new volume.")
    voxel_size_nm: tuple[float, float, float] | None = program.option(
        None,
        help="Edge lengths of a voxel, z,y,x; by default, what the subvolumes "
        "say.",
    )
    split_cc: bool = program.option(
        False,
        help="Make parts of a segment that do not touch segments of their own.",
    )
    allow_missing: bool = program.option(
        False, help="Leave voxels of missing subvolumes 0."
    )
    chunk_zyx: tuple[int, int, int] = program.option(
        (64, 64, 64), help="Chunk size of the output, z,y,x."
    )
    work_dir: str = program.option(
        "",
        help="Folder of what is known of the subvolumes, and of the report; "
        "by default, reconcile in --segmentation_dir.",
    )


@dataclasses.dataclass(frozen=True)
class Summary:
    """What has been made.

    Attributes:
      report: see assembly.summary.
      info: of the finest scale.
      work_dir: where the report is.
      was_there: the output was complete before.
    """

    report: dict[str, Any]
    info: volume.VolumeInfo
    work_dir: pathlib.Path
    was_there: bool


def run(options: Options, rule: matching.Rule | None = None) -> Summary:
    """Assembles, or goes on with it.

    Raises:
      FileNotFoundError: no subvolumes, or some are missing.
      FileExistsError: something else is at the output.
      BlockingIOError: another process works with the same work_dir, or writes
        the same output.
      ValueError: the subvolumes do not fit each other, or the options do not
        fit them, or a file is damaged.
      OSError: reading or writing failed.
    """
    rule = rule or matching.Rule()
    pieces = pieces_lib.found(
        options.segmentation_dir, allow_missing=options.allow_missing
    )
    if options.voxel_size_nm:
        pieces = dataclasses.replace(
            pieces, voxel_size_nm=options.voxel_size_nm
        )
    made_by = _made_by(options, rule, pieces)
    state = attempt.look(options.output, made_by)
    loader = cores.Loader(pieces, split_cc=options.split_cc)
    source = assembled.Assembled(pieces, loader)
    opened = volume.Volume(source, options.segmentation_dir, writable=False)
    plan = conversion.planned(
        opened,
        options.output,
        dataclasses.replace(opened.info, chunk_zyx=options.chunk_zyx),
        made_by=made_by,
    )
    _warn(pieces)
    folder = pathlib.Path(
        options.work_dir or f"{options.segmentation_dir}/reconcile"
    )
    compared = overlaps.Folder(folder, pieces, options.split_cc)
    with files.locked(folder, "reconciling with it"):
        found = global_ids.assigned(
            _known(compared, loader),
            rule,
            split_cc=options.split_cc,
            min_voxels=pieces.min_voxels,
        )
        told = summary.report(pieces, found)
        summary.write_csv(found, folder / "segments.csv")
        files.write_text(folder / "report.json", json.dumps(told, indent=1))
        source.of_numbers = found.of_numbers
        with program.Progress("Writing", "voxels") as progress:
            conversion.execute(
                plan,
                opened,
                progress=lambda now: progress.update(
                    now.done, now.total, now.before
                ),
                order=source.order,
            )
        if segment_properties.can_have(options.output):
            _describe(options.output, found)
    return Summary(told, plan.info, folder, state == "complete")


def _made_by(
    options: Options, rule: matching.Rule, pieces: pieces_lib.Pieces
) -> dict[str, Any]:
    decides = dataclasses.asdict(options) | dataclasses.asdict(rule)
    del decides["work_dir"]
    return {
        "program": "ffn_tf.reconcile",
        "code": program.describe_code(),
        "options": decides
        | {"subvolumes": pieces.digest, "min_voxels": pieces.min_voxels},
        "subvolumes": dict(pieces.made_by),
    }


def _warn(pieces: pieces_lib.Pieces) -> None:
    if any(pieces.gap_zyx):
        program.warn(
            f"between neighbouring subvolumes no field of view was centred on "
            f"{pieces.gap_zyx} voxels (z, y, x): objects there are of lower "
            f"quality. A larger --overlap_zyx of run_inference avoids it."
        )
    if pieces.voxel_size_nm == (1, 1, 1):
        program.warn(
            "the subvolumes do not say how large a voxel is, so the output "
            "says 1 nm; give --voxel_size_nm=z,y,x."
        )


def _known(
    folder: overlaps.Folder, loader: cores.Loader
) -> Iterator[overlaps.Known]:
    """What is known of each piece, one by one; what is not, first."""
    with program.Progress("Comparing", "subvolumes") as progress:
        todo = list(folder.todo())
        before = folder.total - len(todo)
        for number, index in enumerate(todo, before + 1):
            folder.save(index, folder.known(loader, index))
            progress.update(number, folder.total, before)
    yield from map(folder.load, range(folder.total))


def _describe(output: str, found: global_ids.GlobalIds) -> None:
    """Lists the segments for Neuroglancer."""
    ids = np.arange(1, len(found) + 1)
    if len(ids) > _LISTED:
        ids = np.sort(
            ids[np.argsort(-found.voxels[1:], kind="stable")][:_LISTED]
        )
    start, end = found.boxes[ids, 0], found.boxes[ids, 1]
    middle = (start + end) // 2
    numbers = {"voxels": found.voxels[ids], "subvolumes": found.num_pieces[ids]}
    for axis, name in enumerate("zyx"):
        numbers[f"middle_{name}"] = middle[:, axis]
    segment_properties.write(output, ids, numbers)


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    found = run(options, program.from_flags(matching.Rule))
    for line in summary.as_text(found.report):
        print(line)
    wrote = (
        f"{options.output}: {found.info.domain.size} voxels (z, y, x); "
        f"{found.work_dir}/segments.csv and report.json"
    )
    if found.was_there:
        wrote = f"nothing: {options.output} is complete, made the same before"
    program.finish(
        wrote,
        f"python -m ffn_tf.evaluate "
        f"--segmentation={shlex.quote(options.output)} --truth=ADDRESS "
        f"--output_dir=out/scores",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.define_flags(matching.Rule)
    program.start(main)
