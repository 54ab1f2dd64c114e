"""Traces the centre lines of segments.

    python -m ffn_tf.skeletonize --segmentation=precomputed://out/segmentation

of any segmentation; those of a precomputed one are in its folder `skeletons`,
and in its `info`, so that Neuroglancer shows them and CloudVolume reads them
(`CloudVolume(...).skeleton.get(7)`). Others need a folder:

    python -m ffn_tf.skeletonize --segmentation=groundtruth.h5:stack \\
        --output_dir=out/skeletons --swc_dir=out/swc

Vertices and radii are in nanometres. Many voxels? Coarser ones are traced eight
times as fast: --segmentation='precomputed://out/segmentation?mip=1'. Memory is
bounded by a block; lines go on across blocks (ffn_tf/skeleton/tracing.py). The
same input gives the same bytes, whoever works. Killed, the program goes on
where it was when it is run again; with other options it refuses.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import pathlib
import shlex
from typing import Any

from ffn_tf import program, volume
from ffn_tf.jobs import run as jobs
from ffn_tf.jobs import tasks
from ffn_tf.skeleton import blocks, precomputed, swc, tracing


@dataclasses.dataclass(frozen=True)
class Options:
    """Of what, and where to; jobs.Options says who works."""

    segmentation: str = program.option(
        help="Address of a segmentation, or of a scale of it."
    )
    output_dir: str = program.option(
        "",
        help="Folder for the skeletons; by default, `skeletons` in that of a "
        "precomputed segmentation.",
    )
    swc_dir: str = program.option(
        "", help="Folder of this machine for the same as SWC files, too."
    )


@dataclasses.dataclass(frozen=True)
class Summary:
    """What has been made.

    Attributes:
      folder: of the skeletons.
      segments: how many have one; None if they were complete before.
      dust: segments that are too small to have one.
      missing: blocks that other shards are to do, or have not done yet; until
        then there are no skeletons.
    """

    folder: str
    segments: int | None = None
    dust: int = 0
    missing: int = 0


def run(
    options: Options,
    which: blocks.Options | None = None,
    how: tracing.Options | None = None,
    who: jobs.Options | None = None,
) -> Summary:
    """Traces segments, or goes on with it.

    Raises:
      FileExistsError: other skeletons are there.
      FileNotFoundError: no such volume.
      ValueError: no segmentation; blocks could not be done.
      OSError: reading or writing failed.
    """
    which, how = which or blocks.Options(), how or tracing.Options()
    who = who or jobs.Options()
    asked = options.segmentation, options.output_dir, which, how
    job = blocks.Skeletonizing(*asked)
    if options.swc_dir and job.folder.is_remote:
        raise ValueError(
            f"--swc_dir: the skeletons of {job.folder.name} are not on this "
            f"machine."
        )
    made = Summary(job.folder.name)
    if not job.folder.is_complete:
        made = _made(job, asked, who)
    if options.swc_dir and not made.missing:
        _write_swc(job.folder.name, pathlib.Path(options.swc_dir))
    return made


def _made(
    job: blocks.Skeletonizing, asked: tuple[Any, ...], who: jobs.Options
) -> Summary:
    left = set(job.begin())
    todo = [box for box in who.share(job.blocks) if box in left]
    _work(_tracer, asked, todo, who, "Tracing", "blocks")
    try:
        if missing := len(job.folder.missing(job.blocks)):
            return Summary(job.folder.name, missing=missing)
        everybody = dataclasses.replace(who, shard="")
        _work(_joiner, asked, job.groups(), everybody, "Joining", "groups")
        dust = job.folder.dust()
        return Summary(job.folder.name, job.finish(), dust)
    except FileNotFoundError:
        # The shard that ended at the same moment may have tidied up.
        if blocks.Skeletonizing(*asked).folder.is_complete:
            return Summary(job.folder.name)
        raise


def _work(
    worker: Callable[..., tasks.Work],
    asked: tuple[Any, ...],
    todo: list[Any],
    who: jobs.Options,
    title: str,
    unit: str,
) -> None:
    with program.Progress(title, unit) as progress:
        done = jobs.run(functools.partial(worker, *asked), todo, who)
        for number, _ in enumerate(done, 1):
            progress.update(number, len(todo))


def _tracer(*asked: Any) -> tasks.Work:
    job = blocks.Skeletonizing(*asked[:-1])  # The last: who works.
    job.begin()
    return tasks.one_by_one(job.trace)


def _joiner(*asked: Any) -> tasks.Work:
    return tasks.one_by_one(blocks.Skeletonizing(*asked[:-1]).join)


def _write_swc(folder: str, to: pathlib.Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    for one in precomputed.read(pathlib.Path(folder)):
        with volume.files.atomic_path(to / f"{one.id}.swc") as path:
            path.write_bytes(swc.encode(one))


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    summary = run(
        options,
        program.from_flags(blocks.Options),
        program.from_flags(tracing.Options),
        program.from_flags(jobs.Options),
    )
    wrote = f"nothing: {summary.folder} is complete, made the same before"
    following = (
        f"python -m ffn_tf.view {shlex.quote(options.segmentation)} "
        f"--skeletons={shlex.quote(summary.folder)}"
    )
    if summary.missing:
        wrote = (
            f"a part of {summary.folder}; {summary.missing} blocks are for "
            f"others to do"
        )
        following = "the same, when all shards have ended"
    elif summary.segments is not None:
        wrote = f"skeletons of {summary.segments} segments in {summary.folder}"
        if summary.dust:
            wrote += f"; {summary.dust} are too small (--dust_threshold)"
    program.finish(wrote, following)


if __name__ == "__main__":
    program.define_flags(Options)
    program.define_flags(blocks.Options)
    program.define_flags(tracing.Options)
    program.define_flags(jobs.Options)
    program.start(main)
