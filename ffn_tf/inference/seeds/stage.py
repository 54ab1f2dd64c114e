"""From what a request asks for to stages: seeds that are found at one moment.

A run that is resumed has the same stages. What it must remember is how many of
them were begun, the positions of the last, and how many of those were tried.
(google/ffn's SequentialPolicies lose what they had not tried.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import inspect
from typing import Any

import numpy as np

from ffn_tf.inference.seeds import arguments as arguments_lib
from ffn_tf.inference.seeds import brightness, distances, grids, origins

Policy = Callable[..., np.ndarray]

_POLICIES: dict[str, Policy] = {
    "PolicyDenseSeeds": brightness.dense,
    "PolicyFillEmptySpace": distances.fill_empty_space,
    "PolicyGrid2d": grids.grid_2d,
    "PolicyGrid3d": grids.grid_3d,
    "PolicyImagePeaks2DDisk": brightness.image_peaks_2d_disk,
    "PolicyImagePeaks3D2D": brightness.image_peaks_3d_2d,
    "PolicyInverseOrigins": origins.invert_origins,  # In google/ffn's manual.
    "PolicyInvertOrigins": origins.invert_origins,
    "PolicyMax": brightness.max_first,
    "PolicyMaxPeaks": brightness.max_peaks,
    "PolicyPeaks": distances.peaks,
    "PolicyPeaks2d": distances.peaks_2d,
}
_SEQUENCE, _REVERSE = "SequentialPolicies", "ReverseCoords"


@dataclasses.dataclass(frozen=True)
class Stage:
    """Seeds that are found at one moment.

    Attributes:
      policy: what finds them; see the package.
      arguments: its own.
      is_reversed: True if the last is tried first.
    """

    policy: Policy
    arguments: Mapping[str, Any]
    is_reversed: bool = False

    def find(
        self,
        image: np.ndarray,
        excluded: np.ndarray,
        segmentation: np.ndarray,
        margin: Sequence[int],
    ) -> np.ndarray:
        """The positions of the policy that may be tried.

        Args:
          image: [z, y, x] float32, normalised.
          excluded: [z, y, x] bool, voxels where no object may start.
          segmentation: [z, y, x], what is segmented at this moment.
          margin: zyx, half of the field of view, which must fit around.

        Returns:
          [n, 3] int64, zyx.
        """
        given = {
            "image": image,
            "excluded": excluded,
            "segmentation": segmentation,
        }
        needed = given.keys() & inspect.signature(self.policy).parameters
        found = self.policy(**{k: given[k] for k in needed}, **self.arguments)
        found = interior(found, image.shape, margin)
        found = found[~excluded[tuple(found.T)]]
        return np.flip(found, axis=0) if self.is_reversed else found

    def reversed(self) -> Stage:
        return dataclasses.replace(self, is_reversed=not self.is_reversed)


def interior(
    positions: np.ndarray, shape: Sequence[int], margin: Sequence[int]
) -> np.ndarray:
    """The positions whose field of view lies within the image, in order."""
    low = positions - np.asarray(margin) >= 0
    high = positions + np.asarray(margin) < np.asarray(shape)
    return positions[np.all(low & high, axis=1)]


def stages(
    name: str,
    arguments: Mapping[str, Any],
    voxel_size_zyx: Sequence[float] = (1, 1, 1),
    corner_zyx: Sequence[int] = (0, 0, 0),
) -> list[Stage]:
    """The stages of the policy `name`, by google/ffn's names.

    Args:
      name: of a policy.
      arguments: its own, as users write them.
      voxel_size_zyx: of the image, in any unit; for policies that measure
        distances, unless the arguments say otherwise.
      corner_zyx: of the image in its volume; for policies that look for an
        earlier run's subvolume, unless the arguments say otherwise.

    Raises:
      ValueError: an unknown policy, or arguments that it does not take; the
        known ones are listed.
    """
    place = (voxel_size_zyx, corner_zyx)
    if name == _SEQUENCE:
        arguments_lib.check(name, {"policies": True}, arguments)
        found = []
        for part, of_part in arguments["policies"]:
            found += stages(part, of_part, *place)
        return found
    if name == _REVERSE:
        others = dict(arguments)
        own = {k: others.pop(k) for k in arguments if k == "policy_to_reverse"}
        arguments_lib.check(name, {"policy_to_reverse": True}, own)
        forward = stages(own["policy_to_reverse"], others, *place)
        return [stage.reversed() for stage in reversed(forward)]
    if name not in _POLICIES:
        raise ValueError(
            f"Unknown seed policy {name!r}: expected one of "
            f"{sorted([*_POLICIES, _REVERSE, _SEQUENCE])}."
        )
    policy = _POLICIES[name]
    known = arguments_lib.of(policy)
    arguments_lib.check(name, known, arguments)
    of_place = {"voxel_size_zyx": voxel_size_zyx, "corner": corner_zyx}
    told = {k: of_place[k] for k in of_place.keys() & known.keys()}
    return [Stage(policy, {**told, **arguments})]


def check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuses what `stages` refuses."""
    stages(name, arguments)


def find(
    name: str,
    image: np.ndarray,
    excluded: np.ndarray,
    margin: Sequence[int],
    **arguments: Any,
) -> np.ndarray:
    """The seeds of all stages, as if nothing were segmented before any."""
    empty = np.zeros(image.shape, np.int32)
    found = [
        stage.find(image, excluded, empty, margin)
        for stage in stages(name, arguments)
    ]
    return np.concatenate(found)
