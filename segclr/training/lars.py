"""(2) LARS: steps in proportion to the weights of each layer.

    gradient + decay * weights          what is stepped along
    trust * |weights| / |that|          ... how far, times the learning rate

(You et al., 2017; as SimCLR has it: classic momentum, over steps that are
already scaled.) Biases and norms are neither decayed nor scaled; which those
are is told by the layers they are in, not by their names.
"""

from __future__ import annotations

from typing import Any

import keras


class LARS(keras.optimizers.Optimizer):
    """The optimizer; see the module.

    Args:
      learning_rate: a number, or a schedule.
      momentum: of the steps.
      decay: of weights.
      trust: a layer's step over its weights, at a learning rate of 1.
      **kwargs: of keras.optimizers.Optimizer.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.9,
        decay: float = 1e-4,
        trust: float = 1e-3,
        name: str = "lars",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum, self.decay, self.trust = momentum, decay, trust
        self._plain: set[Any] = set()
        self._momenta: list[Any] = []

    def leave_plain(self, variables: list[Any]) -> None:
        """Neither decays nor scales these (`biases_and_norms`)."""
        self._plain |= {self._var_key(variable) for variable in variables}

    def build(self, variables: list[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._momenta = [
            self.add_variable_from_reference(variable, name="momentum")
            for variable in variables
        ]

    def update_step(
        self, gradient: Any, variable: Any, learning_rate: Any
    ) -> None:
        learning_rate = keras.ops.cast(learning_rate, variable.dtype)
        gradient = keras.ops.cast(gradient, variable.dtype)
        step = learning_rate * gradient
        if self._var_key(variable) not in self._plain:
            along = gradient + self.decay * variable
            size, length = (
                keras.ops.sqrt(keras.ops.sum(keras.ops.square(x)))
                for x in (variable, along)
            )
            is_known = (size > 0) & (length > 0)
            ratio = self.trust * size / keras.ops.where(is_known, length, 1.0)
            step = keras.ops.where(is_known, ratio, 1.0) * learning_rate * along
        momenta = self._momenta[self._get_variable_index(variable)]
        self.assign(momenta, self.momentum * momenta + step)
        self.assign_sub(variable, momenta)

    def get_config(self) -> dict[str, Any]:
        own = {
            name: getattr(self, name) for name in ("momentum", "decay", "trust")
        }
        return super().get_config() | own


def biases_and_norms(network: keras.layers.Layer) -> list[Any]:
    """The weights of a network that are not what a layer multiplies with."""
    found = []
    for layer in [network, *_inside(network)]:
        if isinstance(layer, keras.layers.BatchNormalization):
            found += layer.trainable_variables
        elif getattr(layer, "bias", None) is not None:
            found.append(layer.bias)
    return found


def _inside(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    return list(layer._flatten_layers(include_self=False))
