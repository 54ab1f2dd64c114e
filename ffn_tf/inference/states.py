"""States of unfinished subvolumes, from which a killed run goes on.

    <folder>/<x>/<y>/seg-<x>_<y>_<z>.cpoint      x, y, z: the corner

An archive (archive.py) of what `Canvas.state` gives: its arrays by name, and
its other values as JSON under `state`; and of which run and image it is.
"""

from __future__ import annotations

import json
import pathlib

import numpy as np

from ffn_tf.inference import archive, subvolume
from ffn_tf.inference import canvas as canvas_lib
from ffn_tf.volume import files


def path_for(
    folder: pathlib.Path, corner_zyx: canvas_lib.Position
) -> pathlib.Path:
    """Where the state of the subvolume at `corner_zyx` lies."""
    return subvolume.path_for(folder, corner_zyx, "cpoint")


def save(folder: pathlib.Path, canvas: canvas_lib.Canvas, made_by: str) -> None:
    """Writes the state, whole or not at all; `made_by` marks the run."""
    arrays, values = canvas.state()
    archive.write(
        path_for(folder, canvas.corner_zyx),
        {
            **arrays,
            "state": np.array(json.dumps(values)),
            "made_by": np.array(made_by),
            "image": np.array(canvas.image_digest),
        },
    )


def restore(
    folder: pathlib.Path, canvas: canvas_lib.Canvas, made_by: str
) -> None:
    """Brings `canvas` to where it was when its state was saved.

    Raises:
      FileNotFoundError: it has none.
      ValueError: a damaged file, or the state of a subvolume of another size
        or of a run of other options, or of another image.
    """
    with archive.read(path_for(folder, canvas.corner_zyx)) as file:
        if file.text("made_by", "") != made_by:
            raise ValueError("it is of a run of other options")
        fresh, _ = canvas.state()
        arrays = {name: file.array(name) for name in fresh}
        found, expected = arrays["segmentation"].shape, canvas.image.shape
        if found != expected:
            raise ValueError(
                f"it is of a subvolume of size_zyx {found}, this one has "
                f"{expected}"
            )
        if file.text("image", "") != canvas.image_digest:
            raise ValueError("the image has changed since it was saved")
        for name, array in arrays.items():
            if (array.dtype, array.ndim) != (
                fresh[name].dtype,
                fresh[name].ndim,
            ):
                raise ValueError(
                    f"{name}: found {array.dtype} of shape {array.shape}"
                )
        try:
            canvas.restore(arrays, json.loads(file.text("state")))
        except (
            KeyError,
            TypeError,
            IndexError,
            AttributeError,
            OverflowError,
        ) as error:
            raise ValueError(
                f"not the state of a canvas ({error!r})"
            ) from error


def remove(folder: pathlib.Path, corner_zyx: canvas_lib.Position) -> None:
    """Removes the state, which its result has made superfluous."""
    path_for(folder, corner_zyx).unlink(missing_ok=True)


def tidy(folder: pathlib.Path, corner_zyx: canvas_lib.Position) -> None:
    """Removes what killed runs left half written of a subvolume's files."""
    for path in (
        path_for(folder, corner_zyx),
        subvolume.path_for(folder, corner_zyx),
    ):
        files.remove_leftovers(path)
