"""A whole volume: our ways to segment it against google/ffn's schedule.

    python benchmarks/bench_inference.py [--quick] [--compute_dtype=int8]

google/ffn predicts one field of view at a time, in float32, some 25,700 of
them for FIB-25's 250^3 voxels. That takes hours, so its time is what a field
of view takes through its graph (google_ffn.py), measured before, between and
after our runs, times that number. Ours, each in one go, with the scores
against the truth:

    full    run_inference, google/ffn's movement
    moves   full, with --moves_in_flight=4
    fast    run_inference --fast
    tiled   fast, in eight subvolumes, and reconciled: what that changes

Segmentations are kept in --work_dir, and go on where they were; the times are
those of all attempts. `--quick`: 100^3 voxels, where google/ffn's number of
calls is ours at its movement.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import statistics
import time

from absl import app, flags
import fib25
import google_ffn
import machine
import numpy as np

from ffn_tf import evaluate, evaluation, reconcile, run_inference, volume
from ffn_tf.inference import box_text, run_options, timing
from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import request as request_lib

_QUICK = flags.DEFINE_bool("quick", False, "A minute or a few: a small crop.")
_WORK_DIR = flags.DEFINE_string(
    "work_dir", "out/bench_inference", "Segmentations are kept here."
)
_DTYPE = flags.DEFINE_string("compute_dtype", "auto", "As of run_inference.")
_ONLY = flags.DEFINE_list("only", "full,moves,fast,tiled", "Which runs.")

# What google/ffn took for the whole volume, by its published result.
_GOOGLE_CALLS = 25_709


@dataclasses.dataclass(frozen=True)
class Row:
    """One way, and what came of it."""

    took: timing.Timing
    scores: evaluation.Comparison

    def as_json(self, prefix: str) -> dict[str, float]:
        both = self.scores.both
        assert both is not None
        found = {
            "coverage": self.scores.coverage,
            "voi_split": both.voi_split,
            "voi_merge": both.voi_merge,
            "adapted_rand_error": both.adapted_rand_error,
        }
        return {prefix + name: round(v, 4) for name, v in found.items()}


class Google:
    """google/ffn's graph, timed now and then."""

    def __init__(self) -> None:
        self._graph = google_ffn.GoogleGraph(fib25.CHECKPOINT, 1)
        shape = (33, 33, 33)
        self._image = np.zeros(shape, np.float32)
        self._seed = np.full(shape, -2.9, np.float32)
        self._graph.predict([self._image], [self._seed])
        self.seconds: list[float] = []

    def time(self, calls: int = 10) -> None:
        for _ in range(calls):
            start = time.perf_counter()
            self._graph.predict([self._image], [self._seed])
            self.seconds.append(time.perf_counter() - start)


def _segmented(
    folder: pathlib.Path, box: volume.Box | None, name: str, dtype: str
) -> Row:
    """Segments, or goes on, and scores."""
    request = dataclasses.replace(
        request_lib.parse(pathlib.Path(fib25.REQUEST)),
        image=fib25.IMAGE,
        model_checkpoint=fib25.CHECKPOINT,
        segmentation_output_dir=f"{folder}/{name}",
        checkpoint_interval=120,
    )
    options = run_options.RunOptions(
        bounding_box=box_text.formatted(box) if box else "",
        compute_dtype=dtype,
        fast=name in ("fast", "tiled"),
        moves_in_flight=4 if name == "moves" else 1,
    )
    address = f"{folder}/{name}"
    if name == "tiled":
        edge = box.size[0] if box else 250
        overlap = 64 if not box else 36  # 64: the default.
        options = dataclasses.replace(
            options,
            subvolume_zyx=((edge + overlap) // 2,) * 3,
            overlap_zyx=(overlap,) * 3,
        )
        address = f"precomputed://{folder}/reconciled"
    run_inference.run(request, options)
    if name == "tiled":
        reconcile.run(
            reconcile.Options(
                segmentation_dir=f"{folder}/{name}", output=address
            )
        )
    scores = evaluate.run(
        evaluate.Options(
            segmentation=address,
            truth=fib25.TRUTH,
            image=fib25.IMAGE,
            output_dir=f"{folder}/{name}-scores",
        )
    )
    return Row(timing.read(f"{folder}/{name}"), scores)


def _print(name: str, row: Row, speedup: float) -> None:
    both, took = row.scores.both, row.took
    assert both is not None
    print(
        f"{name:<8}{took.steps:>8,}{took.seconds:>9.1f}"
        f"{took.steps / took.seconds:>8.1f}{speedup:>9.2f}"
        f"{took.network_seconds / took.seconds:>9.1%}"
        f"{row.scores.coverage:>10.4f}{both.voi_split:>8.3f}"
        f"{both.voi_merge:>8.3f}{both.adapted_rand_error:>8.4f}",
        flush=True,
    )


def main(argv: list[str]) -> None:
    del argv
    fib25.require()
    engine, dtype = engine_lib.resolve("auto", _DTYPE.value)
    box = volume.Box.from_size((60,) * 3, (100,) * 3) if _QUICK.value else None
    folder = pathlib.Path(_WORK_DIR.value) / f"{dtype}{'-quick' * bool(box)}"
    google = Google()
    google.time()
    print(machine.name())
    print(
        f"{engine} {dtype}\n"
        f"{'':<8}{'calls':>8}{'s':>9}{'FOVs/s':>8}{'speed-up':>9}"
        f"{'network':>9}{'coverage':>10}{'split':>8}{'merge':>8}{'ARAND':>8}"
    )
    rows: dict[str, Row] = {}
    result: dict[str, object] = {"machine": machine.name(), "dtype": dtype}
    calls = _GOOGLE_CALLS
    for name in _ONLY.value:
        rows[name] = row = _segmented(folder, box, name, dtype)
        google.time()
        if name == "full" and box:
            calls = row.took.steps
        one = statistics.median(google.seconds)
        speedup = calls * one / row.took.seconds
        _print(name, row, speedup)
        prefix = "" if name == "full" else f"{name}_"
        result |= {f"{name}_speedup": round(speedup, 2)}
        result |= row.as_json(prefix)
        if name == "full":
            share = row.took.network_seconds / row.took.seconds
            result["network_share"] = round(share, 4)
    one = statistics.median(google.seconds)
    print(
        f"google/ffn: {1e3 * one:.1f} ms for a field of view, so "
        f"{calls * one:,.0f} s for {calls:,}"
    )
    if {"fast", "tiled"} <= rows.keys():
        voi = [_voi(rows[name].scores) for name in ("fast", "tiled")]
        result["tiled_voi_delta"] = round(voi[1] - voi[0], 4)
    print(json.dumps(result))


def _voi(scores: evaluation.Comparison) -> float:
    assert scores.both is not None
    return scores.both.voi_split + scores.both.voi_merge


if __name__ == "__main__":
    app.run(main)
