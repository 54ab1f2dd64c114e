"""How good is a segmentation? Numpy only; no TensorFlow is imported.

(1) `contingency`: count which ids share how many voxels, once, blockwise.
(2) `overlap_metrics`: VOI, adapted Rand, coverage, the worst offenders.
(3) `picture`: slices with truth, segmentation and errors side by side.
(4) `report`: all of it as JSON and Markdown.
"""

from ffn_tf.evaluation.contingency import (
    Contingency,
    count,
    count_volumes,
    merged,
    shared_box,
)
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
]
