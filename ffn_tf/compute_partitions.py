"""Puts labelled voxels into classes by how thick their object is around them.

    python -m ffn_tf.compute_partitions \\
        --input_volume=../shared/data/fib25/groundtruth.h5:stack \\
        --output_volume=out/partitions.h5:af \\
        --thresholds=0.025,0.05,0.075,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9 \\
        --lom_radius=24,24,24

The first step of training: build_coordinates then takes as many examples of
each class, so that thin processes are seen as often as somata. What the classes
are is in ffn_tf/sampling/partitions.py. Flags and voxels are google/ffn's, with
four differences: --id_whitelist, --exclusion_regions and --mask_configs work;
--ignore_borders is new; input and output are any addresses; memory is bounded,
whatever the volume.

The output appears when it is complete; killed, the same command goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import Any

from ffn_tf import program, volume
from ffn_tf.inference import mask
from ffn_tf.sampling import bounds, partitions
from ffn_tf.volume import attempt, conversion


@dataclasses.dataclass(frozen=True)
class Options:
    """What to classify, and how."""

    input_volume: str = program.option(
        help="Address of the labels: integers, 0 is background."
    )
    output_volume: str = program.option(
        help="Address of the new volume: uint8, as large as the labels."
    )
    thresholds: tuple[float, ...] = program.option(
        help="Shares of the box around a voxel that belong to its object, "
        "ascending: n of them make n + 1 classes, and background is one."
    )
    lom_radius: tuple[int, int, int] = program.option(
        help="Radius in voxels, x,y,z, of the box of --thresholds."
    )
    min_size: int = program.option(
        10000, help="Labels with fewer voxels are background."
    )
    id_whitelist: tuple[int, ...] = program.option(
        (), help="Labels that are objects; by default all but 0."
    )
    ignore_borders: bool = program.option(
        False,
        help="Voxels that touch another label are not used: for labels "
        "without background between objects.",
    )
    exclusion_regions: tuple[str, ...] = program.option(
        (),
        help="Spheres x:y:z:radius, in voxels of the labels, whose voxels are "
        "not used.",
    )
    mask_configs: str = program.option(
        "",
        help="MaskConfigs message as text, or a file of it: voxels that are "
        "not used, nor those whose box holds one.",
    )


@dataclasses.dataclass(frozen=True)
class Summary:
    """What is at the output.

    Attributes:
      voxels: of each class.
      was_there: it was complete before.
    """

    voxels: dict[int, int]
    was_there: bool


def _sphere(text: str) -> partitions.Sphere:
    try:
        x, y, z, radius = map(float, text.split(":"))
    except ValueError as error:
        raise ValueError(
            f"--exclusion_regions: expected x:y:z:radius, found {text!r}."
        ) from error
    return partitions.Sphere((z, y, x), radius)


def _masks(text_or_path: str) -> mask.Masks:
    text, source = text_or_path, "--mask_configs"
    if os.path.exists(text_or_path):
        source = text_or_path
        with open(text_or_path, encoding="utf-8-sig") as file:
            text = file.read()
    masks = mask.parse(text, source)
    if masks.need_image:
        masks.close()
        raise ValueError(
            f"{source}: there is no image here, and a mask of image values "
            f"needs one; name the image's volume instead."
        )
    return masks


def run(options: Options) -> Summary:
    """Computes the partitions, or goes on with them.

    Raises:
      FileExistsError: something else is at the output.
      ValueError: the options and the labels do not go together.
      OSError: reading or writing failed.
    """
    made_by = {
        "program": "ffn_tf.compute_partitions",
        "code": program.describe_code(),
        "options": dataclasses.asdict(options),
    }
    was_there = attempt.look(options.output_volume, made_by) == "complete"
    with contextlib.ExitStack() as stack:
        labels = stack.enter_context(volume.open(options.input_volume))
        masks = stack.enter_context(_masks(options.mask_configs))
        boxes = bounds.annotated(options.input_volume, labels)
        if not was_there:
            _compute(options, labels, masks, made_by)
    x, y, z = options.lom_radius
    with volume.open(options.output_volume) as output:
        inside = output.domain.padded((-z, -y, -x))
        voxels = partitions.voxels_of_classes(output, inside)
    bounds.record(options.output_volume, boxes, (z, y, x), voxels)
    return Summary(voxels, was_there)


def _compute(
    options: Options,
    labels: volume.Volume,
    masks: mask.Masks,
    made_by: dict[str, Any],
) -> None:
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"{options.input_volume}: labels are integers, found "
            f"{labels.dtype}."
        )
    x, y, z = options.lom_radius
    rule = partitions.Rule(
        options.thresholds,
        (z, y, x),
        ignore_borders=options.ignore_borders,
        spheres=tuple(map(_sphere, options.exclusion_regions)),
        masked=masks.read if len(masks) else None,
    )
    partitions.of_volume(labels, rule)  # All that can be wrong, before work.
    ids, counts = volume.labels.count_voxels_volume(labels)
    rule = dataclasses.replace(
        rule,
        ids=partitions.kept_ids(
            ids, counts, options.min_size, options.id_whitelist
        ),
    )
    result = partitions.of_volume(labels, rule)
    plan = conversion.planned(
        result, options.output_volume, result.info, made_by=made_by
    )
    with program.Progress("Partitions", "voxels") as progress:

        def show(now: conversion.Progress) -> None:
            progress.update(now.done, now.total, now.before)

        conversion.execute(plan, result, None, show)


def as_table(voxels: dict[int, int]) -> str:
    """Classes and their voxels, to read."""
    names = {
        partitions.BACKGROUND: "background",
        partitions.EXCLUDED: "excluded",
    }
    lines = ["class         voxels"]
    for value, count in voxels.items():
        name = names.get(value, "")
        lines.append(f"{value:5d} {count:14,d} {name}".rstrip())
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    summary = run(options)
    print(as_table(summary.voxels))
    wrote = options.output_volume
    if summary.was_there:
        wrote = f"nothing: {wrote} is complete, made with the same options"
    program.finish(
        wrote,
        f"python -m ffn_tf.build_coordinates "
        f"--partition_volumes=NAME:{options.output_volume} "
        f"--coordinate_output=COORDINATES --margin=z,y,x",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
