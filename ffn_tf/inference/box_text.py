"""Bounding boxes as google/ffn writes them: text, in voxels, by x, y and z.

start { x: 1 y: 2 z: 3 } size { x: 4 y: 5 z: 6 }    <->    a zyx Box
"""

from __future__ import annotations

from typing import Any

from ffn_tf import volume
from ffn_tf.inference import protos

# For the help of flags.
HELP = (
    "corner and size in voxels, both by x, y and z, as in 'start { x:60 y:60 "
    "z:60 } size { x:80 y:80 z:80 }'"
)


def parse(text: str) -> volume.Box:
    """The box in `start { x: 1 y: 2 z: 3 } size { x: 4 y: 5 z: 6 }`.

    A start that is not given is 0, as in google/ffn.

    Raises:
      ValueError: not such a text, or a size that is not positive.
    """
    try:
        message = protos.parse_text("BoundingBox", text, "bounding box")
    except ValueError as error:
        raise ValueError(f"{error} Expected {HELP}.") from error
    size = zyx(message.size)
    if min(size) < 1:
        raise ValueError(
            f"bounding box: expected a positive size on each axis, found "
            f"size_zyx {size} in {text!r}. Expected {HELP}."
        )
    return volume.Box.from_size(zyx(message.start), size)


def formatted(box: volume.Box) -> str:
    """The text that `parse` reads."""
    z, y, x = box.start
    depth, height, width = box.size
    return (
        f"start {{ x: {x} y: {y} z: {z} }} "
        f"size {{ x: {width} y: {height} z: {depth} }}"
    )


def zyx(vector: Any) -> tuple[int, int, int]:
    """A Vector3j message, which is xyz, as zyx."""
    return vector.z, vector.y, vector.x
