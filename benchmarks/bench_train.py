"""Training: how fast its steps are, and what is learned.

    python benchmarks/bench_train.py [--quick] [--max_steps=2000]

Steps of the depth-12 network of fib25 in float32 and bfloat16, which take turns
in one process, batch 4; the figure is the median. Then the scores of the
shipped network on a phantom that it has never seen, and, unless --quick, what
it learns of one half of FIB-25 about the other (learning.py): an hour.
"""

from __future__ import annotations

from collections.abc import Callable
import json
import pathlib
import statistics
import time
from typing import Any

from absl import app, flags
import fib25
import learning
import machine
import numpy as np

from ffn_tf import model
from ffn_tf.training import moves, step

_QUICK = flags.DEFINE_bool("quick", False, "Minutes: nothing is trained.")
_MAX_STEPS = flags.DEFINE_integer("max_steps", 2000, "Of FIB-25's training.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "out/bench_train", "Of FIB-25's training, which goes on."
)


def _steps(batch: int) -> dict[str, Callable[[], object]]:
    """One training step of each arithmetic, ready to be called."""
    view = model.FieldOfView()
    rng = np.random.default_rng(0)
    views = [
        moves.View(
            rng.normal(size=view.size).astype(np.float32),
            np.full(view.size, -3, np.float32),
            rng.choice([0.05, 0.95], view.size).astype(np.float32),
            np.ones(view.size, np.float32),
        )
        for _ in range(batch)
    ]
    made: dict[str, Callable[[], object]] = {}
    for name, dtype in step.DTYPES.items():
        network = model.ConvStack(view=view, dtype=dtype)
        network.build()
        trained = step.TrainStep(network, step.OptimizerOptions(), batch, 1000)
        made[name] = lambda trained=trained: trained(views, 0)  # type: ignore[misc]
    return made


def _speed(batch: int, rounds: int) -> dict[str, float]:
    made = _steps(batch)
    times: dict[str, list[float]] = {name: [] for name in made}
    for number in range(rounds + 1):
        for name, work in made.items():
            begin = time.perf_counter()
            work()
            if number:  # The first compiles.
                times[name].append(time.perf_counter() - begin)
    rates = {n: batch / statistics.median(t) for n, t in times.items()}
    for name, rate in rates.items():
        print(f"training step, fib25's network, {name:<10}{rate:8.2f} FOVs/s")
    return rates


def main(argv: list[str]) -> None:
    del argv
    print(machine.name())
    rates = _speed(4, 3 if _QUICK.value else 9)
    result: dict[str, Any] = {
        "machine": machine.name(),
        "train_fovs_per_s": round(rates["float32"], 3),
        "train_bf16_speedup": round(rates["bfloat16"] / rates["float32"], 2),
    }
    result |= learning.phantom(112 if _QUICK.value else 192)
    if not _QUICK.value:
        fib25.require()
        folder = pathlib.Path(_OUTPUT_DIR.value)
        folder.mkdir(parents=True, exist_ok=True)
        result |= learning.fib25(folder, _MAX_STEPS.value)
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
