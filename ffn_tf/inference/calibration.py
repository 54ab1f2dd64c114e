"""Samples of a volume on which int8 arithmetic is calibrated.

The same volume gives the same samples, whichever part of it is segmented: of
a fixed grid of fields of view over the domain, the most textured ones.
"""

from __future__ import annotations

from collections.abc import Callable
import itertools

import numpy as np

from ffn_tf import model, volume
from ffn_tf.inference import options as options_lib

_GRID = 3  # Candidates along each axis.
_FIELDS = 5


def samples(
    image: volume.Volume,
    view: model.FieldOfView,
    normalised: Callable[[np.ndarray], np.ndarray],
    options: options_lib.InferenceOptions,
) -> tuple[list[np.ndarray], np.ndarray]:
    """What `engine.Samples` returns.

    Args:
      image: the raw volume.
      view: size of the samples.
      normalised: from raw to normalised voxels.
      options: the thresholds that an object starts with.

    Raises:
      ValueError: no sample without NaN or infinity.
    """
    axes = [
        [
            start + (length - n) * (2 * i + 1) // (2 * _GRID)
            for i in range(_GRID)
        ]
        for start, length, n in zip(
            image.domain.start, image.domain.size, view.size
        )
    ]
    boxes = [
        volume.Box.from_size(corner, view.size)
        for corner in sorted(set(itertools.product(*axes)))
    ]
    fields = [normalised(raw) for raw in image.read_many(boxes)]
    fields = [field for field in fields if np.isfinite(field).all()]
    if not fields:
        raise ValueError(
            f"int8 is calibrated on samples of {image.address}, but all "
            f"{len(boxes)} hold NaN or infinity. Fill such voxels, or use "
            f"another --compute_dtype."
        )
    fields.sort(key=lambda field: -float(field.std()))
    seed = np.full(view.size, options.logit("pad_value"), np.float32)
    seed[view.margin] = options.logit("init_activation")
    return fields[:_FIELDS], seed
