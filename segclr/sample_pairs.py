"""Draws the places that SegCLR learns from: pairs on one neurite.

    python -m segclr.sample_pairs --skeletons=out/skeletons \\
        --output=out/pairs.tfrecord.gz --voxel_size_nm=33,32,32

of any skeletons that `ffn_tf.skeletonize` or others have made. Nodes are placed
along each (segclr/sampling/nodes.py), pairs are drawn by how far they are apart
along the neurite (pairs.py), and written in the schema of the released pair
tables (records.py). `--output=PATH@8` writes eight files; the pairs of a
neurite are spread over all of them, and shuffled among a hundred thousand. The
same seed gives the same files.

`--voxel_size_nm` is that of the scale at which the encoder looks: centres are
voxels of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import contextlib
import dataclasses

import numpy as np

from ffn_tf import program, skeleton
from ffn_tf.sampling import outputs
from segclr.sampling import nodes, pairs, records

_SHUFFLED = 100_000  # Messages among which the next is drawn.


@dataclasses.dataclass(frozen=True)
class Options:
    """What to draw from, and where to write."""

    skeletons: str = program.option(
        help="Skeletons: a folder of precomputed ones or of .swc, or an .npz."
    )
    output: str = program.option(
        help="File of TFRecords to write, gzipped; or PATH@N for N files."
    )
    voxel_size_nm: tuple[float, float, float] = program.option(
        help="Of the voxels that centres are counted in, z,y,x: those at which "
        "the encoder looks (H01: 33,32,32)."
    )
    volume_name: str = program.option(
        "em", help="Name of the image in the records."
    )
    label_volume_name: str = program.option(
        "segmentation", help="Name of the segmentation in the records."
    )
    spacing_nm: float = program.option(
        500.0, help="Between nodes along a neurite."
    )
    buckets_um: tuple[float, ...] = program.option(
        tuple(b / 1000 for b in pairs.BUCKETS_NM),
        help="Bounds of the distances of pairs along the neurite.",
    )
    pairs_per_node: float = program.option(
        1.0, help="Of each bucket, where there are nodes so far away."
    )
    seed: int = program.option(0, help="Of the draws and the order.")


@dataclasses.dataclass(frozen=True)
class Summary:
    """What has been written.

    Attributes:
      skeletons, without: that have pairs, and that have none.
      counts: pairs of each bucket.
      was_there: the files were complete before, and were not looked at.
    """

    skeletons: int = 0
    without: int = 0
    counts: tuple[int, ...] = ()
    was_there: bool = False


def run(options: Options) -> Summary:
    """Draws and writes the pairs.

    Raises:
      FileExistsError: files are there, made with other options.
      FileNotFoundError: no skeletons.
      ValueError: options that cannot be, or damaged skeletons; or no pair.
      OSError: reading or writing failed.
    """
    output = outputs.Output(options.output, "output")
    bounds = tuple(1000 * b for b in options.buckets_um)
    pairs.check_buckets(bounds)
    if not all(0.001 < size < 1e9 for size in options.voxel_size_nm):
        raise ValueError(
            f"--voxel_size_nm: expected z,y,x in nanometres, found "
            f"{options.voxel_size_nm}."
        )
    if not 0 < options.pairs_per_node <= 1000:
        raise ValueError(
            f"--pairs_per_node: expected more than 0, at most 1000, found "
            f"{options.pairs_per_node}."
        )
    if options.seed < 0:
        raise ValueError(f"--seed: expected 0 or more, found {options.seed}.")
    record = {
        "program": "segclr.sample_pairs",
        "options": dataclasses.asdict(options),
    }
    if output.is_done(record):
        return Summary(was_there=True)
    found = skeleton.read(options.skeletons)
    drawing, scattering = np.random.default_rng(options.seed).spawn(2)
    counts = np.zeros((len(found), len(bounds) - 1), np.int64)

    def messages() -> Iterator[bytes]:
        names = records.Names(options.volume_name, options.label_volume_name)
        with program.Progress("Drawing", "skeletons") as progress:
            for i, one in enumerate(found):
                drawn = pairs.drawn(
                    nodes.place(one, options.spacing_nm),
                    drawing,
                    bounds,
                    options.pairs_per_node,
                )
                counts[i], _ = np.histogram(
                    drawn.distance_nm, np.nextafter(bounds, np.inf)
                )
                yield from records.encoded(drawn, options.voxel_size_nm, names)
                progress.update(i + 1, len(found))

    with output.written(record) as ready:
        with contextlib.ExitStack() as stack:
            writers = [
                stack.enter_context(records.Writer(path)) for path in ready
            ]
            for message in _shuffled(messages(), scattering):
                writers[scattering.integers(len(writers))].write(message)
        if not counts.any():
            longest = max(one.length_nm for one in found)
            raise ValueError(
                f"{options.skeletons}: no pairs. The longest of {len(found)} "
                f"skeletons is {longest / 1000:.2f} um long, nodes are "
                f"{options.spacing_nm:g} nm apart: give a smaller "
                f"--spacing_nm, or other --buckets_um."
            )
    has_pairs = counts.any(axis=1)
    return Summary(
        int(has_pairs.sum()),
        int((~has_pairs).sum()),
        tuple(counts.sum(axis=0).tolist()),
    )


def _shuffled(
    messages: Iterable[bytes], rng: np.random.Generator
) -> Iterator[bytes]:
    """Each drawn among those that are waiting."""
    waiting: list[bytes] = []
    for message in messages:
        waiting.append(message)
        if len(waiting) > _SHUFFLED:
            at = rng.integers(len(waiting))
            waiting[at], waiting[-1] = waiting[-1], waiting[at]
            yield waiting.pop()
    for at in rng.permutation(len(waiting)):
        yield waiting[at]


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    summary = run(options)
    wrote = f"nothing: {options.output} is complete, made of the same before"
    if not summary.was_there:
        print(
            f"{summary.skeletons} skeletons have pairs, {summary.without} are "
            f"too short"
        )
        bounds = options.buckets_um
        for low, high, count in zip(bounds, bounds[1:], summary.counts):
            print(f"  {low:g} to {high:g} um: {count:,} pairs")
        wrote = f"{sum(summary.counts):,} pairs in {options.output}"
    program.finish(
        wrote,
        f"python -m segclr.train --pairs={options.output} --image=ADDRESS "
        f"--segmentation=ADDRESS --train_dir=out/segclr",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
