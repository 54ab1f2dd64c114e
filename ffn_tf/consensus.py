"""Where two segmentations of the same image agree: their split consensus.

    python -m ffn_tf.consensus --segmentation1=precomputed://out/forward \\
        --segmentation2=precomputed://out/reverse \\
        --output=precomputed://out/consensus

What one of the two takes for two objects is two. Merge errors of one that the
other does not make disappear, at the price of more splits, which agglomeration
mends (ffn_tf/assembly/consensus.py has the rule, google/ffn's). The second
segmentation is as a rule one of the same network whose seeds were tried in the
reverse order:

    python -m ffn_tf.run_inference ... --seed_policy=PolicyInvertOrigins \\
        --seed_policy_args='{"segmentation_dir": "out/forward"}'

The inputs are volumes, or folders of run_inference with one subvolume. Killed,
the program goes on where it was; what exists is never overwritten.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from typing import Any

from ffn_tf import evaluation, program, volume
from ffn_tf.assembly import consensus
from ffn_tf.inference import subvolume
from ffn_tf.volume import attempt, conversion


@dataclasses.dataclass(frozen=True)
class Options:
    """What to compare, and where to write."""

    segmentation1: str = program.option(
        help="Address of labels whose ids are kept."
    )
    segmentation2: str = program.option(
        help="Address of labels of the same voxels."
    )
    output: str = program.option(help="Address of the new volume.")
    split_min_size: int = program.option(
        1000, help="Voxels of an object, at least; smaller ones become 0."
    )
    chunk_zyx: tuple[int, int, int] = program.option(
        (64, 64, 64), help="Chunk size of the output, z,y,x."
    )

    def __post_init__(self) -> None:
        if self.split_min_size < 0:
            raise ValueError(
                f"split_min_size: expected 0 or more voxels, found "
                f"{self.split_min_size}."
            )


@dataclasses.dataclass(frozen=True)
class Summary:
    """What has been made.

    Attributes:
      info: of the finest scale.
      kept, split, dropped: see assembly.consensus; None if the output was
        complete before.
    """

    info: volume.VolumeInfo
    kept: int | None = None
    split: int | None = None
    dropped: int | None = None


def run(options: Options) -> Summary:
    """Makes the consensus, or goes on with it.

    Raises:
      FileExistsError: something else is at the output.
      FileNotFoundError: an input is not there.
      ValueError: the inputs have no voxel, or not their voxel size, in common.
      OSError: reading or writing failed.
    """
    made_by: dict[str, Any] = {
        "program": "ffn_tf.consensus",
        "code": program.describe_code(),
        "options": dataclasses.asdict(options),
    }
    if attempt.look(options.output, made_by) == "complete":
        with volume.open(options.output) as found:
            return Summary(found.info)
    with contextlib.ExitStack() as stack:
        first, second = (
            stack.enter_context(subvolume.open_any(address))
            for address in (options.segmentation1, options.segmentation2)
        )
        box = evaluation.shared_box(first, second)
        size = evaluation.shared_voxel_size([first, second])
        table = volume.contingency.count_volumes(first, second, box)
        agreed = consensus.split(table, options.split_min_size)
        source = consensus.Agreed(first, second, box, agreed).opened()
        info = dataclasses.replace(
            source.info,
            voxel_size_nm=size,
            chunk_zyx=options.chunk_zyx,
            kind="segmentation",
        )
        plan = conversion.planned(source, options.output, info, made_by=made_by)
        with program.Progress("Writing", "voxels") as progress:
            conversion.execute(
                plan,
                source,
                progress=lambda now: progress.update(
                    now.done, now.total, now.before
                ),
            )
    return Summary(plan.info, agreed.kept, agreed.split, agreed.dropped)


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    summary = run(options)
    wrote = f"nothing: {options.output} is complete, made the same before"
    if summary.kept is not None:
        wrote = (
            f"{options.output}: {summary.kept} objects keep the id of the "
            f"first, {summary.split} were split from others, "
            f"{summary.dropped} were too small"
        )
    program.finish(
        wrote,
        f"python -m ffn_tf.evaluate "
        f"--segmentation={shlex.quote(options.output)} --truth=ADDRESS "
        f"--output_dir=out/scores",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
