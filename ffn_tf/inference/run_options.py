"""What a run decides beside its request: where, with what, what is kept."""

from __future__ import annotations

import dataclasses

from ffn_tf import program
from ffn_tf.inference import box_text
from ffn_tf.inference import engine as engine_lib


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Where and with what; `request.InferenceRequest` says how."""

    bounding_box: str = program.option(
        "",
        help=f"Box to segment: {box_text.HELP}. Empty: the whole volume.",
    )
    subvolume_zyx: tuple[int, int, int] = program.option(
        (512, 512, 512), help="Largest subvolume segmented in one piece."
    )
    overlap_zyx: tuple[int, int, int] = program.option(
        (64, 64, 64),
        help="Voxels that neighbouring subvolumes share, fewer than they have.",
    )
    tissue: str = program.option(
        "",
        help="Address of a coarse mask, 0 where there is nothing; subvolumes "
        "without tissue are left out.",
    )
    engine: str = program.option(
        "auto",
        help="What runs the network; jax needs the environment variable "
        "KERAS_BACKEND=jax, if TensorFlow is installed too.",
        choices=("auto", *engine_lib.NAMES),
    )
    compute_dtype: str = program.option(
        "auto",
        help="Arithmetic: auto is bfloat16 where the processor has it; float32 "
        "gives google/ffn's voxels.",
        choices=("auto", *engine_lib.COMPUTE_DTYPES),
    )
    skip_blank: bool = program.option(
        True, help="Do not look where the image has no data."
    )
    isotropic_seeds: bool = program.option(
        False,
        help="Measure distances between seeds and edges in voxels, as "
        "google/ffn does, also where voxels are not cubes.",
    )
    fast: bool = program.option(
        False,
        help="Fewer network calls, less than half: larger steps, which end at "
        "the borders (benchmarks/README.md has the scores).",
    )
    moves_in_flight: int = program.option(
        1,
        help="Steps of one object that are predicted at once, where their "
        "fields of view do not meet; more than 1 is not google/ffn's order.",
    )
    fill: bool = program.option(
        False,
        help="A second pass over what is left, for thin processes; what it "
        "costs and gains is told.",
    )
    keep_probability_maps: bool = program.option(
        False,
        help="Write how sure the network was of each voxel: .prob files beside "
        "the subvolumes.",
    )
    keep_history: bool = program.option(
        False,
        help="Keep in the subvolumes where fields of view were, and how many "
        "voxels each took out.",
    )

    def __post_init__(self) -> None:
        if any(s <= o for s, o in zip(self.subvolume_zyx, self.overlap_zyx)):
            raise ValueError(
                f"--subvolume_zyx={','.join(map(str, self.subvolume_zyx))}: "
                f"expected more voxels than neighbours share, --overlap_zyx="
                f"{','.join(map(str, self.overlap_zyx))}."
            )
        if self.moves_in_flight < 1:
            raise ValueError(
                f"--moves_in_flight: expected 1 or more, found "
                f"{self.moves_in_flight}."
            )
