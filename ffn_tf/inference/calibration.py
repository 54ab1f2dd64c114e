"""Samples of a volume on which int8 arithmetic is calibrated.

Of samples spread over the volume (intensity.py), the most textured ones: the
same, whichever part of the volume is segmented.
"""

from __future__ import annotations

import numpy as np

from ffn_tf import model, volume
from ffn_tf.inference import intensity
from ffn_tf.inference import request as request_lib

_FIELDS = 5


def samples(
    image: volume.Volume,
    view: model.FieldOfView,
    request: request_lib.InferenceRequest,
) -> tuple[list[np.ndarray], np.ndarray]:
    """What `engine.Samples` returns.

    Args:
      image: the raw volume.
      view: size of the samples.
      request: how the image is normalised and what an object starts with.

    Raises:
      ValueError: no sample without NaN or infinity.
    """
    raw = volume.grey.samples(image, image.domain, view.size)
    fields = [
        intensity.normalised(box, request.image_mean, request.image_stddev)
        for box in raw
    ]
    fields = [field for field in fields if np.isfinite(field).all()]
    if not fields:
        raise ValueError(
            f"int8 is calibrated on samples of {image.address}, but all "
            f"{len(raw)} hold NaN or infinity. Fill such voxels, or use "
            f"another --compute_dtype."
        )
    fields.sort(key=lambda field: -float(field.std()))
    options = request.options
    seed = np.full(view.size, options.logit("pad_value"), np.float32)
    seed[view.margin] = options.logit("init_activation")
    return fields[:_FIELDS], seed
