"""Makes a phantom, or a picture of one beside a real volume.

    python -m ffn_tf.make_phantom --output_dir=out/phantom \\
        --size_zyx=256,256,256

    python -m ffn_tf.make_phantom --picture=phantom.png \\
        --size_zyx=250,250,250 \\
        --beside=../shared/data/fib25/grayscale_maps.h5:raw

The folder gets image.zarr, labels.zarr, truth.npz and dataset.yaml
(ffn_tf/phantom/files.py). Serial sections instead of FIB-SEM:
`--voxel_size_nm=33,8,8 --section_jitter=3 --misalignment_nm=8`.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ffn_tf import phantom, program, volume
from ffn_tf.phantom import picture


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What to make of the phantom."""

    output_dir: str = program.option("", help="folder for volumes and truth")
    picture: str = program.option("", help="PNG to draw, middle planes")
    beside: str = program.option(
        "", help="address of a real EM volume, for the picture"
    )


def run(options: phantom.Options, outputs: Outputs) -> None:
    """Writes what `outputs` asks for.

    Raises:
      ValueError: nothing is asked for.
      FileExistsError: the folder holds a phantom already.
    """
    if not outputs.output_dir and not outputs.picture:
        raise ValueError("Nothing to make: give --output_dir or --picture.")
    if outputs.beside and not outputs.picture:
        raise ValueError("--beside is for --picture; give that too.")
    if outputs.output_dir:
        phantom.refuse_existing(outputs.output_dir)
    if outputs.picture:
        draw(options, outputs)
    if outputs.output_dir:
        phantom.write(options, outputs.output_dir)


def draw(options: phantom.Options, outputs: Outputs) -> None:
    """Draws the picture and prints the numbers that go with it."""
    real = None
    if outputs.beside:
        with volume.open(outputs.beside) as opened:
            real = picture.real_planes(opened)
    image, labels = picture.phantom_planes(options)
    sheet = picture.draw(image, labels, real)
    with volume.files.atomic_path(outputs.picture) as temporary:
        sheet.save(temporary, format="PNG")
    print(picture.describe(image, real))


def main(argv: list[str]) -> None:
    del argv
    outputs = program.from_flags(Outputs)
    run(program.from_flags(phantom.Options), outputs)
    wrote = outputs.picture
    following = "python -m ffn_tf.make_phantom --output_dir=out/phantom"
    for name, value in program.given_flags(phantom.Options).items():
        shown = ",".join(map(str, np.atleast_1d(value)))
        following += f" --{name}={shown}"
    if outputs.output_dir:
        wrote += " and " if wrote else ""
        wrote += f"{outputs.output_dir}/dataset.yaml"
        image = f"{outputs.output_dir}/image.zarr"
        following = (
            f"python -m ffn_tf.run_inference --image={image} "
            f"--segmentation_output_dir=out/segments"
        )
    program.finish(wrote, following)


if __name__ == "__main__":
    program.define_flags(phantom.Options)
    program.define_flags(Outputs)
    program.start(main)
