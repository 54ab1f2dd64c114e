"""Turns a released checkpoint of SegCLR into an encoder of ours.

    python -m segclr.import_checkpoint --checkpoint=segclr-355200 \\
        --output_dir=out/encoder --voxel_size_nm=33,32,32

Google has released two, for human (H01) and mouse (MICrONS) cortex:

    gs://h01-release/data/20230118/models/segclr-355200          33,32,32 nm
    gs://iarpa_microns/minnie/minnie65/embeddings/models/segclr-216000
                                                                 40,32,32 nm

The result is a folder with model.json and model.weights.h5, which segclr.embed
takes as `--encoder`. Checkpoints that connectomics/segclr/model.py writes while
it trains are read, too (segclr/model/tf1_checkpoint.py). Widths are read from
the checkpoint; the sizes of cutouts and of voxels are not in it.
"""

from __future__ import annotations

import dataclasses
import math

from ffn_tf import model as ffn_model
from ffn_tf import program
from ffn_tf.volume import files
from segclr import model
from segclr.model import tf1_checkpoint


@dataclasses.dataclass(frozen=True)
class Options:
    """What to import."""

    checkpoint: str = program.option(
        help="Folder with one checkpoint; or prefix of one: its .index file "
        "without that suffix."
    )
    output_dir: str = program.option(help="Folder for the encoder.")
    voxel_size_nm: tuple[float, float, float] = program.option(
        (33.0, 32.0, 32.0),
        help="Voxels that it was trained with, z,y,x: 33,32,32 of the H01 "
        "encoder, 40,32,32 of the MICrONS one.",
    )
    size_zyx: tuple[int, int, int] = program.option(
        (129, 129, 129), help="Cutouts that it was trained with, z,y,x."
    )


def run(options: Options) -> tf1_checkpoint.Imported:
    """Imports; returns the encoder, and what was left out.

    Raises:
      FileNotFoundError: no such checkpoint.
      FileExistsError: the folder holds a network.
      ValueError: a damaged checkpoint, or one of another network; no folder.
    """
    folder = files.local(options.output_dir, "output_dir")
    if (folder / "model.json").exists():
        raise FileExistsError(
            f"{options.output_dir} holds a network already. Use another "
            f"folder, or delete it."
        )
    if not all(0 < n < math.inf for n in options.voxel_size_nm):
        raise ValueError(
            f"--voxel_size_nm: expected lengths above 0, z,y,x, found "
            f"{options.voxel_size_nm}."
        )
    prefix = tf1_checkpoint.prefix_of(options.checkpoint)
    imported = tf1_checkpoint.load(
        prefix, options.size_zyx, options.voxel_size_nm
    )
    origin = ffn_model.describe(prefix) | {
        "has_projection": imported.has_projection
    }
    model.save(imported.encoder, folder, origin)
    return imported


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    imported = run(options)
    config = imported.encoder.config
    z, y, x = imported.encoder.voxel_size_nm
    print(
        f"{config['kind']}, embeddings of {config['embedding']} numbers, for "
        f"voxels of {z:g} x {y:g} x {x:g} nm (z, y, x); "
        f"{imported.encoder.count_params():,} weights, {imported.unused} "
        f"variables that only training reads left out."
    )
    if not imported.has_projection:
        print(
            "No projection head in it: a new one was made, which only training "
            "needs."
        )
    program.finish(
        f"{options.output_dir}/model.json and model.weights.h5",
        f"python -m segclr.embed --encoder={options.output_dir} "
        f"--image=ADDRESS --segmentation=ADDRESS --skeletons=FOLDER "
        f"--output_dir=out/embeddings",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
