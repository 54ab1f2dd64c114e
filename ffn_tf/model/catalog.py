"""(5) Networks by name: a network to and from its folder (folder.py).

`load` also accepts the prefix of a TensorFlow 1 checkpoint of google/ffn.
`SHIPPED` is such a folder: the network that comes with this package, trained on
phantoms (shipped/README.md).
"""

from __future__ import annotations

import glob
import os
import pathlib
from typing import Any

from ffn_tf import program
from ffn_tf.model import convstack, fov, tf1_checkpoint
from ffn_tf.model import folder as folder_lib

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
    """Writes a built network into a folder; see `folder.write`."""
    config = network.get_config()
    kept = {k: config[k] for k in ("depth", "features", "view")}
    folder_lib.write(network, "convstack", kept, folder, origin)


def origin(checkpoint: str) -> dict[str, Any]:
    """What `save` was told to have made a network; {} if that is not known.

    Raises:
      ValueError: model.json is damaged.
    """
    folder = pathlib.Path(checkpoint)
    if not (folder / "model.json").exists():
        return {}
    found = folder_lib.described(folder)["origin"]
    return found if isinstance(found, dict) else {}


def _made(name: str, config: dict[str, Any]) -> convstack.ConvStack:
    network = _NETWORKS[network_name(name)].from_config(config)
    network.build()
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
        network = folder_lib.read(folder, _made)
        folder_lib.refuse_not_finite(network, checkpoint)
        if view is not None and view != network.view:
            program.warn(
                f"{checkpoint} was made for a field of view of {network.view}, "
                f"and is asked for one of {view}."
            )
            network.view = view
        return network
    if tf1_checkpoint.is_checkpoint(checkpoint):
        network = tf1_checkpoint.load(checkpoint, view or fov.FieldOfView())
        folder_lib.refuse_not_finite(network, checkpoint)
        return network
    raise FileNotFoundError(
        f"No network at {checkpoint!r}: expected a folder with model.json and "
        f"model.weights.h5, or the prefix of a TensorFlow 1 checkpoint (the "
        f"path of its .index file without that suffix)."
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
