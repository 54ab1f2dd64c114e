"""The program view; what it shows is in tests/viewer/."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import urllib.parse

import numpy as np
from PIL import Image
import pytest

from ffn_tf import view, volume
from ffn_tf.inference import subvolume
from ffn_tf.viewer import screenshot

SHAPE, START, SIZE_NM = (5, 30, 40), (1, 2, 3), (40, 8, 4)
VOXELS = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.uint16)


def written(address):
    info = volume.VolumeInfo(
        volume.Box.from_size(START, SHAPE), VOXELS.dtype, SIZE_NM
    )
    with volume.create(address, info) as made:
        made.write(info.domain, VOXELS)
    return address


@pytest.fixture
def em(tmp_path):
    return written(f"precomputed://{tmp_path}/em")


@pytest.fixture
def bucket(http_server, http_folder):
    """A volume that anybody who is asked for could read."""
    written(f"precomputed://{http_folder}/em")
    return f"precomputed://{http_server.url}/{http_folder.name}/em"


def asked(url):
    """What a server answers."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    connection.request("GET", parts.path)
    found = connection.getresponse()
    body = found.read()
    connection.close()
    return found.status, body


def test_what_is_served_while_it_waits(em, tmp_path, capsys):
    """EM, a result of run_inference, skeletons, points; then nothing."""
    pytest.importorskip("neuroglancer")
    labels = np.zeros(SHAPE, np.uint8)
    labels[1, 2, 3] = 9
    box = volume.Box.from_size(START, SHAPE)
    subvolume.save(tmp_path / "run", subvolume.Subvolume(box, labels))
    (tmp_path / "7.swc").write_text("1 0 30 20 80 1 -1\n")
    (tmp_path / "p.csv").write_text("2,4,6\n")
    options = view.Options(
        position=(2, 4, 6),
        segments=(9,),
        skeletons=f"{tmp_path}/7.swc",
        points=f"{tmp_path}/p.csv",
        scene=f"{tmp_path}/scene.json",
    )
    seen = []

    def look():
        said = capsys.readouterr().out
        seen.append(re.search(r"http\S+", said)[0])
        assert said.count("\n") == 1
        assert asked(seen[0])[0] == 200
        state = json.loads((tmp_path / "scene.json").read_text())
        assert state["position"] == [6.5, 4.5, 2.5]
        layers = {layer["name"]: layer for layer in state["layers"]}
        assert list(layers) == ["em", "run", "skeletons", "points"]
        assert layers["run"]["type"] == "segmentation"
        assert layers["run"]["segments"] == ["9"]
        for name in ("em", "run", "skeletons"):
            url = layers[name]["source"].removeprefix("precomputed://")
            status, body = asked(f"{url}/info")
            assert status == 200
            seen.append(f"{url}/info")
            if name != "skeletons":
                # The voxel size of the result is that of the EM.
                (scale,) = json.loads(body)["scales"]
                assert scale["resolution"] == [4, 8, 40]
                assert scale["voxel_offset"] == [3, 2, 1]
        url = layers["em"]["source"].removeprefix("precomputed://")
        _, chunk = asked(f"{url}/0/3-43_2-32_1-6")
        assert chunk == VOXELS.tobytes()

    view.run(options, [em, f"{tmp_path}/run"], look)
    assert len(seen) == 4
    for url in seen:
        with pytest.raises(OSError):
            asked(url)


def test_what_anybody_can_open(bucket, capsys, tmp_path):
    path = f"{tmp_path}/scene.json"
    view.run(view.Options(link_only=True, scene=path), [bucket])
    link = capsys.readouterr().out.strip()
    assert link.startswith("https://neuroglancer-demo.appspot.com/#!%7B")
    state = json.loads(urllib.parse.unquote(link.partition("#!")[2]))
    assert [layer["source"] for layer in state["layers"]] == [bucket]
    with open(path, encoding="utf-8") as file:
        assert json.load(file) == state
    pytest.importorskip("neuroglancer")
    view.run(view.Options(), [bucket], lambda: None)
    assert f"For anybody: {link}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"position": (6, 2, 3)}, "--position: expected a voxel z,y,x"),
        ({"points": "outside.csv"}, "1 of 1 points lie outside"),
        ({"points": "missing.csv"}, "missing.csv"),
        ({"skeletons": "missing.swc"}, "missing.swc: no such file"),
        ({"link_only": True}, "--link_only: em can be shown by this machine"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(
    told, message, em, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(view.server, "Server", None)
    (tmp_path / "outside.csv").write_text("0,2,3\n")
    with pytest.raises((ValueError, OSError), match=message):
        view.run(view.Options(**told), [em])


def test_addresses_that_are_not_volumes(em, tmp_path, monkeypatch):
    monkeypatch.setattr(view.server, "Server", None)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        view.run(view.Options(), [em, f"{tmp_path}/missing"])
    np.save(tmp_path / "flat.npy", np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match=r"flat.npy: .*z, y, x"):
        view.run(view.Options(), [f"{tmp_path}/flat.npy"])


def test_options_that_cannot_be(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="nothing to take a picture of"):
        view.Options(link_only=True, screenshot="a.png")
    with pytest.raises(ValueError, match="--port: expected 0 to 65535"):
        view.Options(port=70000)
    with pytest.raises(ValueError, match="--screenshot: expected a path"):
        view.Options(screenshot="gs://bucket/a.png")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="needs a browser"):
        view.Options(screenshot="a.png")


def test_command_line(command):
    ran = command("view")
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: expected addresses of volumes")


def test_it_ends_quietly(em):
    pytest.importorskip("neuroglancer")
    process = subprocess.Popen(
        [sys.executable, "-m", "ffn_tf.view", em, "--layout=xy"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        url = re.search(r"http://127.0.0.1:\d+/v/\w+/", line)[0]
        assert asked(url)[0] == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.slow
def test_a_picture(em, command, tmp_path):
    pytest.importorskip("neuroglancer")
    try:
        screenshot.browser()
    except FileNotFoundError as error:
        pytest.skip(f"{error}")
    path = f"{tmp_path}/new/em.png"
    ran = command("view", em, f"--screenshot={path}", "--layout=xy")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"Wrote {path}.\n"
    with Image.open(path) as picture:
        assert picture.size == screenshot.SIZE
        greys = np.asarray(picture.convert("L"))
    assert len(np.unique(greys)) > 100
