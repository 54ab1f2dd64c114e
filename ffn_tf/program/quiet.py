"""TensorFlow, imported without its start-up chatter; or JAX instead.

TensorFlow writes notes about its build to standard error before its log level
counts, straight to the file descriptor. A user who reads the last lines of a
program should read ours.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile


def import_backend() -> None:
    """Imports what Keras computes on: TensorFlow, if nothing else is asked for.

    JAX, if KERAS_BACKEND says so, or if TensorFlow is not installed and JAX is.

    Raises:
      ImportError: it is not installed, with what to install.
    """
    # Who shares a GPU with other processes must not take all of its memory.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    asked = os.environ.get("KERAS_BACKEND")
    if asked not in (None, "tensorflow", "jax"):
        raise ImportError(f"KERAS_BACKEND={asked}: expected tensorflow or jax.")
    if not asked and not _has("tensorflow") and _has("jax"):
        asked = os.environ["KERAS_BACKEND"] = "jax"
    if asked != "jax":
        import_tensorflow()
    elif not _has("jax"):
        raise ImportError(
            "KERAS_BACKEND=jax, and JAX is not installed: pip install jax, or "
            '"jax[cuda12]" where there is a GPU.'
        )


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def import_tensorflow() -> None:
    """Imports tensorflow; what it writes meanwhile is shown if it fails.

    Raises:
      ImportError: it is not installed, with what to install.
    """
    if "tensorflow" in sys.modules:
        return
    # Notes, warnings, and errors that it works around; others are raised.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            import tensorflow as tf

            tf.constant(0)
        except BaseException as error:
            os.dup2(real, 2)
            chatter.seek(0)
            sys.stderr.write(chatter.read().decode(errors="replace"))
            if not isinstance(error, ImportError):
                raise
            raise ImportError(
                f"TensorFlow cannot be imported ({error}). Install this "
                f'package with one of its extras: pip install -e ".[cpu]", '
                f'or ".[gpu]" where there is a GPU.'
            ) from None
        finally:
            os.dup2(real, 2)
            os.close(real)
