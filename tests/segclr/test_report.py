"""report: one page that holds all, and pictures of the right places."""

import base64
import dataclasses
import io
import json
import pathlib
import re

import numpy as np
from PIL import Image
import pytest

from segclr import report
from segclr.classification import predictions
from segclr.embedding import table
from segclr.reporting import places
from tests.segclr.conftest import NM, SHAPE, make

SCORES = {
    "classes": ["axon", "glia"],
    "macro_f1": 0.8125,
    "f1": {"axon": 0.9, "glia": None},
    "confusion": [[7, 1], [0, 0]],
    "test_nodes": 8,
    "test_cells": 2,
    "train_nodes": 16,
    "train_cells": 4,
    "threshold": 0.4,
    "unknown_auroc": 0.77,
    "unknown_found": 0.6,
    "known_called_unknown": 0.1,
    "by_radius": [
        {"radius_um": r, "count": 9, "macro_f1": f, "low": f, "high": f}
        for r, f in ((0, 0.5), (10, 0.75))
    ],
    "by_count": [
        {"radius_um": 0, "count": n, "macro_f1": f, "low": f, "high": f}
        for n, f in ((4, 0.25), (40, 0.625))
    ],
}
TRIAL = {
    "kind": "same_type",
    "merges": 3,
    "auroc": 0.6,
    "geometry_auroc": 0.55,
    "located": 0.5,
    "chance_located": 0.2,
    "divided": 0.8,
    "chance_divided": 0.7,
}


@pytest.fixture
def options(tmp_path):
    """Types of 8 nodes, one proposal; an image that is bright on the right."""
    rng = np.random.default_rng(0)
    segment = np.repeat(np.array([3, 2**63 + 1], np.uint64), 4)
    node = np.tile(np.arange(4), 2)
    position = np.full((8, 3), 100.0)
    for name in ("types", "merges"):
        (tmp_path / name).mkdir()
    table.write_nodes(
        table.part(tmp_path / "embeddings", 0),
        table.Nodes(
            segment,
            node,
            position,
            np.ones(8, np.float32),
            np.ones(8, bool),
            rng.normal(size=(8, 5)).astype(np.float32),
        ),
    )
    predictions.write(
        tmp_path / "types",
        predictions.Typed(
            ("axon", "glia"),
            segment,
            node,
            position,
            np.repeat(np.array([[0.9, 0.1], [0.2, 0.8]], np.float32), 4, 0),
            np.zeros(8, np.float32),
            np.arange(8) == 7,
        ),
    )
    (tmp_path / "types" / "scores.json").write_text(json.dumps(SCORES))
    (tmp_path / "merges" / "trials.json").write_text(
        json.dumps({"embedding": [TRIAL]})
    )
    (tmp_path / "merges" / "proposals.csv").write_text(
        "rank,segment,score,type_change,from_type,to_type,z_nm,y_nm,x_nm,"
        "first_node,second_node,first_nodes,second_nodes\n"
        f"1,{2**63 + 1},2.5000,,axon,glia,125.0,245.0,805.0,1,2,2,2\n"
    )
    image = np.zeros(SHAPE, np.uint8)
    image[..., 81:] = 200
    labels = np.zeros(SHAPE, np.uint64)
    labels[:, :24] = 2**63 + 1
    return report.Options(
        f"{tmp_path}/embeddings",
        f"{tmp_path}/types",
        f"{tmp_path}/report.html",
        f"{tmp_path}/merges",
        make(tmp_path / "image.zarr", image, NM),
        make(tmp_path / "labels.zarr", labels, NM),
        picture_voxels=33,
    )


def test_all_is_there(options):
    report.run(options)
    page = pathlib.Path(options.output).read_text()
    for said in (
        "0.812",
        "Map",
        "0.770",
        "radius of the means",
        "labelled nodes",
        "0.600 (0.550)",
        "50% (20%)",
        f"segment {2**63 + 1}: score 2.5000, axon to glia",
        "--position=12,24,80",
    ):
        assert said in page, said
    assert page.count("<svg") == 3
    assert not re.findall(r'(?:src|href)="(?!data:)', page)


def test_a_picture_is_of_its_place(options):
    report.run(options)
    page = pathlib.Path(options.output).read_text()
    (data,) = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert picture.shape == (33, 3 * 33 + 8, 3)
    # Voxel 80 of x is in the middle, and dark; to the right it is bright.
    assert picture[2, 10].max() < 120 < picture[2, 25].min()
    # Above is the segment, tinted; below it is none.
    assert int(picture[4, 8, 0]) - int(picture[4, 8, 2]) > 20
    assert abs(int(picture[28, 8, 0]) - int(picture[28, 8, 2])) < 12
    # The third plane is across x.
    assert picture[:, -33:].mean() < 100


def test_public_volumes_have_links():
    assert places.link("/a.zarr", "precomputed://gs://b/c", (0, 0, 0), 1) == ""


def test_less_is_fine(options, tmp_path):
    (tmp_path / "types" / "scores.json").unlink()
    less = dataclasses.replace(options, image="", segmentation="", merges="")
    report.run(less)
    page = pathlib.Path(options.output).read_text()
    assert "Map" in page and "Scores" not in page and "merges" not in page
    report.run(dataclasses.replace(options, image="", segmentation=""))
    assert "axon to glia" in pathlib.Path(options.output).read_text()


def test_bad_input(options, tmp_path):
    with pytest.raises(ValueError, match="go together"):
        dataclasses.replace(options, image="")
    with pytest.raises(ValueError, match="an odd number from 33"):
        dataclasses.replace(options, picture_voxels=64)
    (tmp_path / "merges" / "proposals.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"segclr\.detect_merges"):
        report.run(options)
    (tmp_path / "types" / "scores.json").write_text("{")
    with pytest.raises(ValueError, match=r"scores\.json: damaged"):
        report.run(dataclasses.replace(options, merges=""))
    assert not pathlib.Path(options.output).exists()


def test_the_command_line(options, command):
    done = command(
        "report",
        f"--embeddings={options.embeddings}",
        f"--types={options.types}",
        f"--output={options.output}",
        package="segclr",
    )
    assert done.stdout.startswith(f"Wrote {options.output}"), done.stderr
