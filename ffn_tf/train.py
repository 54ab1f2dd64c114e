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

Checkpoints hold everything: stopped in any way, the same command goes on, and
the result is the same. `--init_checkpoint` begins with the weights of another
network (google/ffn's, too) instead of random ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import sys
from typing import Any

import numpy as np

from ffn_tf import model, program
from ffn_tf.model import fov
from ffn_tf.training import (
    augmentation,
    checkpoints,
    loop,
    moves,
    patches,
    pipeline,
    step,
    summaries,
)
from ffn_tf.volume import files


@dataclasses.dataclass(frozen=True)
class Options:
    """A training."""

    train_coords: str = program.option(
        help="Coordinates of build_coordinates or google/ffn: files separated "
        "by commas, a pattern, or PATH@N."
    )
    data_volumes: tuple[str, ...] = program.option(
        help="NAME:ADDRESS of EM, several separated by commas."
    )
    label_volumes: tuple[str, ...] = program.option(
        help="NAME:ADDRESS of the labels of each; 0 is background."
    )
    train_dir: str = program.option(help="Folder for all that is made.")
    loss_mask_volumes: tuple[str, ...] = program.option(
        (),
        help="NAME:ADDRESS of masks of some of them: voxels that are not 0 do "
        "not count in the loss (unlabelled tissue).",
    )
    model_name: str = program.option("convstack", help="The architecture.")
    model_args: str = program.option(
        "{}",
        help="Its arguments as JSON: depth (12), features (32), and "
        "fov_size ([33, 33, 33]) and deltas ([8, 8, 8]) in x, y, z.",
    )
    init_checkpoint: str = program.option(
        "", help="Network to begin with; its arguments are taken, too."
    )
    image_mean: float | None = program.option(
        None, help="Subtracted from grey values; by default measured."
    )
    image_stddev: float | None = program.option(
        None, help="Divides grey values; by default measured."
    )
    image_offset_scale_map: tuple[str, ...] = program.option(
        (), help="NAME:OFFSET:SCALE, the same for single volumes."
    )
    batch_size: int = program.option(4, help="Fields of view of one step.")
    max_steps: int = program.option(10000, help="Steps of the optimizer.")
    seed: int = program.option(
        0, help="Of the first weights and of all that is drawn."
    )
    fov_policy: str = program.option(
        "fixed",
        help="How examples are walked over (ffn_tf/training/moves.py).",
        choices=moves.KINDS,
    )
    fov_moves: int = program.option(
        1, help="Steps from the centre to the border of an example."
    )
    shuffle_moves: bool = program.option(
        True, help="Draw the order of the moves of the fixed policy."
    )
    threshold: float = program.option(
        0.9, help="Least probability of a voxel that is moved to."
    )
    seed_pad: float = program.option(
        0.05, help="Probability where nothing has been predicted yet."
    )
    mix_num_batches: int = program.option(
        1,
        help="Batches of examples that are open at a time; of several, those "
        "of a step are drawn.",
    )
    shuffle_buffer: int = program.option(
        0, help="Examples among which the next is drawn; 0: as in the files."
    )
    compute_dtype: str = program.option(
        "float32",
        help="Arithmetic; bfloat16 keeps weights and sums in float32.",
        choices=tuple(step.DTYPES),
    )
    xla: bool = program.option(
        False, help="Compile the step with XLA; for GPUs and TPUs."
    )
    checkpoint_interval: float = program.option(
        300.0, help="Seconds between checkpoints."
    )
    keep_checkpoints: int = program.option(
        5, help="How many of the newest are kept; 0: all."
    )
    keep_every_steps: int = program.option(
        0, help="Keep those of every so many steps for good; 0: none."
    )
    summary_rate_secs: float = program.option(
        120.0, help="Seconds between summaries for TensorBoard."
    )


# What may change when a training goes on.
_MAY_CHANGE = {
    "checkpoint_interval",
    "keep_checkpoints",
    "keep_every_steps",
    "max_steps",
    "summary_rate_secs",
    "train_dir",
    "xla",
}


@dataclasses.dataclass(frozen=True)
class Summary:
    """What has become of it.

    Attributes:
      checkpoint: the newest, a folder.
      steps: made in all.
      is_complete: no more are to be made.
    """

    checkpoint: pathlib.Path
    steps: int
    is_complete: bool


def run(
    options: Options,
    optimizer: step.OptimizerOptions | None = None,
    augment: augmentation.AugmentOptions | None = None,
    *,
    tell: loop.Tell = lambda _: None,
    checked: loop.Checked = lambda *_: None,
) -> Summary:
    """Trains, or goes on.

    Args:
      options: of the training.
      optimizer, augment: see there.
      tell: called every few seconds.
      checked: called with each new checkpoint.

    Raises:
      BlockingIOError: another process trains in the folder.
      FileNotFoundError: coordinates, or a volume, or a network.
      ValueError: the options, or what they name, do not go together.
      OSError: reading or writing failed.
    """
    optimizer = optimizer or step.OptimizerOptions()
    augment = augment or augmentation.AugmentOptions()
    _check(options)
    files_ = pipeline.coordinate_files(options.train_coords)
    root = pathlib.Path(options.train_dir)
    rng = np.random.default_rng(options.seed)
    network = _network(options)
    policy = moves.Policy.drawn(
        network.view,
        options.fov_policy,  # type: ignore[arg-type]
        options.fov_moves,
        rng,
        threshold=options.threshold,
        seed_pad=options.seed_pad,
        shuffled=options.shuffle_moves,
    )
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(_patches(options))
        values = pipeline.normalisations(
            opened,
            options.image_mean,
            options.image_stddev,
            program.named(
                options.image_offset_scale_map,
                "image_offset_scale_map",
                "OFFSET:SCALE",
            ),
        )
        settings = pipeline.Settings(
            files_,
            policy.patch_size,
            augment,
            values,
            seed=options.seed,
            batch=max(16, options.batch_size),
            shuffle=options.shuffle_buffer,
        )
        record = _record(options, optimizer, augment)
        origin = {
            "program": "ffn_tf.train",
            "options": record,
            "normalisation": {
                name: dataclasses.asdict(value)
                for name, value in values.items()
            },
        }
        root.mkdir(parents=True, exist_ok=True)
        stack.enter_context(files.locked(root, "training in it"))
        _check_folder(root, record)
        kept = checkpoints.Checkpoints(
            root, options.keep_checkpoints, options.keep_every_steps
        )
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
        training.restore()
        if training.steps >= options.max_steps:
            return Summary(kept.all()[-1][1], training.steps, True)
        examples = pipeline.Examples(opened, settings, training.taken)
        schedule = loop.Schedule(
            options.max_steps,
            options.checkpoint_interval,
            options.summary_rate_secs,
        )
        is_complete = training.run(examples, schedule, tell, checked)
    return Summary(kept.all()[-1][1], training.steps, is_complete)


def _check(options: Options) -> None:
    for name in ("batch_size", "max_steps", "mix_num_batches"):
        if getattr(options, name) < 1:
            raise ValueError(
                f"--{name}: expected at least 1, found "
                f"{getattr(options, name)}."
            )


def _network(options: Options) -> model.ConvStack:
    """A new network, or that of --init_checkpoint."""
    model.network_name(options.model_name)
    given = _model_args(options.model_args)
    dtype = step.DTYPES[options.compute_dtype]
    view = fov.FieldOfView(
        given.get("fov_size", (33, 33, 33)), given.get("deltas", (8, 8, 8))
    )
    if not options.init_checkpoint:
        import keras

        keras.utils.set_random_seed(options.seed)
        network = model.ConvStack(
            depth=given.get("depth", 12),
            features=given.get("features", 32),
            view=view,
            dtype=dtype,
        )
        network.build()
        return network
    has_view = {"fov_size", "deltas"} & given.keys()
    first = model.load(options.init_checkpoint, view if has_view else None)
    for name in ("depth", "features"):
        if given.get(name, getattr(first, name)) != getattr(first, name):
            raise ValueError(
                f"--model_args: {name} is {given[name]}, and "
                f"{options.init_checkpoint} has {getattr(first, name)}; leave "
                f"it out."
            )
    network = model.ConvStack(
        depth=first.depth, features=first.features, view=first.view, dtype=dtype
    )
    network.build()
    network.set_weights(first.get_weights())
    return network


def _model_args(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
        unknown = given.keys() - {"depth", "features", "fov_size", "deltas"}
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"--model_args: not a JSON object: {text!r} ({error})."
        ) from error
    if unknown:
        raise ValueError(
            f"--model_args: unknown {sorted(unknown)}; there are depth, "
            f"features, fov_size, deltas."
        )
    for name in ("fov_size", "deltas"):
        if name in given:
            x, y, z = given[name]
            given[name] = (z, y, x)
    return given


def _patches(options: Options) -> patches.Patches:
    def flag(name: str) -> dict[str, str]:
        return program.named(getattr(options, name), name, "ADDRESS")

    return patches.Patches(
        flag("data_volumes"),
        flag("label_volumes"),
        flag("loss_mask_volumes"),
    )


def _record(*parts: Any) -> dict[str, Any]:
    """Options as JSON has them."""
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= dataclasses.asdict(part)
    found: dict[str, Any] = json.loads(json.dumps(merged))
    return found


def _check_folder(root: pathlib.Path, record: dict[str, Any]) -> None:
    """Refuses the folder of another training; notes this one."""
    described = root / "train.json"
    if not described.exists():
        files.write_text(described, json.dumps(record, indent=1))
        return
    try:
        found = json.loads(described.read_text())
        names = (found.keys() | record.keys()) - _MAY_CHANGE
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{described}: damaged ({error}).") from error
    changes = [
        f"{name}: {found.get(name)}, now {record.get(name)}"
        for name in sorted(names)
        if found.get(name) != record.get(name)
    ]
    if changes:
        raise FileExistsError(
            f"{root}: holds a training with other options "
            f"({'; '.join(changes)}); give the same to go on with it, or "
            f"another --train_dir."
        )


def as_line(progress: loop.Progress) -> str:
    """How it is going, for people."""
    left = progress.max_steps - progress.step
    eta = left / progress.steps_per_s if progress.steps_per_s else float("inf")
    return (
        f"step {progress.step:,d}/{progress.max_steps:,d}  "
        f"loss {progress.loss:.4f}  {progress.fovs_per_s:.1f} FOVs/s  "
        f"waiting {100 * progress.wait_share:.0f} %  ETA {eta / 60:.0f} min"
    )


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    summary = run(
        options,
        program.from_flags(step.OptimizerOptions),
        program.from_flags(augmentation.AugmentOptions),
        tell=lambda p: print(as_line(p), file=sys.stderr, flush=True),
    )
    wrote = f"{summary.checkpoint} (step {summary.steps:,d})"
    if not summary.is_complete:
        program.finish(wrote, "the same command, to go on")
        return
    program.finish(
        wrote,
        f"python -m ffn_tf.run_inference --model_checkpoint="
        f"{summary.checkpoint} --image=EM --segmentation_output_dir=FOLDER",
    )


if __name__ == "__main__":
    for part in (
        Options,
        step.OptimizerOptions,
        augmentation.AugmentOptions,
    ):
        program.define_flags(part)
    program.start(main)
