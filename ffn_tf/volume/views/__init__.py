"""Volumes made of volumes: nothing is copied until it is read.

    thin = volume.views.downsampled(em, (1, 2, 2))

    view                 what every view is
    index, border        crops, strides, transposes; padding, broadcasting
    values               casts, other ranges of values
    resample, combine    other voxel sizes; several volumes as one
    description          views as a dataset's YAML has them

Views are Volumes, so views are made of views.
"""

from ffn_tf.volume.views.border import broadcast, padded
from ffn_tf.volume.views.combine import concatenated, masked, overlaid, stacked
from ffn_tf.volume.views.index import (
    cropped,
    flipped,
    strided,
    translated,
    transposed,
)
from ffn_tf.volume.views.resample import downsampled, resampled, upsampled
from ffn_tf.volume.views.values import cast, rescaled

__all__ = [
    "broadcast",
    "cast",
    "concatenated",
    "cropped",
    "downsampled",
    "flipped",
    "masked",
    "overlaid",
    "padded",
    "resampled",
    "rescaled",
    "stacked",
    "strided",
    "translated",
    "transposed",
    "upsampled",
]
