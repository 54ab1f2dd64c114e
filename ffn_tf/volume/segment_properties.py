"""What Neuroglancer shows of segments: numbers and texts for each id.

    em_segments/info                       names the folder
    em_segments/segment_properties/info    {"@type": ..., "inline": {...}}

Only precomputed volumes have them
(github.com/google/neuroglancer, datasource/precomputed/segment_properties.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
from typing import Any

import numpy as np

from ffn_tf.volume import address as address_lib

_FOLDER = "segment_properties"


def can_have(address: str) -> bool:
    """Whether the volume at an address is of such a format."""
    return address_lib.parse(address, creating=True).format == "precomputed"


def write(
    address: str,
    ids: np.ndarray,
    numbers: Mapping[str, np.ndarray],
    labels: Sequence[str] = (),
) -> None:
    """Adds properties to a precomputed segmentation, or replaces them.

    A viewer finds them only when they are complete.

    Args:
      address: of the volume.
      ids: [n] of segments.
      numbers: {name: [n]}, shown as numbers that can be sorted by.
      labels: n texts, shown beside the ids; none by default.

    Raises:
      ValueError: not a precomputed volume.
      OSError: it cannot be written.
    """
    if not can_have(address):
        raise ValueError(
            f"{address}: only precomputed volumes have segment properties."
        )
    place = address_lib.parse(address).place
    place.write(f"{_FOLDER}/info", described(ids, numbers, labels).encode())
    info = place.read_json("info") or {}
    if info.get(_FOLDER) != _FOLDER:
        info[_FOLDER] = _FOLDER
        place.write("info", json.dumps(info).encode())


def described(
    ids: np.ndarray,
    numbers: Mapping[str, np.ndarray],
    labels: Sequence[str] = (),
) -> str:
    """The JSON of properties; see `write`.

    Alone in a folder, as `info`, it is a source of a viewer's layer.
    """
    properties: list[dict[str, Any]] = [
        {
            "id": name,
            "type": "number",
            "data_type": "float32",
            "values": np.asarray(values).tolist(),
        }
        for name, values in numbers.items()
    ]
    if labels:
        properties.append(
            {"id": "label", "type": "label", "values": list(labels)}
        )
    inline = {
        "ids": [str(segment) for segment in ids.tolist()],
        "properties": properties,
    }
    found = {"@type": "neuroglancer_segment_properties", "inline": inline}
    return json.dumps(found)
