"""(4) A network as a folder of two files.

model.json          {"model": "convstack", "config": {...},
                     "weights": "sha256:...", "origin": {...}}
model.weights.h5    Keras 3 weights
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import json
import os
import pathlib
import shutil
from typing import Any, TypeVar

import keras
import numpy as np

from ffn_tf import program
from ffn_tf.volume import files

Network = TypeVar("Network", bound=keras.Model)


def write(
    network: keras.Model,
    kind: str,
    config: Mapping[str, Any],
    folder: str | os.PathLike[str],
    origin: Mapping[str, Any],
) -> None:
    """Writes `model.weights.h5`, then `model.json`, into `folder`.

    Args:
      network: a built network.
      kind: "model" in model.json.
      config: what makes the same network, without weights; JSON values.
      folder: made if missing; an earlier network in it is replaced.
      origin: what made the weights, stored as it is (JSON values).

    Raises:
      OSError: not enough room.
    """
    root = pathlib.Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    _check_room(network, root)
    weights = root / "model.weights.h5"
    with files.atomic_path(weights) as temporary:
        network.save_weights(temporary, overwrite=True)
    described = {
        "model": kind,
        "config": dict(config),
        "weights": program.file_digest(weights),
        "origin": dict(origin),
        "code": program.describe_code(),
    }
    files.write_text(root / "model.json", json.dumps(described, indent=1))


def _check_room(network: keras.Model, folder: pathlib.Path) -> None:
    """HDF5 brings the process down where a disk fills up (h5py 3.14)."""
    weights = network.get_weights()
    # Of each array HDF5 writes some 3 kB more than its numbers.
    needed = sum(array.nbytes + 8192 for array in weights)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"Not enough room in {folder}: the weights may need "
            f"{needed / 1e6:.2f} MB, {free / 1e6:.2f} MB are free."
        )


def described(folder: pathlib.Path) -> dict[str, Any]:
    """What model.json says.

    Raises:
      ValueError: it does not describe a network.
    """
    description = folder / "model.json"
    try:
        found = json.loads(description.read_text(encoding="utf-8"))
        return {k: found[k] for k in ("model", "config", "weights")} | {
            "origin": found.get("origin", {})
        }
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise ValueError(
            f"{description} does not describe a network ({error!r}): expected "
            f'JSON with "model", "config" and "weights".'
        ) from error


def read(
    folder: pathlib.Path, make: Callable[[str, dict[str, Any]], Network]
) -> Network:
    """The network in a folder, with its weights.

    Args:
      folder: with model.json.
      make: (kind, config) -> the network, built, without weights; a KeyError
        or TypeError says that the config is not of that kind.

    Raises:
      ValueError: damaged files, or not such a network.
    """
    told = described(folder)
    weights = folder / "model.weights.h5"
    found = program.file_digest(weights)
    if found != told["weights"]:
        raise ValueError(
            f"{weights} is not the file that {folder / 'model.json'} "
            f"describes: found {found}, expected {told['weights']}. Copy both "
            f"files again."
        )
    try:
        network = make(told["model"], told["config"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{folder / "model.json"}: "config" is not that of a '
            f"{told['model']} ({error!r})."
        ) from error
    except ValueError as error:
        raise ValueError(f"{folder / 'model.json'}: {error}") from error
    network.load_weights(weights)
    return network


def refuse_not_finite(network: keras.Model, name: str) -> None:
    """Raises a ValueError if a weight is NaN or infinite."""
    for weight in network.weights:
        if not np.isfinite(np.asarray(weight)).all():
            raise ValueError(
                f"{name}: weights of {weight.path} are NaN or infinite: the "
                f"training that made it has diverged. Take an earlier one."
            )
