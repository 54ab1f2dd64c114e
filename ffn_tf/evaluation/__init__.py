"""How good is a segmentation? Numpy only; no TensorFlow is imported.

(1) `domain`: where two volumes can be compared.
(2) `contingency`: count which ids share how many voxels, once, blockwise.
(3) `overlap_metrics`: VOI, adapted Rand, coverage, the worst offenders.
(4) `matching`: which segment is which body, and what is wrong with a voxel.
(5) `slices`, `picture`: truth, segmentation and errors side by side.
(6) `report`: all of it as JSON and Markdown.
"""

from ffn_tf.evaluation.contingency import (
    Contingency,
    count,
    count_volumes,
    merged,
)
from ffn_tf.evaluation.domain import shared_box, shared_voxel_size
from ffn_tf.evaluation.overlap_metrics import Comparison, Scores, compare, score

__all__ = [
    "Comparison",
    "Contingency",
    "Scores",
    "compare",
    "count",
    "count_volumes",
    "merged",
    "score",
    "shared_box",
    "shared_voxel_size",
]
