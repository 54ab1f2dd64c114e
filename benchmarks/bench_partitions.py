"""Partitions and coordinates: seconds, voxels and records per second, memory.

    python benchmarks/bench_partitions.py [--quick]

compute_partitions of the fib25 truth against google/ffn's way of it (a summed
volume of the whole for each label), written here anew in numpy; the two must be
equal, voxel for voxel. It runs once, as it takes a minute, and ours three
times: the first compiles, and the better of the others counts. Then the 512^3
pinky40 labels, to see how time grows with volume and labels, and
build_coordinates: few records and many, and of a class of one voxel. Programs
run in processes of their own, whose largest memory is told; they are timed from
flags to closing line, with all reading and writing, without the start of
Python. `--quick` takes parts of the volumes.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from absl import app, flags
import fib25
import machine
import numpy as np
import pinky40

from ffn_tf import volume

_QUICK = flags.DEFINE_bool("quick", False, "Under a minute: small parts.")

_RADIUS = 24
_THRESHOLDS = (0.025, 0.05, 0.075, *(i / 10 for i in range(1, 10)))
_MIN_SIZE = 10000


def googles_way(labels: np.ndarray) -> np.ndarray:
    """One summed volume of everything for each label; [z, y, x] uint8."""
    ids, counts = np.unique(labels, return_counts=True)
    kept = [i for i, n in zip(ids, counts) if i and n >= _MIN_SIZE]
    r, d = _RADIUS, 2 * _RADIUS + 1
    inner = (slice(r, -r),) * 3
    result = np.full(labels.shape, 255, np.uint8)
    valid = result[inner]
    valid[:] = 0
    for label in kept:
        mine = labels == label
        sums = np.zeros([n + 1 for n in labels.shape], np.int32)
        sums[1:, 1:, 1:] = mine.cumsum(0, dtype=np.int32).cumsum(1).cumsum(2)
        for axis in range(3):
            high = np.moveaxis(sums, axis, 0)
            sums = np.moveaxis(high[d:] - high[:-d], 0, axis)
        share = sums / d**3
        classes = np.searchsorted(_THRESHOLDS, share, side="right") + 1
        np.copyto(valid, classes.astype(np.uint8), where=mine[inner])
    return result


def _program(name: str, *given: str) -> tuple[float, float]:
    """Seconds and peak megabytes of a program of ours."""
    code = (
        f"import pathlib, runpy, sys, time\n"
        f"import ffn_tf.{name}\n"
        f"del sys.modules['ffn_tf.{name}']\n"
        f"sys.argv = {['x', *given]!r}\n"
        f"begin = time.perf_counter()\n"
        f"try: runpy.run_module('ffn_tf.{name}', run_name='__main__')\n"
        f"except SystemExit as end: assert not end.code, end.code\n"
        f"took = time.perf_counter() - begin\n"
        # Not getrusage's maximum, which begins with that of this process.
        f"status = pathlib.Path('/proc/self/status').read_text()\n"
        f"print('TOOK', took, status.split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"error: {name} failed: {done.stderr}")
    found = re.search(r"TOOK (\S+) (\d+)", done.stdout)
    assert found
    return float(found[1]), int(found[2]) / 1024


def _partitions(labels: str, output: str) -> tuple[float, float]:
    return _program(
        "compute_partitions",
        f"--input_volume={labels}",
        f"--output_volume={output}",
        f"--thresholds={','.join(map(str, _THRESHOLDS))}",
        f"--lom_radius={_RADIUS},{_RADIUS},{_RADIUS}",
        f"--min_size={_MIN_SIZE}",
    )


def _row(what: str, seconds: float, rate: str, peak: float | None) -> None:
    megabytes = f"{peak:.0f} MB" if peak else ""
    print(f"{what:<44}{seconds:>9.2f} s{rate:>22}{megabytes:>10}", flush=True)


def _fib25(folder: pathlib.Path) -> tuple[dict[str, object], float]:
    """What it gives, and seconds per million voxels."""
    with volume.open(fib25.TRUTH) as truth:
        labels = truth.read()
    if _QUICK.value:
        labels = labels[:128, :160, :160]
    np.save(folder / "fib25.npy", labels)
    begin = time.perf_counter()
    expected = googles_way(labels)
    google = time.perf_counter() - begin
    voxels = labels.size / 1e6
    _row(
        "fib25, google/ffn's way", google, f"{voxels / google:.2f} Mvx/s", None
    )

    # The first process compiles what the others find compiled.
    runs = [
        _partitions(f"{folder}/fib25.npy", f"{folder}/p{i}.npy")
        for i in range(3)
    ]
    ours, peak = min(runs[1:])
    _row("fib25, compute_partitions", ours, f"{voxels / ours:.2f} Mvx/s", peak)
    found = np.load(folder / "p1.npy")
    return {
        "partitions_speedup": round(google / ours, 1),
        "partitions_equal": bool(np.array_equal(found, expected)),
        "partitions_peak_mb": round(peak),
    }, ours / voxels


def _pinky40(folder: pathlib.Path) -> tuple[float, float] | None:
    """Seconds per million voxels, and peak megabytes."""
    array = pinky40.labels()
    if array is None:
        print(pinky40.MISSING)
        return None
    if _QUICK.value:
        array = array[:160, :256, :256]
    np.save(folder / "pinky40.npy", array)
    seconds, peak = _partitions(f"{folder}/pinky40.npy", f"{folder}/pp.npy")
    voxels = array.size / 1e6
    shape = "x".join(map(str, array.shape))
    _row(
        f"pinky40 {shape}, {len(np.unique(array)):,d} labels",
        seconds,
        f"{voxels / seconds:.2f} Mvx/s",
        peak,
    )
    return seconds / voxels, peak


def _coordinates(folder: pathlib.Path) -> dict[str, object]:
    cap = 300_000 if _QUICK.value else 10_000_000
    rare = np.zeros((192 if _QUICK.value else 320,) * 3, np.uint8)
    rare[64, 64, 64] = 1
    np.save(folder / "rare.npy", rare)
    rates, peaks = [], []
    for name, most in (("p1", cap // 10), ("p1", cap), ("rare", rare.size)):
        output = folder / f"c-{name}-{most}"
        seconds, peak = _program(
            "build_coordinates",
            f"--partition_volumes=v:{folder}/{name}.npy",
            f"--coordinate_output={output}",
            f"--margin={_RADIUS},{_RADIUS},{_RADIUS}",
            f"--max_per_class={most}",
        )
        described = json.loads(pathlib.Path(f"{output}.json").read_text())
        count = described["examples"]
        rates.append(count / seconds)
        peaks.append(peak)
        once = ", half of one voxel" if name == "rare" else ""
        _row(
            f"build_coordinates, {count:,d} records{once}",
            seconds,
            f"{count / seconds:,.0f} /s",
            peak,
        )
    return {
        "coordinates_per_s": round(rates[1]),
        "coordinates_peak_mb": [round(peak) for peak in peaks],
    }


def main(argv: list[str]) -> None:
    del argv
    fib25.require()
    print(machine.name())
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        result: dict[str, object] = {"machine": machine.name()}
        found, own = _fib25(folder)
        result |= found | {"partitions_scaling": None}
        other = _pinky40(folder)
        if other:
            result["partitions_scaling"] = round(other[0] / own, 2)
            result["partitions_peak_mb"] = round(
                max(other[1], float(str(result["partitions_peak_mb"])))
            )
        result |= _coordinates(folder)
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
