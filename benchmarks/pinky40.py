"""The labels of pinky40 (cortex of a mouse, public), where they are."""

from __future__ import annotations

import gzip

import numpy as np

from ffn_tf.volume import dataset

PATH = dataset.data_dir() / "pinky40" / "connectomics.npy.ckl.gz"
MISSING = f"pinky40: no {PATH} (set FFN_DATA_DIR)"


def labels() -> np.ndarray | None:
    """[z, y, x] uint32, 512^3; None where they are not."""
    if not PATH.exists():
        return None
    import crackle

    found = crackle.decompress(gzip.decompress(PATH.read_bytes()))
    if found.ndim == 4:
        found = found[..., 0]
    # [x, y, z], as all that this laboratory publishes.
    return np.ascontiguousarray(found.T)
