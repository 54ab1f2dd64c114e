"""(2) ConvStack: the flood-filling network of Januszewski et al., 2018.

(Nature Methods 15, 605-610.) A stack of 3x3x3 convolutions over the image and
the seed, in residual modules with activation before the convolution:

    image, seed ─ concat ─ conv0_a ─ relu ─ conv0_b ─┬─ relu ─ conv1_a ─ relu
                                                     │              conv1_b
                                                     └────────── + ───┘
      ... `depth` modules in all ... ─ relu ─ conv_lom (1x1x1) ─ + seed

The output is additive: logits = seed + update. Layer names are those of
google/ffn's checkpoints. Only Keras 3 operations are used, so that the same
model runs under TensorFlow, JAX and (converted) OpenVINO.
"""

from __future__ import annotations

from typing import Any

import keras

from ffn_tf.model import fov


class ConvStack(keras.Model):
    """The convolution stack.

    Call it with `[image, seed]`, both [batch, z, y, x, 1] float; it returns
    logits [batch, z, y, x, 1]. The image is normalised ((raw - mean) /
    stddev), the seed holds logits, never NaN.

    Args:
      depth: number of modules of two convolutions each, at least 1.
      features: channels of each convolution.
      view: the field of view that the network is trained for; the layers
        themselves accept any size.
      **kwargs: of keras.Model; `dtype="mixed_bfloat16"` computes in bfloat16.
    """

    def __init__(
        self,
        depth: int = 12,
        features: int = 32,
        view: fov.FieldOfView | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if depth < 1 or features < 1:
            raise ValueError(
                f"A convolution stack needs depth >= 1 and features >= 1. "
                f"Received: depth={depth}, features={features}"
            )
        self.depth = depth
        self.features = features
        self.view = view or fov.FieldOfView()
        self.stack = [
            [self._conv(f"conv{i}_a"), self._conv(f"conv{i}_b")]
            for i in range(depth)
        ]
        # Logits stay float32 under a mixed precision policy: the additive
        # output is compared with thresholds over many steps.
        self.head = keras.layers.Conv3D(1, 1, name="conv_lom", dtype="float32")

    def _conv(self, name: str) -> keras.layers.Conv3D:
        return keras.layers.Conv3D(
            self.features,
            3,
            padding="same",
            name=name,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: Any = None) -> None:
        """Creates the weights; shapes do not depend on the field of view."""
        channels = 2
        for first, second in self.stack:
            first.build((None, None, None, None, channels))
            second.build((None, None, None, None, self.features))
            channels = self.features
        self.head.build((None, None, None, None, self.features))
        self.built = True

    def call(self, inputs: Any) -> Any:
        image, seed = inputs
        net = keras.ops.concatenate([image, seed], axis=-1)
        for index, (first, second) in enumerate(self.stack):
            shortcut = net
            if index:
                net = keras.ops.relu(net)
            net = second(keras.ops.relu(first(net)))
            if index:
                net = net + shortcut
        update = self.head(keras.ops.relu(net))
        return keras.ops.cast(seed, "float32") + update

    @property
    def convolutions(self) -> dict[str, keras.layers.Conv3D]:
        """Every convolution by its name in google/ffn's checkpoints."""
        layers = [layer for pair in self.stack for layer in pair]
        return {layer.name: layer for layer in [*layers, self.head]}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "depth": self.depth,
            "features": self.features,
            "view": {"size": self.view.size, "deltas": self.view.deltas},
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> ConvStack:
        return cls(**config | {"view": fov.FieldOfView(**config["view"])})
