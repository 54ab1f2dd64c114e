"""Summaries: what TensorBoard shows of a training.

    tensorboard --logdir TRAIN_DIR

Scalars by the names of metrics.py, and of the last patches that were finished
their middle sections, `final_xy/0` and so on: image, label, prediction, weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import os

import numpy as np
import tensorflow as tf

_CUTS = ("xy", "xz", "yz")
_PANELS = (
    "The middle section of an example that was finished. From left to right: "
    "image, label, prediction, weight (black does not count)."
)


class Summaries:
    """One event file. A context manager, which closes it."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = os.fspath(folder)
        self._writer = tf.summary.create_file_writer(os.fspath(folder))

    def add(
        self,
        step: int,
        scalars: Mapping[str, float],
        pictures: Sequence[np.ndarray] = (),
    ) -> None:
        """Adds values of a step.

        Args:
          step: how many there have been.
          scalars: by name.
          pictures: [3, height, width] uint8 each.

        Raises:
          OSError: they cannot be written.
        """
        try:
            self._add(step, scalars, pictures)
        except tf.errors.OpError as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: tf.errors.OpError) -> OSError:
        said = error.message.splitlines()[0].rpartition("}} ")[2]
        return OSError(
            f"{self._folder}: what TensorBoard shows cannot be written "
            f"({said}); is the disk full? With room for it, the same command "
            f"goes on from the last checkpoint."
        )

    def _add(
        self,
        step: int,
        scalars: Mapping[str, float],
        pictures: Sequence[np.ndarray],
    ) -> None:
        with self._writer.as_default():
            for name, value in scalars.items():
                tf.summary.scalar(name, value, step=step)
            for place, picture in enumerate(pictures):
                for cut, section in zip(_CUTS, picture):
                    name = f"final_{cut}/{place}"
                    image = section[np.newaxis, ..., np.newaxis]
                    tf.summary.image(
                        name, image, step=step, description=_PANELS
                    )
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def __enter__(self) -> Summaries:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
