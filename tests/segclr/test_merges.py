"""make_merges and detect_merges: from segments to known merges, and back."""

import csv
import dataclasses
import json
import pathlib

import numpy as np
import pytest

from ffn_tf import skeleton
from ffn_tf.skeleton import precomputed
from segclr import detect_merges, make_merges
from segclr.classification import predictions
from segclr.cutouts import agglomeration
from segclr.embedding import places, table
from segclr.merges import synthetic
from tests.segclr.conftest import make

NM = (10.0, 10.0, 10.0)


@pytest.fixture
def slabs(tmp_path):
    """Six neurites side by side, each 1.6 um long: three of two types each."""
    labels = np.repeat(np.arange(1, 7, dtype=np.uint64), 8)
    labels = np.broadcast_to(labels[None, :, None], (8, 48, 160)).copy()
    folder = tmp_path / "skeletons"
    folder.mkdir()
    for id_ in range(1, 7):
        x = np.arange(0, 1600, 50.0)
        line = np.stack([x * 0 + 40, x * 0 + 80 * id_ - 40, x + 5], axis=1)
        edges = np.stack([np.arange(31), np.arange(1, 32)], axis=1)
        one = skeleton.Skeleton(id_, line, edges, np.full(32, 40.0))
        (folder / str(id_)).write_bytes(precomputed.encode(one))
    (folder / "info").write_text(json.dumps(precomputed.info(True)))
    types = tmp_path / "types.csv"
    types.write_text("segment,label\n1,a\n2,a\n3,b\n4,b\n5,a\n6,b\n")
    return make_merges.Options(
        make(tmp_path / "labels.zarr", labels, NM),
        str(folder),
        f"{tmp_path}/merged",
        str(types),
        count=1,
        min_length_um=1.0,
    )


def test_merges_are_made(slabs):
    summary = make_merges.run(slabs)
    folder = pathlib.Path(slabs.output_dir)
    seams = synthetic.read_seams(folder / "seams.csv")
    assert sum(summary.merges.values()) == len(seams) >= 2
    lines = {one.id: one for one in skeleton.read(folder / "skeletons")}
    assert len(lines) == summary.skeletons == 6 - len(seams)
    objects = agglomeration.read(str(folder / "agglomeration.csv"))
    for seam in seams:
        assert seam.other == seam.segment + 1  # Those touch.
        assert len(lines[seam.segment].vertices_nm_zyx) == 64
        assert len(lines[seam.segment].edges) == 63
        assert objects.objects_of(np.array([seam.other])) == [seam.segment]
        border = seam.place_nm_zyx[1]
        assert border == seam.segment * 80
    with pytest.raises(FileExistsError, match="holds merges already"):
        make_merges.run(slabs)


def test_nothing_to_merge(slabs):
    with pytest.raises(ValueError, match=r"0 of 6 have\); see --min_length"):
        make_merges.run(dataclasses.replace(slabs, min_length_um=3.0))
    with pytest.raises(ValueError, match="--count: expected 1"):
        dataclasses.replace(slabs, count=0)


@pytest.fixture
def embeddings(tmp_path):
    """20 chains of 12 nodes; in the first 5, all changes after node 5."""
    rng = np.random.default_rng(0)
    segment = np.repeat(np.arange(1, 21, dtype=np.uint64), 12)
    node = np.tile(np.arange(12), 20)
    vectors = rng.normal(size=(240, 8))
    is_other = (segment <= 5) & (node > 5)
    vectors[is_other] += 4
    position = np.stack([segment * 1e5, node * 0, node * 1000.0], axis=1)
    folder = tmp_path / "embeddings"
    table.write_nodes(
        table.part(folder, 0),
        table.Nodes(
            segment,
            node,
            position.astype(float),
            np.ones(240, np.float32),
            np.ones(240, bool),
            vectors.astype(np.float32),
        ),
    )
    chain = np.stack([np.arange(11), np.arange(1, 12)], axis=1)
    table.write_edges(
        folder,
        places.Edges(
            np.repeat(np.arange(1, 21, dtype=np.uint64), 11),
            np.tile(chain, (20, 1)),
            np.full(220, 1000, np.float32),
        ),
    )
    (folder / "embed.json").write_text('{"options": {}}')
    probability = np.where(is_other[:, None], [0.1, 0.9], [0.9, 0.1])
    types = tmp_path / "types"
    types.mkdir()
    predictions.write(
        types,
        predictions.Typed(
            ("a", "b"),
            segment,
            node,
            position.astype(float),
            probability,
            np.zeros(240, np.float32),
            np.zeros(240, bool),
        ),
    )
    seams = [
        synthetic.Seam(k, 0, "cross_type", (k * 1e5, 0.0, 5500.0))
        for k in range(1, 6)
    ]
    (tmp_path / "seams.csv").write_text(synthetic.seams_csv(seams))
    return detect_merges.Options(
        str(folder),
        f"{tmp_path}/merges",
        str(types),
        radius_um=4.0,
        most=8,
        seams=f"{tmp_path}/seams.csv",
    )


def test_merges_are_found(embeddings):
    summary = detect_merges.run(embeddings)
    assert (summary.edges, summary.proposals) == (220, 8)
    folder = pathlib.Path(embeddings.output_dir)
    with open(folder / "proposals.csv") as file:
        rows = list(csv.DictReader(file))
    assert {int(row["segment"]) for row in rows[:5]} == {1, 2, 3, 4, 5}
    for row in rows[:5]:
        assert (row["first_node"], row["second_node"]) == ("5", "6")
        assert (row["from_type"], row["to_type"]) == ("a", "b")
        assert (row["first_nodes"], row["second_nodes"]) == ("6", "6")
        assert float(row["x_nm"]) == 5500
    for results in summary.trials.values():
        assert results[0].auroc > 0.99 and results[0].located == 1
    told = json.loads((folder / "trials.json").read_text())
    assert set(told) == {"embedding", "type"}
    info = json.loads((folder / "annotations/info").read_text())
    assert info["properties"][0]["id"] == "score"


def test_without_types_or_seams(embeddings):
    plain = dataclasses.replace(embeddings, types="", seams="")
    summary = detect_merges.run(plain)
    assert summary.trials == {}
    with open(f"{plain.output_dir}/proposals.csv") as file:
        assert next(csv.DictReader(file))["type_change"] == ""


def test_types_of_other_nodes(embeddings):
    typed = predictions.read(pathlib.Path(embeddings.types))
    other = dataclasses.replace(typed, node=typed.node + 1)
    predictions.write(pathlib.Path(embeddings.types), other)
    with pytest.raises(ValueError, match="types of other nodes"):
        detect_merges.run(embeddings)
    assert not pathlib.Path(embeddings.output_dir).exists()


def test_means_are_refused(embeddings):
    folder = pathlib.Path(embeddings.embeddings)
    (folder / "embed.json").unlink()
    (folder / "aggregate.json").write_text('{"options": {"radius_um": 10}}')
    with pytest.raises(ValueError, match="holds means"):
        detect_merges.run(embeddings)


def test_the_command_line(embeddings, slabs, command):
    made = command(
        "make_merges",
        f"--segmentation={slabs.segmentation}",
        f"--skeletons={slabs.skeletons}",
        f"--output_dir={slabs.output_dir}",
        "--min_length_um=1",
        package="segclr",
    )
    assert "Next: python -m segclr.embed" in made.stdout, made.stderr
    found = command(
        "detect_merges",
        f"--embeddings={embeddings.embeddings}",
        f"--types={embeddings.types}",
        f"--seams={embeddings.seams}",
        f"--output_dir={embeddings.output_dir}",
        package="segclr",
    )
    lines = found.stdout.splitlines()
    assert lines[0] == "By embedding:", found.stderr
    assert lines[2].startswith("cross_type    5")
    assert lines[-1].startswith("Wrote ")
