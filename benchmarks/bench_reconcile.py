"""Reconcile: is the truth put together again, how fast, in how much memory.

    python benchmarks/bench_reconcile.py [--quick]

(1) The pinky40 labels (512^3) are cut into 64 blocks that overlap by 48 voxels.
Each block gets ids of its own, in an order of chance, and at the borders of
objects voxels of chance become their neighbour's, or 0, in each block others.
The program puts them together, in a process of its own whose largest memory is
told. The result is compared with the same noisy voxels under their true ids:
the adapted Rand error is what reconciling itself does wrong.

(2) Overlaps of 50 million pairs of ids, of as many nodes: which sets they
join, in a process of its own. scipy's connected components of the same pairs
stand beside it.

`--quick`: 256^3 of the labels in 27 blocks, 5 million pairs.
"""

from __future__ import annotations

import json
import pathlib
import tempfile
import time

from absl import app, flags
import child
import machine
import numpy as np
import pinky40

from ffn_tf import evaluation, volume
from ffn_tf.inference import subvolume
from ffn_tf.volume import grid

_QUICK = flags.DEFINE_bool("quick", False, "Under a minute: small parts.")

_OVERLAP = 48
_NOISE = 0.3  # Of the voxels at borders.

# Prints the seconds of the program's work and its peak, as its last line.
_PROGRAM = """
import re, time
from ffn_tf import reconcile
start = time.perf_counter()
reconcile.run(reconcile.Options(**{options!r}))
took = time.perf_counter() - start
peak = re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]
print(took, int(peak) / 1e3)
"""
_EDGES = """
import re, time
import numpy as np
from ffn_tf.assembly import union_find
rng = np.random.default_rng(0)
count = {count}
pairs = rng.integers(0, count, (count, 2))
union_find.Forest(4).join(pairs[:2] % 4)  # Compiled.
start = time.perf_counter()
if {ours}:
    forest = union_find.Forest(count)
    for first in range(0, count, 1 << 22):
        forest.join(pairs[first : first + (1 << 22)])
    sets = len(np.unique(forest.roots()))
else:
    from scipy import sparse
    from scipy.sparse import csgraph
    ones = np.ones(count, bool)
    graph = sparse.coo_array((ones, pairs.T), shape=(count, count))
    sets, _ = csgraph.connected_components(graph, directed=False)
took = time.perf_counter() - start
peak = re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]
print(took, int(peak) / 1e6, sets)
"""


def _noisy(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Some voxels at borders become that of a neighbour, or 0."""
    found = labels.copy()
    axis, step = int(rng.integers(3)), int(rng.choice([-1, 1]))
    neighbours = np.roll(labels, step, axis)
    at = volume.labels.borders(labels) & (rng.random(labels.shape) < _NOISE)
    found[at] = np.where(
        rng.random(int(at.sum())) < 0.5, neighbours[at], labels.dtype.type(0)
    )
    return found


def _cut(folder: pathlib.Path, labels: np.ndarray, size: int) -> int:
    """Writes blocks with ids of their own, and a folder with true ones."""
    rng = np.random.default_rng(0)
    domain = volume.Box.from_shape(labels.shape)
    boxes = list(grid.tile(domain, size, overlap=_OVERLAP))
    for box in boxes:
        block, old = volume.labels.contiguous(_noisy(labels[box.slices], rng))
        names = np.append(0, rng.permutation(len(old) - 1) + 1)
        made = {"voxel_size_nm": (40.0, 4.0, 4.0), "fov_size_zyx": (33,) * 3}
        at = {"start_zyx": box.start, "size_zyx": box.size}
        for name, voxels in (
            ("own", names[block]),
            ("true", old[block]),
        ):
            subvolume.save(
                folder / name,
                subvolume.Subvolume(box, voxels, provenance=made | at),
            )
    return len(boxes)


def _truth(folder: pathlib.Path) -> dict[str, object]:
    from ffn_tf.assembly import pieces as pieces_lib

    labels = pinky40.labels()
    if labels is None:
        print(pinky40.MISSING)
        return {"reconcile_are": None, "reconcile_mvox_per_s": None}
    if _QUICK.value:
        labels = labels[:256, :256, :256]
    size = 116 if _QUICK.value else 164
    number = _cut(folder, labels, size)
    options = {
        "segmentation_dir": f"{folder}/own",
        "output": f"precomputed://{folder}/segmentation",
    }
    seconds, peak = child.last_line(_PROGRAM.format(options=options))
    with volume.open(options["output"]) as opened:
        found = opened.read()
    ideal = np.zeros(labels.shape, np.uint64)
    for piece in pieces_lib.found(str(folder / "true")).all:
        block = subvolume.load(piece.path).segmentation
        where = piece.core.relative_to(piece.box.start).slices
        ideal[piece.core.slices] = block[where]
    rate = labels.size / 1e6 / seconds
    ids = len(np.unique(labels))
    print(
        f"pinky40 {labels.shape}, {ids:,} labels, {number} blocks of {size}^3: "
        f"{seconds:.1f} s, {rate:.1f} Mvx/s, {number / seconds:.1f} blocks/s, "
        f"peak {peak:,.0f} MB"
    )
    errors = {}
    for what, truth in (("the noisy truth", ideal), ("the truth", labels)):
        both = evaluation.compare(evaluation.count(truth, found)).both
        assert both is not None
        errors[what] = both.adapted_rand_error
        print(
            f"  against {what}: VOI {both.voi_split:.4f} + "
            f"{both.voi_merge:.4f}, adapted Rand error "
            f"{both.adapted_rand_error:.5f}"
        )
    return {
        "reconcile_are": round(errors["the noisy truth"], 6),
        "reconcile_mvox_per_s": round(rate, 1),
        "reconcile_peak_mb": round(peak),
    }


def _edges() -> dict[str, object]:
    count = 5_000_000 if _QUICK.value else 50_000_000
    found = {}
    for name, ours in (("ours", True), ("scipy", False)):
        seconds, gigabytes, sets = child.last_line(
            _EDGES.format(count=count, ours=ours)
        )
        found[name] = seconds, gigabytes, sets
        print(
            f"{count:,} pairs, {name:<6}{seconds:7.1f} s  {gigabytes:.1f} GB  "
            f"{int(sets):,} sets"
        )
    assert found["ours"][2] == found["scipy"][2]
    return {
        "edges50m_s": round(found["ours"][0], 2),
        "edges50m_gb": round(found["ours"][1], 2),
    }


def main(argv: list[str]) -> None:
    del argv
    print(machine.name())
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        result = {"machine": machine.name()} | _truth(pathlib.Path(temporary))
    result |= _edges()
    print(f"  ({time.perf_counter() - start:.0f} s)")
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
