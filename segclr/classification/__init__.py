"""Classification: types of neurites from embeddings, and how sure that is.

(1) labels       types that people have given, and splits by cell
(2) sngp         layers that know how far a place is from what was learned
(3) heads        networks from an embedding to types
(4) fitting      a head's weights from examples
(5) classifier   a head with what it stands on: fitted, saved, applied
(6) scores       F1, confusion, and how well the unknown is told
(7) curves       F1 against the radius of means, and the number of labels
(8) predictions  types of nodes and segments, as files
"""

from ffn_tf.program import quiet

quiet.import_backend()

# ruff: noqa: E402 (TensorFlow must be imported quietly, so first)
from segclr.classification.classifier import Classifier, Prediction, fit
from segclr.classification.labels import Labels

__all__ = ["Classifier", "Labels", "Prediction", "fit"]
