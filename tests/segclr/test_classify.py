"""classify: from a table and labels to types, scores and files."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from segclr import classify
from segclr.classification import fitting, labels, predictions
from segclr.embedding import places, table
from tests.segclr.classification.conftest import CLASSES, cells

LINEAR = fitting.Options(head="linear", learning_rate=0.02, max_epochs=30)


@pytest.fixture
def embeddings(tmp_path):
    """A table of 30 segments, and their labels: two flags."""
    vectors, given = cells()
    folder = tmp_path / "embeddings"
    node = np.tile(np.arange(12), 30)
    position = np.stack([given.cell * 9e3, node * 1e3, node * 0], axis=1)
    table.write_nodes(
        table.part(folder, 0),
        table.Nodes(
            given.cell.astype(np.uint64) + 1,
            node,
            position.astype(np.float64),
            np.ones(360, np.float32),
            np.ones(360, bool),
            vectors,
        ),
    )
    chain = np.stack([np.arange(11), np.arange(1, 12)], axis=1)
    table.write_edges(
        folder,
        places.Edges(
            np.repeat(np.arange(1, 31, dtype=np.uint64), 11),
            np.tile(chain, (30, 1)),
            np.full(330, 1000, np.float32),
        ),
    )
    (folder / "embed.json").write_text('{"options": {"spacing_nm": 1000}}')
    rows = [f"{i + 1},{CLASSES[i % 3]}\n" for i in range(30)]
    labels = tmp_path / "labels.csv"
    labels.write_text("".join(["segment,label\n", *rows]))
    return {"embeddings": str(folder), "labels": str(labels)}


def test_it_learns_and_says(embeddings, tmp_path):
    output = f"{tmp_path}/types"
    summary = classify.run(
        classify.Options(
            **embeddings, output_dir=output, radii_um=(0, 2.5), counts=(6,)
        ),
        LINEAR,
    )
    found = json.loads(pathlib.Path(output, "scores.json").read_text())
    assert found == json.loads(json.dumps(summary.scores))
    assert found["macro_f1"] > 0.95
    assert np.sum(found["confusion"]) == found["test_nodes"]
    assert [p["radius_um"] for p in found["by_radius"]] == [0, 2.5]
    assert [p["count"] for p in found["by_count"]] == [6]
    shown = classify.as_table(found)
    assert "macro-F1 " in shown and "R   2.5 um" in shown
    typed = predictions.read(pathlib.Path(output))
    assert (summary.nodes, summary.segments) == (360, 30)
    names = np.array(typed.classes)[typed.label]
    truth = np.array(CLASSES)[(typed.segment.astype(int) - 1) % 3]
    assert (names == truth).mean() > 0.95
    # The same, applied.
    again = classify.run(
        classify.Options(
            embeddings["embeddings"],
            f"{tmp_path}/again",
            classifier=f"{output}/classifier",
        )
    )
    assert (again.nodes, again.unknown) == (360, summary.unknown)
    applied = predictions.read(tmp_path / "again")
    np.testing.assert_allclose(applied.probability, typed.probability)
    assert not (tmp_path / "again" / "scores.json").exists()
    told = json.loads((tmp_path / "again" / "types.json").read_text())
    assert told["options"]["classifier"] == f"{output}/classifier"
    # Of other embeddings it says nothing.
    made = pathlib.Path(embeddings["embeddings"], "embed.json")
    made.write_text('{"options": {"encoder": "another"}}')
    with pytest.raises(ValueError, match=r"other embeddings .*encoder: None"):
        classify.run(
            classify.Options(
                embeddings["embeddings"],
                f"{tmp_path}/more",
                classifier=f"{output}/classifier",
            )
        )


def test_a_class_that_is_not_learned_is_found_unknown(embeddings, tmp_path):
    summary = classify.run(
        classify.Options(
            **embeddings, output_dir=f"{tmp_path}/types", unknown=("glia",)
        ),
        fitting.Options(hidden=32, learning_rate=0.01, max_epochs=40),
    )
    found = summary.scores
    assert found["classes"] == ["axon", "dendrite"]
    assert found["unknown_auroc"] > 0.9
    assert found["unknown_found"] > found["known_called_unknown"]
    assert 60 < summary.unknown < 200
    assert "AUROC" in classify.as_table(found)


def test_what_was_learned_before_does_not_stay(embeddings, tmp_path):
    first = classify.Options(**embeddings, output_dir=f"{tmp_path}/types")
    classify.run(first, LINEAR)
    (tmp_path / "types" / "classifier").rename(tmp_path / "classifier")
    classify.run(
        classify.Options(
            embeddings["embeddings"],
            first.output_dir,
            classifier=f"{tmp_path}/classifier",
        )
    )
    assert not (tmp_path / "types" / "scores.json").exists()
    path = pathlib.Path(embeddings["labels"])
    path.write_text(path.read_text().replace("glia", "unknown"))
    with pytest.raises(ValueError, match="give the class another name"):
        classify.run(first, LINEAR)


def test_nothing_is_learned_from_the_test(embeddings, tmp_path, monkeypatch):
    """Rows that reach the fit are of no cell that is scored on."""
    seen = []
    real = fitting.fit

    def watched(head, train, valid, *args):
        seen.append((train.x, valid.x))
        return real(head, train, valid, *args)

    monkeypatch.setattr(fitting, "fit", watched)
    classify.run(
        classify.Options(**embeddings, output_dir=f"{tmp_path}/types"), LINEAR
    )
    nodes = table.read_nodes(pathlib.Path(embeddings["embeddings"]))
    given = labels.read(embeddings["labels"], nodes.segment, nodes.node)
    purpose = labels.split(given, 0.15, 0.25, 0)
    x = nodes.embedding.astype(np.float64)
    train = x[purpose == labels.TRAIN]
    scaled = (x - train.mean(0)) / train.std(0)
    for rows, kind in zip(seen[0], (labels.TRAIN, labels.VALID)):
        np.testing.assert_allclose(rows, scaled[purpose == kind], atol=1e-3)


def test_rare_classes(embeddings, tmp_path, capsys):
    path = pathlib.Path(embeddings["labels"])
    path.write_text(path.read_text().replace("30,glia", "30,soma"))
    options = classify.Options(**embeddings, output_dir=f"{tmp_path}/types")
    with pytest.raises(ValueError, match="'soma' has 1 of the cells"):
        classify.run(options, LINEAR)
    found = classify.run(dataclasses.replace(options, skip_rare=True), LINEAR)
    assert found.scores["classes"] == list(CLASSES)
    assert "fewer than 3 cells of soma" in capsys.readouterr().err


def test_means_are_not_averaged_again(embeddings, tmp_path):
    folder = pathlib.Path(embeddings["embeddings"])
    (folder / "embed.json").unlink()
    (folder / "aggregate.json").write_text('{"options": {"radius_um": 10}}')
    with pytest.raises(ValueError, match="holds means over 10 um already"):
        classify.run(
            classify.Options(
                **embeddings, output_dir=f"{tmp_path}/x", radii_um=(5,)
            )
        )


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "either --labels"),
        ({"labels": "a", "classifier": "b"}, "either --labels"),
        ({"classifier": "b", "counts": (3,)}, "are for --labels"),
        ({"labels": "a", "radii_um": (-1,)}, "--radii_um: expected 0"),
        ({"labels": "a", "runs": 0}, "--runs: 1 or more"),
        ({"labels": "a", "valid_share": 0}, "--valid_share: expected more"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        classify.Options("x", "y", **options)


def test_the_command_line(embeddings, tmp_path, command):
    done = command(
        "classify",
        *(f"--{name}={value}" for name, value in embeddings.items()),
        f"--output_dir={tmp_path}/types",
        "--head=linear",
        "--max_epochs=20",
        "--learning_rate=0.02",
        package="segclr",
    )
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["class", "F1", "tested"]
    assert lines[-1].startswith(
        f"Wrote types of 360 nodes of 30 segments in {tmp_path}/types. Next: "
    )
