"""Pictures, and why there is none. Those with a browser need a Chromium."""

from __future__ import annotations

import io
import json
import pathlib
import unittest.mock

import numpy as np
from PIL import Image
import pytest

from ffn_tf import volume
from ffn_tf.viewer import scene, screenshot, sources

# Voxel by voxel another grey value; no two axes are alike.
SHAPE, START, SIZE_NM = (3, 96, 128), (30, 20, 10), (40.0, 8.0, 8.0)
HEIGHT, WIDTH = SHAPE[1:]
_z, _y, _x = np.indices(SHAPE)
VOXELS = (10 + 20 * _z + _y + _x // 2).astype(np.uint8)
VOXELS[:, :8, :16] = 255  # The corner where y and x begin.
_SHADER = "void main() { emitRGB(vec3(toNormalized(getDataValue()), %s)); }"
_BARE = {
    "crossSectionScale": 1,
    "crossSectionBackgroundColor": "#000000",
    "showAxisLines": False,
    "showScaleBar": False,
    "showDefaultAnnotations": False,
}


@pytest.fixture
def chromium(running) -> None:
    try:
        screenshot.browser()
    except FileNotFoundError as error:
        pytest.skip(f"{error}")


@pytest.fixture
def picture(running, chromium):
    """picture(made, layout, **changes): pixels [y, x, rgb] of a scene."""

    def take(made, layout="xy", layers=(), size=(WIDTH, HEIGHT), **changes):
        running.serve(made.served)
        state = made.state(None, layout, running.url_of) | _BARE | changes
        for layer, told in zip(state["layers"], layers):
            layer.update(told)
        # A pixel's middle is a voxel's middle, where sizes are even.
        state["position"][:2] = np.floor(state["position"][:2]).tolist()
        running.viewer.set_state(state)
        taken = screenshot.taken(running.viewer, size=size)
        with Image.open(io.BytesIO(taken)) as found:
            return np.asarray(found.convert("RGB")).astype(int)

    return take


def written(address, voxels):
    info = volume.VolumeInfo(
        volume.Box.from_size(START, SHAPE), voxels.dtype, SIZE_NM, (2, 32, 48)
    )
    with volume.create(address, info) as made:
        made.write(info.domain, voxels)


def test_precomputed_and_zarr_lie_upon_each_other(picture, tmp_path):
    """One red, one green, in the middle section: each pixel is its voxel."""
    addresses = [f"precomputed://{tmp_path}/one", f"zarr://{tmp_path}/two"]
    opened = []
    for address in addresses:
        written(address, VOXELS)
        opened.append(volume.open(address))
    made = scene.Scene(opened[0])
    for address, shown in zip(addresses, opened):
        made.add_volume(sources.names([address])[0], address, [shown])
    assert len(made.served) == 2
    red, green = (
        {"shader": _SHADER % "0, 0"},
        {
            "shader": "void main() { emitRGB("
            "vec3(0, toNormalized(getDataValue()), 0)); }",
            "blend": "additive",
            "opacity": 1,
        },
    )
    found = picture(made, layers=[red, green])
    for one in opened:
        one.close()
    assert found.shape == (HEIGHT, WIDTH, 3)
    for channel in (0, 1):
        assert np.abs(found[..., channel] - VOXELS[1]).max() <= 1
    assert not found[..., 2].any()


@pytest.mark.slow
def test_segments_and_their_meshes(picture, tmp_path):
    """A box of id 7, in the plane and in three dimensions."""
    labels = np.zeros(SHAPE, np.uint64)
    labels[:, 40:60, 30:90] = 7
    written(f"precomputed://{tmp_path}/seg", labels)
    folder = tmp_path / "seg"
    (folder / "mesh").mkdir()
    corner = np.array([30 + 10, 40 + 20, 30]) * SIZE_NM[::-1]  # x, y, z
    corners = corner + np.array([[0, 0, 0], [480, 0, 0], [0, 160, 0]])
    (folder / "mesh" / "7:0").write_text('{"fragments": ["part"]}')
    (folder / "mesh" / "part").write_bytes(
        np.uint32(3).tobytes()
        + corners.astype("<f4").tobytes()
        + np.array([0, 1, 2], "<u4").tobytes()
    )
    info = json.loads((folder / "info").read_text()) | {"mesh": "mesh"}
    (folder / "info").write_text(json.dumps(info))
    address = f"precomputed://{folder}"
    with volume.open(address) as opened:
        made = scene.Scene(opened)
        made.add_volume("seg", address, [opened])
        plane = picture(made, layers=[{"selectedAlpha": 1}])
        solid = picture(
            made,
            "3d",
            showSlices=False,
            projectionOrientation=[0, 0, 0, 1],
            projectionScale=HEIGHT,
            projectionBackgroundColor="#000000",
        )
    inside = labels[1] == 7
    assert not plane[~inside].any()
    (colour,) = np.unique(plane[inside], axis=0)
    assert colour.max() > 100
    # Half of the box: the triangle before its diagonal.
    drawn = solid.any(axis=2)
    rows, columns = np.nonzero(drawn)
    assert abs(rows.min() - 40) <= 2 and abs(rows.max() - 60) <= 2
    assert abs(columns.min() - 30) <= 2 and abs(columns.max() - 90) <= 3
    assert 0.4 < drawn.sum() / inside.sum() < 0.6
    assert drawn[42, 35] and not drawn[57, 85]


def test_no_browser(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"needs a browser.*chromium"):
        screenshot.browser()


class Waiting:
    """A viewer that no browser asks."""

    config_state = unittest.mock.MagicMock()

    def get_viewer_url(self):
        return "http://127.0.0.1:1/"

    def async_screenshot(self, callback):
        pass


def as_chromium(folder: pathlib.Path, script: str, monkeypatch) -> None:
    path = folder / "chromium"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_browser_that_ends(tmp_path, monkeypatch):
    as_chromium(tmp_path, "echo no room >&2; exit 3", monkeypatch)
    with pytest.raises(OSError, match=r"ended, with 3, before .*no room"):
        screenshot.taken(Waiting())


def test_a_browser_that_shows_nothing(tmp_path, monkeypatch):
    as_chromium(tmp_path, f"echo $$ > {tmp_path}/pid; sleep 60", monkeypatch)
    with pytest.raises(OSError, match=r"No picture of the scene in 0.5 s"):
        screenshot.taken(Waiting(), patience_s=0.5)
    pid = (tmp_path / "pid").read_text().strip()
    assert not pathlib.Path(f"/proc/{pid}").exists()
