"""Seeds of an earlier run, tried the other way round.

The order of seeds decides where objects end. Segmenting twice, the second
time in reversed order, and keeping what both agree on, is the forward-reverse
consensus of Januszewski et al. (2018).
"""

from __future__ import annotations

from collections.abc import Sequence
import pathlib

import numpy as np

from ffn_tf.inference import subvolume


def invert_origins(
    image: np.ndarray, segmentation_dir: str, corner: Sequence[int] = (0, 0, 0)
) -> np.ndarray:
    """PolicyInvertOrigins: where an earlier run's segments began, last first.

    Args:
      image: [z, y, x].
      segmentation_dir: folder of the earlier run, google/ffn's or ours.
      corner: zyx of the subvolume; by default, the one of the image.

    Raises:
      FileNotFoundError: the earlier run has no such subvolume.
      ValueError: it has another size there, or the file is damaged.
    """
    nested = subvolume.path_for(segmentation_dir, corner)
    flat = pathlib.Path(segmentation_dir, nested.name)
    path = nested if nested.exists() or not flat.exists() else flat
    try:
        found = subvolume.load(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{path}: PolicyInvertOrigins needs the earlier run's subvolume at "
            f"zyx {tuple(corner)}. Finish that run, with the bounding_box, "
            f"subvolume and overlap of this one."
        ) from error
    if found.segmentation.shape != image.shape:
        raise ValueError(
            f"{path}: expected a subvolume of zyx {image.shape}, found "
            f"{found.segmentation.shape}. Make both runs with the same "
            f"bounding_box, subvolume and overlap."
        )
    last_first = sorted(found.origins.items(), reverse=True)
    starts = [origin.start_zyx for _, origin in last_first]
    return np.array(starts, np.int64).reshape(-1, 3)
