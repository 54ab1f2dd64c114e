"""Centre lines of neurites: what they are, and the files that hold them.

(1) `graph`: a skeleton: vertices in nanometres, edges between them.
(2) `io`: skeletons from .npz, SWC and Neuroglancer's precomputed files.
"""

from ffn_tf.skeleton.graph import Skeleton
from ffn_tf.skeleton.io import read

__all__ = ["Skeleton", "read"]
