"""Annotations: points in space for Neuroglancer, precomputed.

    FOLDER/info, by_id/, rel_segment/, spatial0/

Each point has a segment, and numbers or names that a viewer colours by
(github.com/google/neuroglancer, datasource/precomputed/annotations.md). A layer
has `precomputed://.../FOLDER` as its source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import os
import shutil
from typing import Any

import numpy as np


def write(
    folder: str | os.PathLike[str],
    position_nm_zyx: np.ndarray,
    segment: np.ndarray,
    numbers: Mapping[str, np.ndarray],
    names: Mapping[str, tuple[np.ndarray, Sequence[str]]] | None = None,
) -> None:
    """Writes points, in place of what is in the folder.

    Args:
      folder: to be made.
      position_nm_zyx: [n, 3], from the corner of voxel (0, 0, 0).
      segment: [n] ids; a viewer shows the points of those it has chosen.
      numbers: {property: [n]}, shown as float32.
      names: {property: ([n] integers, what each says)}.

    Raises:
      OSError: it cannot be written.
    """
    # Slow to import, and writing is the end of a program.
    from neuroglancer import coordinate_space, viewer_state, write_annotations

    names = names or {}
    writer = write_annotations.AnnotationWriter(
        coordinate_space.CoordinateSpace(
            names=["x", "y", "z"], units=["nm"] * 3, scales=[1, 1, 1]
        ),
        "point",
        relationships=["segment"],
        properties=[
            *(
                viewer_state.AnnotationPropertySpec(
                    id=name,
                    type="uint16",
                    enum_values=list(range(len(said))),
                    enum_labels=list(said),
                )
                for name, (_, said) in names.items()
            ),
            *(
                viewer_state.AnnotationPropertySpec(id=name, type="float32")
                for name in numbers
            ),
        ],
    )
    columns: dict[str, list[Any]] = {
        name: np.asarray(values).tolist() for name, values in numbers.items()
    }
    columns |= {name: values.tolist() for name, (values, _) in names.items()}
    places, ids = position_nm_zyx.tolist(), segment.tolist()
    for i, ((z, y, x), id_) in enumerate(zip(places, ids)):
        told = {name: values[i] for name, values in columns.items()}
        writer.add_point([x, y, z], segment=id_, **told)
    shutil.rmtree(folder, ignore_errors=True)
    if places:
        writer.write(str(folder))
