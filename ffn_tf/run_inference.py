"""Segments a volume, or a box of it, by flood filling.

    python -m ffn_tf.run_inference \\
        --image=../shared/data/fib25/grayscale_maps.h5:raw \\
        --model_checkpoint=../shared/data/fib25/model/model.ckpt-27465036 \\
        --bounding_box='start { x:60 y:60 z:60 } size { x:80 y:80 z:80 }' \\
        --segmentation_output_dir=out/crop80

or `--inference_request=FILE.pbtxt`, a request of google/ffn; flags that are
given beside it take precedence over what it says. Without one,

    --model_checkpoint               is the network that comes with this package
                                     (ffn_tf/model/shipped/README.md)
    thresholds                       are those that suit it, or a network of
                                     ffn_tf.train, and are said
    --image_mean, --image_stddev     are those of the training, of a network of
                                     ffn_tf.train; measured, if it had several

Interrupted or killed, it goes on where it was when it is run again.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import pathlib
import shlex
from typing import Any

from ffn_tf import model, program, volume
from ffn_tf.assembly import both_orders
from ffn_tf.inference import (
    extent,
    geometry,
    intensity,
    progress,
    restriction,
    results,
    run_options,
    runner,
    seeds,
    tiling,
)
from ffn_tf.inference import options as options_lib
from ffn_tf.inference import request as request_lib
from ffn_tf.inference import run as run_lib
from ffn_tf.jobs import plan as plan_lib
from ffn_tf.jobs import run as jobs
from ffn_tf.viewer import report as report_lib
from ffn_tf.volume import tissue


@dataclasses.dataclass(frozen=True)
class Options:
    """What only this program knows."""

    inference_request: str = program.option(
        "", help="A google/ffn InferenceRequest in text format."
    )
    forward_reverse: bool = program.option(
        False,
        help="Segment twice, the second time with the seeds in reverse, and "
        "keep what both agree on: fewer mergers, more splits, twice the time.",
    )
    split_min_size: int = program.option(
        1000, help="Of --forward_reverse: voxels of an object, at least."
    )
    report: bool = program.option(
        False,
        help="Write report.html, a page to look at, into the folder: each "
        "minute, and at the end. Of a finished run, only that. With "
        "--forward_reverse, one in each of its folders.",
    )
    plan_only: bool = program.option(
        False, help="Only say what is to be done, and what it will cost."
    )
    fovs_per_s: float = program.option(
        10.0,
        help="Fields of view that one device does in a second, for the plan: "
        "what benchmarks/bench_fov.py says (10: two cores, fib25's network).",
    )


_BESIDE_THE_REQUEST = (Options, run_options.RunOptions, jobs.Options)
_FLAGS = (
    *_BESIDE_THE_REQUEST,
    request_lib.InferenceRequest,
    options_lib.InferenceOptions,
)


def run(
    request: request_lib.InferenceRequest,
    options: run_options.RunOptions,
    job_options: jobs.Options = jobs.INLINE,
    report: bool = False,
) -> runner.Summary:
    """Segments; see `run.Run` and `runner.execute` for the errors."""
    checked = run_lib.Run(request, options)
    if not report:
        return runner.execute(checked, job_options)
    page = report_lib.Report(
        checked.folder,
        request.image,
        len(checked.boxes),
        progress.expected_steps(
            checked.boxes,
            checked.network.view,
            checked.deltas,
            options.fast,
        ),
    )
    summary = runner.execute(checked, job_options, watch=page.watch)
    page.write()
    return summary


def run_both(
    request: request_lib.InferenceRequest,
    options: run_options.RunOptions,
    job_options: jobs.Options,
    report: bool,
    split_min_size: int,
    say: Callable[[str], None] = lambda line: None,
) -> runner.Summary:
    """Segments forward and in reverse, and keeps what both agree on.

    Args:
      say: is told what has been made.

    Returns:
      Of the reverse run; its folder is that of the consensus.

    Raises:
      as `run`, and assembly.both_orders.agree.
    """
    folder = results.folder(request.segmentation_output_dir)
    reverse: dict[str, Any] = {
        "seed_policy": "PolicyInvertOrigins",
        "seed_policy_args": {"segmentation_dir": f"{folder}/forward"},
    }
    summaries: list[runner.Summary] = []
    both: dict[str, dict[str, Any]] = {"forward": {}, "reverse": reverse}
    for name, changes in both.items():
        asked = dataclasses.replace(
            request, segmentation_output_dir=f"{folder}/{name}", **changes
        )
        summaries.append(run(asked, options, job_options, report))
        if summaries[-1].made:
            say(f"{name}: {describe(summaries[-1])}")
    boxes = summaries[0].boxes
    with results.locked(folder, job_options.name):
        if cut := tiling.read(folder / "forward"):
            tiling.write(folder, cut)
        found = [
            both_orders.agree(folder, box.start, split_min_size)
            for box in program.watched(boxes, len(boxes), "Comparing", "boxes")
        ]
    before, objects, voxels = (
        sum(getattr(one, name) for one in found)
        for name in ("forward_objects", "objects", "voxels")
    )
    say(
        f"Both agree on {objects} objects, {voxels} voxels; forward, there "
        f"were {before}."
    )
    return dataclasses.replace(
        summaries[1], output_dir=str(folder), segments=objects, voxels=voxels
    )


def plan(
    request: request_lib.InferenceRequest,
    options: run_options.RunOptions,
    fovs_per_s: float,
    times: int = 1,
) -> plan_lib.Plan:
    """What a run will cost; nothing is segmented, and nothing written.

    Args:
      fovs_per_s: of one device.
      times: how often it is segmented: twice with --forward_reverse.

    Raises:
      ValueError, OSError: inputs that cannot work.
    """
    asked = geometry.field_of_view(request)
    view = model.load(request.model_checkpoint, asked).view
    deltas = geometry.deltas(request, view, options.fast)
    seeds.check_arguments(request.seed_policy, request.seed_policy_args)
    with (
        extent.opened(request.image) as image,
        restriction.Restrictor(
            request, image, view.size, skip_blank=options.skip_blank
        ),
    ):
        domain = extent.asked(image, options.bounding_box)
        # As the run will, of a few; of the whole there may be millions.
        cut = options.subvolume_zyx, options.overlap_zyx
        few = [min(n, 2 * s - o) for n, s, o in zip(domain.size, *cut)]
        extent.subvolumes(volume.Box.from_size(domain.start, few), *cut, view)
        return plan_lib.planned(
            domain,
            image.dtype.itemsize,
            options.subvolume_zyx,
            options.overlap_zyx,
            progress.margin(view, deltas, options.fast),
            deltas,
            progress.STEPS_PER_CELL * times,
            fovs_per_s,
            tissue.opened(options.tissue, image),
        )


def describe(summary: runner.Summary) -> str:
    """One line: what was made, and how fast."""
    timing = summary.timing
    rate = timing.steps / summary.seconds
    host = 1 - timing.network_seconds / timing.seconds
    segments, voxels, steps = summary.filled
    second = ""
    if steps:
        second = (
            f" The second pass: {steps} of the calls, {segments} segments, "
            f"{voxels} voxels ({voxels / max(1, summary.voxels):.1%} of all)."
        )
    return (
        f"{summary.segments} segments, {summary.voxels} voxels, "
        f"{timing.steps} network calls in {summary.seconds:.1f} s "
        f"({rate:.1f} FOVs/s, {100 * host:.1f} % outside the network) "
        f"after {timing.setup_seconds:.1f} s of set-up, "
        f"{summary.engine} {summary.compute_dtype}.{second}"
    )


def _request(path: str, *, measure: bool) -> request_lib.InferenceRequest:
    """The request in `path`, if any, with the flags that were given.

    Args:
      measure: grey values, where they are not known; a plan needs none.
    """
    ours = program.given_flags(options_lib.InferenceOptions)
    theirs = program.given_flags(request_lib.InferenceRequest)
    if not path:
        options, what = options_lib.InferenceOptions(), ""
        if "model_checkpoint" not in theirs and "image" in theirs:
            theirs["model_checkpoint"] = model.SHIPPED
            options = options_lib.SHIPPED
            what = "With the network that comes with ffn_tf"
        elif _is_ours(theirs.get("model_checkpoint", "")):
            options = options_lib.OF_TRAINING
            what = "With the thresholds for networks of ffn_tf.train"
        options = dataclasses.replace(options, **ours)
        if what:
            request = request_lib.InferenceRequest(**theirs)
            rest = [program.from_flags(part) for part in _BESIDE_THE_REQUEST]
            line = program.command_line(
                "run_inference", request, options, *rest
            )
            progress.note(f"{what}: {line}")
        if measure:
            theirs = _normalisation(theirs) | theirs
        return request_lib.InferenceRequest(options=options, **theirs)
    request = request_lib.parse(pathlib.Path(path))
    thresholds = dataclasses.replace(request.options, **ours)
    return dataclasses.replace(request, options=thresholds, **theirs)


def _is_ours(checkpoint: str) -> bool:
    made_by = model.origin(checkpoint) if checkpoint else {}
    return made_by.get("program") == "ffn_tf.train"


def _normalisation(given: dict[str, Any]) -> dict[str, float]:
    """How the network's training normalised grey values, where that is known.

    Where its volumes had several normalisations, this one's is measured, as
    training does.

    Args:
      given: flags of the request; theirs take precedence.

    Raises:
      ValueError, OSError: the image cannot be measured.
    """
    names = ("image_mean", "image_stddev")
    if given.keys() >= {*names} or not given.keys() >= {
        "model_checkpoint",
        "image",
    }:
        return {}
    known = intensity.of_training(model.origin(given["model_checkpoint"]))
    if not known:
        return {}
    values, how = known[0], "as in training"
    if len(known) > 1:
        how = "as measured"
        with extent.opened(given["image"]) as image:
            mean, stddev = volume.grey.measured(image)
            values = round(mean, 1), round(stddev, 1)
    found = dict(zip(names, values)) | {
        name: given[name] for name in names if name in given
    }
    progress.note(
        f"Grey values {how}: "
        + " ".join(f"--{name}={value:g}" for name, value in found.items())
    )
    return found


def _unplanned() -> str:
    """The command that does what was planned."""
    return program.given_line(
        "run_inference",
        *_FLAGS,
        without=("plan_only", "fovs_per_s"),
        also={"segmentation_output_dir": "out/segments"},
    )


def main(argv: list[str]) -> None:
    del argv
    own = program.from_flags(Options)
    request = _request(own.inference_request, measure=not own.plan_only)
    if own.plan_only:
        found = plan(
            request,
            program.from_flags(run_options.RunOptions),
            own.fovs_per_s,
            1 + own.forward_reverse,
        )
        print("\n".join(found.as_text()))
        program.finish("nothing: this is only a plan", _unplanned())
        return
    asked = (
        request,
        program.from_flags(run_options.RunOptions),
        program.from_flags(jobs.Options),
        own.report,
    )
    if own.forward_reverse:
        summary = run_both(*asked, own.split_min_size, print)
    else:
        summary = run(*asked)
        if summary.made:
            print(describe(summary))
    made = summary.made
    if made and not summary.segments:
        program.warn(
            "no objects were found. Look at the image: is it black there, or "
            "of another kind than what the network was trained on?"
        )
    folder = summary.output_dir
    following = (
        f"python -m ffn_tf.evaluate --segmentation={shlex.quote(folder)} "
        f"--truth=ADDRESS --output_dir=out/scores"
    )
    if len(summary.boxes) > 1 or asked[2].shard:  # Each has ids of its own.
        following = shlex.join(
            [
                *("python", "-m", "ffn_tf.reconcile"),
                f"--segmentation_dir={folder}",
                f"--output=precomputed://{folder}/segmentation",
            ]
        )
    program.finish(
        f"{made} subvolume(s) in {folder} ({summary.skipped} were there)",
        following,
    )


if __name__ == "__main__":
    for part in _FLAGS:
        program.define_flags(part)
    program.start(main)
