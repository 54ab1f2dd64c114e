"""Files: a phantom as volumes, block by block, in bounded memory.

An output folder holds

  image.zarr     uint8
  labels.zarr    uint64
  truth.npz      centre lines and types (skeletons.py)
  dataset.yaml   names the volumes: roles `image` and `truth`
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np
import tqdm
import yaml

from ffn_tf import program, volume
from ffn_tf.phantom import options as options_lib
from ffn_tf.phantom import skeletons, voxels

_CHUNK = (64, 64, 64)
_BLOCK = (192, 192, 192)


def write(
    options: options_lib.Options, output_dir: str | os.PathLike[str]
) -> pathlib.Path:
    """Writes the phantom `options` into the folder; the path of its YAML.

    Raises:
      FileExistsError: the folder holds a phantom already.
    """
    folder = pathlib.Path(output_dir)
    made_by = {
        "program": "ffn_tf.make_phantom",
        "code": program.describe_code(),
        "options": dataclasses.asdict(options),
    }
    image = volume.VolumeInfo(
        options.domain,
        np.dtype(np.uint8),
        options.voxel_size_nm,
        _CHUNK,
        "image",
    )
    labels = dataclasses.replace(
        image, dtype=np.dtype(np.uint64), kind="segmentation"
    )
    folder.mkdir(parents=True, exist_ok=True)
    blocks = tqdm.tqdm(
        volume.grid.tile(options.domain, _BLOCK),
        total=volume.grid.count(options.domain, _BLOCK),
        desc="phantom",
        unit="block",
        disable=None,
    )
    with (
        volume.staged(f"{folder}/image.zarr", image, attributes=made_by) as em,
        volume.staged(
            f"{folder}/labels.zarr", labels, attributes=made_by
        ) as ids,
    ):
        for box in blocks:
            block = voxels.generate(options, box)
            em.write(box, block.image)
            ids.write(box, block.labels)
    skeletons.save(folder / "truth.npz", skeletons.truth(options))
    _describe(options, folder)
    return folder / "dataset.yaml"


def _describe(options: options_lib.Options, folder: pathlib.Path) -> None:
    size = list(options.voxel_size_nm)
    where = folder.resolve()
    dataset = {
        "name": "phantom",
        "description": f"synthetic EM, seed {options.seed}",
        "volumes": {
            "image": {
                "address": f"{where}/image.zarr",
                "voxel_size_nm": size,
                "kind": "image",
            },
            "truth": {
                "address": f"{where}/labels.zarr",
                "voxel_size_nm": size,
                "kind": "segmentation",
            },
        },
    }
    text = yaml.safe_dump(dataset, sort_keys=False)
    volume.files.write_text(folder / "dataset.yaml", text)
