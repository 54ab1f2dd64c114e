"""(1) ResNet: a cutout in, features out; 3-d, as the paper's.

    129  conv 7^3 / 2 ─ norm ─ max pool 3^3 / 2        stage 1
     33  block block                                   stage 2, 64 channels
     33  block / 2 ...                                 stage 3, 128
     ... 17 ─ stage 4, 256 ─ 9 ─ stage 5, 512 ─ 5 ─ mean over all places

A block normalises after its rectifier, which other residual networks do not:

    x ─┬─ conv ─ relu ─ norm ─ conv ─ relu ─ norm ─ + ─ relu
       └─ conv 1^3 ─ norm, in the first block ──────┘

Convolutions have biases, padding is TensorFlow's SAME, norms have momentum 0.9
and epsilon 1e-5; the norm of stage 1 has no rectifier before it. Layer names
are those of the released checkpoints. Only Keras 3 operations are used.
"""

from __future__ import annotations

from typing import Any

import keras

from segclr.model import folding

# Blocks of each stage; and the kernels of a block.
STAGES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "resnet10": ((1, 1, 1, 1), (3, 3)),
    "resnet18": ((2, 2, 2, 2), (3, 3)),
    "resnet34": ((3, 4, 6, 3), (3, 3)),
    "resnet50": ((3, 4, 6, 3), (1, 3, 1)),
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def norm(name: str) -> keras.layers.Layer:
    """Batch normalisation as all of the encoder has it.

    Over all replicas, where there are several.
    """
    return keras.layers.BatchNormalization(
        momentum=0.9,
        epsilon=1e-5,
        name=name,
        synchronized=keras.backend.backend() == "tensorflow",
    )


class Block(keras.layers.Layer):
    """A residual block; see the module.

    Args:
      channels: of each convolution.
      kernels: their sizes.
      stride: of the first one.
      has_shortcut: whether what goes past them is convolved, too.
      **kwargs: of keras.layers.Layer.
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        kernels: tuple[int, ...],
        stride: int,
        has_shortcut: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        strides = [stride] + [1] * (len(kernels) - 1)
        self.convs = [
            keras.layers.Conv3D(
                c, k, strides=s, padding="same", name=f"conv_{i}"
            )
            for i, (c, k, s) in enumerate(zip(channels, kernels, strides))
        ]
        self.norms = [norm(f"bn_{i}") for i in range(len(kernels))]
        self.shortcut: Any = None
        self.shortcut_norm: Any = None
        if has_shortcut:
            self.shortcut = keras.layers.Conv3D(
                channels[-1],
                1,
                strides=stride,
                padding="same",
                name="shortcut_conv",
            )
            self.shortcut_norm = norm("shortcut_bn")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = input_shape
        for conv, normed in zip(self.convs, self.norms):
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
            normed.build(shape)
        if self.shortcut is not None:
            self.shortcut.build(input_shape)
            self.shortcut_norm.build(shape)
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        past = x
        for conv, normed in zip(self.convs, self.norms):
            x = normed(keras.ops.relu(conv(x)), training=training)
        if self.shortcut is not None:
            past = self.shortcut_norm(self.shortcut(past), training=training)
        return keras.ops.relu(x + past)


class ResNet(keras.layers.Layer):
    """The network; [batch, z, y, x, channels] in, [batch, features] out.

    Args:
      kind: one of STAGES.
      width: channels of stages 1 and 2; others have 2, 4 and 8 times as many,
        resnet50 four times as many again. The paper's has 64.
      **kwargs: of keras.layers.Layer.
    """

    def __init__(
        self, kind: str = "resnet18", width: int = 64, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        blocks, kernels = STAGES[kind]
        expansion = 4 if len(kernels) == 3 else 1
        self.stem = keras.layers.Conv3D(
            width, folding.KERNEL, strides=2, padding="same", name="conv1"
        )
        self.stem_norm = norm("bn1")
        self.stages = []
        for stage, count in enumerate(blocks):
            inner = width * 2**stage
            channels = (inner,) * (len(kernels) - 1) + (inner * expansion,)
            self.stages.append(
                [
                    Block(
                        channels,
                        kernels,
                        stride=2 if stage and not i else 1,
                        has_shortcut=not i,
                        name=f"stage_{stage + 2}_block_{_LETTERS[i]}",
                    )
                    for i in range(count)
                ]
            )
        self.features = width * 8 * expansion

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.stem.build(input_shape)
        shape = self.stem.compute_output_shape(input_shape)
        self.stem_norm.build(shape)
        channels = shape[-1]
        for stage in self.stages:
            for block in stage:
                block.build((None, None, None, None, channels))
                channels = block.convs[-1].filters
        self.built = True

    def maps(self, x: Any, training: bool = False) -> list[Any]:
        """Feature maps, after the stem's convolution, its pool, each stage."""
        return self._after_stem(self.stem(x), training)

    def folded(self, cells: Any) -> Any:
        """Features, not in training, from what `folding.fold` has made."""
        kernel = folding.folded_kernel(
            keras.ops.convert_to_tensor(self.stem.kernel)
        )
        x = keras.ops.conv(cells, kernel, padding="valid") + self.stem.bias
        return _mean(self._after_stem(x, training=False)[-1])

    def _after_stem(self, x: Any, training: bool) -> list[Any]:
        x = self.stem_norm(x, training=training)
        pooled = keras.ops.max_pool(x, 3, strides=2, padding="same")
        found = [x, pooled]
        for stage in self.stages:
            for block in stage:
                pooled = block(pooled, training=training)
            found.append(pooled)
        return found

    def call(self, x: Any, training: bool = False) -> Any:
        return _mean(self.maps(x, training)[-1])


def _mean(x: Any) -> Any:
    """Over all places."""
    return keras.ops.mean(x, axis=(1, 2, 3))
