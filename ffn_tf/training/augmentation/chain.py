"""All operations in order, and the size of input that they need.

Sizes grow from the result backwards: misalignment cuts its sections from a
deformed example that is larger, which is sampled from an input that is larger
still; permuted axes of that have one size. An operation whose probability is
0 is not in the graph at all.
"""

from __future__ import annotations

import tensorflow as tf

from ffn_tf.training.augmentation import (
    deformation,
    intensity,
    orientation,
    sections,
)
from ffn_tf.training.augmentation.example import Example, Triple, check
from ffn_tf.training.augmentation.options import AugmentOptions

VoxelSize = tuple[float, float, float]


def padded_size(
    size: Triple,
    options: AugmentOptions,
    voxel_size_zyx: VoxelSize = (1.0, 1.0, 1.0),
) -> Triple:
    """Sizes zyx of the input that examples of `size` are made from.

    All that a result can show lies within, so only what lies outside of the
    volume has weight 0.

    Raises:
      ValueError: sizes without a centre voxel, permutable axes of different
        sizes, or too few sections.
    """
    options.check_size(size)
    _, full = _sizes(size, options, voxel_size_zyx)
    longest = max((full[axis] for axis in options.permutable_axes), default=0)
    z, y, x = (
        longest if axis in options.permutable_axes else n
        for axis, n in enumerate(full)
    )
    return z, y, x


def augment(
    example: Example,
    seed: tf.Tensor,
    options: AugmentOptions,
    size: Triple,
    voxel_size_zyx: VoxelSize = (1.0, 1.0, 1.0),
) -> Example:
    """An example of `size` made from one of `padded_size`.

    Args:
      example: image, labels, weights; shapes are static.
      seed: [2] int32; the same seed gives the same bytes.
      options: what may happen to it.
      size: zyx voxels of the result, odd.
      voxel_size_zyx: of the volume, in any unit; rotations go by it.

    Raises:
      ValueError: shapes or types that are not as expected, or see padded_size.
    """
    check(example, padded_size(size, options, voxel_size_zyx))
    seed = tf.ensure_shape(tf.cast(seed, tf.int32), [2])
    aligned, full = _sizes(size, options, voxel_size_zyx)
    example = orientation.oriented(example, seed, options).cropped(full)
    if options.rotation_probability or options.elastic_probability:
        example = deformation.deformed(
            example, seed, options, aligned, voxel_size_zyx
        )
    if options.misalignment_probability:
        example = sections.misaligned(example, seed, options, size)
    image = example.image
    if options.out_of_focus_probability:
        image = sections.defocused(image, seed, options)
    image = intensity.regraded(image, seed, options)
    if options.missing_section_probability:
        image = sections.without_sections(image, seed, options)
    return example._replace(image=image)


def _sizes(
    size: Triple, options: AugmentOptions, voxel_size_zyx: VoxelSize
) -> tuple[Triple, Triple]:
    """Before misalignment; and before deformation, axes in any order."""
    aligned = sections.padded(size, options)
    return aligned, deformation.padded(aligned, options, voxel_size_zyx)
