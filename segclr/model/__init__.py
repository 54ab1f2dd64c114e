"""The encoder: its layers, its heads, and where weights come from.

(1) resnet          the residual network: from a cutout to features (Keras 3)
    folding         ... its first convolution, faster
(2) encoder         ... with two heads: embedding, and projection for training
(3) tf1_checkpoint  the released checkpoints, read
"""

from ffn_tf.program import quiet

quiet.import_backend()

# ruff: noqa: E402 (TensorFlow must be imported quietly, so first)
from segclr.model.encoder import Encoder, load, save
from segclr.model.resnet import STAGES, ResNet

__all__ = ["STAGES", "Encoder", "ResNet", "load", "save"]
