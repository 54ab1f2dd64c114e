"""Annotations are what Neuroglancer's own reader reads, in few files."""

import json

import numpy as np
import pytest
import tensorstore as ts

from ffn_tf.volume import annotation_files


@pytest.fixture
def points():
    """Position, segment, a number and a name of 700 points."""
    rng = np.random.default_rng(0)
    return {
        "position_nm_zyx": rng.uniform(0, 1000, (700, 3)) * [1, 2, 3],
        "segment": rng.choice(np.array([5, 2**63 + 1, 9], np.uint64), 700),
        "numbers": {"score": rng.uniform(size=700)},
        "names": {"type": (np.arange(700) % 3, ["axon", "glia", "soma"])},
    }


def value(folder, sharding, key):
    """What is stored for a number, by TensorStore."""
    store = ts.KvStore.open(
        {
            "driver": "neuroglancer_uint64_sharded",
            "metadata": sharding,
            "base": f"file://{folder}/",
        }
    ).result()
    return bytes(store[key.to_bytes(8, "big")])


def test_bytes_by_hand(points, tmp_path):
    folder = tmp_path / "points"
    annotation_files.write(folder, **points)
    info = json.loads((folder / "info").read_text())
    types = [(p["id"], p["type"]) for p in info["properties"]]
    assert types == [("score", "float32"), ("type", "uint16")]
    point = np.dtype(
        [("xyz", "<f4", 3), ("score", "<f4"), ("type", "<u2"), ("pad", "<u2")]
    )
    stored = value(folder / "by_id", info["by_id"]["sharding"], 7)
    first = np.frombuffer(stored[: point.itemsize], point)[0]
    at = points["position_nm_zyx"][6]
    np.testing.assert_allclose(first["xyz"], [at[2], at[1], at[0]], rtol=1e-6)
    assert first["type"] == 6 % 3
    rest = stored[point.itemsize :]
    assert np.frombuffer(rest[:4], "<u4").tolist() == [1]
    assert np.frombuffer(rest[4:], "<u8") == points["segment"][6]
    (relation,) = info["relationships"]
    stored = value(folder / "rel_segment", relation["sharding"], 2**63 + 1)
    mine = np.flatnonzero(points["segment"] == 2**63 + 1)
    assert np.frombuffer(stored[:8], "<u8") == len(mine)
    np.testing.assert_array_equal(
        np.frombuffer(stored[-8 * len(mine) :], "<u8"), mine + 1
    )
    everything = (folder / "spatial0" / "0_0_0").read_bytes()
    assert len(everything) == 8 + 700 * (point.itemsize + 8)


def test_as_neuroglancer_reads_it(points, tmp_path):
    reading = pytest.importorskip("neuroglancer.read_precomputed_annotations")
    folder = tmp_path / "points"
    annotation_files.write(folder, **points)
    reader = reading.AnnotationReader(f"file://{folder}/")
    for number in (1, 350, 700):
        found = reader.by_id[number]
        at = points["position_nm_zyx"][number - 1]
        np.testing.assert_allclose(found.point, at[[2, 1, 0]], rtol=1e-6)
        assert found.props[1] == (number - 1) % 3
        assert found.segments[0][0] == points["segment"][number - 1]
    mine = (points["segment"] == 9).sum()
    assert len(reader.relationships["segment"][9]) == mine


def test_many_points_are_few_files(tmp_path, monkeypatch):
    monkeypatch.setattr(annotation_files, "_PER_SHARD", 1 << 9)
    rng = np.random.default_rng(0)
    folder = tmp_path / "points"
    annotation_files.write(
        folder,
        rng.uniform(size=(5000, 3)),
        np.arange(1, 5001, dtype=np.uint64),
        {},
    )
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert 18 <= len(files) <= 40
    info = json.loads((folder / "info").read_text())
    for key in (1, 2500, 5000):
        assert value(folder / "by_id", info["by_id"]["sharding"], key)


def test_again_and_nothing(points, tmp_path):
    folder = tmp_path / "points"
    annotation_files.write(folder, **points)
    annotation_files.write(folder, **points)
    assert [path.name for path in tmp_path.iterdir()] == ["points"]
    annotation_files.write(folder, np.zeros((0, 3)), np.zeros(0, int), {})
    assert not folder.exists()
