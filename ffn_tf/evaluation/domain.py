"""What of two volumes can be compared: where, and at which voxel size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ffn_tf import program, volume
from ffn_tf.volume import source


def shared_box(first: volume.Volume, second: volume.Volume) -> volume.Box:
    """The box that both volumes cover.

    Raises:
      ValueError: the volumes do not meet.
    """
    box = first.domain.intersected(second.domain)
    if box.is_empty:
        raise ValueError(
            f"The volumes share no voxel: {first.address} covers "
            f"{first.domain}, {second.address} covers {second.domain}. Check "
            f"the offsets of both."
        )
    return box


def shared_voxel_size(
    volumes: Sequence[volume.Volume],
) -> tuple[float, float, float]:
    """The voxel size (nm, zyx) of all volumes that know theirs.

    (1, 1, 1), the unknown size, if none does. Where only some do, it is said
    that the others are taken to be like them.

    Raises:
      ValueError: two of them differ.
    """
    known = [
        one for one in volumes if one.voxel_size_nm != source.UNKNOWN_VOXEL_SIZE
    ]
    for one in known[1:]:
        if not np.allclose(one.voxel_size_nm, known[0].voxel_size_nm):
            raise ValueError(
                f"Volumes to compare must have one voxel size: found "
                f"{known[0].voxel_size_nm} nm (zyx) at {known[0].address}, "
                f"{one.voxel_size_nm} nm at {one.address}. Name the scale of "
                f"the one that fits the other (?mip=N)."
            )
    if not known:
        return source.UNKNOWN_VOXEL_SIZE
    unknown = [one.address for one in volumes if one not in known]
    if unknown:
        program.warn(
            f"Of {', '.join(unknown)} the voxel size is not known; it is taken "
            f"to be that of {known[0].address}, {known[0].voxel_size_nm} nm "
            f"(zyx). If it is of another scale, the result means nothing."
        )
    return known[0].voxel_size_nm
