"""End to end: what segmentation errors cost in types.

    python benchmarks/bench_end_to_end.py --types_dir=DIR [--work_dir=DIR]

The encoder and the labels of bench_types (its --work_dir); and another phantom,
of which they know nothing, at two samplings of one tissue: 10 nm, which the
shipped network segments (run_inference --fast in overlapping subvolumes,
reconcile), and 16 nm, which the encoder sees. Both the true segments and ours
are skeletonized, embedded, averaged within 1 um, and typed by the classifier of
the first phantom. A node's true type is that of the true neurite at its place.

Printed: macro-F1 over nodes of true segments (`true_f1`), of ours (`ours_f1`),
and their difference (`lost_f1`).
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import tempfile
import time

from absl import app, flags
import machine
import numpy as np

from ffn_tf import (
    make_phantom,
    model,
    phantom,
    reconcile,
    run_inference,
    skeletonize,
    volume,
)
from ffn_tf.inference import options as options_lib
from ffn_tf.inference import request as request_lib
from ffn_tf.inference import run_options
from ffn_tf.phantom import skeletons
from ffn_tf.program import quiet
from ffn_tf.skeleton import blocks
from segclr import embed
from segclr.aggregation import tables
from segclr.classification import classifier, fitting, labels, scores
from segclr.embedding import run as embedding
from segclr.embedding import table

_TYPES_DIR = flags.DEFINE_string("types_dir", "", "--work_dir of bench_types")
_WORK_DIR = flags.DEFINE_string("work_dir", "", "Keeps what it makes.")
_EDGE_NM = 2560
_RADIUS_UM = 1.0
_SPACING_NM = 300.0
_SEED = 22


def _phantom(root: pathlib.Path, nm: int) -> str:
    """The tissue, sampled at so many nanometres; its folder."""
    tissue = phantom.Options(
        seed=_SEED,
        size_zyx=(_EDGE_NM // nm,) * 3,
        voxel_size_nm=(float(nm),) * 3,
        cell_types=2,
    )
    folder = f"{root}/phantom-{nm}nm"
    if not phantom.is_there(tissue, folder):
        make_phantom.run(tissue, make_phantom.Outputs(output_dir=folder))
    return folder


def _segmented(root: pathlib.Path, fine: str) -> str:
    """The address of our segments."""
    image = f"{fine}/image.zarr"
    with volume.open(image) as opened:
        mean, stddev = volume.grey.measured(opened)
    request = request_lib.InferenceRequest(
        image=image,
        model_checkpoint=model.SHIPPED,
        image_mean=round(mean),
        image_stddev=round(stddev),
        segmentation_output_dir=f"{root}/segments",
        options=options_lib.SHIPPED,
    )
    how = run_options.RunOptions(
        subvolume_zyx=(160,) * 3, compute_dtype="int8", fast=True
    )
    summary = run_inference.run(request, how)
    if summary.timing.steps:
        print(run_inference.describe(summary))
    output = f"precomputed://{root}/segmentation"
    reconcile.run(reconcile.Options(f"{root}/segments", output))
    return output


def _of_types(
    root: pathlib.Path, name: str, coarse: str, segments: str
) -> table.Nodes:
    """Nodes of segments, with embeddings averaged along them."""
    types_dir = pathlib.Path(_TYPES_DIR.value)
    encoder = max((types_dir / "train" / "checkpoints").glob("step-*"))
    skeletonize.run(
        skeletonize.Options(segments, f"{root}/skeletons-{name}"),
        blocks.Options(dust_threshold=3000),
    )
    folder = root / f"embeddings-{name}"
    embed.run(
        embedding.Options(
            str(encoder),
            f"{coarse}/image.zarr",
            segments,
            str(folder),
            f"{root}/skeletons-{name}",
            spacing_nm=_SPACING_NM,
            skip_empty=True,
        )
    )
    return _averaged(folder)


def _averaged(folder: pathlib.Path) -> table.Nodes:
    nodes = table.read_nodes(folder)
    means = tables.means(nodes, table.read_edges(folder), _RADIUS_UM)
    return dataclasses.replace(nodes, embedding=means)


def _classifier() -> classifier.Classifier:
    """Fitted to all labels of the first phantom."""
    types_dir = pathlib.Path(_TYPES_DIR.value)
    nodes = _averaged(types_dir / "embeddings")
    path = types_dir / "phantom" / "types.csv"
    everything = labels.read(path, nodes.segment, nodes.node)
    given, _ = everything.without(everything.rare(3))
    return classifier.fit(
        nodes.embedding,
        given.of_node,
        given.classes,
        given.of_node != labels.NONE,
        None,
        fitting.Options(head="resnet"),
    )


def _f1(
    made: classifier.Classifier, nodes: table.Nodes, fine: str
) -> tuple[float, int]:
    """Macro-F1 over nodes, and how many; by the truth at their places."""
    types = skeletons.load(f"{fine}/truth.npz").types
    with volume.open(f"{fine}/labels.zarr") as opened:
        truth = opened.read()
        voxels = nodes.position_nm_zyx / np.array(opened.voxel_size_nm)
    inside = np.clip(voxels.astype(int), 0, np.array(truth.shape) - 1)
    names = [types[id_] for id_ in truth[tuple(inside.T)].tolist()]
    wanted = np.array(
        [made.classes.index(n) if n in made.classes else -1 for n in names]
    )
    known = wanted >= 0
    found = made.predict(nodes.embedding[known]).label
    value = scores.macro_f1(wanted[known], found, len(made.classes))
    return value, int(known.sum())


def main(argv: list[str]) -> None:
    del argv
    quiet.import_tensorflow()
    if not (pathlib.Path(_TYPES_DIR.value) / "embeddings").exists():
        sys.exit(
            f"error: --types_dir={_TYPES_DIR.value}: no embeddings there; run "
            f"bench_types.py --work_dir=DIR, and give that."
        )
    print(machine.name())
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(_WORK_DIR.value or temporary)
        root.mkdir(parents=True, exist_ok=True)
        coarse, fine = _phantom(root, 16), _phantom(root, 10)
        ours = _segmented(root, fine)
        made = _classifier()
        result: dict[str, object] = {"machine": machine.name()}
        values = {}
        for name, segments in (("true", f"{fine}/labels.zarr"), ("ours", ours)):
            nodes = _of_types(root, name, coarse, segments)
            values[name], count = _f1(made, nodes, fine)
            print(f"{name:<5} macro-F1 {values[name]:.3f} of {count:,} nodes")
            result[f"{name}_f1"] = round(values[name], 4)
    result["lost_f1"] = round(values["true"] - values["ours"], 4)
    print(f"  ({time.perf_counter() - start:.0f} s)")
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
