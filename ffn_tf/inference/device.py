"""What Keras computes on: the little in which TensorFlow and JAX differ.

Keras takes one of them when it is first imported, by the environment variable
KERAS_BACKEND.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

# (array, *others) -> (array, answers)
Change = Callable[..., tuple[Any, Any]]


def name() -> str:
    """ "tensorflow" or "jax"."""
    return keras.backend.backend()


def has_accelerator() -> bool:
    """Whether there is a GPU or a TPU."""
    if name() == "jax":
        import jax

        return jax.default_backend() != "cpu"
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def part(array: Any, start: Any, shape: Sequence[int]) -> Any:
    """`keras.ops.slice` for compiled functions."""
    if name() == "jax":
        return keras.ops.slice(array, start, shape)
    # TensorFlow's own slice is compiled anew for each start.
    from tensorflow.compiler.tf2xla.python import xla

    return xla.dynamic_slice(array, start, shape)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of keras.ops, compiled."""
    if name() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)


def held(array: Any) -> Any:
    """An array that `changed_in_place` functions can change."""
    if name() == "jax":
        return array
    import tensorflow as tf

    return tf.Variable(array)


def changed_in_place(change: Change) -> Change:
    """`change`, compiled; it overwrites the array that it is given first.

    Who calls it goes on with the array that it returns. Float32 is float32:
    nothing is rounded to fewer bits on the way.

    Args:
      change: of keras.ops; shapes are static.
    """
    if name() == "jax":
        import jax

        def traced(array: Any, *others: Any) -> tuple[Any, Any]:
            with jax.default_matmul_precision("highest"):
                return change(array, *others)

        return jax.jit(traced, donate_argnums=0)
    import tensorflow as tf

    # Else GPUs round inputs of float32 convolutions to 10 bits.
    tf.config.experimental.enable_tensor_float_32_execution(False)

    @tf.function(jit_compile=True, autograph=False)
    def assigned(variable: Any, *others: Any) -> Any:
        array, answers = change(tf.convert_to_tensor(variable), *others)
        variable.assign(array)
        return answers

    return lambda variable, *others: (variable, assigned(variable, *others))
