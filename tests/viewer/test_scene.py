"""Scenes: layers in order, sources, position, links."""

from __future__ import annotations

import json
import urllib.parse

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.viewer import points, scene, sources
from ffn_tf.volume import segment_properties

START, SHAPE, SIZE_NM = (30, 20, 10), (5, 30, 40), (40.0, 8.0, 4.0)


def opened(kind, shape=SHAPE):
    voxels = np.arange(np.prod(shape)).reshape(shape).astype(np.uint16)
    made = volume.from_array(voxels, voxel_size_nm=SIZE_NM, start=START)
    return made.described(kind=kind)


@pytest.fixture
def made():
    em = opened("image")
    made = scene.Scene(em)
    made.add_volume("em", "em.npy", [em])
    made.add_volume("seg", "seg.npy", [opened("segmentation")])
    return made


def test_state(made):
    state = made.state(None, "xy", lambda name: f"http://here/{name}")
    assert state["dimensions"] == {
        "x": [pytest.approx(4e-9), "m"],
        "y": [pytest.approx(8e-9), "m"],
        "z": [pytest.approx(4e-8), "m"],
    }
    assert state["position"] == [30.5, 35.5, 32.5]  # The middle, x y z.
    # 30 rows of 8 nm are the longest, as long as 60 voxels of 4.
    assert state["crossSectionScale"] == pytest.approx(60 / 400)
    assert state["layout"] == "xy"
    assert [(a["name"], a["type"], a["source"]) for a in state["layers"]] == [
        ("em", "image", "precomputed://http://here/em"),
        ("seg", "segmentation", "precomputed://http://here/seg"),
    ]
    assert state["layers"][0]["opacity"] == 1
    assert set(made.served) == {"em", "seg"}


def test_a_second_image_lets_the_first_through(made):
    made.add_volume("again", "em.npy", [opened("image")])
    assert made.state(None, "xy")["layers"][2]["opacity"] == 0.5


def test_position(made):
    state = made.state((34, 49, 10), "4panel")
    assert state["position"] == [10.5, 49.5, 34.5]
    for outside in ((35, 49, 10), (34, 49, 9), (0, 0, 0)):
        with pytest.raises(ValueError, match="--position: expected a voxel"):
            made.state(outside, "4panel")


def test_large_volumes_are_seen_voxel_by_voxel():
    class Nothing:
        info = volume.VolumeInfo(
            volume.Box.from_shape((10**5,) * 3), np.uint64, (8, 8, 8)
        )
        attributes = {}  # noqa: RUF012

    large = scene.Scene(volume.Volume(Nothing(), "large", writable=False))
    state = large.state(None, "xy")
    assert state["crossSectionScale"] == 1
    assert state["projectionScale"] < 10**4


def test_points_few_and_many(made, tmp_path):
    domain = volume.Box.from_size(START, SHAPE)
    rng = np.random.default_rng(0)
    zyx = rng.integers(domain.start, domain.end, (points.FEW + 1, 3))
    np.save(tmp_path / "few.npy", zyx[1:])
    np.save(tmp_path / "many.npy", zyx)
    made.add_points("few", f"{tmp_path}/few.npy")
    made.add_points("many", f"{tmp_path}/many.npy")
    *_, few, many = made.state(None, "xy")["layers"]
    assert len(few["annotations"]) == points.FEW
    assert many["source"] == "precomputed://many"
    assert set(made.served) == {"em", "seg", "many"}


def test_skeletons(made, tmp_path):
    (tmp_path / "7.swc").write_text("1 0 30 20 10 1 -1\n")
    made.add_skeletons("lines", f"{tmp_path}/7.swc")
    layer = made.state(None, "xy")["layers"][2]
    assert (layer["type"], layer["segments"]) == ("segmentation", ["7"])
    # They are seen through meshes, and are themselves opaque.
    em, seg, _ = made.state(None, "xy")["layers"]
    assert 0 < seg["objectAlpha"] < 0.5
    assert "objectAlpha" not in em | layer
    assert "lines" in made.served


def test_segments_are_chosen_where_there_are_meshes(tmp_path):
    labels = np.repeat([0, 7, 3], [30, 10, 20]).astype(np.uint64)
    labels = labels.reshape(3, 4, 5)
    info = volume.VolumeInfo(volume.Box.from_shape((3, 4, 5)), labels.dtype)
    address = f"precomputed://{tmp_path}/seg"
    with volume.create(address, info) as written:
        written.write(info.domain, labels)

        def layer(*segments):
            made = scene.Scene(written)
            made.add_volume("seg", address, [written], segments)
            return made.state(None, "xy")["layers"][0]

        assert "segments" not in layer()
        assert layer(5)["segments"] == ["5"]
        (tmp_path / "seg" / "mesh").mkdir()
        found = json.loads((tmp_path / "seg" / "info").read_text())
        text = json.dumps(found | {"mesh": "mesh"})
        (tmp_path / "seg" / "info").write_text(text)
        assert "segments" not in layer()
        (tmp_path / "seg" / "mesh" / "7:0").touch()
        assert layer()["segments"] == ["7"]
        (tmp_path / "seg" / "mesh" / "3:0.gz").touch()
        assert layer()["segments"] == ["3", "7"]
        assert layer(5)["segments"] == ["5"]
        assert "objectAlpha" not in layer()
        text = json.dumps(found | {"mesh": "mesh", "skeletons": "lines"})
        (tmp_path / "seg" / "info").write_text(text)
        assert 0 < layer(5)["objectAlpha"] < 0.5


@pytest.mark.parametrize("layout", ["3d", "4panel"])
def test_the_whole_box_is_seen(made, layout):
    """Its corners are within a sphere, with some margin."""
    state = made.state(None, layout)
    edges = np.array(SHAPE) * SIZE_NM / min(SIZE_NM)
    assert state["projectionScale"] > 1.15 * np.linalg.norm(edges)


def test_a_scene_for_anybody(monkeypatch, tmp_path):
    em = opened("image")
    made = scene.Scene(em)
    made.add_volume("em", "precomputed://gs://bucket/em", [em])
    assert not made.served
    state = made.state((34, 49, 10), "4panel")
    assert state["layers"][0]["source"] == "precomputed://gs://bucket/em"
    page, _, fragment = scene.link(state).partition("#!")
    assert page == "https://neuroglancer-demo.appspot.com/"
    assert " " not in fragment and '"' not in fragment
    assert json.loads(urllib.parse.unquote(fragment)) == state
    scene.write(state, f"{tmp_path}/new/scene.json")
    assert json.loads((tmp_path / "new" / "scene.json").read_text()) == state


def test_neuroglancer_reads_the_link(made):
    """And knows all that is in the state."""
    neuroglancer = pytest.importorskip("neuroglancer")
    state = made.state(None, "4panel")
    found = neuroglancer.parse_url(scene.link(state))
    assert found.to_json() == state
    assert found.layers[1].layer.type == "segmentation"


def test_segment_properties_of_a_folder(tmp_path):
    folder = tmp_path / "properties"
    with pytest.raises(FileNotFoundError, match="no segment properties"):
        sources.properties(str(folder))
    folder.mkdir()
    (folder / "info").write_text('{"@type": "neuroglancer_skeletons"}')
    with pytest.raises(ValueError, match="found neuroglancer_skeletons"):
        sources.properties(str(folder))
    (folder / "info").write_text("[")
    with pytest.raises(ValueError, match="damaged"):
        sources.properties(str(folder))
    text = segment_properties.described(np.array([3]), {"n": np.array([1.0])})
    (folder / "info").write_text(text)
    made = scene.Scene(opened("image"))
    made.add_volume("em", "em.npy", [opened("image")], (), str(folder))
    made.add_volume("seg", "seg.npy", [opened("segmentation")], (), str(folder))
    assert "segment_properties" not in made.served["em"].info()
    served = made.served["seg"]
    assert served.info()["segment_properties"] == "segment_properties"
    assert served.get("segment_properties/info").read_text() == text
