"""Trains a flood-filling network on labelled EM.

    python -m ffn_tf.train \\
        --train_coords=out/coordinates.tfrecord.gz \\
        --data_volumes=training2:../shared/data/fib25/grayscale_maps.h5:raw \\
        --label_volumes=training2:../shared/data/fib25/groundtruth.h5:stack \\
        --model_args='{"depth": 6, "features": 16, "fov_size": [33, 33, 33],
            "deltas": [8, 8, 8]}' \\
        --train_dir=out/train --max_steps=1000

The third step, after compute_partitions and build_coordinates. Flags, examples,
loss and walks are google/ffn's, where it has them (ffn_tf/training/); volumes
are any addresses, near or far, several at once. Watch it with TensorBoard:

    tensorboard --logdir out/train

With `--eval_volume` and `--eval_truth` each checkpoint segments a small box and
is scored; the best is kept, and `evaluate --checkpoints=out/train` names it.
`--show_augmentation=PNG` draws what augmentation does to the first
example, and ends.

Checkpoints hold everything: stopped in any way, the same command goes on, and
the result is the same. `--init_checkpoint` begins with the weights of another
network (google/ffn's, too) instead of random ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import pathlib
import sys
from typing import Any

from ffn_tf import model, program
from ffn_tf.program.progress import Line, clock
from ffn_tf.training import (
    augmentation,
    checkpoints,
    folder,
    loop,
    pace,
    pipeline,
    preview,
    step,
    summaries,
)
from ffn_tf.training.options import (
    MAY_CHANGE,
    TrainOptions,
    new_network,
    new_policy,
    new_settings,
    open_volumes,
)
from ffn_tf.validation import checkpoint, ranking, record
from ffn_tf.volume import files


@dataclasses.dataclass(frozen=True)
class ShowOptions:
    """To look at examples instead of training."""

    show_augmentation: str = program.option(
        "",
        help="Draw what augmentation does to the first example into this PNG, "
        "and end.",
    )


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
    options: TrainOptions,
    optimizer: step.OptimizerOptions | None = None,
    augment: augmentation.AugmentOptions | None = None,
    validation: checkpoint.ValidationOptions | None = None,
    *,
    tell: loop.Tell = lambda _: None,
    tell_s: float = 30.0,
    checked: loop.Checked = lambda *_: None,
) -> Summary:
    """Trains, or goes on.

    Args:
      options: of the training.
      optimizer, augment, validation: see there.
      tell: called every `tell_s` seconds.
      checked: called with each new checkpoint.

    Raises:
      BlockingIOError: another process trains in the folder.
      FileNotFoundError: coordinates, or a volume, or a network.
      ValueError: the options, or what they name, do not go together.
      OSError: reading or writing failed.
    """
    optimizer = optimizer or step.OptimizerOptions()
    augment = augment or augmentation.AugmentOptions()
    root = files.local(options.train_dir, "train_dir")
    network = new_network(options)
    policy = new_policy(options, network)
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(open_volumes(options))
        settings = new_settings(options, augment, opened, policy.patch_size)
        described = _as_json(options, optimizer, augment)
        origin: dict[str, Any] = {
            "program": "ffn_tf.train",
            "options": described,
            "normalisation": {
                name: dataclasses.asdict(value)
                for name, value in settings.normalisations.items()
            },
        }
        if validation and validation.eval_volume:
            checked = _validated(validation, network, checked)
        root.mkdir(parents=True, exist_ok=True)
        stack.enter_context(files.locked(root, "training in it"))
        kept = checkpoints.Checkpoints(
            root,
            options.keep_checkpoints,
            options.keep_every_steps,
            ranking.best,
        )
        folder.claim(root, described, kept.all(), MAY_CHANGE)
        _check_images(kept.all(), origin["normalisation"])
        training = loop.Training(
            step.TrainStep(
                network,
                optimizer,
                options.batch_size,
                options.max_steps,
                compile_xla=options.xla,
            ),
            policy,
            kept,
            stack.enter_context(summaries.Summaries(root)),
            batch_size=options.batch_size,
            num_open=options.batch_size * options.mix_num_batches,
            seed=options.seed,
            origin=origin,
        )
        has_begun = training.restore()
        if training.steps >= options.max_steps:
            return Summary(kept.all()[-1][1], training.steps)
        if has_begun:
            _say(f"Going on from {kept.all()[-1][1]}.")
        examples = pipeline.Examples(opened, settings, training.taken)
        schedule = loop.Schedule(
            options.max_steps,
            checkpoint_s=options.checkpoint_interval,
            summary_s=options.summary_rate_secs,
            checkpoint_steps=options.keep_every_steps,
            warm_radius=options.warm_seed_radius,
            warm_steps=options.warm_seed_steps,
            tell_s=tell_s,
        )
        try:
            training.run(examples, schedule, tell, checked)
        except (KeyboardInterrupt, SystemExit):
            for _, newest in kept.all()[-1:]:
                _say(f"Stopped; the same command goes on from {newest}.")
            raise
    return Summary(kept.all()[-1][1], training.steps)


def show(
    options: TrainOptions,
    augment: augmentation.AugmentOptions,
    path: str,
) -> None:
    """Draws what augmentation does to the first example, as a PNG.

    Raises:
      FileNotFoundError, ValueError, OSError: as `run`.
    """
    policy = new_policy(options, new_network(options))
    with open_volumes(options) as opened:
        settings = new_settings(options, augment, opened, policy.patch_size)
        picture = preview.draw(opened, settings)
    with files.atomic_path(path) as temporary:
        picture.save(temporary, "PNG")


def _validated(
    options: checkpoint.ValidationOptions,
    network: model.ConvStack,
    then: loop.Checked,
) -> loop.Checked:
    """Scores each new checkpoint before `then`."""
    validator = checkpoint.Validator(options)
    validator.check_view(network.view)

    def check(
        folder: pathlib.Path, at: int, shown: summaries.Summaries
    ) -> None:
        found = validator.validated(folder, at)
        record.write(folder, found)
        shown.add(at, found.scores.scalars())
        then(folder, at, shown)

    return check


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _as_json(*parts: Any) -> dict[str, Any]:
    """Options as JSON has them."""
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= dataclasses.asdict(part)
    found: dict[str, Any] = json.loads(json.dumps(merged))
    return found


def _check_images(
    kept: list[tuple[int, pathlib.Path]],
    normalisations: dict[str, dict[str, float]],
) -> None:
    """Refuses images whose grey values are not what they were."""
    if not kept:
        return
    before = model.origin(str(kept[-1][1])).get("normalisation", {})
    for name, new in normalisations.items():
        old = before.get(name, new)
        # Not bit for bit: processors may add up in another order.
        if any(not math.isclose(old[k], new[k], rel_tol=1e-5) for k in new):
            raise ValueError(
                f"The image {name!r} was normalised by {old}, now by {new}: it "
                f"has changed since the training began. Put it back, or begin "
                f"in another --train_dir, with the last checkpoint as "
                f"--init_checkpoint."
            )


def as_line(progress: pace.Progress) -> str:
    """How it is going, for people."""
    left = progress.max_steps - progress.step
    eta = "?"
    if progress.steps_per_s:
        eta = clock(left / progress.steps_per_s)
    return (
        f"step {progress.step:,d}/{progress.max_steps:,d}  "
        f"loss {progress.loss:.4f}  {progress.examples_per_s:.1f} FOVs/s  "
        f"waiting {100 * progress.wait_share:.0f} %  {eta} left"
    )


def as_scores(found: record.Record) -> str:
    """How a checkpoint segments the box of --eval_volume, for people."""
    scores = found.scores
    return (
        f"step {found.step:,d}: coverage {scores.coverage:.3f}  "
        f"VOI {scores.voi:.3f} ({scores.voi_split:.3f} split + "
        f"{scores.voi_merge:.3f} merge)  in {scores.seconds:.0f} s"
    )


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(TrainOptions)
    augment = program.from_flags(augmentation.AugmentOptions)
    picture = program.from_flags(ShowOptions).show_augmentation
    if picture:
        show(options, augment, picture)
        program.finish(picture)
        return
    validation = program.from_flags(checkpoint.ValidationOptions)
    line = Line()

    def show_scores(folder: pathlib.Path, *_: object) -> None:
        found = record.read(folder)
        if found:
            line.end()
            _say(as_scores(found))

    try:
        summary = run(
            options,
            program.from_flags(step.OptimizerOptions),
            augment,
            validation,
            tell=lambda progress: line.show(as_line(progress)),
            tell_s=line.interval,
            checked=show_scores,
        )
    finally:
        line.end()
    then = (
        f"python -m ffn_tf.run_inference --model_checkpoint="
        f"{summary.checkpoint} --image=EM --segmentation_output_dir=FOLDER"
    )
    if validation.eval_volume:
        then = (
            f"python -m ffn_tf.evaluate --checkpoints={options.train_dir} "
            f"--output_dir={options.train_dir}/ranking"
        )
    program.finish(f"{summary.checkpoint} (step {summary.steps:,d})", then)


if __name__ == "__main__":
    for part in (
        TrainOptions,
        step.OptimizerOptions,
        augmentation.AugmentOptions,
        checkpoint.ValidationOptions,
        ShowOptions,
    ):
        program.define_flags(part)
    program.start(main)
