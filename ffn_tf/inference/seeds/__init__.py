"""Seeds: where objects are started.

A seed policy is a function that names what it needs, and returns positions
[n, 3] int64, zyx, in the order in which they are tried. It may need

    image         [z, y, x] float32, normalised
    excluded      [z, y, x] bool, voxels where no object may start
    segmentation  [z, y, x] int: 0 free, > 0 taken, -1 a rejected seed
    and its own arguments, which users write: google/ffn's names and defaults.

What a request asks for becomes stages. Most policies are one;
SequentialPolicies are several, and each is computed when the one before it is
used up, so that PolicyFillEmptySpace sees what the seeds before it left. (In
google/ffn it sees an empty segmentation.)

    for stage in seeds.stages("PolicyPeaks", {}):
        positions = stage.find(image, excluded, segmentation, margin)
        ...  # try them all

  (1) arguments    what users may write
  (2) distances    PolicyPeaks, PolicyPeaks2d, PolicyFillEmptySpace
      brightness   PolicyMax, PolicyMaxPeaks, PolicyImagePeaks3D2D,
                   PolicyImagePeaks2DDisk, PolicyDenseSeeds
      grids        PolicyGrid3d, PolicyGrid2d
      origins      PolicyInvertOrigins (or PolicyInverseOrigins)
  (3) stage        ReverseCoords, SequentialPolicies; names to functions
"""

from ffn_tf.inference.seeds.stage import (
    Stage,
    check_arguments,
    find,
    interior,
    stages,
)

__all__ = ["Stage", "check_arguments", "find", "interior", "stages"]
