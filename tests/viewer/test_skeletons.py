"""Skeletons of files as precomputed ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ffn_tf import skeleton
from ffn_tf.viewer import skeletons
from ffn_tf.viewer.folder import Folder

LINE = skeleton.Skeleton(
    7,
    np.array([[10.0, 20.0, 30.0], [11, 21, 31], [12, 22, 35]]),
    np.array([[0, 1], [1, 2]]),
)
DOT = skeleton.Skeleton(
    2**40, np.array([[1.0, 2.0, 3.0]]), np.zeros((0, 2), np.int64)
)


def written(folder, files, names):
    """The files, in a folder that `skeleton.read` reads."""
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(files.get(name))
    return folder


def test_as_our_own_reader_reads_them(tmp_path):
    files = skeletons.Skeletons([LINE, DOT])
    assert files.ids() == [7, 2**40]
    folder = written(tmp_path / "s", files, ["info", "7", f"{2**40}"])
    line, dot = skeleton.read(folder)
    assert (line.id, dot.id) == (7, 2**40)
    np.testing.assert_array_equal(line.vertices_nm_zyx, LINE.vertices_nm_zyx)
    np.testing.assert_array_equal(line.edges, LINE.edges)
    np.testing.assert_array_equal(dot.vertices_nm_zyx, DOT.vertices_nm_zyx)
    assert files.get("8") is None and files.get("../info") is None


def test_a_folder_of_precomputed_ones(tmp_path):
    folder = written(
        tmp_path / "s", skeletons.Skeletons([LINE, DOT]), ["info", "7"]
    )
    for address in (f"{folder}", f"precomputed://{folder}"):
        files, ids = skeletons.opened(address)
        assert isinstance(files, Folder)
        assert ids == [7]


def test_a_file(tmp_path):
    (tmp_path / "7.swc").write_text("1 0 30 20 10 1 -1\n2 0 31 21 11 1 1\n")
    files, ids = skeletons.opened(f"{tmp_path}/7.swc")
    assert ids == [7]
    assert files.get("7")[8:20] == np.array([30, 20, 10], "<f4").tobytes()


def test_behind_a_web_server(http_server, http_folder):
    folder = written(
        http_folder / "s", skeletons.Skeletons([LINE]), ["info", "7"]
    )
    url = f"{http_server.url}/{http_folder.name}/{folder.name}"
    expected = (f"precomputed://{url}", [])
    assert skeletons.opened(f"precomputed://{url}") == expected
    with pytest.raises(FileNotFoundError, match="no precomputed skeletons"):
        skeletons.opened(f"{url}/none")


def test_the_folder_of_the_volume(tmp_path):
    (tmp_path / "info").write_text(json.dumps({"@type": "other"}))
    with pytest.raises(ValueError, match="Name the folder of the skeletons"):
        skeletons.opened(f"{tmp_path}")
    with pytest.raises(FileNotFoundError):
        skeletons.opened(f"{tmp_path}/missing")
