"""Points of tables, and as annotations."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.viewer import points

DOMAIN = volume.Box((10, 20, 30), (20, 40, 60))
ZYX = [[10, 20, 30], [19, 39, 59], [12, 25, 33]]


def written(path, text):
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    "text",
    [
        "10,20,30\n19,39,59\n12,25,33\n",
        "10, 20, 30\n\n19,39,59\n12,25,33",
        "z,y,x\n10,20,30\n19,39,59\n12,25,33\n",
        "x,id,y,z\n30,1,20,10\n59,2,39,19\n33,3,25,12\n",
        "id,seed_z,seed_y,seed_x\n1,10,20,30\n2,,,\n3,19,39,59\n4,12,25,33\n",
    ],
)
def test_csv(text, tmp_path):
    path = written(tmp_path / "p.csv", text)
    np.testing.assert_array_equal(points.read(path, DOMAIN), ZYX)


@pytest.mark.parametrize("dtype", [np.int32, np.uint16, np.float32])
def test_npy(dtype, tmp_path):
    np.save(tmp_path / "p.npy", np.array(ZYX, dtype))
    found = points.read(f"{tmp_path}/p.npy", DOMAIN)
    np.testing.assert_array_equal(found, ZYX)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9,20,30\n10,20,30\n", r"1 of 2 points lie outside .*\(9.0, 20.0"),
        ("20,20,30\n", "1 of 1 points lie outside"),
        ("10,20\n", "row 1: expected three numbers z,y,x, found '10,20'"),
        ("z,y,x\n10,20,30\n10,a,30\n", "row 3: expected three numbers"),
        ("10,20,nan\n", "expected columns"),
        ("a,b,c\n10,20,30\n", "expected columns z,y,x or .*found a,b,c"),
        ("z,y,x\n", "no point in it"),
        ("", "no point in it"),
    ],
)
def test_what_is_wrong_with_a_csv(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        points.read(written(tmp_path / "p.csv", text), DOMAIN)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 2)), r"expected numbers \[n, 3\]"),
        (np.array([["1", "2", "3"]]), r"expected numbers \[n, 3\]"),
        (np.array([[10, 20, np.nan]]), "1 of 1 points lie outside"),
        (np.zeros((0, 3)), "no point in it"),
    ],
)
def test_what_is_wrong_with_an_npy(array, message, tmp_path):
    np.save(tmp_path / "p.npy", array)
    with pytest.raises(ValueError, match=message):
        points.read(f"{tmp_path}/p.npy", DOMAIN)


def test_other_files(tmp_path):
    with pytest.raises(ValueError, match=r"csv or .npy, .*; TFRecords"):
        points.read(f"{tmp_path}/coordinates@4", DOMAIN)
    with pytest.raises(FileNotFoundError):
        points.read(f"{tmp_path}/p.csv", DOMAIN)
    written(tmp_path / "p.npy", "text")
    with pytest.raises(ValueError, match="not a numpy array"):
        points.read(f"{tmp_path}/p.npy", DOMAIN)


def test_many_points_as_neuroglancer_reads_them(served, tmp_path):
    """Its own reader of annotations, which is not ours."""
    reader = pytest.importorskip("neuroglancer.read_precomputed_annotations")
    rng = np.random.default_rng(0)
    zyx = rng.integers(DOMAIN.start, DOMAIN.end, (2000, 3))
    dimensions = {"x": [4e-9, "m"], "y": [8e-9, "m"], "z": [4e-8, "m"]}
    files = points.Points(zyx, dimensions)
    found = reader.AnnotationReader(f"{served(files)}/")
    for number in (0, 1, 1999):
        z, y, x = zyx[number] + 0.5
        assert found.by_id[number].point.tolist() == [x, y, z]
    info = json.loads(files.get("info"))
    assert info["lower_bound"] == zyx.min(axis=0)[[2, 1, 0]].tolist()
    assert info["upper_bound"] == (zyx.max(axis=0) + 1)[[2, 1, 0]].tolist()
    (chunk,) = info["spatial"]
    data = files.get(f"{chunk['key']}/0_0_0")
    assert int.from_bytes(data[:8], "little") == 2000
    middle = 8 + 2000 * 12
    drawn = np.frombuffer(data[8:middle], "<f4").reshape(-1, 3)
    np.testing.assert_array_equal(drawn, zyx[:, [2, 1, 0]] + 0.5)
    numbers = np.frombuffer(data[middle:], "<u8")
    np.testing.assert_array_equal(numbers, np.arange(2000))
    for path in ("by_id/2000", "by_id/x", "spatial/0_0_1", "../info"):
        assert files.get(path) is None
