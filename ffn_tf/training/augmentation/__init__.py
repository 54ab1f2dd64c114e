"""One training example made into another that is as true.

    size = augmentation.padded_size((49, 49, 49), options)
    padded = augmentation.Example(image, labels, weights)   # each of `size`
    example = augmentation.augment(padded, seed, options, (49, 49, 49))

Image, labels and weights move together, as one draw says, in the order in
which a volume comes into being:

  (1) orientation   axes permuted and reflected; always exact
  (2) deformation   rotation and elastic warp, in one interpolation (sampling)
  (3) misalignment  sections moved: one (slip), or all behind it (translation)
  (4) focus         sections out of focus
  (5) intensity     contrast, brightness, gamma
  (6) missing       sections lost, whole or in part

Laws. The centre voxel of the result is the centre voxel of the input, for it
says whose example this is. Labels and weights are moved, never mixed. What
lies outside of the input has weight 0. Every random number comes from `seed`
and the number of its operation (draws), so the same seed gives the same bytes,
eagerly and in a graph, and one more operation leaves the others' draws alone.
"""

from ffn_tf.training.augmentation.chain import augment, padded_size
from ffn_tf.training.augmentation.example import Example
from ffn_tf.training.augmentation.options import AugmentOptions
from ffn_tf.training.augmentation.picture import draw

__all__ = ["AugmentOptions", "Example", "augment", "draw", "padded_size"]
