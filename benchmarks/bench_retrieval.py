"""Retrieval on real EM: is the nearest of a hundred the one of the same body?

    python benchmarks/bench_retrieval.py [--quick] [--work_dir=DIR]

FIB-25, 250^3 voxels of 10 nm, and its ground truth. Bodies are divided: on some
an encoder learns from pairs, on the others it is asked. A query is a node; its
candidates are one node of the same body within 1 um along the skeleton, and 99
of other bodies. Who is nearest, by the cosine of standardised numbers?

  segclr   the encoder's embedding
  pixels   the masked cutout itself, as 8^3 means
  shape    the radius at the node, those of its neighbours, and how many it has

Chance is 0.01. `same_body_top1` is the encoder's.
"""

from __future__ import annotations

import json
import pathlib
import tempfile
import time

from absl import app, flags
import fib25
import machine
import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
import supervised

from ffn_tf import skeleton, skeletonize
from ffn_tf.program import quiet
from ffn_tf.skeleton import blocks, precomputed
from segclr import embed, sample_pairs, train
from segclr.aggregation import tables
from segclr.embedding import run as embedding
from segclr.embedding import table
from segclr.training import step

_QUICK = flags.DEFINE_bool("quick", False, "Small, to see that it runs.")
_WORK_DIR = flags.DEFINE_string("work_dir", "", "Keeps what it makes.")

_DATASET = (
    pathlib.Path(__file__).parents[1] / "configs" / "datasets" / "fib25.yaml"
)
_NM = (10.0, 10.0, 10.0)
_CUTOUT = 41
_SPACING_NM = 150.0
_NEAR_NM = 1000.0
_OTHERS = 99


def _made(root: pathlib.Path, steps: int) -> pathlib.Path:
    """All up to the encoder, which knows the first of the bodies only."""
    skeletonize.run(
        skeletonize.Options(f"{_DATASET}#truth", f"{root}/skeletons"),
        blocks.Options(dust_threshold=2000),
    )
    folder = root / "learned"
    folder.mkdir(exist_ok=True)
    for one in skeleton.read(f"{root}/skeletons"):
        if _is_learned(one.id):
            (folder / str(one.id)).write_bytes(precomputed.encode(one))
    (folder / "info").write_text(json.dumps(precomputed.info(True)))
    sample_pairs.run(
        sample_pairs.Options(
            str(folder),
            f"{root}/pairs@4",
            _NM,
            spacing_nm=_SPACING_NM,
            buckets_um=(0.0, 0.3, 1.0, 3.0),
        )
    )
    return train.run(
        train.Options(
            f"{root}/pairs@4",
            f"{_DATASET}#image",
            f"{_DATASET}#truth",
            f"{root}/train",
            max_steps=steps,
            batch_size=64,
        ),
        train.EncoderOptions(
            network="resnet10", width=16, size_zyx=(_CUTOUT,) * 3
        ),
        step.OptimizerOptions(
            optimizer="adamw",
            learning_rate=0.002,
            warmup_steps=min(50, steps - 1),
        ),
        tell=lambda progress: print(train.as_line(progress), flush=True),
        tell_s=120,
    ).checkpoint


def _is_learned(body: int) -> bool:
    """About half of the bodies; which are never asked."""
    return bool(np.random.default_rng([body, 1]).uniform() < 0.5)


def _asked(
    nodes: table.Nodes, links: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Queries [q] and their candidates [q, 100]; the first is the right one."""
    rng = np.random.default_rng(0)
    count = len(nodes)
    graph = sparse.csr_array(
        (np.maximum(lengths, 1e-3), links.T), shape=(count, count)
    )
    is_held = ~np.array([_is_learned(body) for body in nodes.segment.tolist()])
    queries, candidates = [], []
    for query in np.flatnonzero(is_held).tolist():
        away = csgraph.dijkstra(
            graph, directed=False, indices=query, limit=_NEAR_NM
        )
        near = np.flatnonzero(np.isfinite(away) & (away > 0))
        others = np.flatnonzero(
            is_held & (nodes.segment != nodes.segment[query])
        )
        if len(near) and len(others) >= _OTHERS:
            queries.append(query)
            right = rng.choice(near, 1)
            wrong = rng.choice(others, _OTHERS, replace=False)
            candidates.append(np.concatenate([right, wrong]))
    return np.array(queries), np.array(candidates)


def _top1(
    vectors: np.ndarray, queries: np.ndarray, candidates: np.ndarray
) -> float:
    """How often the right one is nearest; ties count their share."""
    x = np.asarray(vectors, np.float64)
    std = x.std(0)
    x = (x - x.mean(0)) / np.where(std > 0, std, 1)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    likeness = np.einsum("qd,qcd->qc", x[queries], x[candidates])
    best = likeness.max(1, keepdims=True)
    is_best = likeness >= best - 1e-12
    return float((is_best[:, 0] / is_best.sum(1)).mean())


def _pixels(nodes: table.Nodes) -> np.ndarray:
    """Of each node the masked cutout, as means of 5^3 voxels: [n, 512]."""
    images = supervised.cutouts(
        (f"{_DATASET}#image", f"{_DATASET}#truth"),
        (_CUTOUT,) * 3,
        nodes,
        np.arange(len(nodes)),
    )
    inner = images[:, :40, :40, :40].reshape(-1, 8, 5, 8, 5, 8, 5)
    means: np.ndarray = inner.mean(axis=(2, 4, 6), dtype=np.float32)
    return means.reshape(len(nodes), -1)


def main(argv: list[str]) -> None:
    del argv
    fib25.require()
    quiet.import_tensorflow()
    print(machine.name())
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(_WORK_DIR.value or temporary)
        root.mkdir(parents=True, exist_ok=True)
        encoder = _made(root, 3 if _QUICK.value else 800)
        embed.run(
            embedding.Options(
                str(encoder),
                f"{_DATASET}#image",
                f"{_DATASET}#truth",
                f"{root}/embeddings",
                f"{root}/skeletons",
                spacing_nm=_SPACING_NM,
                skip_empty=True,
            )
        )
        nodes = table.read_nodes(root / "embeddings")
        links, lengths = tables.links(
            nodes, table.read_edges(root / "embeddings")
        )
    queries, candidates = _asked(nodes, links, lengths)
    # What is the body's as a whole would give it away.
    shape = supervised.shapes(nodes, links)[:, [0, 1, 2, 6]]
    found = {
        "segclr": nodes.embedding,
        "pixels": _pixels(nodes),
        "shape": shape,
    }
    bodies = len(np.unique(nodes.segment[queries]))
    print(f"{len(queries):,} queries of {bodies} bodies; chance 0.010")
    result: dict[str, object] = {"machine": machine.name()}
    for name, vectors in found.items():
        value = _top1(vectors, queries, candidates)
        print(f"  {name:<8} {value:.3f}")
        result[f"{name}_top1"] = round(value, 4)
    result["same_body_top1"] = result["segclr_top1"]
    print(f"  ({time.perf_counter() - start:.0f} s)")
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
