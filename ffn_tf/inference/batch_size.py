"""The batch size that is found by itself: --batch_size=0.

On CPUs it is 1: larger batches take as long for each field of view
(benchmarks/bench_fov.py). On a device it is doubled until the time for each
falls by less than 5 %, up to the subvolumes in flight, of which each has one
field of view in a batch.

The last digits of logits depend on it, so a folder of results has one: it is in
run.json, and who goes on with the run takes it from there.
"""

from __future__ import annotations

from collections.abc import Callable
import json
import pathlib

from ffn_tf import model
from ffn_tf.inference import device, field

_LEAST_GAIN = 0.05


def found(
    network: model.ConvStack,
    rule: field.Rule,
    compute_dtype: str,
    most: int,
    least: int,
    is_resident: bool = True,
) -> int:
    """The best batch size of a device, measured.

    `least` if there is none, or canvases do not live there.
    """
    if not is_resident or not device.has_accelerator():
        return least
    from ffn_tf.inference import engine_resident

    best = doubled(
        lambda size: engine_resident.ResidentEngine(
            network, compute_dtype, size
        ).seconds_per_step(rule),
        most,
    )
    return max(best, least)


def doubled(seconds: Callable[[int], float], most: int) -> int:
    """The size up to which doubling pays.

    Args:
      seconds: for each field of view, of a batch of that size.
      most: the largest size.
    """
    size = 1
    least = seconds(1) if most > 1 else 0.0
    while size < most:
        larger = min(2 * size, most)
        now = seconds(larger)
        if now > (1 - _LEAST_GAIN) * least:
            break
        size, least = larger, now
    return size


def recorded(folder: pathlib.Path) -> int | None:
    """What run.json says; None if there is none that can be read."""
    try:
        text = (folder / "run.json").read_text(encoding="utf-8")
        return int(json.loads(text)["batch_size"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None  # Results.check will say what is wrong.
