"""Milliseconds per field of view: google/ffn's float32 graph against ours.

    python benchmarks/bench_fov.py [--quick]

The fib25 network, 33^3 voxels, batch 1 and 4. Google's side is its float32
TensorFlow graph (google_ffn.py). All sides take turns in one process; the
figure is the median. The error is that of the logits after one step from a
fresh seed, against google's, over real EM. `bf16_peak_share` is against the
theoretical rate of AMX, and null where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
import json
import pathlib
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
from ffn_tf.inference import request as request_lib

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

    engine: engine_lib.HostEngine
    times: list[float]
    error: float = 0.0

    @property
    def milliseconds(self) -> float:
        return statistics.median(self.times)

    def amx_share(self, gflop: float) -> float | None:
        """Of the theoretical rate of AMX; None where there is none."""
        peak = machine.amx_flops()
        rate = gflop * 1e9 / (self.milliseconds * 1e-3)
        return round(rate / peak, 3) if peak else None


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
        engine: engine_lib.HostEngine
        if key == _GOOGLE:
            engine = google_ffn.GoogleGraph(fib25.CHECKPOINT, batch)
        else:
            made = engine_lib.create(network, *key, batch, samples, keep)
            assert isinstance(made, engine_lib.HostEngine)
            engine = made
        sides[key] = Side(engine, [])
    return sides


def _shown(ours: tuple[str, str]) -> list[tuple[str, str]]:
    """The sides to measure; bfloat16 always where it is native."""
    if not _QUICK.value:
        return _SIDES
    native = [] if engine_lib.is_emulated(*_BFLOAT16) else [_BFLOAT16]
    return list(dict.fromkeys([_GOOGLE, ours, *native]))


def _print_header(gflop: float) -> None:
    print(machine.name())
    print(f"fib25 network, {gflop:.1f} GFLOP per field of view")
    print(
        f"{'engine':<11}{'arithmetic':<16}{'batch':>5}{'ms/FOV':>9}"
        f"{'speed-up':>9}{'TFLOP/s':>9}{'error':>10}"
    )


def _print(
    key: tuple[str, str], side: Side, google: float, gflop: float
) -> None:
    print(
        f"{key[0]:<11}{key[1]:<16}{side.engine.batch_size:>5}"
        f"{side.milliseconds:>9.1f}{google / side.milliseconds:>9.2f}"
        f"{gflop / side.milliseconds:>9.3f}" + f"{side.error:>10.1e}",
        flush=True,
    )


def main(argv: list[str]) -> None:
    del argv
    fib25.require()
    network = model.load(fib25.CHECKPOINT)
    image, request = volume.open(fib25.IMAGE), request_lib.parse(fib25.REQUEST)

    def samples() -> tuple[list[np.ndarray], np.ndarray]:
        return calibration.samples(image, network.view, request)

    images, seed = samples()
    gflop = _gflop(network)
    ours = engine_lib.resolve("auto", "auto")
    result: dict[str, object] = {"machine": machine.name(), "ours": ours[1]}
    _print_header(gflop)
    with tempfile.TemporaryDirectory() as folder:
        keep = pathlib.Path(folder) / "int8.npz"
        for batch in (1, 4):
            sides = _sides(_shown(ours), network, samples, batch, keep)
            _measure(sides, images, seed, 5 if _QUICK.value else 15)
            google = sides[_GOOGLE].milliseconds
            for key, side in sides.items():
                _print(key, side, google, gflop)
            mine, native = sides[ours], sides.get(_BFLOAT16)
            speedup = round(google / mine.milliseconds, 2)
            result[f"fov_speedup_batch{batch}"] = speedup
            result[f"ms_batch{batch}"] = round(mine.milliseconds, 1)
            result["error"] = mine.error
            result["bf16_peak_share"] = native and native.amx_share(gflop)
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
