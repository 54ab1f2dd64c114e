"""Attributes of HDF5 datasets that are other programs' (google/ffn's).

What ours keep is in `Volume.attributes` (hdf5.py).
"""

from __future__ import annotations

from collections.abc import Mapping
import shutil
from typing import Any

import h5py
import numpy as np

from ffn_tf.volume import address as address_lib
from ffn_tf.volume import files


def read(address: str) -> dict[str, Any]:
    """All attributes of a dataset; none of a volume that is not in HDF5."""
    where = address_lib.parse(address)
    if where.format != "hdf5":
        return {}
    with h5py.File(where.path, "r") as file:
        return dict(file[where.dataset].attrs)


def write(address: str, attributes: Mapping[str, np.ndarray]) -> None:
    """Sets attributes of a dataset; nothing, of a volume not in HDF5.

    The file is replaced by a copy with them: killed, it is what it was. Nothing
    is done if they are there.

    Raises:
      OSError: the file cannot be written.
    """
    where = address_lib.parse(address)
    found = read(address)
    same = all(
        name in found and np.array_equal(found[name], value)
        for name, value in attributes.items()
    )
    if where.format != "hdf5" or same:
        return
    with files.atomic_path(where.path) as temporary:
        shutil.copyfile(where.path, temporary)
        with h5py.File(temporary, "r+") as file:
            file[where.dataset].attrs.update(attributes)
