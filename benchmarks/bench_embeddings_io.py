"""Embeddings: means along neurites, the released files, the loss.

    python benchmarks/bench_embeddings_io.py [--quick] \\
        [--google_reader=CONNECTOMICS/connectomics/segclr/reader.py]

(1) Neurites of real sizes (from 1 to 30,000 nodes, 1.5 um apart, branched), and
the mean of each node's neighbourhood within 10 and 25 um, by
segclr.aggregation.geodesic, beside scipy's Dijkstra, neurite by neurite, on a
part (`aggregate_nodes_per_s`: of 10 um).

(2) A zip as released (64 numbers a row, 17 digits each): rows per second of
segclr.embedding.csvzip, beside those of Google's own reader, which reads the
same file in turns with ours (`csvzip_speedup`: the least of the cases). And the
peak of memory of what goes through a segment of many rows, of both.

(3) The loss, where it is known in closed form: n pairs that are all the same,
2 log(2 n - 1), and n that are at right angles to each other,
2 log(1 + (2 n - 2) exp(-1 / temperature)), and beside numpy in float64 on any
other (`ntxent_error`: the largest of all differences).

`--quick`: fewer nodes and rows. Without `--google_reader`, `csvzip_speedup` is
null.
"""

from __future__ import annotations

from collections.abc import Callable
import importlib.util
import itertools
import json
import math
import pathlib
import sys
import tempfile
import time
from typing import Any
import zipfile

from absl import app, flags
import child
import machine
import numpy as np
import pyarrow as pa
from pyarrow import csv
from scipy import sparse
from scipy.sparse import csgraph
from volumes import table, turns

from ffn_tf.program import quiet
from segclr.aggregation import geodesic
from segclr.embedding import csvzip

_QUICK = flags.DEFINE_bool("quick", False, "Under a minute: small parts.")
_READER = flags.DEFINE_string(
    "google_reader", "", "Google's reader.py, in a copy of its repository."
)

_SPACING_NM = 1500.0
_SIZE = 64  # Of an embedding.
_LAYOUT = csvzip.Layout(num_shards=1)


# -----------------------------------------------------------------------------
# (1) Means along neurites
# -----------------------------------------------------------------------------


def _sizes(count: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Nodes of each neurite: half have a few, few have most; `count` in all.

    The released zip that was looked into (segclr_behaviour.md 1.8) has 16 a
    segment in the mean, and 29,575 at most.
    """
    sizes: list[int] = [most]
    while (left := count - sum(sizes)) > 0:
        drawn = 1 + 3 * rng.pareto(1.0, 10_000)
        sizes += np.minimum(drawn, min(left, most)).astype(int).tolist()
    ends = np.cumsum(sizes)
    last = int(np.searchsorted(ends, count))
    return np.diff([0, *ends[:last].tolist(), count])


def _forest(
    sizes: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Edges [m, 2] and lengths of trees in which each 20th node branches."""
    count = int(sizes.sum())
    number = np.arange(count)
    place = number - np.repeat(np.cumsum(sizes) - sizes, sizes)
    back = np.ones(count, int)
    branches = rng.random(count) < 0.05
    back[branches] = rng.integers(1, np.maximum(place, 1) + 1)[branches]
    edges = np.stack([number, number - back], axis=1)[place > 0]
    return edges, rng.uniform(0.6, 1.0, len(edges)) * _SPACING_NM


def _dijkstra(
    vectors: np.ndarray, edges: np.ndarray, lengths: np.ndarray, radius: float
) -> np.ndarray:
    """The same by scipy, for one neurite."""
    count = len(vectors)
    graph = sparse.csr_array((lengths, edges.T), (count, count))
    found = np.empty_like(vectors)
    for node in range(count):
        far = csgraph.dijkstra(graph, False, node, limit=radius)
        found[node] = vectors[far <= radius].mean(axis=0)
    return found


def _means() -> dict[str, object]:
    table.heading("means along neurites")
    rng = np.random.default_rng(0)
    total, most = (300_000, 5000) if _QUICK.value else (3_000_000, 30_000)
    sizes = _sizes(total, most, rng)
    edges, lengths = _forest(sizes, rng)
    vectors = rng.normal(size=(total, _SIZE)).astype(np.float32)
    table.remark(
        f"{total:,} nodes of {len(sizes):,} neurites, up to {sizes.max():,}"
    )
    geodesic.means(vectors[:1], edges[:0], lengths[:0], 1.0)  # Compiles.
    part = 2000 if _QUICK.value else 5000  # Of the first, which is large.
    inner = (edges < part).all(axis=1)
    rates = {}
    for radius_um in (10, 25):
        radius = 1000.0 * radius_um
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            geodesic.means(vectors, edges, lengths, radius)
            seconds.append(time.perf_counter() - start)
        rates[radius_um] = total / sorted(seconds)[1]
        some = vectors[:part], edges[inner], lengths[inner], radius
        start = time.perf_counter()
        expected = _dijkstra(*some)
        plain = part / (time.perf_counter() - start)
        error = np.abs(geodesic.means(*some) - expected).max()
        table.rate(f"{radius_um} um", rates[radius_um], "nodes/s")
        table.rate(
            f"{radius_um} um, scipy's Dijkstra from each of {part:,} nodes",
            plain,
            "nodes/s",
            f"largest difference {error:.0e}",
        )
    return {"aggregate_nodes_per_s": round(rates[10])}


# -----------------------------------------------------------------------------
# (2) The released files
# -----------------------------------------------------------------------------


def _google(path: pathlib.Path) -> Any:
    """Its module; of the copy that the file is in, as it imports that."""
    sys.path.insert(0, str(path.parents[2]))
    spec = importlib.util.spec_from_file_location("google_reader", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _text(count: int, rng: np.random.Generator) -> bytes:
    """Rows as in the releases: float32 that was printed as float64."""
    vectors = rng.normal(size=(_SIZE, count)).astype("f4").astype("f8")
    places = rng.integers(0, 4_000_000, (3, count))
    columns = [np.arange(count), *places, *vectors]
    rows = pa.table({f"{i}": column for i, column in enumerate(columns)})
    sink = pa.BufferOutputStream()
    csv.write_csv(rows, sink, csv.WriteOptions(include_header=False))
    # Google's reader takes the end of the last line for one more row.
    return bytes(sink.getvalue()).rstrip(b"\n")


def _zip(folder: pathlib.Path, sizes: list[int]) -> str:
    """A folder with a zip in which segment i has sizes[i] rows."""
    rng = np.random.default_rng(1)
    folder.mkdir()
    with zipfile.ZipFile(
        folder / "0.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as archive:
        for segment, size in enumerate(sizes):
            archive.writestr(f"{segment}.csv", _text(size, rng))
    return str(folder)


class _Files:
    """What Google's reader opens files by."""

    def open(self, path: str) -> Any:
        return open(path, "rb")


def _speed(
    theirs: Any, folder: str, segments: list[int], rows: int, name: str
) -> float:
    """Both read the segments one by one; ours over Google's."""
    ours = csvzip.Reader(folder, _LAYOUT)

    def work(get: Callable[[int], object]) -> Callable[[], Callable[[], None]]:
        def run() -> None:
            for segment in segments:
                get(segment)

        return lambda: run

    sides = {"ours": turns.Side(work(ours.get), rows)}
    if theirs is not None:
        reader = theirs.EmbeddingReader(_Files(), folder, _LAYOUT.shard)
        sides["Google's"] = turns.Side(work(reader.__getitem__), rows)
    times = turns.taken(sides, 3)
    for who, taken in times.items():
        table.times(f"{name}: {who}", taken, "rows/s")
    if theirs is None:
        return math.nan
    return times["Google's"].median / times["ours"].median


# A segment's rows are looked at, block by block or as they come; how much more
# memory the process has had at its peak than before is printed, in MB.
_OURS = """
import pathlib, re
def peak():
    said = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s*(\\d+)", said)[1]) / 1e3
from segclr.embedding import csvzip
reader = csvzip.Reader({folder!r}, csvzip.Layout(num_shards=1))
next(reader.blocks({small}))  # Compiles.
before = peak()
total = sum(float(rows.vectors.sum()) for rows in reader.blocks({large}))
print(peak() - before)
"""
_THEIRS = """
import importlib.util, pathlib, re, sys
def peak():
    said = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s*(\\d+)", said)[1]) / 1e3
sys.path.insert(0, {root!r})
spec = importlib.util.spec_from_file_location("google_reader", {path!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
class Files:
    def open(self, path):
        return open(path, "rb")
reader = module.EmbeddingReader(Files(), {folder!r}, lambda segment: 0)
reader[{small}]
before = peak()
total = sum(sum(vector) for vector in reader[{large}].values())
print(peak() - before)
"""


def _released(root: pathlib.Path) -> dict[str, object]:
    table.heading("CSV-zips")
    path = pathlib.Path(_READER.value).resolve()
    theirs = None
    if _READER.value and path.exists():
        theirs = _google(path)
    else:
        table.remark(
            "Google's reader is not there: `git clone "
            "https://github.com/google-research/connectomics`, and "
            "--google_reader=connectomics/connectomics/segclr/reader.py"
        )
    large = 20_000 if _QUICK.value else 200_000
    count = 2000 if _QUICK.value else 24_000
    rng = np.random.default_rng(0)
    small = _sizes(16 * count, 3000, rng).tolist()
    speeds = []
    for name, sizes in (("a large segment", [large]), ("small ones", small)):
        folder = _zip(root / name.replace(" ", "-"), sizes)
        size = pathlib.Path(folder, "0.zip").stat().st_size / 1e6
        table.remark(
            f"{name}: {sum(sizes):,} rows of {len(sizes):,} segments, "
            f"{size:.0f} MB"
        )
        some = range(0, len(sizes), 1 + len(sizes) // 100)
        rows = sum(sizes[i] for i in some)
        speeds.append(_speed(theirs, folder, [*some], rows, name))
        start = time.perf_counter()
        seen = sum(
            len(csvzip.joined(blocks))
            for _, blocks in csvzip.Reader(folder, _LAYOUT).segments(0)
        )
        assert seen == sum(sizes)
        seconds = time.perf_counter() - start
        table.rate(f"{name}: ours, the whole zip", seen / seconds, "rows/s")
    for rows in (large, 4 * large):
        _memory(path if theirs else None, root / f"rows-{rows}", rows)
    least = min(speeds)
    return {"csvzip_speedup": None if least != least else round(least, 1)}


def _memory(path: pathlib.Path | None, root: pathlib.Path, rows: int) -> None:
    folder = _zip(root, [10, rows])
    with zipfile.ZipFile(root / "0.zip") as archive:
        size = archive.getinfo("1.csv").file_size / 1e6
    names: dict[str, object] = {"folder": folder, "small": 0, "large": 1}
    (ours,) = child.last_line(_OURS.format(**names))
    said = f"ours {ours:,.0f} MB"
    if path is not None:
        names |= {"root": str(path.parents[2]), "path": str(path)}
        (google,) = child.last_line(_THEIRS.format(**names))
        said += f", Google's {google:,.0f} MB"
    table.remark(
        f"memory, to go through a segment of {rows:,} rows, {size:,.0f} MB of "
        f"text: {said}"
    )


# -----------------------------------------------------------------------------
# (3) The loss
# -----------------------------------------------------------------------------


def _reference(first: np.ndarray, second: np.ndarray, tau: float) -> float:
    """The loss in float64, view by view."""
    views = np.concatenate([first, second]).astype(np.float64)
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    logits = views @ views.T / tau
    count = len(first)
    total = 0.0
    for i, row in enumerate(logits):
        others = np.delete(row, i)
        most = others.max()
        total += most + math.log(np.exp(others - most).sum())
        total -= row[(i + count) % (2 * count)]
    return total / count


def _loss() -> dict[str, object]:
    from segclr.training import objective

    table.heading("NT-Xent")
    largest = 0.0
    rng = np.random.default_rng(0)
    for n, tau in itertools.product((4, 512), (0.1, 1.0)):
        same, right = np.ones((n, 16), "f4"), np.eye(n, dtype="f4")
        other = rng.normal(size=(2, n, 16)).astype("f4")
        cases = {
            "all the same": (same, same, 2 * math.log(2 * n - 1)),
            "at right angles": (
                right,
                right,
                2 * math.log1p((2 * n - 2) * math.exp(-1 / tau)),
            ),
            "any": (other[0], other[1], _reference(other[0], other[1], tau)),
        }
        for name, (first, second, expected) in cases.items():
            found = float(objective.nt_xent(first, second, tau))
            largest = max(largest, abs(found - expected))
            table.remark(
                f"n {n:<4} temperature {tau:<4} {name:<16}{expected:12.7f} "
                f"ours {found:12.7f}"
            )
    return {"ntxent_error": float(f"{largest:.2g}")}


def main(argv: list[str]) -> None:
    del argv
    quiet.import_tensorflow()
    print(machine.name())
    start = time.perf_counter()
    result = _means()
    with tempfile.TemporaryDirectory() as temporary:
        result |= _released(pathlib.Path(temporary))
    result |= _loss()
    print(f"  ({time.perf_counter() - start:.0f} s)")
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
