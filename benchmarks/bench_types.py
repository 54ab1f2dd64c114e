"""Types: what SegCLR tells, beside a supervised network and shapes.

    python benchmarks/bench_types.py [--quick] [--work_dir=DIR]

A phantom of two cell types that differ inside (512^3 voxels of 16 nm). An
encoder learns from pairs of all neurites, without labels, as the paper's did.
Nodes along the skeletons are embedded; cells are split, and heads learn from
labelled nodes (6,000 at most, drawn at random) of some:

  segclr      a head on embeddings, means within R along the neurite
  supervised  the same network trained from nothing on the labelled cutouts,
              flipped and turned; probabilities, means within R
  shape       a head on radii and sizes, means within R

Of a tenth of the labels and fewer the supervised network has one draw, the
heads three. Printed: macro-F1 on the cells of the test, against R with all
labels (`..._f1`: at the largest R), and at that R against the number of labels
(`..._tenth_f1`: with a tenth, `..._few_f1`: with 100). Merges of touching
segments, embedded as merged, are found as `merge_..._auroc` say (chance 0.5).

With --work_dir what is there is not made again; `--quick` is small, and shows
that it runs, no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses
import json
import pathlib
import tempfile
import time
from typing import Any

from absl import app, flags
import machine
import numpy as np
import supervised

from ffn_tf import make_phantom, phantom, skeletonize
from ffn_tf.program import quiet
from ffn_tf.skeleton import blocks
from segclr import detect_merges, embed, make_merges, model, sample_pairs, train
from segclr.aggregation import tables
from segclr.classification import classifier, fitting, labels, scores
from segclr.embedding import run as embedding
from segclr.embedding import table
from segclr.training import step

_QUICK = flags.DEFINE_bool("quick", False, "Small, to see that it runs.")
_WORK_DIR = flags.DEFINE_string("work_dir", "", "Keeps what it makes.")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    edge: int = 512
    voxel_nm: float = 16.0
    cutout: int = 41
    width: int = 16
    steps: int = 1600
    batch: int = 64
    spacing_nm: float = 300.0
    radii_um: tuple[float, ...] = (0, 0.5, 1, 2.5, 5)
    labelled: int = 6000
    supervised_steps: int = 800
    merges: int = 100


_SMALL = Sizes(
    edge=96,
    voxel_nm=20.0,
    cutout=17,
    width=4,
    steps=3,
    batch=8,
    radii_um=(0, 1),
    labelled=200,
    supervised_steps=3,
    merges=5,
)


@dataclasses.dataclass(frozen=True)
class Places:
    """Where things are."""

    root: pathlib.Path

    @property
    def image(self) -> str:
        return f"{self.root}/phantom/image.zarr"

    @property
    def labels(self) -> str:
        return f"{self.root}/phantom/labels.zarr"

    @property
    def types(self) -> str:
        return f"{self.root}/phantom/types.csv"


def _made(at: Places, sizes: Sizes) -> pathlib.Path:
    """All up to the encoder; its folder."""
    tissue = phantom.Options(
        seed=21,
        size_zyx=(sizes.edge,) * 3,
        voxel_size_nm=(sizes.voxel_nm,) * 3,
        cell_types=2,
    )
    if not phantom.is_there(tissue, at.root / "phantom"):
        make_phantom.run(
            tissue, make_phantom.Outputs(output_dir=f"{at.root}/phantom")
        )
    skeletonize.run(
        skeletonize.Options(at.labels, f"{at.root}/skeletons"),
        blocks.Options(dust_threshold=2000 if sizes.edge > 200 else 300),
    )
    sample_pairs.run(
        sample_pairs.Options(
            f"{at.root}/phantom/truth.npz",
            f"{at.root}/pairs@4",
            tissue.voxel_size_nm,
            spacing_nm=200,
            buckets_um=(0.0, 1.0, 3.0, 10.0),
        )
    )
    return train.run(
        train.Options(
            f"{at.root}/pairs@4",
            at.image,
            at.labels,
            f"{at.root}/train",
            max_steps=sizes.steps,
            batch_size=sizes.batch,
        ),
        train.EncoderOptions(
            network="resnet10",
            width=sizes.width,
            size_zyx=(sizes.cutout,) * 3,
        ),
        step.OptimizerOptions(
            optimizer="adamw",
            learning_rate=0.002,
            warmup_steps=min(100, sizes.steps - 1),
        ),
        tell=lambda progress: print(train.as_line(progress), flush=True),
        tell_s=120,
    ).checkpoint


def _embedded(
    at: Places, sizes: Sizes, encoder: pathlib.Path, name: str, **more: Any
) -> tuple[table.Nodes, pathlib.Path]:
    folder = at.root / name
    options = embedding.Options(
        str(encoder),
        at.image,
        at.labels,
        **{"skeletons": f"{at.root}/skeletons"} | more,
        output_dir=str(folder),
        spacing_nm=sizes.spacing_nm,
        skip_empty=True,
    )
    start = time.perf_counter()
    summary = embed.run(options)
    if summary.made:
        rate = summary.made / (time.perf_counter() - start)
        print(f"{summary.made:,} nodes embedded, {rate:.0f}/s")
    return table.read_nodes(folder), folder


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """What is to be told of which nodes."""

    given: labels.Labels
    purpose: np.ndarray

    def f1(self, label: np.ndarray) -> float:
        """Of what was found for all nodes, on those of the test."""
        test = self.purpose == labels.TEST
        return scores.macro_f1(
            self.given.of_node[test], label[test], len(self.given.classes)
        )

    def fitted(
        self, features: np.ndarray, some: np.ndarray, seed: int = 0
    ) -> float:
        """F1 of a head that has learned from some nodes."""
        made = classifier.fit(
            features,
            self.given.of_node,
            self.given.classes,
            some,
            None,
            fitting.Options(head="resnet"),
            seed,
        )
        return self.f1(made.predict(features).label)


def _types(
    at: Places, sizes: Sizes, encoder: pathlib.Path
) -> dict[str, object]:
    nodes, folder = _embedded(at, sizes, encoder, "embeddings")
    edges = table.read_edges(folder)
    links, _ = tables.links(nodes, edges)
    everything = labels.read(at.types, nodes.segment, nodes.node)
    given, _ = everything.without(everything.rare(3))
    task = Task(given, labels.split(given, 0.1, 0.3, 0))
    train_on = _labelled(task, sizes)
    shape = supervised.shapes(nodes, links)
    count = int(train_on.sum())
    print(
        f"{len(nodes):,} nodes of {len(np.unique(nodes.segment)):,} segments; "
        f"classes {', '.join(given.classes)}; {count:,} labelled nodes to "
        f"learn from"
    )

    def means(vectors: np.ndarray, radius_um: float) -> np.ndarray:
        held = dataclasses.replace(nodes, embedding=vectors)
        return tables.means(held, edges, radius_um)

    counts = {"_few_f1": count // 60, "_tenth_f1": count // 10, "_f1": count}
    said = _supervised(at, sizes, encoder, nodes, task, counts.values())
    rows = []
    for radius in sizes.radii_um:
        rows.append(
            (
                f"{radius:g}",
                f"{task.fitted(means(nodes.embedding, radius), train_on):.3f}",
                f"{task.f1(means(said[count], radius).argmax(1)):.3f}",
                f"{task.fitted(means(shape, radius), train_on):.3f}",
            )
        )
        print(f"R {rows[-1]}", flush=True)
    heading = ("R, um", "segclr", "supervised", "shape")
    print(_drawn(heading, rows))
    widest = sizes.radii_um[-1]
    by_count = []
    embeddings, by_shape = means(nodes.embedding, widest), means(shape, widest)
    for number in counts.values():
        subsets = [
            labels.subset(given, train_on, number, seed)
            for seed in range(1 if number == count else 3)
        ]
        by_count.append(
            (
                number,
                float(np.mean([task.fitted(embeddings, s) for s in subsets])),
                task.f1(means(said[number], widest).argmax(1)),
                float(np.mean([task.fitted(by_shape, s) for s in subsets])),
            )
        )
    shown = [
        (f"{n:,}", *(f"{value:.3f}" for value in values))
        for n, *values in by_count
    ]
    print(_drawn(("labels", "segclr", "supervised", "shape"), shown))
    found: dict[str, object] = {"nodes": len(nodes)}
    for suffix, line in zip(counts, by_count):
        for name, value in zip(("segclr", "supervised", "shape"), line[1:]):
            found[name + suffix] = round(value, 4)
    return found


def _drawn(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(
        "".join(f"{cell:>12}" for cell in row) for row in (heading, *rows)
    )


def _labelled(task: Task, sizes: Sizes) -> np.ndarray:
    """[n] bool: nodes that may be learned from."""
    among = task.purpose == labels.TRAIN
    count = min(sizes.labelled, int(among.sum()))
    return labels.subset(task.given, among, count, 0)


def _supervised(
    at: Places,
    sizes: Sizes,
    encoder: pathlib.Path,
    nodes: table.Nodes,
    task: Task,
    counts: Iterable[int],
) -> dict[int, np.ndarray]:
    """Probabilities of all nodes, by the number of labels."""
    like = model.load(encoder)
    given, train_on = task.given, _labelled(task, sizes)
    found = {}
    images: np.ndarray | None = None
    for number in counts:
        kept = at.root / f"supervised-{number}.npy"
        if kept.exists():
            found[number] = np.load(kept)
            continue
        if images is None:
            images = supervised.cutouts(
                (at.image, at.labels),
                like.size_zyx,
                nodes,
                np.arange(len(nodes)),
            )
        some = np.flatnonzero(labels.subset(given, train_on, number, 0))
        found[number] = supervised.probabilities(
            like,
            images[some],
            given.of_node[some],
            len(given.classes),
            # Few labels are learned by heart long before.
            sizes.supervised_steps // (1 if number > 1000 else 3),
            images,
        )
        np.save(kept, found[number])
    return found


def _merges(
    at: Places, sizes: Sizes, encoder: pathlib.Path
) -> dict[str, object]:
    """How well merges of touching segments are found."""
    merged = at.root / "merged"
    if not (merged / "seams.csv").exists():
        make_merges.run(
            make_merges.Options(
                at.labels,
                f"{at.root}/skeletons",
                str(merged),
                at.types,
                count=sizes.merges,
                min_length_um=1.5,
            )
        )
    _embedded(
        at,
        sizes,
        encoder,
        "merged/embeddings",
        skeletons=f"{merged}/skeletons",
        agglomeration=f"{merged}/agglomeration.csv",
    )
    summary = detect_merges.run(
        detect_merges.Options(
            f"{merged}/embeddings",
            f"{merged}/found",
            radius_um=1.5,
            seams=f"{merged}/seams.csv",
            tolerance_um=0.6,
        )
    )
    results = summary.trials["embedding"]
    print(detect_merges.trial.as_table(results))
    return {f"merge_{one.kind}_auroc": round(one.auroc, 4) for one in results}


def main(argv: list[str]) -> None:
    del argv
    quiet.import_tensorflow()
    print(machine.name())
    start = time.perf_counter()
    sizes = _SMALL if _QUICK.value else Sizes()
    with tempfile.TemporaryDirectory() as temporary:
        at = Places(pathlib.Path(_WORK_DIR.value or temporary))
        encoder = _made(at, sizes)
        result: dict[str, object] = {"machine": machine.name()}
        result |= _types(at, sizes, encoder)
        result |= _merges(at, sizes, encoder)
    print(f"  ({time.perf_counter() - start:.0f} s)")
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
