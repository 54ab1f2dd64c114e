"""Jobs: do workers add up, and does anything get lost when they are killed.

    python benchmarks/bench_jobs.py [--quick]

(1) A phantom in subvolumes, segmented by one worker that has one core, and by
two that have one each: `scaling_2_workers` is the time of the one over twice
the time of the two, programs' starts included. One process that has both
cores, and Ray where it is installed, stand beside them.

(2) The same with two workers, of which one is killed (SIGKILL) when some
subvolumes are there, and then all, and the program that started them; it is
started again. `kill_identical`: the files are those of (1), byte by byte, and
what was there at the kill has not been written again.

(3) A volume ten times as long, in ten times as many subvolumes: the peak of
memory, and what a subvolume takes outside the network (`memory_ratio_10x`,
`overhead_ratio_10x`).

(4) `plan_h01_s`: `--plan_only` for a volume with the bounds and chunks of
H01's EM; its metadata, without voxels.

`--quick`: fewer and smaller subvolumes.
"""

from __future__ import annotations

from collections.abc import Sequence
import importlib.util
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

from absl import app, flags
import child
import machine
import numpy as np
from volumes import table

from ffn_tf import phantom, volume
from ffn_tf.inference import subvolume, timing

_QUICK = flags.DEFINE_bool("quick", False, "Under a minute: small parts.")

_OVERLAP = 32
# Of what made a file is the version of the code, which may change meanwhile.
_ENVIRONMENT = os.environ | {"GIT_DIR": "/nowhere"}
# H01's EM at 8 x 8 x 33 nm: half of [5293, 712800, 1031784], in y and x.
_H01_ZYX = (5293, 356_400, 515_892)


def _command(image: str, out: pathlib.Path, size: int, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "ffn_tf.run_inference",
        f"--image={image}",
        f"--segmentation_output_dir={out}",
        f"--subvolume_zyx={size},{size},{size}",
        f"--overlap_zyx={_OVERLAP},{_OVERLAP},{_OVERLAP}",
        *more,
    ]


def _timed(command: Sequence[str], cores: int) -> float:
    """Wall seconds of a program that has so many cores."""
    ours = sorted(os.sched_getaffinity(0))[:cores]
    start = time.perf_counter()
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=_ENVIRONMENT,
        preexec_fn=lambda: os.sched_setaffinity(0, ours),
    )
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - start


def _results(folder: pathlib.Path) -> dict[str, bytes]:
    paths = subvolume.find(folder).values()
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}


# -----------------------------------------------------------------------------
# (1) Scaling
# -----------------------------------------------------------------------------


def _scaling(root: pathlib.Path, image: str, size: int) -> dict[str, object]:
    table.heading("one worker and two")
    two = ("--executor=processes", "--workers=2")
    sides = {
        "1 worker, 1 core": (("--executor=processes", "--workers=1"), 1),
        "2 workers, 1 core each": (two, 2),
        "this process, 2 cores": ((), 2),
    }
    if importlib.util.find_spec("ray"):
        sides["2 workers on Ray"] = (("--executor=ray", "--workers=2"), 2)
    seconds = {}
    for number, (name, (more, cores)) in enumerate(sides.items()):
        out = root / f"side-{number}"
        seconds[name] = _timed(_command(image, out, size, *more), cores)
        found, steps = _results(out), timing.read(out).steps
        same = found == _results(root / "side-0")
        print(
            f"{name:<24}{seconds[name]:7.1f} s  {len(found)} subvolumes, "
            f"{steps:,} calls, {steps / seconds[name]:.1f} a second"
            f"{'' if same else ', OTHER BYTES'}"
        )
    one, both, *_ = seconds.values()
    return {"scaling_2_workers": round(one / both / 2, 3)}


# -----------------------------------------------------------------------------
# (2) Killed
# -----------------------------------------------------------------------------


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=_ENVIRONMENT,
        start_new_session=True,
    )


def _wait_for(
    folder: pathlib.Path, count: int, process: subprocess.Popen[bytes]
) -> dict[pathlib.Path, int]:
    """The results, when there are so many, and when they were written."""
    while True:
        ended = process.poll()
        paths = subvolume.find(folder).values() if folder.exists() else []
        if len(paths) >= count:
            return {path: path.stat().st_mtime_ns for path in paths}
        if ended is not None:
            sys.exit(f"The program ended ({ended}) before it was killed.")
        time.sleep(0.05)


def _a_worker(of: subprocess.Popen[bytes]) -> int:
    listed = pathlib.Path(f"/proc/{of.pid}/task/{of.pid}/children").read_text()
    for pid in listed.split():
        if b"spawn_main" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(pid)
    sys.exit("The program has no worker.")


def _killed(root: pathlib.Path, image: str, size: int) -> dict[str, object]:
    table.heading("killed")
    out, expected = root / "killed", _results(root / "side-0")
    command = _command(image, out, size, "--executor=processes", "--workers=2")
    process = _started(command)
    _wait_for(out, 1, process)
    os.kill(_a_worker(process), signal.SIGKILL)
    before = _wait_for(out, len(expected) // 2, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _timed(command, 2)
    again = [p for p, at in before.items() if p.stat().st_mtime_ns != at]
    same = _results(out) == expected
    print(
        f"A worker, then all killed at {len(before)} of {len(expected)}; "
        f"started again: {'the same' if same else 'OTHER'} bytes, "
        f"{len(again)} done twice"
    )
    return {"kill_identical": same and not again}


# -----------------------------------------------------------------------------
# (3) Ten times as much
# -----------------------------------------------------------------------------

# Prints seconds and the peak, as its last line.
_MEASURED = """
import re, sys
from ffn_tf import model, run_inference
from ffn_tf.inference import options, request, run_options
summary = run_inference.run(
    request.InferenceRequest(
        image={image!r}, model_checkpoint=model.SHIPPED,
        segmentation_output_dir={out!r}, image_mean=150, image_stddev=40,
        options=options.SHIPPED,
    ),
    run_options.RunOptions(
        subvolume_zyx=({size},) * 3, overlap_zyx=({overlap},) * 3
    ),
)
peak = re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]
outside = summary.seconds - summary.timing.network_seconds
outside -= summary.timing.setup_seconds
print(len(summary.boxes), outside, int(peak) / 1e3)
"""


def _ten_times(root: pathlib.Path) -> dict[str, object]:
    table.heading("ten times as long")
    size = 48
    count = 3 if _QUICK.value else 12
    block = phantom.generate(phantom.Options(seed=3, size_zyx=(size,) * 3))
    peaks, overheads = [], []
    for times in (1, 10):
        length = (size - _OVERLAP) * (times * count - 1) + size
        em = np.resize(np.moveaxis(block.image, 2, 0), (length, size, size))
        info = volume.VolumeInfo(
            volume.Box.from_shape((size, size, length)),
            em.dtype,
            (10.0, 10.0, 10.0),
        )
        address = f"{root}/long-{times}.zarr"
        with volume.create(address, info) as created:
            created.write(info.domain, np.moveaxis(em, 0, 2))
        program = _MEASURED.format(
            image=address,
            out=f"{root}/long-{times}",
            size=size,
            overlap=_OVERLAP,
        )
        number, outside, peak = child.last_line(program)
        peaks.append(peak)
        overheads.append(outside / number)
        print(
            f"{number:4.0f} subvolumes: peak {peak:,.0f} MB, "
            f"{1e3 * outside / number:.1f} ms each outside the network"
        )
    return {
        "memory_ratio_10x": round(peaks[1] / peaks[0], 3),
        "overhead_ratio_10x": round(overheads[1] / overheads[0], 3),
    }


# -----------------------------------------------------------------------------
# (4) The plan
# -----------------------------------------------------------------------------


def _plan(root: pathlib.Path) -> dict[str, object]:
    table.heading("the plan of H01")
    address = f"precomputed://{root}/h01"
    info = volume.VolumeInfo(
        volume.Box.from_shape(_H01_ZYX), np.dtype(np.uint8), (33.0, 8.0, 8.0)
    )
    volume.create(address, info).close()
    start = time.perf_counter()
    done = subprocess.run(
        _command(address, root / "nothing", 512, "--plan_only")
        + ["--image_mean=128", "--image_stddev=33"],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - start
    print(re.sub(r"(?m)^Wrote.*$", f"  ({seconds:.1f} s)", done.stdout.strip()))
    return {"plan_h01_s": round(seconds, 2)}


def main(argv: list[str]) -> None:
    del argv
    print(machine.name())
    start = time.perf_counter()
    edge, size = (64, 48) if _QUICK.value else (176, 104)
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        image = f"{root}/em.zarr"
        made = phantom.generate(
            phantom.Options(seed=7, size_zyx=(edge, edge, edge))
        )
        info = volume.VolumeInfo(
            volume.Box.from_shape(made.image.shape),
            made.image.dtype,
            (10.0, 10.0, 10.0),
        )
        with volume.create(image, info) as created:
            created.write(info.domain, made.image)
        result: dict[str, object] = {"machine": machine.name()}
        result |= _scaling(root, image, size)
        result |= _killed(root, image, size)
        result |= _ten_times(root)
        result |= _plan(root)
    print(f"  ({time.perf_counter() - start:.0f} s)")
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
