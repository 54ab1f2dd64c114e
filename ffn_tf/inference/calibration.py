"""Samples of a volume on which int8 arithmetic is calibrated.

The same volume gives the same samples, whichever part of it is segmented:
of a fixed grid of fields of view over the domain the most textured ones are
taken, and each is stepped a few times from its centre in float32.
"""

from __future__ import annotations

from collections.abc import Callable
import itertools

import numpy as np

from ffn_tf import model, volume
from ffn_tf.inference import engine
from ffn_tf.inference import options as options_lib

_GRID = 3  # Candidates along each axis.
_FIELDS = 6
_STEPS = 2


def samples(
    image: volume.Volume,
    network: model.ConvStack,
    normalised: Callable[[np.ndarray], np.ndarray],
    options: options_lib.InferenceOptions,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(image, seed) pairs, [z, y, x] float32, as flood filling has them."""
    size = network.view.size
    axes = [
        [
            start + (length - n) * (2 * i + 1) // (2 * _GRID)
            for i in range(_GRID)
        ]
        for start, length, n in zip(image.domain.start, image.domain.size, size)
    ]
    boxes = [
        volume.Box.from_size(corner, size)
        for corner in sorted(set(itertools.product(*axes)))
    ]
    fields = [normalised(raw) for raw in image.read_many(boxes)]
    fields = [field for field in fields if np.isfinite(field).all()]
    fields.sort(key=lambda field: -float(field.std()))
    reference = engine.create(network, "auto", "float32")
    taken = []
    for field in fields[:_FIELDS]:
        seed = np.full(size, options.logit("pad_value"), np.float32)
        seed[network.view.margin] = options.logit("init_activation")
        for _ in range(_STEPS):
            taken.append((field, seed))
            seed = np.array(reference.predict([field], [seed])[0])
    return taken
