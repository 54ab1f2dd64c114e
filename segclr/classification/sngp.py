"""(2) SNGP: layers that know how far a place is from what was learned.

A network's logits say nothing of places far from its training. Two changes make
them (Liu et al., 2020, "Simple and principled uncertainty estimation with
deterministic deep learning via distance awareness", arXiv:2006.10108):

  SpectralDense      weights whose largest singular value is bounded, so that
                     a residual block keeps what is far apart, apart
  GaussianProcess    an output that is a Gaussian process, by random features
                     phi(x) = sqrt(2 / D) cos(W x + b), [n, D]; its variance
                     at x is phi(x) S phi(x), S = (r I + sum phi phi^T)^-1 r
                     over the training examples, r the ridge

S is made once, exactly, when training has ended (`observe`), rather than with
a momentum along the way, so that nothing which is predicted can change it.

  mean_field         logits / sqrt(1 + variance pi / 8)
  dempster_shafer    K / (K + sum exp(logits)): 1 knows nothing, 0 all
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from scipy import special

_MEAN_FIELD = math.pi / 8
_AT_ONCE = 4096  # Examples whose features are in memory.


class SpectralDense(keras.layers.Layer):
    """A dense layer with bounded weights; [batch, n] in, [batch, units] out.

    Args:
      units: numbers out.
      bound: of the largest singular value.
      l2: weight of the squared kernel in the loss.
      **kwargs: of keras.layers.Layer.
    """

    def __init__(
        self, units: int, bound: float, l2: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units, self.bound, self.l2 = units, bound, l2

    def get_config(self) -> dict[str, Any]:
        own = {"units": self.units, "bound": self.bound, "l2": self.l2}
        return super().get_config() | own

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units),
            regularizer=keras.regularizers.L2(self.l2),
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.units,), initializer="zeros", name="bias"
        )
        self.direction = self.add_weight(
            shape=(1, self.units),
            initializer=keras.initializers.RandomNormal(),
            trainable=False,
            name="direction",
        )

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            self.direction.assign(self._followed())
        kernel = self.bounded_kernel()
        return keras.ops.matmul(x, kernel) + self.bias

    def _followed(self) -> Any:
        """One step of the power iteration."""
        ops = keras.ops
        kernel = ops.stop_gradient(ops.convert_to_tensor(self.kernel))
        left = ops.normalize(ops.matmul(self.direction, ops.transpose(kernel)))
        return ops.normalize(ops.matmul(left, kernel))

    def bounded_kernel(self) -> Any:
        """The kernel that is multiplied by."""
        ops = keras.ops
        kernel = ops.convert_to_tensor(self.kernel)
        right = ops.stop_gradient(ops.convert_to_tensor(self.direction))
        right = ops.normalize(right)
        largest = ops.norm(ops.matmul(kernel, ops.transpose(right)))
        return kernel * ops.minimum(1.0, self.bound / (largest + 1e-12))


class GaussianProcess(keras.layers.Layer):
    """Logits by random features; [batch, n] in, [batch, units] out.

    Args:
      units: classes.
      features: D.
      scale: x is divided by sqrt(scale * n).
      ridge: r.
      l2: weight of the squared kernel in the loss.
      seed: of the random features, which are stored with the weights.
      **kwargs: of keras.layers.Layer.
    """

    def __init__(
        self,
        units: int,
        features: int = 1024,
        scale: float = 2.0,
        ridge: float = 1e-3,
        l2: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._own = {
            "units": units,
            "features": features,
            "scale": scale,
            "ridge": ridge,
            "l2": l2,
            "seed": seed,
        }
        self.units, self.features, self.ridge = units, features, ridge
        self.scale, self.l2, self.seed = scale, l2, seed

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | self._own

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        size = int(input_shape[-1] or 0)
        spread = (self.scale * size) ** -0.5
        self.projection = self.add_weight(
            shape=(size, self.features),
            initializer=keras.initializers.RandomNormal(0, spread, self.seed),
            trainable=False,
            name="projection",
        )
        self.phase = self.add_weight(
            shape=(self.features,),
            initializer=keras.initializers.RandomUniform(
                0, 2 * math.pi, self.seed + 1
            ),
            trainable=False,
            name="phase",
        )
        self.kernel = self.add_weight(
            shape=(self.features, self.units),
            regularizer=keras.regularizers.L2(self.l2),
            name="kernel",
        )
        self.covariance = self.add_weight(
            shape=(self.features, self.features),
            initializer="identity",
            trainable=False,
            name="covariance",
        )

    def random_features(self, x: Any) -> Any:
        """phi(x): [batch, D]."""
        turned = keras.ops.matmul(x, self.projection) + self.phase
        return (2 / self.features) ** 0.5 * keras.ops.cos(turned)

    def call(self, x: Any) -> Any:
        return keras.ops.matmul(self.random_features(x), self.kernel)

    def observe(self, x: np.ndarray) -> None:
        """Makes S of the training examples x [n, size], and of no others."""
        precision = self.ridge * np.eye(self.features)
        for start in range(0, len(x), _AT_ONCE):
            some = self.random_features(x[start : start + _AT_ONCE])
            phi = keras.ops.convert_to_numpy(some).astype(np.float64)
            precision += phi.T @ phi
        self.covariance.assign(
            (self.ridge * np.linalg.inv(precision)).astype(np.float32)
        )

    def variance(self, x: Any) -> Any:
        """At x [batch, size]: [batch], from 0 to about 1."""
        phi = self.random_features(x)
        spread = keras.ops.matmul(phi, self.covariance)
        return keras.ops.sum(spread * phi, axis=1)


def mean_field(logits: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Logits [n, k] as an average over a Gaussian of such variance [n]."""
    return logits / np.sqrt(1 + _MEAN_FIELD * variance)[:, None]


def dempster_shafer(logits: np.ndarray) -> np.ndarray:
    """Uncertainty [n], from 0 to 1, of logits [n, k]; they may be large."""
    logits = np.asarray(logits, np.float64)
    known = special.logsumexp(logits, axis=1)
    return special.expit(math.log(logits.shape[1]) - known)
