"""Where the browser gets a volume from."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.viewer import sources

INFO = volume.VolumeInfo(
    volume.Box.from_size((1, 2, 3), (4, 5, 6)), np.dtype(np.uint32), (40, 8, 8)
)


@pytest.fixture
def labels(tmp_path):
    """A precomputed segmentation, and its folder."""
    address = f"precomputed://{tmp_path}/labels"
    with volume.create(address, INFO) as made:
        made.write(INFO.domain, np.ones((4, 5, 6), np.uint32))
    return address, tmp_path / "labels"


@pytest.fixture
def dataset(tmp_path, labels):
    """A dataset file with volumes of many kinds."""
    (tmp_path / "d.yaml").write_text(
        f"""
name: d
volumes:
  bucket: {{address: "precomputed://gs://bucket/em"}}
  part: {{address: "precomputed://gs://bucket/em?mip=1"}}
  seen: {{of: bucket, view: [{{downsample: {{factors_zyx: [1, 2, 2]}}}}]}}
  here: {{address: "{labels[0]}"}}
  file: {{address: em.h5:raw, kind: segmentation}}
"""
    )
    return f"{tmp_path}/d.yaml"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("precomputed://gs://bucket/em", "precomputed://gs://bucket/em"),
        ("precomputed://https://host/em", "precomputed://https://host/em"),
        ("precomputed://s3://bucket/em", "precomputed://s3://bucket/em"),
        ("precomputed://gs://bucket/em?mip=1", ""),
        ("precomputed://em", ""),
        ("precomputed://file:///em", ""),
        ("zarr3://gs://bucket/em", ""),
        ("n5://gs://bucket/em", ""),
        ("em.h5:raw", ""),
        ("missing-folder", ""),
        ('{"driver": "n5"}', ""),
        ("gs://bucket/em/|neuroglancer-precomputed:", ""),
    ],
)
def test_public(address, expected):
    assert sources.public(address) == expected


def test_public_of_a_dataset(dataset):
    expected = "precomputed://gs://bucket/em"
    assert sources.public(f"{dataset}#bucket") == expected
    for name in ("bucket?mip=1", "part", "seen", "here", "file", "unknown"):
        assert sources.public(f"{dataset}#{name}") == ""


def test_tolerant(dataset, labels):
    both = "missing=zero&tolerate=corrupt"
    for address, expected in {
        "zarr3://em": f"zarr3://em?{both}",
        "zarr3://em?mip=1": f"zarr3://em?mip=1&{both}",
        f"zarr3://em?{both}": f"zarr3://em?{both}",
        "em.h5:raw": "em.h5:raw",
        "results": "results",
        f"{dataset}#file": f"{dataset}#file",
        f"{dataset}#here": f"{dataset}#here?{both}",
    }.items():
        assert sources.tolerant(address) == expected
    with volume.open(sources.tolerant(f"{dataset}#here")) as opened:
        assert opened.domain == INFO.domain


def test_same_size():
    voxels = np.zeros((2, 3, 4), np.uint8)
    unknown = volume.from_array(voxels)
    known = volume.from_array(voxels, voxel_size_nm=(40, 8, 8))
    other = volume.from_array(voxels, voxel_size_nm=(40, 4, 4))
    found = sources.same_size([unknown, known, other])
    assert [v.voxel_size_nm for v in found] == [
        (40, 8, 8),
        (40, 8, 8),
        (40, 4, 4),
    ]
    assert sources.same_size([unknown]) == [unknown]


def test_coarser_scales_of_a_coarser_one(tmp_path):
    from ffn_tf.volume.formats import layout

    where = volume.address.parse(f"precomputed://{tmp_path}/em", creating=True)
    info = volume.VolumeInfo(
        volume.Box.from_shape((64, 64, 64)), np.uint8, (8, 8, 8), (8, 8, 8)
    )
    layout.create_chunked(where, info, {}, None, 4)
    for query, expected in {
        "": [8, 16, 32, 64],
        "?mip=1": [16, 32, 64],
        "?resolution_nm=32,32,32&missing=zero": [32, 64],
        "?mip=3": [64],
    }.items():
        with volume.open(f"{where.text}{query}") as base:
            found = sources.with_coarser(base)
            sizes = [scale.voxel_size_nm[0] for scale in found]
            assert sizes == expected
            assert all("missing" in s.address for s in found) == (
                "missing" in query
            )


def test_folders_beside(labels, dataset, tmp_path, capsys):
    address, folder = labels
    assert sources.beside(address) == {}
    assert not sources.objects(address)
    for name in ("meshes", "segment_properties"):
        (folder / name).mkdir()
    (tmp_path / "elsewhere").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    info = json.loads((folder / "info").read_text())
    info |= {"mesh": "meshes", "segment_properties": "segment_properties"}
    (folder / "info").write_text(json.dumps(info | {"skeletons": "missing"}))
    for named in (address, f"{address}?missing=zero", f"{dataset}#here"):
        assert set(sources.beside(named)) == {"mesh", "segment_properties"}
        assert sources.objects(named) == {"mesh", "skeletons"}
    assert not capsys.readouterr().err
    for outside in ("../elsewhere", f"{tmp_path}/elsewhere", "linked"):
        (folder / "info").write_text(json.dumps(info | {"mesh": outside}))
        assert set(sources.beside(address)) == {"segment_properties"}
        assert "outside of the volume" in capsys.readouterr().err
    assert sources.beside("em.h5:raw") == {}


@pytest.mark.parametrize(
    ("about", "names", "expected"),
    [
        (None, ["7:0", "8", "9.index"], [7]),
        ({"@type": "neuroglancer_legacy_mesh"}, ["7:0", "9:0.gz"], [7, 9]),
        ({"@type": "neuroglancer_multilod_draco"}, ["9.index", "7:0"], [9]),
        ({"@type": "neuroglancer_skeletons"}, ["8", "7:0"], [8]),
        ({"@type": "neuroglancer_skeletons", "sharding": {}}, [], [9, 8, 7]),
    ],
)
def test_segments_that_have_objects(about, names, expected, labels):
    address, folder = labels
    info = json.loads((folder / "info").read_text())
    (folder / "info").write_text(json.dumps(info | {"mesh": "m"}))
    (folder / "m").mkdir()
    if about:
        (folder / "m" / "info").write_text(json.dumps(about))
    for name in names:
        (folder / "m" / name).touch()
    found = sources.with_objects(f"{address}?missing=zero", [9, 8, 7])
    assert sorted(found) == sorted(expected)


def test_names():
    assert sources.names(
        [
            "precomputed://gs://bucket/em/?mip=1",
            "em.h5:group/raw",
            "a/em",
            "d.yaml#truth",
            '{"driver": "n5"}',
            "gs://bucket/em/|neuroglancer-precomputed:",
            "em",
        ]
    ) == [
        "em",
        "raw",
        "em_2",
        "truth",
        "n5",
        "neuroglancer-precomputed",
        "em_3",
    ]
