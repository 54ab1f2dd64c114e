"""State: everything that a step changes, as arrays and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class State:
    """Variables by names that stay.

    Args:
      network: what is trained; with what its norms remember, too.
      optimizer: built.
      average: of the trainable weights, or nothing.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        average: Sequence[tf.Variable] = (),
    ) -> None:
        trained = network.trainable_variables
        self._variables: dict[str, tf.Variable] = {}
        for weight in [*trained, *network.non_trainable_variables]:
            self._variables[f"weights/{_name(weight)}"] = weight.value
        for weight, shadow in zip(trained, average):
            self._variables[f"average/{_name(weight)}"] = shadow
        for i, variable in enumerate(optimizer.variables):
            self._variables[f"optimizer/{i}"] = variable.value

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that `restore` needs."""
        return {name: v.numpy() for name, v in self._variables.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Goes on from earlier `arrays`.

        Raises:
          ValueError: those of another network or optimizer.
        """
        for name in sorted(self._variables.keys() ^ arrays.keys()):
            raise ValueError(
                f"The checkpoint is of another network or optimizer: only one "
                f"of the two has {name}."
            )
        for name, variable in self._variables.items():
            if tuple(variable.shape) != arrays[name].shape:
                raise ValueError(
                    f"The checkpoint is of another network: {name} is of shape "
                    f"{arrays[name].shape} there, and {tuple(variable.shape)} "
                    f"here."
                )
        for name, variable in self._variables.items():
            variable.assign(arrays[name])


def _name(weight: Any) -> str:
    """Without the network's own name, which Keras numbers."""
    found: str = weight.path.partition("/")[2]
    return found
