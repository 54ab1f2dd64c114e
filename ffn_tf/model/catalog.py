"""(4) Networks by name, and a network as a folder.

A saved network is a folder of two files:

    model.json          {"model": "convstack", "config": {...},
                         "weights": "sha256:...", "origin": {...}}
    model.weights.h5    Keras 3 weights

`load` also accepts the prefix of a TensorFlow 1 checkpoint of google/ffn.
`SHIPPED` is such a folder: the network that comes with this package, trained on
phantoms (shipped/README.md).
"""

from __future__ import annotations

import glob
import json
import os
import pathlib
import shutil
from typing import Any

import numpy as np

from ffn_tf import program
from ffn_tf.model import convstack, fov, tf1_checkpoint
from ffn_tf.volume import files

SHIPPED = str(pathlib.Path(__file__).parent / "shipped")

_NETWORKS = {"convstack": convstack.ConvStack}
# google/ffn's `model_name` for the same network.
_ALIASES = {"convstack_3d.ConvStack3DFFNModel": "convstack"}


def network_name(name: str) -> str:
    """The catalog's name for `name`, which may be google/ffn's.

    Raises:
      ValueError: an unknown network; the known ones are listed.
    """
    found = _ALIASES.get(name, name)
    if found not in _NETWORKS:
        known = sorted([*_NETWORKS, *_ALIASES])
        raise ValueError(f"Unknown network {name!r}: expected one of {known}.")
    return found


def save(
    network: convstack.ConvStack,
    folder: str | os.PathLike[str],
    origin: dict[str, Any],
) -> None:
    """Writes `model.weights.h5`, then `model.json`, into `folder`.

    Args:
      network: a built network.
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
    config = network.get_config()
    described = {
        "model": "convstack",
        "config": {k: config[k] for k in ("depth", "features", "view")},
        "weights": program.file_digest(weights),
        "origin": origin,
        "code": program.describe_code(),
    }
    files.write_text(root / "model.json", json.dumps(described, indent=1))


def _check_room(network: convstack.ConvStack, folder: pathlib.Path) -> None:
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


def _described(description: pathlib.Path) -> dict[str, Any]:
    try:
        described = json.loads(description.read_text(encoding="utf-8"))
        return {k: described[k] for k in ("model", "config", "weights")} | {
            "origin": described.get("origin", {})
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


def origin(checkpoint: str) -> dict[str, Any]:
    """What `save` was told to have made a network; {} if that is not known.

    Raises:
      ValueError: model.json is damaged.
    """
    description = pathlib.Path(checkpoint) / "model.json"
    if not description.exists():
        return {}
    found = _described(description)["origin"]
    return found if isinstance(found, dict) else {}


def _load_folder(folder: pathlib.Path) -> convstack.ConvStack:
    description = folder / "model.json"
    described = _described(description)
    name, config = described["model"], described["config"]
    digest = described["weights"]
    weights = folder / "model.weights.h5"
    found = program.file_digest(weights)
    if found != digest:
        raise ValueError(
            f"{weights} is not the file that {description} describes: found "
            f"{found}, expected {digest}. Copy both files again."
        )
    try:
        network = _NETWORKS[network_name(name)].from_config(config)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{description}: "config" is not that of a {name} ({error!r}).'
        ) from error
    network.build()
    network.load_weights(weights)
    return network


def load(
    checkpoint: str, view: fov.FieldOfView | None = None
) -> convstack.ConvStack:
    """Loads a network, built and ready.

    Args:
      checkpoint: a folder with model.json, or the prefix of a TensorFlow 1
        checkpoint of google/ffn.
      view: its field of view; None takes the one in model.json, or 33^3 with
        deltas 8 for a TensorFlow 1 checkpoint, which does not hold it.

    Raises:
      FileNotFoundError: neither of the two is there.
      ValueError: damaged files or another architecture.
    """
    folder = pathlib.Path(checkpoint)
    if (folder / "model.json").exists():
        network = _load_folder(folder)
        _refuse_not_finite(network, checkpoint)
        if view is not None and view != network.view:
            program.warn(
                f"{checkpoint} was made for a field of view of {network.view}, "
                f"and is asked for one of {view}."
            )
            network.view = view
        return network
    if tf1_checkpoint.is_checkpoint(checkpoint):
        network = tf1_checkpoint.load(checkpoint, view or fov.FieldOfView())
        _refuse_not_finite(network, checkpoint)
        return network
    raise FileNotFoundError(
        f"No network at {checkpoint!r}: expected a folder with model.json and "
        f"model.weights.h5, or the prefix of a TensorFlow 1 checkpoint (the "
        f"path of its .index file without that suffix)."
    )


def _refuse_not_finite(network: convstack.ConvStack, checkpoint: str) -> None:
    for name, layer in network.convolutions.items():
        if not all(np.isfinite(w).all() for w in layer.get_weights()):
            raise ValueError(
                f"{checkpoint}: weights of {name} are NaN or infinite: the "
                f"training that made it has diverged. Take an earlier one."
            )


def describe(checkpoint: str) -> dict[str, str]:
    """{"path", "digest"} of a checkpoint, for provenance."""
    folder = pathlib.Path(checkpoint)
    weights = folder / "model.weights.h5"
    if weights.exists():
        return {"path": checkpoint, "digest": program.file_digest(weights)}
    parts = sorted(glob.glob(glob.escape(checkpoint) + ".data-*-of-*"))
    digests = [program.file_digest(part) for part in parts]
    return {"path": checkpoint, "digest": " ".join(digests)}
