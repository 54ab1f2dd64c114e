"""Seconds to segment real EM: google/ffn's way against ours, with the scores.

    python benchmarks/bench_segment.py [--quick]

Google's way: one field of view at a time through the float32 TensorFlow graph.
Ours: `run_inference` with its defaults. Both segment the 80^3 crop of FIB-25
that shared/golden describes, set-up (compiling, calibrating) not counted.

Then the scores: ours and float32 over the whole 250^3 volume, against the
truth; over the crop with --quick, which takes 64^3 to stay under a minute.
The whole-volume segmentations are kept in --work_dir and go on where they
were; float32 takes hours on two cores without AMX.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil

from absl import app, flags
import fib25
import machine

from ffn_tf import evaluate, evaluation, run_inference
from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import request as request_lib
from ffn_tf.inference import runner, subvolume, timing

_QUICK = flags.DEFINE_bool("quick", False, "Under a minute: a smaller crop.")
_WORK_DIR = flags.DEFINE_string(
    "work_dir", "out/bench_segment", "Segmentations are kept here."
)
_DTYPES = flags.DEFINE_list(
    "whole_volume_dtypes",
    "",
    "Other arithmetics to score over the whole volume beside float32 and "
    "the default.",
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One segmentation and what it scored."""

    region: str
    engine: str
    compute_dtype: str
    steps: int
    seconds: float
    rate: float
    host_share: float
    segments: int
    scores: evaluation.Comparison

    @property
    def voi(self) -> float:
        both = self.scores.both
        assert both is not None
        return both.voi_split + both.voi_merge


def _segment(
    region: str, box: str, engine: str, compute_dtype: str, keep: bool
) -> Row:
    folder = (
        pathlib.Path(_WORK_DIR.value) / f"{region}-{engine}-{compute_dtype}"
    )
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    request = dataclasses.replace(
        request_lib.parse(pathlib.Path(fib25.REQUEST)),
        image=fib25.IMAGE,
        model_checkpoint=fib25.CHECKPOINT,
        segmentation_output_dir=str(folder),
        checkpoint_interval=120 if keep else 0,
    )
    summary = run_inference.run(
        request,
        runner.RunOptions(
            bounding_box=box, engine=engine, compute_dtype=compute_dtype
        ),
    )
    scores = evaluate.run(
        evaluate.Options(
            segmentation=str(folder),
            truth=fib25.TRUTH,
            image=fib25.IMAGE,
            output_dir=str(folder / "scores"),
        )
    )
    took = timing.read(folder)
    (path,) = subvolume.find(folder).values()
    result = subvolume.load(path)
    return Row(
        region,
        summary.engine,
        summary.compute_dtype,
        result.counters["steps"],
        took.seconds,
        took.steps / took.seconds,
        1 - took.network_seconds / took.seconds,
        len(result.origins),
        scores,
    )


def _print(row: Row) -> None:
    both = row.scores.both
    assert both is not None
    print(
        f"{row.region:<8}{row.engine:<11}{row.compute_dtype:<15}"
        f"{row.steps:>7}{row.seconds:>8.1f}{row.rate:>8.1f}"
        f"{100 * row.host_share:>7.1f}{row.segments:>9}"
        f"{row.scores.coverage:>10.4f}{both.voi_split:>7.3f}"
        f"{both.voi_merge:>7.3f}{both.adapted_rand_error:>8.4f}",
        flush=True,
    )


def main(argv: list[str]) -> None:
    del argv
    fib25.require()
    ours = engine_lib.resolve("auto", "auto")
    size = 64 if _QUICK.value else 80
    crop = f"start {{ x:60 y:60 z:60 }} size {{ x:{size} y:{size} z:{size} }}"
    print(machine.name())
    print(
        f"{'region':<8}{'engine':<11}{'arithmetic':<15}{'calls':>7}{'s':>8}"
        f"{'FOVs/s':>8}{'host %':>7}{'segments':>9}{'coverage':>10}"
        f"{'split':>7}{'merge':>7}{'ARAND':>8}"
    )
    google = _segment(f"crop{size}", crop, "tensorflow", "float32", False)
    _print(google)
    mine = _segment(f"crop{size}", crop, *ours, False)
    _print(mine)
    result = {
        "machine": machine.name(),
        "ours": mine.compute_dtype,
        "crop": size,
        "segment_speedup": round(google.seconds / mine.seconds, 2),
        "host_share": round(mine.host_share, 4),
        "voi_delta": round(mine.voi - google.voi, 4),
    }
    if not _QUICK.value:
        whole = [
            _segment("whole", "", ours[0], dtype, True)
            for dtype in ("float32", ours[1], *_DTYPES.value)
        ]
        for row in whole:
            _print(row)
        result["voi_delta"] = round(whole[1].voi - whole[0].voi, 4)
        result["host_share"] = round(whole[1].host_share, 4)
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
