"""Makes the meshes that Neuroglancer shows of a segmentation.

    python -m ffn_tf.mesh --segmentation=precomputed://out/segmentation

of any precomputed segmentation that can be written, in a bucket too. The meshes
are in its folder `mesh`, and in its `info`, so that viewers find them, and
CloudVolume: `CloudVolume(...).mesh.get(7)`. Many voxels? Coarser ones make
meshes eight times as fast, and good enough to look at:

    --segmentation='precomputed://out/segmentation?mip=1'

Memory is bounded by a block; the pieces of a segment fit without gaps
(ffn_tf/assembly/meshing.py). The same input gives the same bytes, whoever
works. Killed, the program goes on where it was when it is run again; with other
options it refuses. Meshes that exist are never overwritten.
"""

from __future__ import annotations

import dataclasses
import functools
import shlex

from ffn_tf import program
from ffn_tf.assembly import meshing
from ffn_tf.jobs import run as jobs
from ffn_tf.jobs import tasks


@dataclasses.dataclass(frozen=True)
class Options:
    """Of what; meshing.Options says how, jobs.Options who works."""

    segmentation: str = program.option(
        help="Address of a precomputed segmentation, or of a scale of it."
    )


@dataclasses.dataclass(frozen=True)
class Summary:
    """What has been made.

    Attributes:
      folder: of the meshes.
      segments, pieces: how many; None if they were complete before.
      dust: segments that are too small to have one.
      missing: blocks that other shards are to do, or have not done yet; until
        then there are no meshes.
    """

    folder: str
    segments: int | None = None
    pieces: int | None = None
    dust: int = 0
    missing: int = 0


def run(
    options: Options,
    how: meshing.Options | None = None,
    who: jobs.Options | None = None,
) -> Summary:
    """Makes meshes, or goes on with it.

    Raises:
      FileExistsError: other meshes are there.
      FileNotFoundError: no such volume.
      ValueError: not a precomputed segmentation; blocks could not be done.
      OSError: reading or writing failed.
    """
    how, who = how or meshing.Options(), who or jobs.Options()
    job = meshing.Meshing(options.segmentation, how)
    if job.folder.is_complete:
        return Summary(job.folder.name)
    left = set(job.begin())
    todo = [box for box in who.share(job.blocks) if box in left]
    make = functools.partial(_worker, options.segmentation, how)
    total = len(job.blocks)
    with program.Progress("Meshing", "blocks") as progress:
        done = jobs.run(make, todo, who)
        for number, _ in enumerate(done, total - len(todo) + 1):
            progress.update(number, total, total - len(todo))
    try:
        if missing := len(job.folder.missing(job.blocks)):
            return Summary(job.folder.name, missing=missing)
        dust = job.folder.dust()
        return Summary(job.folder.name, *job.finish(), dust)
    except FileNotFoundError:
        # The shard that ended at the same moment may have tidied up.
        if meshing.Meshing(options.segmentation, how).folder.is_complete:
            return Summary(job.folder.name)
        raise


def _worker(segmentation: str, how: meshing.Options, index: int) -> tasks.Work:
    del index
    job = meshing.Meshing(segmentation, how)
    job.begin()
    return tasks.one_by_one(job.make)


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    summary = run(
        options,
        program.from_flags(meshing.Options),
        program.from_flags(jobs.Options),
    )
    wrote = f"nothing: {summary.folder} is complete, made the same before"
    following = f"python -m ffn_tf.view {shlex.quote(options.segmentation)}"
    if summary.missing:
        wrote = (
            f"a part of {summary.folder}; {summary.missing} blocks are for "
            f"others to do"
        )
        following = "the same, when all shards have ended"
    elif summary.segments is not None:
        wrote = (
            f"meshes of {summary.segments} segments, in {summary.pieces} "
            f"pieces, in {summary.folder}"
        )
        if summary.dust:
            wrote += f"; {summary.dust} are too small (--dust_threshold)"
    program.finish(wrote, following)


if __name__ == "__main__":
    program.define_flags(Options)
    program.define_flags(meshing.Options)
    program.define_flags(jobs.Options)
    program.start(main)
