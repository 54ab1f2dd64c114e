"""Chooses where a network looks while it is trained: TFRecords of centres.

    python -m ffn_tf.build_coordinates \\
        --partition_volumes=training2:out/partitions.h5:af \\
        --coordinate_output=out/coordinates.tfrecord.gz --margin=24,24,24

The second step of training, after compute_partitions: examples from every class
alike (ffn_tf/sampling/coordinates.py), shuffled, in the files that google/ffn's
training reads (ffn_tf/sampling/records.py). `--coordinate_output=PATH@8` writes
eight files, PATH-00000-of-00008 and so on. The same seed gives the same files.

Memory does not grow with the volumes, nor with the examples; there is a file
beside the output for a while, of 10 bytes an example. Volumes of many gigabytes
have more voxels than a training will ever see: `--max_per_class`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent import futures
import contextlib
import dataclasses
import os
import pathlib

import numpy as np

from ffn_tf import program, volume
from ffn_tf.sampling import coordinates, outputs, records


@dataclasses.dataclass(frozen=True)
class Options:
    """What to draw from, and where to write."""

    partition_volumes: tuple[str, ...] = program.option(
        help="NAME:ADDRESS of partitions, several separated by commas; the "
        "names are those that train gives to image and labels."
    )
    coordinate_output: str = program.option(
        help="File to write, or PATH@N for N files."
    )
    margin: tuple[int, int, int] = program.option(
        help="Voxels at the border of the volumes where no centre lies, z,y,x: "
        "half the patch that train reads. 24 for a network that sees 33 voxels "
        "and moves by 8: (33 + 2 * 8) / 2."
    )
    max_per_class: int | None = program.option(
        None,
        help="Most examples of each class; by default as many as the largest "
        "class has voxels.",
    )
    seed: int = program.option(0, help="Of the draws and the order.")


@dataclasses.dataclass(frozen=True)
class Summary:
    """What has been written.

    Attributes:
      paths: of the files.
      plan: classes and examples.
      was_there: they were complete before.
    """

    paths: tuple[pathlib.Path, ...]
    plan: coordinates.Plan
    was_there: bool


def run(options: Options) -> Summary:
    """Draws and writes the examples.

    Raises:
      FileExistsError: files are there, made with other options.
      ValueError: the options and the volumes do not go together.
      OSError: reading or writing failed.
    """
    output = outputs.Output(options.coordinate_output, "coordinate_output")
    if options.seed < 0:
        raise ValueError(f"--seed: expected at least 0, found {options.seed}.")
    named = program.named(
        options.partition_volumes, "partition_volumes", "ADDRESS"
    )
    records.check_names([*named])
    with contextlib.ExitStack() as stack:
        sources = [
            coordinates.Source.within(
                name,
                stack.enter_context(volume.open(address)),
                options.margin,
            )
            for name, address in named.items()
        ]
        plan = coordinates.planned(sources, options.max_per_class)
        record = {
            "program": "ffn_tf.build_coordinates",
            "options": dataclasses.asdict(options),
            "voxels": {str(k): n for k, n in plan.voxels.items()},
            "examples_of_each_class": plan.most,
            "examples": plan.num_examples,
        }
        was_there = output.is_done(record)
        if not was_there:
            with output.written(record) as ready:
                _write(ready, sources, plan, options.seed)
    return Summary(output.paths, plan, was_there)


def _write(
    ready: Sequence[pathlib.Path],
    sources: Sequence[coordinates.Source],
    plan: coordinates.Plan,
    seed: int,
) -> None:
    drawing, scattering, shuffling = np.random.default_rng(seed).spawn(3)
    root = ready[0].parent
    buckets = coordinates.Buckets(root, plan.num_examples, len(ready))
    buckets.fill(coordinates.examples(sources, plan, drawing), scattering)
    with program.Progress("Writing", "parts") as progress:
        done = 0
        for shard, path in enumerate(ready):
            parts = buckets.of_shard(shard)
            with open(path, "wb") as file:
                for member in _members(parts, sources, shuffling):
                    file.write(member)
                    done += 1
                    progress.update(done, len(parts) * len(ready))


def _members(
    parts: Sequence[pathlib.Path],
    sources: Sequence[coordinates.Source],
    rng: np.random.Generator,
) -> Iterator[bytes]:
    """Each bucket as a part of a GZIP file, some at a time."""
    names = [source.name for source in sources]

    def member(path: pathlib.Path, mine: np.random.Generator) -> bytes:
        found = coordinates.shuffled(path, mine)
        path.unlink()
        centers = coordinates.centers_xyz(found, sources)
        return records.compressed(
            records.encoded(centers, found["volume"], names)
        )

    workers = os.cpu_count() or 1
    with futures.ThreadPoolExecutor(workers) as pool:
        waiting: list[futures.Future[bytes]] = []
        for path in parts:
            waiting.append(pool.submit(member, path, rng.spawn(1)[0]))
            if len(waiting) > workers:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    summary = run(options)
    plan = summary.plan
    print(
        f"{plan.num_examples:,d} examples: {plan.most:,d} of each of "
        f"{len(plan.voxels)} classes"
    )
    for value, count in plan.voxels.items():
        print(f"  class {value}: each of {count:,d} voxels", end=" ")
        print(f"{plan.most / count:.3g} times")
    wrote = options.coordinate_output
    if summary.was_there:
        wrote = f"nothing: {wrote} is complete, made with the same options"
    names = program.named(
        options.partition_volumes, "partition_volumes", "ADDRESS"
    )
    images, labels = (
        ",".join(f"{name}:{what}" for name in names)
        for what in ("IMAGE", "LABELS")
    )
    program.finish(
        wrote,
        f"python -m ffn_tf.train --train_coords={options.coordinate_output} "
        f"--data_volumes={images} --label_volumes={labels} "
        f"--train_dir=FOLDER",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
