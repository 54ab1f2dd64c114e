"""Both orders: what a run and one with its seeds in reverse agree on.

    <folder>/forward/<x>/<y>/seg-<x>_<y>_<z>.npz    results of two runs
    <folder>/reverse/<x>/<y>/seg-<x>_<y>_<z>.npz
    <folder>/<x>/<y>/seg-<x>_<y>_<z>.npz            their consensus

Subvolume by subvolume, as google/ffn has it (Januszewski et al., 2018; the rule
is consensus.py's). Ids are numbered anew, from 1; an object has the origin that
it had forward.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib

from absl import logging
import numpy as np

from ffn_tf import volume
from ffn_tf.assembly import consensus
from ffn_tf.inference import subvolume


@dataclasses.dataclass(frozen=True)
class Agreement:
    """One subvolume.

    Attributes:
      objects: that both agree on.
      voxels: of those; the rest is background.
      forward_objects: of the forward run.
    """

    objects: int
    voxels: int
    forward_objects: int


def agree(
    folder: pathlib.Path, corner_zyx: subvolume.Corner, min_size: int
) -> Agreement:
    """Writes the consensus of a subvolume, if it is not there and whole.

    Args:
      folder: holds `forward` and `reverse`.
      corner_zyx: of the subvolume.
      min_size: voxels of an object, at least.

    Raises:
      FileNotFoundError, ValueError: a run's subvolume is missing or damaged;
        or what is there was made otherwise.
    """
    first = subvolume.load(subvolume.path_for(folder / "forward", corner_zyx))
    second = subvolume.load(subvolume.path_for(folder / "reverse", corner_zyx))
    provenance = json.loads(
        json.dumps(
            {
                **first.provenance,
                "consensus": {
                    "of": ["forward", "reverse"],
                    "split_min_size": min_size,
                },
            }
        )
    )
    path = subvolume.path_for(folder, corner_zyx)
    if found := _there(path):
        if found.provenance != provenance:
            raise ValueError(
                f"{path} was made with other options. Use another folder."
            )
        return _told(found, first)
    table = volume.contingency.count(first.segmentation, second.segmentation)
    agreed = consensus.split(table, min_size)
    labels, old = volume.labels.contiguous(
        agreed.of(first.segmentation, second.segmentation)
    )
    of_pair = dict(zip(agreed.ids.tolist(), agreed.first_ids.tolist()))
    made = subvolume.Subvolume(
        first.box,
        labels,
        {
            new: first.origins[of_pair[pair]]
            for new, pair in enumerate(old.tolist())
            if new and of_pair[pair] in first.origins
        },
        counters=first.counters,
        request=first.request,
        provenance=provenance,
    )
    subvolume.save(folder, made)
    return _told(made, first)


def _there(path: pathlib.Path) -> subvolume.Subvolume | None:
    """What has been made; not if it is damaged, for it can be made anew."""
    if not path.exists():
        return None
    try:
        return subvolume.load(path)
    except ValueError as error:
        logging.warning("%s It is made anew.", error)
        return None


def _told(made: subvolume.Subvolume, first: subvolume.Subvolume) -> Agreement:
    return Agreement(
        int(made.segmentation.max(initial=0)),
        int(np.count_nonzero(made.segmentation)),
        len(first.origins),
    )
