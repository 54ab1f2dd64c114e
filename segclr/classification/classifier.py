"""(5) Classifier: a head with what it stands on: fitted, saved, applied.

Mean and deviation of the training examples are part of it, so that what is
predicted is standardised as what was learned. Prediction changes nothing.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any

import keras
import numpy as np
from scipy import special

from ffn_tf.model import folder as folder_lib
from segclr.classification import fitting, heads, sngp
from segclr.classification.labels import NONE

_BATCH = 4096  # Examples predicted at a time.


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What a classifier says of n examples.

    Attributes:
      logits: [n, k] float32; of sngp, mean-field ones.
      uncertainty: [n] float64, of Dempster and Shafer: 0 to 1.
    """

    logits: np.ndarray
    uncertainty: np.ndarray

    @property
    def probability(self) -> np.ndarray:
        """[n, k] float32, sums of 1."""
        return special.softmax(self.logits, axis=1)

    @property
    def label(self) -> np.ndarray:
        """[n] int64, the likeliest class."""
        return self.logits.argmax(1)


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier:
    """A fitted head.

    Attributes:
      head: the network.
      classes: names of its logits.
      mean, std: [features] float64, of the training examples.
      threshold: of uncertainty, from which on an example is unknown.
    """

    head: heads.Head
    classes: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    threshold: float = 1.0

    def predict(self, embeddings: np.ndarray) -> Prediction:
        """What it says of embeddings [n, features], of any floating type.

        Raises:
          ValueError: of another size, or not finite.
        """
        x = _checked(embeddings, len(self.mean))
        found = [
            self._of_batch(x[i : i + _BATCH]) for i in range(0, len(x), _BATCH)
        ]
        none = np.zeros((0, len(self.classes)), np.float32)
        logits = np.concatenate([none, *found])
        return Prediction(logits, sngp.dempster_shafer(logits))

    def _of_batch(self, x: np.ndarray) -> np.ndarray:
        inner = self.head.before_last(_standardised(x, self.mean, self.std))
        logits = keras.ops.convert_to_numpy(self.head.last(inner))
        if self.head.process is None:
            return logits
        variance = self.head.process.variance(inner)
        return sngp.mean_field(logits, keras.ops.convert_to_numpy(variance))

    def save(
        self, folder: str | os.PathLike[str], origin: dict[str, Any]
    ) -> None:
        """Writes model.json and model.weights.h5.

        Raises:
          OSError: not enough room.
        """
        config = {
            "head": self.head.config,
            "classes": list(self.classes),
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "threshold": self.threshold,
        }
        folder_lib.write(self.head, "segclr_head", config, folder, origin)


def load(folder: str | os.PathLike[str]) -> Classifier:
    """Reads what `save` has written.

    Raises:
      FileNotFoundError: there is none.
      ValueError: damaged files, or something else.
    """
    root = pathlib.Path(folder)
    if not (root / "model.json").exists():
        raise FileNotFoundError(
            f"No classifier in {folder}: expected a folder with model.json, as "
            f"segclr.classify writes."
        )

    def made(kind: str, config: dict[str, Any]) -> heads.Head:
        if kind != "segclr_head":
            raise ValueError(f"a {kind!r} is no classifier of segclr")
        head = heads.Head(**config["head"])
        head.build()
        return head

    head = folder_lib.read(root, made)
    folder_lib.refuse_not_finite(head, str(folder))
    config = folder_lib.described(root)["config"]
    return Classifier(
        head,
        tuple(config["classes"]),
        np.array(config["mean"]),
        np.array(config["std"]),
        config["threshold"],
    )


def fit(
    embeddings: np.ndarray,
    of_node: np.ndarray,
    classes: tuple[str, ...],
    train: np.ndarray,
    valid: np.ndarray | None,
    options: fitting.Options,
    seed: int = 0,
) -> Classifier:
    """Fits a classifier.

    Args:
      embeddings: [n, features], of any floating type.
      of_node: [n] int64, class of each; NONE where `train` and `valid` are
        false.
      classes: their names.
      train: [n] bool, examples to learn from.
      valid: [n] bool, examples that say when to end; None: it ends after a
        thousand steps.
      options: the head, and how.
      seed: of weights and order.

    Raises:
      ValueError: an empty split, a class without examples, embeddings that
        are not finite.
    """
    _check_splits(of_node, classes, train, valid)
    x = _checked(embeddings[train])
    mean, std = x.mean(0, np.float64), x.std(0, dtype=np.float64)
    std = np.where(std > 0, std, 1.0)
    keras.utils.set_random_seed(seed)
    head = heads.Head(
        options.head, x.shape[1], len(classes), options.hidden, options.blocks
    )
    head.build()

    def examples(chosen: np.ndarray) -> fitting.Examples:
        y = of_node[chosen].astype(np.int32)
        return fitting.Examples(
            _standardised(_checked(embeddings[chosen]), mean, std),
            y,
            fitting.weights(y, len(classes), options.balance),
        )

    learned = examples(train)
    validated = None if valid is None else examples(valid)
    fitting.fit(head, learned, validated, options, seed)
    x = learned.x
    if head.process is not None:
        inner = [
            keras.ops.convert_to_numpy(head.before_last(x[i : i + _BATCH]))
            for i in range(0, len(x), _BATCH)
        ]
        head.process.observe(np.concatenate(inner))
    return Classifier(head, tuple(classes), mean, std)


def _check_splits(
    of_node: np.ndarray,
    classes: tuple[str, ...],
    train: np.ndarray,
    valid: np.ndarray | None,
) -> None:
    for name, chosen in (("train", train), ("validate", valid)):
        if chosen is None:
            continue
        if not chosen.any():
            raise ValueError(
                f"There is nothing to {name} on: expected examples of "
                f"{', '.join(classes)}."
            )
        if (of_node[chosen] == NONE).any():
            raise ValueError(f"Examples to {name} on have no label.")
    counts = np.bincount(of_node[train], minlength=len(classes))
    if len(classes) < 2 or not counts.all():
        none = [name for name, count in zip(classes, counts) if not count]
        raise ValueError(
            f"Expected two or more classes, each with examples to train on; "
            f"found {', '.join(classes)}"
            + (f"; none of {', '.join(none)}." if none else ".")
        )


def _checked(embeddings: np.ndarray, size: int | None = None) -> np.ndarray:
    found = np.asarray(embeddings, np.float32)
    if found.ndim != 2 or size not in (None, found.shape[1]):
        raise ValueError(
            f"Expected embeddings [n, {size or 'features'}], found "
            f"{list(found.shape)}: are they of another encoder?"
        )
    if not np.isfinite(found).all():
        at = np.flatnonzero(~np.isfinite(found).all(axis=1))
        raise ValueError(
            f"{len(at)} of {len(found)} embeddings are not finite, the first "
            f"is number {at[0]}; make them again."
        )
    return found


def _standardised(
    x: np.ndarray, mean: np.ndarray, std: np.ndarray
) -> np.ndarray:
    return ((x - mean) / std).astype(np.float32)
