"""Options: what is trained, on what, for how long.

A training may go on with another `max_steps` and other intervals; all else must
be as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import json
from typing import Any

import keras
import numpy as np

from ffn_tf import model, program
from ffn_tf.model import fov
from ffn_tf.training import augmentation, moves, patches, pipeline, step
from ffn_tf.volume.box import Triple


@dataclasses.dataclass(frozen=True)
class TrainOptions:
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
    ignore_borders: bool = program.option(
        False,
        help="Nor do voxels next to another object: for labels without "
        "background between objects.",
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
    warm_seed_radius: float = program.option(
        0.0,
        help="At first, every other canvas starts with up to so many voxels "
        "of truth around the centre, so that networks learn to move early.",
    )
    warm_seed_steps: int = program.option(
        0, help="Steps over which that falls to 0."
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
        0, help="Make one every so many steps, too, kept for good; 0: none."
    )
    summary_rate_secs: float = program.option(
        120.0, help="Seconds between summaries for TensorBoard."
    )

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_steps", "mix_num_batches"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"--{name}: expected at least 1, found "
                    f"{getattr(self, name)}."
                )
        for name in (
            "keep_checkpoints",
            "keep_every_steps",
            "seed",
            "shuffle_buffer",
        ):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"--{name}: expected at least 0, found "
                    f"{getattr(self, name)}."
                )
        warm = (self.warm_seed_radius, self.warm_seed_steps)
        if (warm[0] > 0) != (warm[1] > 0) or min(warm) < 0:
            raise ValueError(
                "--warm_seed_radius and --warm_seed_steps go together, both "
                f"above 0: found {warm[0]:g} and {warm[1]}."
            )


# What may change when a training goes on.
MAY_CHANGE = {
    "checkpoint_interval",
    "keep_checkpoints",
    "keep_every_steps",
    "max_steps",
    "summary_rate_secs",
    "train_dir",
    "xla",
}


def new_network(options: TrainOptions) -> model.ConvStack:
    """A network with its first weights, or those of --init_checkpoint.

    Raises:
      FileNotFoundError: no network is there.
      ValueError: arguments that no network has, or not that one.
    """
    model.network_name(options.model_name)
    given = _model_args(options.model_args)
    dtype = step.DTYPES[options.compute_dtype]
    view = fov.FieldOfView(
        given.get("fov_size", (33, 33, 33)), given.get("deltas", (8, 8, 8))
    )
    if not options.init_checkpoint:
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


def new_policy(options: TrainOptions, network: model.ConvStack) -> moves.Policy:
    """How examples are walked over."""
    return moves.Policy.drawn(
        network.view,
        options.fov_policy,  # type: ignore[arg-type]
        options.fov_moves,
        np.random.default_rng(options.seed),
        threshold=options.threshold,
        seed_pad=options.seed_pad,
        shuffled=options.shuffle_moves,
    )


def open_volumes(options: TrainOptions) -> patches.Patches:
    """The volumes of a training, to be closed.

    Raises:
      ValueError: names or volumes that do not fit each other.
      OSError: a volume cannot be read.
    """

    def flag(name: str) -> dict[str, str]:
        return program.named(getattr(options, name), name, "ADDRESS")

    return patches.Patches(
        flag("data_volumes"),
        flag("label_volumes"),
        flag("loss_mask_volumes"),
        ignore_borders=options.ignore_borders,
    )


def new_settings(
    options: TrainOptions,
    augment: augmentation.AugmentOptions,
    opened: patches.Patches,
    size: Triple,
) -> pipeline.Settings:
    """Which examples are made, of `size` zyx.

    Raises:
      FileNotFoundError: no such coordinates.
      ValueError: normalisations that do not fit the volumes.
    """
    normalisations = pipeline.normalisations(
        opened,
        options.image_mean,
        options.image_stddev,
        program.named(
            options.image_offset_scale_map,
            "image_offset_scale_map",
            "OFFSET:SCALE",
        ),
    )
    _check_grey_range(augment, normalisations)
    return pipeline.Settings(
        pipeline.coordinate_files(options.train_coords),
        size,
        augment,
        normalisations,
        seed=options.seed,
        batch=max(16, options.batch_size),
        shuffle=options.shuffle_buffer,
    )


def _check_grey_range(
    augment: augmentation.AugmentOptions,
    normalisations: Mapping[str, pipeline.Normalisation],
) -> None:
    """Raises a ValueError if augmentation would clip most of a volume."""
    if not (
        augment.contrast_probability
        or augment.brightness_probability
        or augment.gamma_probability
    ):
        return
    black, white = augment.grey_range
    for name, grey in normalisations.items():
        spread = grey.stddev / (white - black)
        if not (black <= grey.mean <= white and 0.005 < spread < 2):
            raise ValueError(
                f"--grey_range: contrast, brightness and gamma are changed "
                f"within {black:g} to {white:g}, and clipped to that; grey "
                f"values of {name!r} are {grey.mean:g} +- {grey.stddev:g}. "
                f"Give its black and white."
            )


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
    for name, value in given.items():
        is_list = name in ("fov_size", "deltas")
        values = value if is_list and isinstance(value, list) else [value]
        if len(values) != (3 if is_list else 1) or any(
            type(number) is not int for number in values
        ):
            wanted = "three integers [x, y, z]" if is_list else "an integer"
            raise ValueError(
                f"--model_args: {name}: expected {wanted}, found {value!r}."
            )
        if is_list:
            x, y, z = values
            given[name] = (z, y, x)
    return given
