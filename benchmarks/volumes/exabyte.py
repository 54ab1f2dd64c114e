"""Bar 5: volumes of 10^9 to 10^18 voxels: what the size costs.

Each runs in a process of its own (exabyte_child.py), which has done the same
with a small volume before, so that what is left is what the size costs:

    open    virtual    a TensorStore virtual_chunked, as a Volume
            metadata   volume.open of an `info` of that size, on disk, whose
                       chunks nobody has written
    view    cropped, transposed, downsampled by 2, padded
    plan    how many jobs cover it, and the first 100 of them
    read    64^3 voxels in the middle, by the view of it and directly

What is read is compared with what the voxels must be. Memory is what the
process has more than before, when all is done; below 0, it gave some back.

The verdict compares 10^18 voxels with 10^9, the least that each took: opening,
viewing and planning may take 10 ms longer, and all may take 20 MB more, which
are hiccups and buffers; what grew with the domain would grow 10^9-fold.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys
from typing import Any

from volumes import table
from volumes.workplace import Workplace

_EDGES = (10**3, 10**4, 10**5, 10**6)
_STEPS = ("open_ms", "view_ms", "plan_ms", "read_ms")
_MORE_MS, _MORE_MB = 10.0, 20.0
_BENCHMARKS = pathlib.Path(__file__).resolve().parents[1]


def run(place: Workplace) -> dict[str, float | None]:
    table.heading("Volumes whose voxels are computed, or missing: milliseconds")
    edges = _EDGES[:: place.pick(1, 3)]
    found: dict[str, float | None] = {}
    kinds = ("virtual", "metadata")
    for kind in kinds[: place.pick(2, 1)]:
        table.remark(
            f"{kind:<10}{'voxels':>8}"
            + "".join(f"{step[:-3]:>9}" for step in _STEPS)
            + f"{'MB':>9}"
        )
        rounds: dict[int, list[dict[str, float]]] = {e: [] for e in edges}
        for _ in range(place.pick(3, 1)):
            for edge in edges:
                rounds[edge].append(_child(place, kind, edge))
        least = {}
        for edge, seen in rounds.items():
            keys = (*_STEPS, "rss_mb")
            median = {
                k: statistics.median(one[k] for one in seen) for k in keys
            }
            least[edge] = {k: min(one[k] for one in seen) for k in keys}
            _print(edge, median)
        more = grown(least[edges[0]], least[edges[-1]])
        table.remark(
            f"{'':<10}from {_power(edges[0])} to {_power(edges[-1])}: "
            + (f"GROWS: {', '.join(more)}" if more else "no growth")
        )
        if kind == "virtual":
            found["exa_open_ms"] = median["open_ms"]
            found["exa_rss_mb"] = median["rss_mb"]
    return found


def grown(small: dict[str, float], large: dict[str, float]) -> list[str]:
    """What the larger volume takes more of than the smaller one."""
    steps = ("open_ms", "view_ms", "plan_ms")
    more = [step for step in steps if large[step] > small[step] + _MORE_MS]
    is_larger = large["rss_mb"] > max(0.0, small["rss_mb"]) + _MORE_MB
    return more + ["rss_mb"] * is_larger


def _power(edge: int) -> str:
    return f"10^{3 * (len(str(edge)) - 1)}"


def _print(edge: int, median: dict[str, float]) -> None:
    shown = "".join(f"{median[step]:>9.2f}" for step in _STEPS)
    table.remark(f"{'':<10}{_power(edge):>8}{shown}{median['rss_mb']:>9.1f}")


def _child(place: Workplace, kind: str, edge: int) -> dict[str, Any]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "volumes.exabyte_child",
            kind,
            str(edge),
            str(place.folder / place.unused("exabyte")),
        ],
        env=os.environ | {"PYTHONPATH": str(_BENCHMARKS)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"exabyte_child {kind} {edge}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
