"""Predictions are what was found, for people, tables and Neuroglancer."""

import json

import numpy as np
from pyarrow import parquet
import pytest

from segclr.classification import predictions

BIG = 2**63 + 5


@pytest.fixture
def found():
    return predictions.Typed(
        ("axon", "glia"),
        np.array([4, 4, 4, BIG, BIG], np.uint64),
        np.array([0, 1, 2, 0, 1]),
        np.arange(15.0).reshape(5, 3) * 1000,
        np.array(
            [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6], [0.5, 0.5]],
            np.float32,
        ),
        np.array([0.1, 0.2, 0.3, 0.8, 0.9], np.float32),
        np.array([False, False, False, True, True]),
    )


def test_segments_by_hand(found):
    segments = predictions.of_segments(found)
    assert segments.segment.tolist() == [4, BIG]
    assert segments.label.tolist() == ["axon", "unknown"]
    np.testing.assert_allclose(segments.share, [2 / 3, 1])
    np.testing.assert_allclose(segments.uncertainty, [0.2, 0.85], rtol=1e-6)


def test_tables(found, tmp_path):
    predictions.write(tmp_path, found)
    again = predictions.read(tmp_path)
    assert again.classes == found.classes
    for name in ("segment", "node", "position_nm_zyx", "probability"):
        np.testing.assert_array_equal(
            getattr(again, name), getattr(found, name)
        )
    columns = parquet.read_table(tmp_path / "predictions.parquet").to_pydict()
    assert columns["label"] == ["axon", "glia", "axon", "glia", "axon"]
    assert columns["x_nm"] == [2000, 5000, 8000, 11000, 14000]
    lines = (tmp_path / "segments.csv").read_text().splitlines()
    assert lines[0] == "segment,label,share,uncertainty,nodes"
    assert lines[2] == f"{BIG},unknown,1.0000,0.8500,2"


def test_what_neuroglancer_reads(found, tmp_path):
    predictions.write(tmp_path, found)
    info = json.loads((tmp_path / "segment_properties/info").read_text())
    assert info["inline"]["ids"] == ["4", str(BIG)]
    by_name = {p["id"]: p["values"] for p in info["inline"]["properties"]}
    assert by_name["label"] == ["axon", "unknown"]
    assert by_name["nodes"] == [3, 2]
    points = json.loads((tmp_path / "annotations/info").read_text())
    assert points["annotation_type"] == "point"
    assert points["dimensions"]["x"] == [1e-9, "m"]
    assert points["upper_bound"] == [14001, 13001, 12001]
    (labels,) = (p for p in points["properties"] if p["id"] == "type")
    assert labels["enum_labels"] == ["axon", "glia"]
    assert points["relationships"][0]["id"] == "segment"
    predictions.write(tmp_path, found)  # Again is fine.


def test_nothing_or_damaged(found, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"segclr\.classify"):
        predictions.read(tmp_path)
    path = tmp_path / "predictions.parquet"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="damaged"):
        predictions.read(tmp_path)
    parquet.write_table(
        parquet.read_table(predictions_path(found, tmp_path)).drop("label"),
        path,
    )
    predictions.read(tmp_path)  # Labels follow from probabilities.
    parquet.write_table(
        parquet.read_table(predictions_path(found, tmp_path)).drop("node"),
        path,
    )
    with pytest.raises(ValueError, match="damaged"):
        predictions.read(tmp_path)


def predictions_path(found, tmp_path):
    (tmp_path / "whole").mkdir(exist_ok=True)
    predictions.write(tmp_path / "whole", found)
    return tmp_path / "whole" / "predictions.parquet"
