"""(3), (4), (6): what befalls single sections (Lee et al., arXiv 1706.00120).

    misaligned     one section beside its place, or all behind it as well
    out of focus   sections blurred
    missing        sections of one grey value, whole or in some quadrants

The middle section, where the object starts, is spared. A misalignment moves
image, labels and weights, so that labels are true of what is shown; the other
two change the image alone: there the network should go by the neighbours.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ffn_tf.training.augmentation import draws
from ffn_tf.training.augmentation.example import Example, Triple
from ffn_tf.training.augmentation.options import AugmentOptions

# -----------------------------------------------------------------------------
# Misalignment
# -----------------------------------------------------------------------------


def padded(size: Triple, options: AugmentOptions) -> Triple:
    """Sizes of the input that misaligned sections of `size` are cut from."""
    if not options.misalignment_probability:
        return size
    z, y, x = size
    reach = 2 * options.misalignment_voxels
    return z, y + reach, x + reach


def misaligned(
    example: Example, seed: tf.Tensor, options: AugmentOptions, size: Triple
) -> Example:
    """The middle `size` of the example, sections misaligned if so drawn."""
    stream = draws.Draws(seed, draws.Stream.MISALIGN)
    happens = stream.happens(options.misalignment_probability)
    slips = stream.happens(options.misalignment_slips)
    middle = size[0] // 2
    section = stream.uniform((), 0, size[0] - 1)
    section += tf.cast(section >= middle, tf.int32)
    reach = options.misalignment_voxels
    shift = stream.uniform((2,), -reach, reach + 1)

    def move() -> Example:
        which = moved_sections(size[0], section, slips)
        return shifted(example, which, shift, size)

    return tf.cond(happens, move, lambda: example.cropped(size))


def moved_sections(
    count: int, section: tf.Tensor, slips: tf.Tensor
) -> tf.Tensor:
    """[count] bool: `section`; unless it slips, also all further out."""
    place = tf.range(count)
    beyond = tf.where(section > count // 2, place >= section, place <= section)
    return tf.where(slips, place == section, beyond)


def shifted(
    example: Example, which: tf.Tensor, shift: tf.Tensor, size: Triple
) -> Example:
    """The middle `size`, sections `which` read at `shift`, [2] int32 y, x."""
    start = [(have - want) // 2 for have, want in zip(example.size, size)]
    aside = tf.constant(start) + tf.pad(shift, [[1, 0]])

    def move(array: tf.Tensor) -> tf.Tensor:
        return tf.where(
            which[:, None, None],
            tf.slice(array, aside, size),
            tf.slice(array, start, size),
        )

    return example.each(move)


# -----------------------------------------------------------------------------
# Focus
# -----------------------------------------------------------------------------


def defocused(
    image: tf.Tensor, seed: tf.Tensor, options: AugmentOptions
) -> tf.Tensor:
    """Sections of the image [z, y, x] out of focus if so drawn."""
    stream = draws.Draws(seed, draws.Stream.DEFOCUS)
    happens = stream.happens(options.out_of_focus_probability)
    which = stream.sections(image.shape[0], options.out_of_focus_sections)
    sigma = stream.uniform((), 0.0, options.out_of_focus_sigma)

    def blur() -> tf.Tensor:
        return tf.where(which[:, None, None], blurred(image, sigma), image)

    return tf.cond(happens, blur, lambda: image)


def blurred(image: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Every section under a Gaussian; at the edges, of what is there."""
    _, y, x = image.shape
    rows, columns = _gaussian(y, sigma), _gaussian(x, sigma)
    return tf.matmul(rows @ image, columns, transpose_b=True)


def _gaussian(length: int, sigma: tf.Tensor) -> tf.Tensor:
    """[length, length] float32: the share of each voxel in each."""
    place = np.arange(length, dtype=np.float32)
    falloff = -0.5 * np.square(place[:, None] - place)
    power = tf.exp(
        falloff * tf.math.reciprocal(tf.maximum(tf.square(sigma), 1e-6))
    )
    return power / tf.reduce_sum(power, axis=1, keepdims=True)


# -----------------------------------------------------------------------------
# Missing sections
# -----------------------------------------------------------------------------


def without_sections(
    image: tf.Tensor, seed: tf.Tensor, options: AugmentOptions
) -> tf.Tensor:
    """The image [z, y, x] with sections missing if so drawn."""
    stream = draws.Draws(seed, draws.Stream.MISSING)
    happens = stream.happens(options.missing_section_probability)
    z, y, x = image.shape
    which = stream.sections(z, options.missing_sections)
    partial = stream.uniform((z, 1)) < options.missing_section_partial
    # One quadrant at least, each other with an even chance.
    lost = (stream.uniform((z, 4)) < 0.5) | tf.cast(
        tf.one_hot(stream.uniform((z,), 0, 4), 4), tf.bool
    )
    rows = stream.uniform((z,), 0, y)
    columns = stream.uniform((z,), 0, x)

    def lose() -> tf.Tensor:
        quadrants = (lost | ~partial) & which[:, None]
        hole = in_quadrants((z, y, x), quadrants, rows, columns)
        return tf.where(hole, options.missing_section_value, image)

    return tf.cond(happens, lose, lambda: image)


def in_quadrants(
    size: Triple, quadrants: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor
) -> tf.Tensor:
    """[z, y, x] bool: voxels in the chosen quadrants of their section.

    Args:
      quadrants: [z, 4] bool: upper left, upper right, lower left, lower right.
      rows, columns: [z] int32: where the lower and the right ones begin.
    """
    lower = tf.range(size[1])[None, :, None] >= rows[:, None, None]
    right = tf.range(size[2])[None, None, :] >= columns[:, None, None]
    chosen = quadrants[:, :, None, None]
    upper_row = tf.where(right, chosen[:, 1], chosen[:, 0])
    lower_row = tf.where(right, chosen[:, 3], chosen[:, 2])
    return tf.where(lower, lower_row, upper_row)
