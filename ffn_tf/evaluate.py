"""Scores a segmentation against the truth, and shows where it is wrong.

    python -m ffn_tf.evaluate \\
        --truth=../shared/data/fib25/groundtruth.h5:stack \\
        --segmentation=../shared/data/fib25/sample-training2.npz:segmentation \\
        --image=../shared/data/fib25/grayscale_maps.h5:raw \\
        --output_dir=out/evaluation

Prints coverage, VOI and adapted Rand error, and writes

    report.md    the scores and the worst offenders, to read
    report.json  the same for programs (ffn_tf/evaluation/report.py)
    slices.png   truth, segmentation and errors over the EM, side by side

Volumes are compared where both are, block by block: they may be larger than
memory. A truth of 0 is unlabelled and is not scored. Addresses are those of
ffn_tf/volume/address.py; `--segmentation` may also be a result of
run_inference: its output folder, or one seg-*.npz of several.

With skeletons (ffn_tf/skeleton/io.py: .npz, SWC, precomputed) the report also
has the expected run length and the edge accuracy of the segmentation:

    --skeletons=../shared/golden/skeletons_training2.npz --merge_threshold=50
    --truth=configs/datasets/fib25.yaml#truth

The voxel size, which skeletons need, may be that of any of the volumes.

Which checkpoint of a training is best?

    python -m ffn_tf.evaluate --checkpoints=out/train --output_dir=out/ranking

ranks those that `train --eval_volume` has scored, prints the table, and writes
ranking.md, .json and .png (ffn_tf/validation/ranking.py). With --image and
--truth, and perhaps --bounding_box and --skeletons, it segments that box with
each checkpoint that has not been scored on it.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import dataclasses
import os

from ffn_tf import evaluation, program, skeleton, volume
from ffn_tf.evaluation import matching, picture, report, slices
from ffn_tf.inference import subvolume
from ffn_tf.validation import ranking
from ffn_tf.volume import files, source


@dataclasses.dataclass(frozen=True)
class Options:
    """What to compare, and where to write."""

    output_dir: str = program.option(help="Folder for the three files.")
    segmentation: str = program.option(
        "", help="Address of the segmentation, or a folder or file of results."
    )
    truth: str = program.option(
        "", help="Address of the truth; its 0 is unlabelled."
    )
    checkpoints: str = program.option(
        "",
        help="Folder of a training (--train_dir), whose checkpoints are "
        "ranked, instead of --segmentation.",
    )
    bounding_box: str = program.option(
        "",
        help="With --checkpoints: the box of --image to segment; by default "
        "the middle 96^3.",
    )
    image: str | None = program.option(
        None, help="Address of the EM, to be shown under the labels."
    )
    skeletons: str | None = program.option(
        None, help="Path of skeletons, to score run length and edges, too."
    )
    merge_threshold: int = program.option(
        0,
        help="Nodes of each of two skeletons that make a segment a merge of "
        "them; 0 and 1: any.",
    )
    block_zyx: tuple[int, int, int] = program.option(
        (256, 256, 256), help="Voxels compared at a time, z,y,x."
    )

    def __post_init__(self) -> None:
        files.local(self.output_dir, "output_dir")
        if not self.checkpoints and not (self.segmentation and self.truth):
            raise ValueError(
                "Expected --segmentation and --truth, to score a segmentation, "
                "or --checkpoints, to rank those of a training."
            )
        if self.checkpoints and self.segmentation:
            raise ValueError(
                "--checkpoints and --segmentation are two things: give one."
            )
        if self.checkpoints and bool(self.image) != bool(self.truth):
            raise ValueError(
                "To segment with --checkpoints, give --image and --truth; to "
                "rank what training has scored, neither."
            )
        has_box = self.bounding_box or (self.checkpoints and self.skeletons)
        if has_box and not (self.checkpoints and self.image):
            raise ValueError(
                "--bounding_box, and --skeletons with --checkpoints, are for "
                "--checkpoints with --image and --truth; give those too."
            )
        if self.merge_threshold and self.skeletons is None:
            raise ValueError(
                "--merge_threshold is for --skeletons; give that too."
            )


def run(
    options: Options, show: Callable[[str], None] = lambda table: None
) -> evaluation.Comparison:
    """Compares, writes the scores, draws, and returns them.

    `show` is called with the table of scores as soon as it is written.

    Raises:
      ValueError: the volumes do not fit each other, or nothing is labelled.
      OSError: a volume cannot be read, or the report cannot be written.
    """
    with contextlib.ExitStack() as stack:
        truth = stack.enter_context(volume.open(options.truth))
        segmentation = stack.enter_context(
            subvolume.open_any(options.segmentation)
        )
        opened = {"truth": truth, "segmentation": segmentation}
        if options.image is not None:
            opened["image"] = stack.enter_context(volume.open(options.image))
        box = evaluation.shared_box(truth, segmentation)
        voxel_size_nm = evaluation.shared_voxel_size(list(opened.values()))
        # Everything that can be wrong is found before the long part.
        views = slices.read_middle(
            truth, segmentation, opened.get("image"), box, voxel_size_nm
        )
        skeleton_scores = None
        if options.skeletons is not None:
            skeleton_scores = _score_skeletons(
                options.skeletons, options, segmentation, voxel_size_nm
            )
        os.makedirs(options.output_dir, exist_ok=True)

        table = evaluation.count_volumes(
            truth, segmentation, box, options.block_zyx
        )
        comparison = evaluation.compare(table)
        context = report.Context(
            inputs={role: report.Input.of(v) for role, v in opened.items()},
            box=box,
            voxel_size_nm=voxel_size_nm,
            made_by={
                "program": "ffn_tf.evaluate",
                "code_version": program.describe_code(),
                "options": dataclasses.asdict(options),
            },
        )
    report.write(options.output_dir, comparison, context, skeleton_scores)
    show(report.as_text(comparison, context, skeleton_scores))
    drawn = picture.draw(views, matching.Matching.of(table))
    report.write_picture(options.output_dir, drawn)
    return comparison


def rank(
    options: Options, show: Callable[[str], None] = lambda table: None
) -> ranking.Ranking:
    """Ranks the checkpoints of a training, and writes that down.

    `show` is as in `run`.

    Raises:
      FileNotFoundError: there are no checkpoints, or no such volume.
      ValueError: none has been scored, or volumes do not fit each other.
      OSError: a volume cannot be read, or the ranking cannot be written.
    """
    folders = ranking.checkpoints(options.checkpoints)
    if options.image:
        from ffn_tf.validation import checkpoint  # Needs TensorFlow.

        validator = checkpoint.Validator(
            checkpoint.ValidationOptions(
                eval_volume=options.image,
                eval_truth=options.truth,
                eval_box=options.bounding_box,
                eval_skeletons=options.skeletons or "",
                eval_merge_threshold=options.merge_threshold,
            )
        )
        found = ranking.completed(
            folders, validator.settings, validator.validated
        )
    else:
        found = ranking.ranked(folders)
    ranking.write(options.output_dir, found)
    show(ranking.as_text(found))
    return found


def _score_skeletons(
    path: str,
    options: Options,
    segmentation: volume.Volume,
    voxel_size_nm: tuple[float, float, float],
) -> evaluation.SkeletonScores:
    if voxel_size_nm == source.UNKNOWN_VOXEL_SIZE:
        raise ValueError(
            f"Skeletons are in nanometres, and neither {options.truth} nor "
            f"{options.segmentation} has a voxel size. Name one of them in a "
            f"dataset file (configs/datasets/fib25.yaml#truth)."
        )
    return evaluation.score_skeletons(
        skeleton.read(path),
        segmentation,
        voxel_size_nm,
        options.merge_threshold,
    )


def main(argv: list[str]) -> None:
    del argv
    options = program.from_flags(Options)
    if options.checkpoints:
        found = rank(options, print)
        if found.doubt:
            program.warn(found.doubt)
        program.finish(
            f"{options.output_dir}/ranking.md, ranking.json and ranking.png",
            f"python -m ffn_tf.run_inference --model_checkpoint="
            f"{found.best.folder} --image=EM --segmentation_output_dir=FOLDER",
        )
        return
    run(options, print)
    program.finish(
        f"{options.output_dir}/report.md, report.json and slices.png",
        f"look at {options.output_dir}/slices.png",
    )


if __name__ == "__main__":
    program.define_flags(Options)
    program.start(main)
