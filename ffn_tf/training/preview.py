"""What augmentation would do to the first example, as a picture.

The volumes and coordinates are those of the training; nothing is trained. See
augmentation/picture.py for what is on it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image
import tensorflow as tf

from ffn_tf.training import patches, pipeline
from ffn_tf.training.augmentation import picture


def draw(opened: patches.Patches, settings: pipeline.Settings) -> Image.Image:
    """The picture of the example at the first coordinate.

    Args:
      opened: the volumes.
      settings: of the examples.

    Raises:
      ValueError: no coordinate, or one that does not fit the volumes.
      OSError: voxels cannot be read.
    """
    center, name = _first(settings)
    voxel_size = opened.voxel_size_nm
    size = picture.input_size(settings.size, settings.augment, voxel_size)
    mean = settings.normalisations[opened.names[opened.index(name)]].mean
    means = np.full(len(opened.names), mean, np.float32)
    image, mask, _ = opened.read(
        [opened.index(name)], center[np.newaxis], size, means.tolist()
    )
    return picture.draw(
        image[0],
        mask[0],
        settings.augment,
        settings.seed,
        settings.size,
        voxel_size,
    )


def _first(settings: pipeline.Settings) -> tuple[np.ndarray, str]:
    """Centre [3] zyx and volume of the first coordinate."""
    in_order = dataclasses.replace(settings, shuffle=0)
    places = pipeline.centers(in_order).take(1).as_numpy_iterator()
    try:
        (x, y, z), name = next(places)
    except (StopIteration, tf.errors.OpError) as error:
        raise ValueError(
            f"The coordinates {', '.join(settings.files)} hold no example: "
            f"empty, damaged, or not of build_coordinates."
        ) from error
    return np.array([z, y, x]), name.decode()
