"""How an object grows and when it counts: thresholds, in probabilities.

Numbers. google/ffn keeps these in float32 fields, and they decide whether a
voxel is in or out. The values here are therefore float32 values held in Python
floats, from wherever they came: 0.95 in a flag and 0.95 in a text request are
one number, 0.949999988079071.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import special

from ffn_tf import program


def round_to_float32(instance: Any, *names: str) -> None:
    """Replaces float fields of a frozen dataclass by their float32 values."""
    for name in names:
        value = float(np.float32(getattr(instance, name)))
        object.__setattr__(instance, name, value)


def check(is_right: bool, name: str, expected: str, found: Any) -> None:
    """Raises a ValueError about the field `name` unless `is_right`."""
    if not is_right:
        raise ValueError(f"{name}: expected {expected}, found {found}.")


@dataclasses.dataclass(frozen=True)
class InferenceOptions:
    """How one object grows, and when it counts. Probabilities, not logits."""

    init_activation: float = program.option(
        0.95, help="Probability that the seed voxel of an object starts with."
    )
    pad_value: float = program.option(
        0.05,
        help="Probability that the network is shown where it has not been.",
    )
    move_threshold: float = program.option(
        0.9,
        help="Least probability of a voxel that the field of view moves to.",
    )
    segment_threshold: float = program.option(
        0.6, help="Least probability of a voxel of the finished object."
    )
    min_boundary_dist_zyx: tuple[int, int, int] = program.option(
        (1, 1, 1),
        help="No seed within this many voxels of an earlier object.",
    )
    min_segment_size: int = program.option(
        1000, help="Objects of fewer voxels are given up."
    )
    disco_seed_threshold: float = program.option(
        0.0,
        help="Voxels that a field of view had left out may not come back if "
        "more than this share of it is object; a negative value lets them.",
    )

    def logit(self, name: str) -> np.float32:
        """The logit of the probability `name`, in float32 as google/ffn's."""
        return np.float32(special.logit(getattr(self, name)))

    def check_seeds_move(self) -> None:
        """Refuses options by which no object could grow.

        They may be read (old files have them), but not run.
        """
        check(
            bool(self.logit("init_activation") >= self.logit("move_threshold")),
            "init_activation",
            f"at least move_threshold ({self.move_threshold:.6g}), for else "
            f"no seed ever moves and nothing is segmented",
            f"{self.init_activation:.6g}",
        )

    def __post_init__(self) -> None:
        probabilities = (
            "init_activation",
            "pad_value",
            "move_threshold",
            "segment_threshold",
        )
        round_to_float32(self, *probabilities, "disco_seed_threshold")
        for name in probabilities:
            value = getattr(self, name)
            expected = "a probability above 0 and below 1"
            check(0 < value < 1, name, expected, value)
        check(
            bool(np.isfinite(self.disco_seed_threshold)),
            "disco_seed_threshold",
            "a finite number",
            self.disco_seed_threshold,
        )
        distance = self.min_boundary_dist_zyx
        check(
            len(distance) == 3 and min(distance) >= 0,
            "min_boundary_dist_zyx",
            "three integers, none negative",
            distance,
        )
        size = self.min_segment_size
        expected = "0 to 2147483647 voxels"
        check(0 <= size < 2**31, "min_segment_size", expected, size)


# For networks of ffn_tf.train, which lets voxels come back that a field of view
# had left out. So does google/ffn's training, but not its inference.
OF_TRAINING = InferenceOptions(disco_seed_threshold=-1)
# For the one that comes with this package (ffn_tf/model/shipped/README.md).
SHIPPED = dataclasses.replace(OF_TRAINING, min_segment_size=2000)
