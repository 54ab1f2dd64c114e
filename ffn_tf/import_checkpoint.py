"""Turns a TensorFlow 1 checkpoint of google/ffn into a Keras network.

    python -m ffn_tf.import_checkpoint \\
        --checkpoint=../shared/data/fib25/model/model.ckpt-27465036 \\
        --output_dir=out/fib25_network

Depth and features are read from the checkpoint; the field of view is not in
it. The result is a folder with model.json and model.weights.h5, which every
program takes as `--model_checkpoint`. (They also take the checkpoint itself.)
"""

from __future__ import annotations

import dataclasses
import pathlib

from ffn_tf import model, program


@dataclasses.dataclass(frozen=True)
class Options:
    """What to import."""

    checkpoint: str = program.option(
        help="Prefix of the checkpoint: its .index file without that suffix."
    )
    output_dir: str = program.option(help="Folder for the network.")
    fov_size_zyx: tuple[int, int, int] = program.option(
        (33, 33, 33), help="Field of view that it was trained with, z,y,x."
    )
    deltas_zyx: tuple[int, int, int] = program.option(
        (8, 8, 8), help="Movement step that it was trained with, z,y,x."
    )


def run(options: Options) -> model.ConvStack:
    """Imports; returns the network.

    Raises:
      FileNotFoundError: no such checkpoint.
      ValueError: a damaged one, or one of another architecture; or no folder.
      FileExistsError: the folder holds a network.
    """
    if not options.output_dir or "://" in options.output_dir:
        raise ValueError(
            f"output_dir: expected the path of a folder of this machine, "
            f"found {options.output_dir!r}."
        )
    if (pathlib.Path(options.output_dir) / "model.json").exists():
        raise FileExistsError(
            f"{options.output_dir} holds a network already. Use another "
            f"folder, or delete it."
        )
    view = model.FieldOfView(options.fov_size_zyx, options.deltas_zyx)
    network = model.load(options.checkpoint, view)
    model.save(network, options.output_dir, model.describe(options.checkpoint))
    return network


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    network = run(options)
    print(
        f"Convolution stack, depth {network.depth}, {network.features} "
        f"features, {network.count_params():,} weights."
    )
    program.finish(
        f"{options.output_dir}/model.json and model.weights.h5",
        f"python -m ffn_tf.run_inference "
        f"--model_checkpoint={options.output_dir} --image=ADDRESS "
        f"--segmentation_output_dir=out/segmentation",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
