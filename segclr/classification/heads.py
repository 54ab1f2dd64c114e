"""(3) Heads: networks from an embedding to types.

    linear    x ─ dense ─ logits
    resnet    x ─ dense ─ block ... block ─ dense ─ logits
    sngp      the same of spectral layers, ─ Gaussian process ─ logits

    a block:  x ─┬─ relu ─ dense ─ relu ─ dense ─ + ─
                 └───────────────────────────────┘

Shallow ones, as published for SegCLR (hidden 128, 2 blocks).
"""

from __future__ import annotations

from typing import Any

import keras

from segclr.classification import sngp

KINDS = ("linear", "resnet", "sngp")


class Head(keras.Model):
    """[batch, features] float32, standardised, in; logits out.

    Args:
      kind: one of KINDS.
      features: numbers of an embedding.
      classes: numbers of logits.
      hidden: numbers between layers.
      blocks: how many.
      bound: of the largest singular value of a layer (sngp).
      random_features: of the Gaussian process (sngp).
      l2: weight of the squared kernels in the loss.
      **kwargs: of keras.Model.
    """

    def __init__(
        self,
        kind: str,
        features: int,
        classes: int,
        hidden: int = 128,
        blocks: int = 2,
        bound: float = 0.95,
        random_features: int = 1024,
        l2: float = 1e-4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if kind not in KINDS:
            raise ValueError(
                f"Unknown head {kind!r}: expected one of {', '.join(KINDS)}."
            )
        if min(features, classes, hidden, random_features) < 1 or blocks < 0:
            raise ValueError(
                f"A head needs sizes of 1 or more. Received: "
                f"features={features}, classes={classes}, hidden={hidden}, "
                f"random_features={random_features}, blocks={blocks}"
            )
        self.config = {
            "kind": kind,
            "features": features,
            "classes": classes,
            "hidden": hidden,
            "blocks": blocks,
            "bound": bound,
            "random_features": random_features,
            "l2": l2,
        }

        def dense(name: str, units: int = hidden) -> keras.layers.Layer:
            if kind == "sngp":
                return sngp.SpectralDense(units, bound, l2, name=name)
            return keras.layers.Dense(
                units,
                kernel_regularizer=keras.regularizers.L2(l2),
                name=name,
            )

        self.first: Any = None
        self.inner: list[Any] = []
        if kind != "linear":
            self.first = dense("first")
            self.inner = [
                dense(f"block_{i}_dense_{j}")
                for i in range(blocks)
                for j in range(2)
            ]
        self.process: sngp.GaussianProcess | None = None
        if kind == "sngp":
            self.process = sngp.GaussianProcess(
                classes, random_features, l2=l2, name="logits"
            )
        self.last = self.process or dense("logits", classes)

    def get_config(self) -> dict[str, Any]:
        return dict(self.config)

    def build(self, input_shape: Any = None) -> None:
        del input_shape
        size: Any = self.config["features"]
        if self.first is not None:
            self.first.build((None, size))
            size = self.config["hidden"]
        for layer in self.inner:
            layer.build((None, size))
        self.last.build((None, size))
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        return self.last(self.before_last(x, training))

    def before_last(self, x: Any, training: bool = False) -> Any:
        """What the last layer gets: [batch, hidden]."""
        how = {"training": training} if self.process else {}
        if self.first is not None:
            x = self.first(x, **how)
        for one, two in zip(self.inner[::2], self.inner[1::2]):
            between = one(keras.ops.relu(x), **how)
            x = x + two(keras.ops.relu(between), **how)
        return x
