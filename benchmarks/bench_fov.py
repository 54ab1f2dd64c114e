"""Milliseconds per field of view: google/ffn's float32 graph against ours.

    python benchmarks/bench_fov.py [--quick]

The fib25 network, 33^3 voxels, batch 1 and 4. Google's side is its float32
TensorFlow graph (google_ffn.py). All sides take turns in one process; the
figure is the median. The error is that of the logits after one step from a
fresh seed, against google's, over real EM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import dataclasses
import json
import pathlib
import shutil
import statistics
import tempfile
import time

from absl import app, flags
import fib25
import google_ffn
import machine
import numpy as np

from ffn_tf import model, volume
from ffn_tf.inference import calibration
from ffn_tf.inference import engine as engine_lib
from ffn_tf.inference import options as options_lib

_QUICK = flags.DEFINE_bool("quick", False, "Under a minute: fewer rounds.")

_GOOGLE = ("google/ffn", "float32")
_BFLOAT16 = ("openvino", "bfloat16")
_SIDES = [
    _GOOGLE,
    ("tensorflow", "float32"),
    ("tensorflow", "bfloat16"),
    *(("openvino", dtype) for dtype in engine_lib.COMPUTE_DTYPES),
]


@dataclasses.dataclass
class Side:
    """One engine with its times in milliseconds per field of view."""

    engine: engine_lib.Engine
    times: list[float]
    error: float = 0.0


def _normalised(image: np.ndarray) -> np.ndarray:
    return (image.astype(np.float32) - np.float32(128)) / np.float32(33)


def _samples(
    network: model.ConvStack,
) -> Callable[[], tuple[list[np.ndarray], np.ndarray]]:
    image = volume.open(fib25.IMAGE)
    options = options_lib.InferenceOptions()
    return lambda: calibration.samples(
        image, network.view, _normalised, options
    )


def _gflop(network: model.ConvStack) -> float:
    """Multiplications and additions of one field of view, in 10^9."""
    weights = sum(
        layer.kernel.shape.num_elements()
        for layer in network.convolutions.values()
    )
    return 2 * weights * int(np.prod(network.view.size)) / 1e9


def _measure(
    sides: dict[tuple[str, str], Side],
    images: list[np.ndarray],
    seed: np.ndarray,
    rounds: int,
) -> None:
    batch = next(iter(sides.values())).engine.batch_size
    images = (images * batch)[:batch]
    seeds = [seed] * batch
    reference = [
        np.array(logits)
        for logits in sides[_GOOGLE].engine.predict(images, seeds)
    ]
    scale = np.linalg.norm(reference)
    for side in sides.values():
        found = [np.array(v) for v in side.engine.predict(images, seeds)]
        difference = np.linalg.norm(np.subtract(found, reference))
        side.error = float(difference / scale)
    for _ in range(rounds):
        for side in sides.values():
            start = time.perf_counter()
            side.engine.predict(images, seeds)
            elapsed = time.perf_counter() - start
            side.times.append(1e3 * elapsed / batch)


def _sides(
    shown: Iterable[tuple[str, str]],
    network: model.ConvStack,
    samples: engine_lib.Samples,
    batch: int,
    keep: pathlib.Path,
) -> dict[tuple[str, str], Side]:
    sides = {}
    for key in shown:
        engine: engine_lib.Engine
        if key == _GOOGLE:
            engine = google_ffn.GoogleGraph(fib25.CHECKPOINT, batch)
        else:
            engine = engine_lib.create(network, *key, batch, samples, keep)
        sides[key] = Side(engine, [])
    return sides


def main(argv: list[str]) -> None:
    del argv
    fib25.require()
    network = model.load(fib25.CHECKPOINT)
    samples = _samples(network)
    images, seed = samples()
    gflop = _gflop(network)
    ours = engine_lib.resolve("auto", "auto")
    shown = [_GOOGLE, ours] if _QUICK.value else _SIDES
    if machine.peak_flops("bfloat16") and _BFLOAT16 not in shown:
        shown = [*shown, _BFLOAT16]
    result: dict[str, object] = {"machine": machine.name(), "ours": ours[1]}
    print(machine.name())
    print(f"fib25 network, {gflop:.1f} GFLOP per field of view")
    print(
        f"{'engine':<11}{'arithmetic':<16}{'batch':>5}{'ms/FOV':>9}"
        f"{'speed-up':>9}{'TFLOP/s':>9}{'of peak':>9}{'error':>10}"
    )
    keep = pathlib.Path(tempfile.mkdtemp()) / "int8.npz"
    for batch in (1, 4):
        sides = _sides(shown, network, samples, batch, keep)
        _measure(sides, images, seed, 5 if _QUICK.value else 15)
        google = statistics.median(sides[_GOOGLE].times)
        for (name, dtype), side in sides.items():
            median = statistics.median(side.times)
            rate = gflop * 1e9 / (median * 1e-3)
            peak = machine.peak_flops(dtype.split("_")[0].split("x")[0])
            share = f"{100 * rate / peak:7.0f} %" if peak else "        -"
            print(
                f"{name:<11}{dtype:<16}{batch:>5}{median:>9.1f}"
                f"{google / median:>9.2f}{rate / 1e12:>9.3f}{share}"
                f"{side.error:>10.1e}"
            )
            if (name, dtype) == ours:
                result[f"fov_speedup_batch{batch}"] = round(google / median, 2)
                result[f"ms_batch{batch}"] = round(median, 1)
                result["error"] = side.error
                result["peak_share"] = round(rate / peak, 3) if peak else None
        bf16 = sides.get(_BFLOAT16)
        peak = machine.peak_flops("bfloat16")
        result["bf16_peak_share"] = None
        if bf16 and peak:
            rate = gflop * 1e9 / (statistics.median(bf16.times) * 1e-3)
            result["bf16_peak_share"] = round(rate / peak, 3)
    shutil.rmtree(keep.parent)
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
