"""Trains an encoder on pairs of places: SegCLR.

    python -m segclr.train --pairs=out/pairs.tfrecord.gz \\
        --image=out/phantom/image.zarr \\
        --segmentation=out/phantom/labels.zarr --train_dir=out/segclr \\
        --size_zyx=33,33,33 --width=16 --batch_size=16 --optimizer=adamw \\
        --learning_rate=0.001 --max_steps=1000

The second step, after sample_pairs, whose --voxel_size_nm is that of --image;
volumes are any addresses, near or far. The defaults are the paper's: ResNet-18
on 129^3 voxels, which needs accelerators. Watch it with TensorBoard:

    tensorboard --logdir out/segclr

Checkpoints hold everything: stopped in any way, the same command goes on, and
the result is the same. A checkpoint is an encoder that `segclr.embed` takes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import sys
from typing import Any

from ffn_tf import program
from ffn_tf.program.progress import Line
from ffn_tf.program.progress import clock as as_clock
from ffn_tf.training import checkpoints, folder, pace, summaries
from ffn_tf.training.pipeline import coordinate_files
from ffn_tf.volume import files
from segclr import model
from segclr.cutouts import agglomeration, reading
from segclr.training import loop, probe, step, views


@dataclasses.dataclass(frozen=True)
class Options:
    """On what, and how long."""

    pairs: str = program.option(
        help="TFRecords of sample_pairs: paths, globs, PATH@N."
    )
    image: str = program.option(
        help="Address of the EM, of the scale that the pairs count in."
    )
    segmentation: str = program.option(
        help="Address of the segmentation, of any scale."
    )
    train_dir: str = program.option(help="Checkpoints and TensorBoard's files.")
    max_steps: int = program.option(500_000, help="Of the optimizer, in all.")
    batch_size: int = program.option(512, help="Pairs of a step.")
    kind: str = program.option(
        "masked_em",
        help="What the encoder sees of a place.",
        choices=reading.KINDS,
    )
    agglomeration: str = program.option(
        "", help="Table of the object of each segment, .npz or .csv."
    )
    labels: str = program.option(
        "",
        help="CSV of segment,label: at each checkpoint a line is fitted to "
        "embeddings, and the F1 of types that it tells is shown.",
    )
    probe_nodes: int = program.option(256, help="Places for that.")
    seed: int = program.option(0, help="Of weights, order and augmentation.")
    compute_dtype: str = program.option(
        "float32",
        help="bfloat16: mixed precision, for machines that are fast at it.",
        choices=("float32", "bfloat16"),
    )
    xla: bool = program.option(False, help="Compile the step with XLA.")
    checkpoint_interval: float = program.option(
        600.0, help="Seconds between checkpoints."
    )
    summary_rate_secs: float = program.option(
        60.0, help="Seconds between summaries for TensorBoard."
    )
    keep_checkpoints: int = program.option(
        3, help="How many of the newest checkpoints are kept; 0: all."
    )

    def __post_init__(self) -> None:
        if self.batch_size < 2 or self.max_steps < 1:
            raise ValueError(
                f"--batch_size: expected 2 or more, for there to be negatives; "
                f"--max_steps: 1 or more. Found {self.batch_size} and "
                f"{self.max_steps}."
            )


@dataclasses.dataclass(frozen=True)
class EncoderOptions:
    """The encoder; the defaults are the paper's."""

    network: str = program.option("resnet18", help="Which residual network.")
    width: int = program.option(
        64, help="Channels of its first stages; the paper has 64."
    )
    embedding_size: int = program.option(64, help="Numbers of an embedding.")
    projection_size: int = program.option(
        16, help="Numbers that are compared in training."
    )
    size_zyx: tuple[int, int, int] = program.option(
        (129, 129, 129), help="Voxels that it sees, odd, z,y,x."
    )


# What may be other when a training goes on.
_MAY_CHANGE = {
    "max_steps",
    "train_dir",
    "checkpoint_interval",
    "summary_rate_secs",
    "labels",
    "probe_nodes",
    "keep_checkpoints",
    "xla",
}


@dataclasses.dataclass(frozen=True)
class Summary:
    """What has become of it.

    Attributes:
      checkpoint: the newest, a folder.
      steps: made in all.
    """

    checkpoint: pathlib.Path
    steps: int


def run(
    options: Options,
    encoder: EncoderOptions | None = None,
    optimizer: step.OptimizerOptions | None = None,
    view: views.ViewOptions | None = None,
    *,
    tell: loop.Tell = lambda _: None,
    tell_s: float = 30.0,
) -> Summary:
    """Trains, or goes on.

    Args:
      options, encoder, optimizer, view: see there.
      tell: called every `tell_s` seconds.

    Raises:
      BlockingIOError: another process trains in the folder.
      FileExistsError: the folder holds another training.
      FileNotFoundError: pairs, or a volume.
      ValueError: options and volumes that do not go together; the training
        has diverged or collapsed.
      OSError: reading or writing failed.
    """
    encoder = encoder or EncoderOptions()
    optimizer = optimizer or step.OptimizerOptions()
    view = view or views.ViewOptions()
    root = files.local(options.train_dir, "train_dir")
    settings = views.Settings(
        coordinate_files(options.pairs, "pairs", "segclr.sample_pairs"),
        encoder.size_zyx,
        options.batch_size,
        options.kind,
        view,
        options.seed,
    )
    objects = agglomeration.read(options.agglomeration)
    described: dict[str, Any] = json.loads(
        json.dumps(
            {
                name: value
                for part in (options, encoder, optimizer, view)
                for name, value in dataclasses.asdict(part).items()
            }
        )
    )
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(
            reading.Cutouts(
                options.image,
                options.segmentation,
                views.padded_size(settings),
                objects,
            )
        )
        probed = None
        if options.labels:
            count = options.probe_nodes
            probed = probe.drawn(opened, settings, options.labels, count)
        made = _encoder(encoder, options, opened.image.voxel_size_nm)
        root.mkdir(parents=True, exist_ok=True)
        stack.enter_context(files.locked(root, "training in it"))
        kept = checkpoints.Checkpoints(root, options.keep_checkpoints, 0)
        folder.claim(root, described, kept.all(), _MAY_CHANGE)
        training = loop.Training(
            step.TrainStep(
                made,
                optimizer,
                options.batch_size,
                options.max_steps,
                compile_xla=options.xla,
            ),
            kept,
            stack.enter_context(summaries.Summaries(root)),
            options.batch_size,
            {"program": "segclr.train", "options": described},
            probed,
        )
        has_begun = training.restore()
        if training.steps >= options.max_steps:
            return Summary(kept.all()[-1][1], training.steps)
        if has_begun:
            _say(f"Going on from {kept.all()[-1][1]}.")
        batches = views.Batches(opened, settings, training.steps)
        schedule = loop.Schedule(
            options.max_steps,
            options.checkpoint_interval,
            options.summary_rate_secs,
            tell_s,
        )
        try:
            training.run(batches, schedule, tell)
        except (KeyboardInterrupt, SystemExit):
            for _, newest in kept.all()[-1:]:
                _say(f"Stopped; the same command goes on from {newest}.")
            raise
    return Summary(kept.all()[-1][1], training.steps)


def _encoder(
    options: EncoderOptions,
    training: Options,
    voxel_size_nm: tuple[float, float, float],
) -> model.Encoder:
    import keras

    keras.utils.set_random_seed(training.seed)
    mixed = training.compute_dtype == "bfloat16"
    made = model.Encoder(
        options.network,
        options.width,
        options.embedding_size,
        options.projection_size,
        options.size_zyx,
        voxel_size_nm,
        dtype="mixed_bfloat16" if mixed else "float32",
    )
    made.build()
    return made


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def as_line(progress: pace.Progress) -> str:
    """How it is going, for people."""
    left = progress.max_steps - progress.step
    eta = "?"
    if progress.steps_per_s:
        eta = as_clock(left / progress.steps_per_s)
    scores = progress.scores
    probed = f"  probe F1 {scores['probe']:.2f}" if "probe" in scores else ""
    return (
        f"step {progress.step:,d}/{progress.max_steps:,d}  "
        f"loss {progress.loss:.4f}  nearest {scores['accuracy']:.0%}  "
        f"spread {scores['spread']:.2f}{probed}  "
        f"{progress.examples_per_s:.1f} pairs/s  "
        f"waiting {100 * progress.wait_share:.0f} %  {eta} left"
    )


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    line = Line()
    try:
        summary = run(
            options,
            program.from_flags(EncoderOptions),
            program.from_flags(step.OptimizerOptions),
            program.from_flags(views.ViewOptions),
            tell=lambda progress: line.show(as_line(progress)),
            tell_s=line.interval,
        )
    finally:
        line.end()
    program.finish(
        f"{summary.checkpoint}, after {summary.steps:,d} steps",
        f"python -m segclr.embed --encoder={summary.checkpoint} "
        f"--image={options.image} --segmentation={options.segmentation} "
        f"--skeletons=SKELETONS --output_dir=out/embeddings",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.define_flags(EncoderOptions)
    program.define_flags(step.OptimizerOptions)
    program.define_flags(views.ViewOptions)
    program.start(main)
