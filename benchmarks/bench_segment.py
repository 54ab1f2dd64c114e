"""Seconds to segment real EM: google/ffn's way against ours, with the scores.

    python benchmarks/bench_segment.py [--quick]

Google's way: one field of view at a time through its float32 graph
(google_ffn.py). Ours: `run_inference` with its defaults. Both segment the
80^3 crop of FIB-25 that shared/golden describes, in turns, --rounds times; the
median counts, set-up (compiling, calibrating) does not.

Then the scores: float32, ours, and the other --whole_volume_dtypes, over the
whole 250^3 volume against the truth. These segmentations are kept in
--work_dir and go on where they were; float32 takes more than an hour on two
cores. A result that another version of the code made says so. Last, ours on a
phantom, to see how hard that is.

With --quick: 56^3 voxels, once, scored there, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import json
import pathlib
import shutil
import statistics

from absl import app, flags
import fib25
import google_ffn
import machine

from ffn_tf import evaluate, evaluation, phantom, program, volume
from ffn_tf.inference import box_text, run_options, runner, subvolume, timing
from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import request as request_lib
from ffn_tf.inference import run as run_lib

_QUICK = flags.DEFINE_bool("quick", False, "Under a minute: a smaller crop.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Of the crop.", lower_bound=1)
_WORK_DIR = flags.DEFINE_string(
    "work_dir", "out/bench_segment", "Segmentations are kept here."
)
_DTYPES = flags.DEFINE_list(
    "whole_volume_dtypes",
    "",
    "Other arithmetics to score over the whole volume beside float32 and "
    "the default.",
)

Side = tuple[str, str]  # Engine and arithmetic.
_GOOGLE = ("google/ffn", "float32")


@dataclasses.dataclass(frozen=True)
class Data:
    """What is segmented: addresses, and the part of them."""

    name: str
    image: str
    truth: str
    box: volume.Box | None


@dataclasses.dataclass(frozen=True)
class Row:
    """One segmentation and what it scored."""

    data: str
    side: Side
    took: timing.Timing
    segments: int
    code: str
    scores: evaluation.Comparison

    @property
    def host_share(self) -> float:
        return 1 - self.took.network_seconds / self.took.seconds

    @property
    def voi(self) -> float:
        both = self.scores.both
        return both.voi_split + both.voi_merge if both else float("nan")


def _segment(data: Data, side: Side, keep: bool = False) -> Row:
    """Segments and scores; `keep` goes on where an earlier call was."""
    folder = pathlib.Path(_WORK_DIR.value) / "-".join(
        [data.name, side[0].replace("/", "_"), side[1]]
    )
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    request = dataclasses.replace(
        request_lib.parse(pathlib.Path(fib25.REQUEST)),
        image=data.image,
        model_checkpoint=fib25.CHECKPOINT,
        segmentation_output_dir=str(folder),
        checkpoint_interval=120 if keep else 0,
    )
    box = box_text.formatted(data.box) if data.box else ""
    engine, compute_dtype = side
    made: engine_lib.Engine | None = None
    if side == _GOOGLE:
        engine, made = "tensorflow", google_ffn.GoogleGraph(fib25.CHECKPOINT, 1)
    run = run_lib.Run(
        request,
        run_options.RunOptions(
            bounding_box=box, engine=engine, compute_dtype=compute_dtype
        ),
    )
    runner.execute(run, engine=made)
    scores = evaluate.run(
        evaluate.Options(
            segmentation=str(folder),
            truth=data.truth,
            image=data.image,
            output_dir=str(folder / "scores"),
        )
    )
    (path,) = subvolume.find(folder).values()
    result = subvolume.load(path)
    return Row(
        data=data.name,
        side=side,
        took=timing.read(folder),
        segments=len(result.origins),
        code=result.provenance["code"],
        scores=scores,
    )


def _print_header() -> None:
    print(machine.name())
    print(
        f"{'data':<8}{'engine':<11}{'arithmetic':<15}{'calls':>7}{'s':>8}"
        f"{'FOVs/s':>8}{'host %':>7}{'segments':>9}{'coverage':>10}"
        f"{'split':>7}{'merge':>7}{'ARAND':>8}"
    )


def _print(row: Row) -> None:
    both, took = row.scores.both, row.took
    scores = f"{row.scores.coverage:>10.4f}"
    if both:
        scores += (
            f"{both.voi_split:>7.3f}{both.voi_merge:>7.3f}"
            f"{both.adapted_rand_error:>8.4f}"
        )
    print(
        f"{row.data:<8}{row.side[0]:<11}{row.side[1]:<15}"
        f"{took.steps:>7}{took.seconds:>8.1f}{took.steps / took.seconds:>8.1f}"
        f"{100 * row.host_share:>7.1f}{row.segments:>9}{scores}"
        + ("" if row.code == program.describe_code() else f"  by {row.code}"),
        flush=True,
    )


def _median(rows: list[Row], value: Callable[[Row], float]) -> float:
    return statistics.median(value(row) for row in rows)


def _crop(size: int) -> Data:
    box = volume.Box.from_size((60, 60, 60), (size,) * 3)
    return Data(f"crop{size}", fib25.IMAGE, fib25.TRUTH, box)


def _phantom(size: int) -> Data:
    """A phantom sampled as FIB-25 is; made anew if it is there."""
    folder = pathlib.Path(_WORK_DIR.value) / "phantom"
    shutil.rmtree(folder, ignore_errors=True)
    phantom.write(phantom.Options(seed=1, size_zyx=(size,) * 3), folder)
    return Data(
        "phantom", f"{folder}/image.zarr", f"{folder}/labels.zarr", None
    )


def _in_turns(data: Data, ours: Side, rounds: int) -> dict[str, object]:
    """Google's way and ours, `rounds` times: the JSON line's part."""
    google, mine = [], []
    for _ in range(rounds):
        google.append(_segment(data, _GOOGLE))
        _print(google[-1])
        mine.append(_segment(data, ours))
        _print(mine[-1])
    return {
        "data": data.name,
        "segment_speedup": round(
            _median(google, lambda row: row.took.seconds)
            / _median(mine, lambda row: row.took.seconds),
            2,
        ),
        "host_share": round(_median(mine, lambda row: row.host_share), 4),
        "voi_delta": round(mine[0].voi - google[0].voi, 4),
    }


def _whole(ours: Side) -> dict[str, object]:
    """The whole volume and the phantom: the JSON line's part."""
    data = Data("whole", fib25.IMAGE, fib25.TRUTH, None)
    dtypes = dict.fromkeys(["float32", ours[1], *_DTYPES.value])
    rows = {}
    for dtype in dtypes:
        rows[dtype] = _segment(data, (ours[0], dtype), keep=True)
        _print(rows[dtype])
    _print(_segment(_phantom(128), ours))
    mine = rows[ours[1]]
    return {
        "voi_delta": round(mine.voi - rows["float32"].voi, 4),
        "host_share": round(mine.host_share, 4),
        "whole_by": mine.code,
        "whole_calls": mine.took.steps,
        "whole_seconds": round(mine.took.seconds, 1),
        "whole_fovs_per_s": round(mine.took.steps / mine.took.seconds, 2),
    }


def main(argv: list[str]) -> None:
    del argv
    fib25.require()
    ours = engine_lib.resolve("auto", "auto")
    _print_header()
    result: dict[str, object] = {
        "machine": machine.name(),
        "ours": ours[1],
    }
    if _QUICK.value:
        result |= _in_turns(_crop(56), ours, 1)
    else:
        result |= _in_turns(_crop(80), ours, _ROUNDS.value)
        result |= _whole(ours)
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
