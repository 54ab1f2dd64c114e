"""Files: a phantom as volumes, written block by block.

Voxels never lie in memory all at once. The tissue does: outlines, organelles,
and while it grows a grid of clearances; about 2 bytes for each voxel of 10 nm.

An output folder, which appears when it is complete, holds

  image.zarr     uint8
  labels.zarr    uint64
  truth.npz      centre lines and types (skeletons.py)
  types.csv      segment,label: types, as segclr.classify reads them
  dataset.yaml   names the volumes: roles `image` and `truth`
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import secrets
import shutil

import numpy as np
import yaml

from ffn_tf import program, volume
from ffn_tf.phantom import options as options_lib
from ffn_tf.phantom import skeletons, voxels

_CHUNK = (64, 64, 64)
_BLOCK = (192, 192, 192)


def refuse_existing(output_dir: str | os.PathLike[str]) -> None:
    """Raises FileExistsError if the folder is there already."""
    if os.path.lexists(output_dir):
        raise FileExistsError(
            f"{output_dir} exists already. Use another folder, or delete it."
        )


def is_there(
    options: options_lib.Options, output_dir: str | os.PathLike[str]
) -> bool:
    """Whether the folder holds that phantom.

    Raises:
      FileExistsError: it holds another one.
    """
    folder = pathlib.Path(output_dir)
    if not folder.exists():
        return False
    with volume.open(f"{folder}/image.zarr") as image:
        found = dict(image.attributes.get("options") or {})
    wanted = json.loads(json.dumps(dataclasses.asdict(options)))
    if found != wanted:
        raise FileExistsError(
            f"{folder} holds another phantom ({found}): delete it, or name "
            f"another --output_dir."
        )
    return True


def write(
    options: options_lib.Options, output_dir: str | os.PathLike[str]
) -> pathlib.Path:
    """Writes the phantom `options` into the folder; the path of its YAML.

    Raises:
      FileExistsError: the folder is there already.
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
    refuse_existing(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = folder.with_name(f".tmp-{secrets.token_hex(4)}-{folder.name}")
    blocks = program.watched(
        volume.grid.tile(options.domain, _BLOCK),
        volume.grid.count(options.domain, _BLOCK),
        "Phantom",
        "blocks",
    )
    try:
        with (
            volume.create(
                f"{making}/image.zarr", image, attributes=made_by
            ) as em,
            volume.create(
                f"{making}/labels.zarr", labels, attributes=made_by
            ) as ids,
        ):
            for box in blocks:
                block = voxels.generate(options, box)
                em.write(box, block.image)
                ids.write(box, block.labels)
        truth = skeletons.truth(options)
        skeletons.save(making / "truth.npz", truth)
        rows = [f"{label},{type_}\n" for label, type_ in truth.types.items()]
        volume.files.write_text(
            making / "types.csv", "".join(["segment,label\n", *rows])
        )
        _describe(options, making)
        making.rename(folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return folder / "dataset.yaml"


def _describe(options: options_lib.Options, folder: pathlib.Path) -> None:
    """Writes the dataset file into `folder`."""
    size = list(options.voxel_size_nm)
    dataset = {
        "name": "phantom",
        "description": f"synthetic EM, seed {options.seed}",
        "volumes": {
            "image": {
                "address": "${HERE}/image.zarr",
                "voxel_size_nm": size,
                "kind": "image",
            },
            "truth": {
                "address": "${HERE}/labels.zarr",
                "voxel_size_nm": size,
                "kind": "segmentation",
            },
        },
    }
    text = yaml.safe_dump(dataset, sort_keys=False)
    volume.files.write_text(folder / "dataset.yaml", text)
