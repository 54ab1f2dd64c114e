"""Synthetic EM with known neurites, types and centre lines.

    options = phantom.Options(seed=1, size_zyx=(128, 128, 128))
    block = phantom.generate(options)            # image, labels
    truth = phantom.truth(options)               # skeletons, types
    phantom.write(options, "out/phantom")        # block by block

Dense neuropil: axons with boutons full of vesicles, dendrites with spines,
glia in the gaps; membranes, mitochondria, microtubules, synapses. Made in
nanometres, then sampled, so any voxel size will do.

How it is made, in the order in which it happens:

  (1) habits, growth   neurites grow into the room that is left (clearance)
  (2) warp             space is bent, which makes them uneven
  (3) organelles       what is inside them, by cell type (cells)
  (4) nearest          space is divided among them: labels and membranes
  (5) render           what a microscope sees
  (6) voxels           sections, noise: voxels
  (7) skeletons, files centre lines and types; files

`python -m ffn_tf.make_phantom` writes one, or draws one beside a real volume.
"""

from ffn_tf.phantom.files import is_there, refuse_existing, write
from ffn_tf.phantom.options import Options
from ffn_tf.phantom.skeletons import Skeleton, Truth, truth
from ffn_tf.phantom.voxels import Phantom, generate

__all__ = [
    "Options",
    "Phantom",
    "Skeleton",
    "Truth",
    "generate",
    "is_there",
    "refuse_existing",
    "truth",
    "write",
]
