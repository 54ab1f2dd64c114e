"""How good is a segmentation? Numpy only; no TensorFlow is imported.

(1) `domain`: where two volumes can be compared.
(2) `volume.contingency`: count which ids share how many voxels, once.
(3) `overlap_metrics`: VOI, adapted Rand, coverage, the worst offenders.
(4) `matching`: which segment is which body, and what is wrong with a voxel.
(5) `slices`, `picture`: truth, segmentation and errors side by side.
(6) `skeleton_metrics`: expected run length and edge accuracy.
(7) `report`, `skeleton_report`: all of it as JSON and Markdown.
"""

from ffn_tf.evaluation.domain import shared_box, shared_voxel_size
from ffn_tf.evaluation.overlap_metrics import Comparison, Scores, compare, score
from ffn_tf.evaluation.skeleton_metrics import SkeletonScores
from ffn_tf.evaluation.skeleton_metrics import score_volume as score_skeletons
from ffn_tf.volume.contingency import (
    Contingency,
    count,
    count_volumes,
    merged,
)

__all__ = [
    "Comparison",
    "Contingency",
    "Scores",
    "SkeletonScores",
    "compare",
    "count",
    "count_volumes",
    "merged",
    "score",
    "score_skeletons",
    "shared_box",
    "shared_voxel_size",
]
