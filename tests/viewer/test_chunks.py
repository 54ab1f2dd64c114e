"""Volumes as precomputed ones, read back by TensorStore through our server."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.viewer import chunks, folder

Box = volume.Box
START = (30, -20, 10)
SHAPE = (11, 13, 17)
SIZE_NM = (40.0, 8.0, 4.0)
COUNT = np.arange(1, 1 + np.prod(SHAPE)).reshape(SHAPE)


def of(array, start=START, chunk=(4, 5, 6), kind=None):
    opened = volume.from_array(array, voxel_size_nm=SIZE_NM, start=start)
    return chunks.Chunks([opened.described(chunk_zyx=chunk, kind=kind)])


@pytest.mark.parametrize(
    ("dtype", "kind", "expected"),
    [
        ("uint8", "image", "uint8"),
        ("int16", "image", "int16"),
        ("uint16", "image", "uint16"),
        (">u2", "image", "uint16"),
        ("float32", "image", "float32"),
        ("float64", "image", "float32"),
        ("uint64", "image", "float32"),
        ("bool", "image", "uint8"),
        ("uint8", "segmentation", "uint32"),
        ("bool", "segmentation", "uint32"),
        ("int32", "segmentation", "uint64"),
        ("uint32", "segmentation", "uint32"),
        ("int64", "segmentation", "uint64"),
        ("uint64", "segmentation", "uint64"),
    ],
)
def test_every_voxel_as_others_read_it(dtype, kind, expected, served):
    voxels = COUNT.astype(dtype)
    if expected == "uint64":
        voxels[:] += np.array(2**40 if voxels.itemsize == 8 else 0, dtype)
    with volume.open(f"precomputed://{served(of(voxels, kind=kind))}") as found:
        assert found.dtype == expected
        assert found.info.kind == kind
        assert found.domain == Box.from_size(START, SHAPE)
        assert found.voxel_size_nm == SIZE_NM
        np.testing.assert_array_equal(found.read(), voxels.astype(expected))


def test_a_corner(served):
    """Axes of other lengths; 9 lies first along z, last along y."""
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[0, -1, 3] = 9
    files = of(voxels, (0, 0, 0))
    info = json.loads(files.get("info"))
    assert info["scales"][0]["size"] == [17, 13, 11]
    assert info["scales"][0]["resolution"] == [4, 8, 40]
    (chunk,) = info["scales"][0]["chunk_sizes"]
    assert chunk == [17, 13, 11]  # Small volumes are one chunk.
    found = files.get("0/0-17_0-13_0-11")
    # In memory x is fastest, so as the format has it.
    assert found[3 + 17 * 12] == 9 and sum(found) == 9


def test_coarser_scales(tmp_path, served):
    from ffn_tf.viewer import sources
    from ffn_tf.volume import pyramid
    from ffn_tf.volume.formats import layout

    info = volume.VolumeInfo(
        Box.from_size((3, 4, 5), (40, 50, 60)), np.dtype("u8"), (8, 8, 8)
    )
    info = volume.VolumeInfo(info.domain, info.dtype, (8, 8, 8), (16, 16, 16))
    layout.create_chunked(
        volume.address.parse(f"zarr://{tmp_path}/labels", creating=True),
        info,
        {},
        None,
        3,
    )
    voxels = np.arange(40 * 50 * 60, dtype="u8").reshape(40, 50, 60)
    with volume.open(f"zarr://{tmp_path}/labels", mode="r+") as base:
        with pyramid.filling(base) as filled:
            filled.write(info.domain, voxels)
    with volume.open(f"zarr://{tmp_path}/labels") as base:
        scales = sources.with_coarser(base)
        url = served(chunks.Chunks(scales))
        assert len(scales) == 3
        for mip, scale in enumerate(scales):
            with volume.open(f"precomputed://{url}?mip={mip}") as found:
                assert found.domain == scale.domain
                assert found.voxel_size_nm == (8 * 2**mip,) * 3
                np.testing.assert_array_equal(found.read(), scale.read())


def test_a_segment_without_a_mesh(tmp_path):
    (tmp_path / "7:0").touch()
    opened = volume.from_array(COUNT)
    files = chunks.Chunks([opened], {"mesh": folder.Folder(tmp_path)})
    assert files.get("mesh/7:0") == tmp_path / "7:0"
    assert json.loads(files.get("mesh/8:0")) == {"fragments": []}
    assert files.get("mesh/8") is None and files.get("mesh/info") is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "1/10-16_-20--15_30-34",  # No such scale.
        "0/10-17_-20--15_30-34",  # Larger than a chunk.
        "0/11-16_-20--15_30-34",  # Not at its place.
        "0/4-10_-20--15_30-34",  # Outside.
        "0/10-10_-20--15_30-34",
        "0/16-10_-20--15_30-34",
        "0/a-16_-20--15_30-34",
        "mesh/info",
        "../secret",
    ],
)
def test_no_file(path, monkeypatch):
    monkeypatch.setattr(chunks, "_LEAST", 1)
    files = of(COUNT.astype(np.uint16))
    assert len(files.get("0/10-16_-20--15_30-34")) == 2 * 6 * 5 * 4
    assert files.get(path) is None


@pytest.mark.parametrize(
    ("chunk", "size", "expected"),
    [
        ((64, 64, 64), (250, 250, 250), (64, 64, 64)),
        ((1, 9000, 8000), (500, 9000, 8000), (1, 282, 500)),
        ((8, 8, 8), (250, 250, 250), (32, 32, 32)),
        ((64, 64, 64), (3, 10**6, 10**6), (3, 128, 128)),
        ((64, 64, 64), (5, 6, 7), (5, 6, 7)),
    ],
)
def test_pleasant_chunks(chunk, size, expected):
    info = volume.VolumeInfo(Box.from_shape(size), np.uint8, chunk_zyx=chunk)
    found = chunks.chunk_of(info)
    assert found == expected
    assert np.prod(found) <= 2**18


def test_only_what_is_asked_for_is_read():
    """A volume larger than any memory."""

    class Formula:
        info = volume.VolumeInfo(Box.from_shape((10**6,) * 3), np.uint8)
        attributes = {}  # noqa: RUF012
        asked = []  # noqa: RUF012

        def read(self, box):
            self.asked.append(box)
            return np.full(box.size, 7, np.uint8)

    files = chunks.Chunks([volume.Volume(Formula(), "large", writable=False)])
    assert json.loads(files.get("info"))["scales"][0]["size"] == [10**6] * 3
    assert not Formula.asked
    assert files.get("0/64-128_0-64_128-192") == b"\7" * 64**3
    assert Formula.asked == [Box((128, 0, 64), (192, 64, 128))]
