"""(2) Encoder: from a cutout to an embedding, and to what training compares.

    cutout ─ resnet ─ bottleneck: 512 ─ 512 ─ 64     the embedding
                      projection:  64 ─  64 ─ 16     only for training

Heads are dense layers without bias, each with a norm, and a rectifier but for
the last: an embedding is neither of length 1 nor positive.
"""

from __future__ import annotations

import os
import pathlib
from typing import Any

import keras

from ffn_tf.model import folder as folder_lib
from segclr.model import resnet

_LAYERS = 3


class Head(keras.layers.Layer):
    """Dense layers; [batch, features] in, [batch, size] out.

    Args:
      hidden, size: outputs of all layers but the last, and of the last.
      **kwargs: of keras.layers.Layer.
    """

    def __init__(self, hidden: int, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size
        sizes = [hidden] * (_LAYERS - 1) + [size]
        self.dense = [
            keras.layers.Dense(
                n,
                use_bias=False,
                kernel_initializer=keras.initializers.RandomNormal(0.0, 0.01),
                name=f"nl_{i}",
            )
            for i, n in enumerate(sizes)
        ]
        self.norms = [resnet.norm(f"nl_{i}_bn") for i in range(_LAYERS)]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = input_shape
        for dense, normed in zip(self.dense, self.norms):
            dense.build(shape)
            shape = dense.compute_output_shape(shape)
            normed.build(shape)
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        for i, (dense, normed) in enumerate(zip(self.dense, self.norms)):
            x = normed(dense(x), training=training)
            if i < _LAYERS - 1:
                x = keras.ops.relu(x)
        return x


class Encoder(keras.Model):
    """The encoder of SegCLR, [batch, z, y, x, 1] float32 in [0, 1] in.

    Called, it gives embeddings [batch, embedding]; `project` makes of those
    what training compares.

    Args:
      kind, width: of the network (resnet.ResNet).
      embedding: numbers of an embedding.
      projection: numbers that are compared.
      size_zyx: voxels of a cutout that it is made for, odd: the place is in
        the middle.
      voxel_size_nm: zyx, that it is made for.
      **kwargs: of keras.Model; `dtype="mixed_bfloat16"` computes in bfloat16.
    """

    def __init__(
        self,
        kind: str = "resnet18",
        width: int = 64,
        embedding: int = 64,
        projection: int = 16,
        size_zyx: tuple[int, int, int] = (129, 129, 129),
        voxel_size_nm: tuple[float, float, float] = (33.0, 32.0, 32.0),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if kind not in resnet.STAGES:
            raise ValueError(
                f"Unknown network {kind!r}: expected one of "
                f"{sorted(resnet.STAGES)}."
            )
        if min(width, embedding, projection, *size_zyx) < 1 or not all(
            n % 2 for n in size_zyx
        ):
            raise ValueError(
                f"An encoder needs widths of 1 or more and cutouts of odd "
                f"size. Received: width={width}, embedding={embedding}, "
                f"projection={projection}, size_zyx={tuple(size_zyx)}"
            )
        self.config = {
            "kind": kind,
            "width": width,
            "embedding": embedding,
            "projection": projection,
            "size_zyx": list(size_zyx),
            "voxel_size_nm": list(voxel_size_nm),
        }
        self.embedding_size = embedding
        z, y, x = size_zyx
        self.size_zyx = (z, y, x)
        self.voxel_size_nm = tuple(voxel_size_nm)
        self.resnet = resnet.ResNet(kind, width, name="resnet")
        features = self.resnet.features
        # Embeddings stay float32 under a mixed precision policy.
        self.bottleneck = Head(
            features, embedding, name="bottleneck_head", dtype="float32"
        )
        self.projection = Head(
            embedding, projection, name="projection_head", dtype="float32"
        )

    def get_config(self) -> dict[str, Any]:
        return dict(self.config)

    def build(self, input_shape: Any = None) -> None:
        del input_shape  # Any size: the mean is over all places.
        self.resnet.build((None, None, None, None, 1))
        self.bottleneck.build((None, self.resnet.features))
        self.projection.build((None, self.bottleneck.size))
        self.built = True

    def call(self, cutouts: Any, training: bool = False) -> Any:
        return self.bottleneck(
            self.resnet(cutouts, training=training), training=training
        )

    def project(self, embeddings: Any, training: bool = False) -> Any:
        """[batch, embedding] -> [batch, projection], not of length 1."""
        return self.projection(embeddings, training=training)


def save(
    encoder: Encoder, folder: str | os.PathLike[str], origin: dict[str, Any]
) -> None:
    """Writes an encoder as model.json and model.weights.h5.

    Raises:
      OSError: not enough room.
    """
    folder_lib.write(encoder, "segclr", encoder.config, folder, origin)


def _made(kind: str, config: dict[str, Any]) -> Encoder:
    if kind != "segclr":
        raise ValueError(f"a {kind!r} is no encoder of segclr")
    encoder = Encoder(**config)
    encoder.build()
    return encoder


def load(folder: str | os.PathLike[str]) -> Encoder:
    """Reads an encoder that `save` has written.

    Raises:
      FileNotFoundError: there is none.
      ValueError: damaged files, or another network.
    """
    root = pathlib.Path(folder)
    if not (root / "model.json").exists():
        raise FileNotFoundError(
            f"No encoder in {folder}: expected a folder with model.json and "
            f"model.weights.h5."
        )
    encoder = folder_lib.read(root, _made)
    folder_lib.refuse_not_finite(encoder, str(folder))
    return encoder
