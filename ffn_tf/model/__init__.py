"""The network: its geometry, its layers, and where weights come from.

(1) fov             field of view and movement step of a network
(2) convstack       the residual 3-d convolution stack (Keras 3)
(3) tf1_checkpoint  google/ffn's TensorFlow 1 checkpoints, read
(4) folder          a network as two files
(5) catalog         names -> networks
"""

from ffn_tf.program import quiet

quiet.import_backend()

# ruff: noqa: E402 (TensorFlow must be imported quietly, so first)
from ffn_tf.model.catalog import (
    SHIPPED,
    describe,
    load,
    network_name,
    origin,
    save,
)
from ffn_tf.model.convstack import ConvStack
from ffn_tf.model.fov import FieldOfView

__all__ = [
    "SHIPPED",
    "ConvStack",
    "FieldOfView",
    "describe",
    "load",
    "network_name",
    "origin",
    "save",
]
