"""Layers of a scene, as Neuroglancer's state has them, without sources."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any

import numpy as np

from ffn_tf import volume
from ffn_tf.viewer import points as points_lib

_SAMPLE_EDGE = 32
_MOST_COUNTED = 2**24  # Voxels of the scale whose segments are counted.
_MOST_CHOSEN = 50
_TRANSLUCENT = 0.3
_FAINT = 0.25  # How much of the segments that are not chosen is seen.

Json = dict[str, Any]


def image(name: str, image: volume.Volume, opacity: float = 1.0) -> Json:
    """A layer of EM."""
    low, high = grey_range(image)
    return {
        "type": "image",
        "name": name,
        "opacity": opacity,
        "shaderControls": {"normalized": {"range": [low, high]}},
    }


def grey_range(image: volume.Volume) -> tuple[float, float]:
    """What is black, and what is white: all but 0.2 % of samples is between.

    Where nothing is, or a single value, what the dtype can hold.

    Raises:
      OSError: the volume cannot be read.
    """
    size = [min(n, _SAMPLE_EDGE) for n in image.domain.size]
    raw = volume.grey.samples(image, image.domain, size)
    values = volume.grey.tissue(raw)
    is_float = image.dtype.kind == "f"
    if not values.size or values.min() == values.max():
        small = is_float or image.dtype.kind == "b"
        return (0, 1) if small else (0, int(np.iinfo(image.dtype).max))
    low, high = np.percentile(values, [0.1, 99.9])
    if is_float:
        return float(low), float(high)
    return math.floor(low), max(math.ceil(high), math.floor(low) + 1)


def segmentation(name: str, segments: Sequence[int] = ()) -> Json:
    """A layer of segments.

    Those that are chosen are shown in three dimensions, the others faintly.
    """
    layer: Json = {
        "type": "segmentation",
        "name": name,
        "skeletonRendering": {"lineWidth3d": 3},
    }
    if len(segments):
        layer["segments"] = [f"{segment}" for segment in segments]
        layer["notSelectedAlpha"] = _FAINT
    return layer


def translucent(layer: Json) -> Json:
    """The layer with meshes, if it has any, that skeletons are seen through."""
    if layer["type"] != "segmentation":
        return layer
    return layer | {"objectAlpha": _TRANSLUCENT}


def largest_segments(coarsest: volume.Volume) -> list[int]:
    """Ids of the largest; none where it would take long to count them."""
    if coarsest.domain.num_voxels > _MOST_COUNTED:
        return []
    ids, counts = np.unique(coarsest.read(), return_counts=True)
    order = [i for i in np.argsort(-counts, kind="stable") if ids[i] != 0]
    return [int(ids[i]) for i in order[:_MOST_CHOSEN]]


def points(name: str, places: np.ndarray, dimensions: Json) -> Json:
    """A layer of few points, which are written in it."""
    return {
        "type": "annotation",
        "name": name,
        "source": {
            "url": "local://annotations",
            "transform": {"outputDimensions": dimensions},
        },
        "annotations": [
            {"type": "point", "id": f"{number}", "point": point}
            for number, point in enumerate(
                points_lib.middles_xyz(places).tolist()
            )
        ],
    }
