"""(5) Intensity: contrast, brightness and gamma (Lee et al., as sections).

    contrast     g = 1/2 + factor (g - 1/2)        g: 0 is black, 1 is white
    brightness   g = g + share
    gamma        g = g ** exponent

Each with one amount for the whole example, or with one for each section; after
each, g is clipped to black and white.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import math

import tensorflow as tf

from ffn_tf.training.augmentation import draws
from ffn_tf.training.augmentation.options import AugmentOptions

Range = tuple[float, float]
# (grey, amount) -> grey
Change = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def contrasted(grey: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    return 0.5 + factor * (grey - 0.5)


def brightened(grey: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    return grey + share


def bent(grey: tf.Tensor, octaves: tf.Tensor) -> tf.Tensor:
    """Gamma, by the logarithm of its exponent to base 2."""
    return tf.pow(grey, tf.pow(2.0, octaves))


def regraded(
    image: tf.Tensor, seed: tf.Tensor, options: AugmentOptions
) -> tf.Tensor:
    """The image [z, y, x] in other grey values if so drawn."""
    for stream, probability, bounds, change in _steps(options):
        if probability:
            draw = draws.Draws(seed, stream)
            image = tf.cond(
                draw.happens(probability),
                _changing(image, draw, options, bounds, change),
                lambda image=image: image,
            )
    return image


def _steps(
    options: AugmentOptions,
) -> Iterator[tuple[draws.Stream, float, Range, Change]]:
    least, most = (math.log2(exponent) for exponent in options.gamma_range)
    yield (
        draws.Stream.CONTRAST,
        options.contrast_probability,
        options.contrast_range,
        contrasted,
    )
    yield (
        draws.Stream.BRIGHTNESS,
        options.brightness_probability,
        options.brightness_range,
        brightened,
    )
    yield draws.Stream.GAMMA, options.gamma_probability, (least, most), bent


def _changing(
    image: tf.Tensor,
    draw: draws.Draws,
    options: AugmentOptions,
    bounds: Range,
    change: Change,
) -> Callable[[], tf.Tensor]:
    black, white = options.grey_range
    by_section = draw.happens(options.intensity_by_section)
    each = draw.uniform((image.shape[0],), *bounds)
    amount = tf.where(by_section, each, each[0])[:, None, None]

    def changed() -> tf.Tensor:
        grey = (image - black) * (1.0 / (white - black))
        grey = change(tf.clip_by_value(grey, 0.0, 1.0), amount)
        return black + (white - black) * tf.clip_by_value(grey, 0.0, 1.0)

    return changed
