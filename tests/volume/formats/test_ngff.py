"""OME-NGFF groups of other tools: names of axes, arrays named alone."""

import json
import os

import numpy as np
import pytest
import tensorstore as ts

from ffn_tf import volume

Box = volume.Box

# Every voxel different, every axis of another length.
VOXELS = np.arange(5 * 7 * 9, dtype=np.uint16).reshape(5, 7, 9)
SIZE_NM = {"z": 40.0, "y": 8.0, "x": 4.0}
START = {"z": 3, "y": 5, "x": 2}


def stored(voxels, axes):
    """[z, y, x] as an array with these axes; others have one element."""
    order = [a for a in axes if a in "zyx"]
    found = voxels.transpose(["zyx".index(a) for a in order])
    return found[tuple(slice(None) if a in "zyx" else None for a in axes)]


def write(path, driver, voxels, names=None):
    metadata = {"zarr": {"chunks": [4] * voxels.ndim}, "zarr3": {}}[driver]
    if driver == "zarr3":
        chunks = {"chunk_shape": [4] * voxels.ndim}
        metadata["chunk_grid"] = {"name": "regular", "configuration": chunks}
    if names:
        metadata["dimension_names"] = list(names)
    spec = {"driver": driver, "kvstore": f"file://{path}/"}
    array = ts.open(
        spec | {"metadata": metadata},
        create=True,
        dtype=voxels.dtype,
        shape=voxels.shape,
    ).result()
    array.write(voxels).result()


def group(folder, driver, axes, scales=("0",), unit="nanometer", more=None):
    """The metadata of a group whose scales are all of the same size."""
    unit = {} if unit is None else {"unit": unit}
    step = {
        "scale": [SIZE_NM.get(a, 1.0) for a in axes],
        "translation": [SIZE_NM.get(a, 0) * START.get(a, 0) for a in axes],
    }
    multiscale = {
        "axes": [
            {"name": a, "type": "space", **unit} if a in "zyx" else {"name": a}
            for a in axes
        ],
        "datasets": [
            {
                "path": path,
                "coordinateTransformations": [
                    {"type": kind, kind: values}
                    for kind, values in step.items()
                ],
            }
            for path in scales
        ],
    }
    attributes = {"multiscales": [multiscale], **(more or {})}
    os.makedirs(folder, exist_ok=True)
    if driver == "zarr":
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps(attributes))
    else:
        node = {"zarr_format": 3, "node_type": "group"}
        ome = {"ome": attributes, **(more or {})}
        (folder / "zarr.json").write_text(
            json.dumps(node | {"attributes": ome})
        )


AXES = ["xyz", "cxyz", "yxz", "xyzc", "tcyxz", "ctzyx"]


@pytest.mark.parametrize("driver", ["zarr", "zarr3"])
@pytest.mark.parametrize("axes", AXES)
def test_axes_go_by_the_names_that_the_group_gives(axes, driver, tmp_path):
    """As WEBKNOSSOS writes them, c x y z, without names in the array."""
    write(tmp_path / "0", driver, stored(VOXELS, axes))
    group(tmp_path, driver, axes)
    for address in (f"{tmp_path}", f"{tmp_path}/0"):
        with volume.open(address) as found:
            assert found.domain == Box.from_size((3, 5, 2), VOXELS.shape)
            assert found.voxel_size_nm == (40, 8, 4)
            np.testing.assert_array_equal(found.read(), VOXELS)


@pytest.mark.parametrize("axes", ["cxyz", "xyzc", "ctxyz"])
def test_channels_of_a_group_that_names_axes(axes, tmp_path):
    first, second = (stored(VOXELS + np.uint16(n), axes) for n in (0, 1000))
    both = np.concatenate([first, second], axes.index("c"))
    write(tmp_path / "0", "zarr", both)
    group(tmp_path, "zarr", axes)
    for channel in (0, 1):
        with volume.open(f"{tmp_path}?channel={channel}") as found:
            wanted = VOXELS + np.uint16(1000 * channel)
            np.testing.assert_array_equal(found.read(), wanted)


def test_a_missing_chunk_of_transposed_axes_is_named(tmp_path):
    write(tmp_path / "0", "zarr", stored(VOXELS, "cxyz"))
    group(tmp_path, "zarr", "cxyz")
    (tmp_path / "0" / "0.2.1.0").unlink()
    with volume.open(str(tmp_path)) as found:
        with pytest.raises(OSError, match=r"0\.2\.1\.0"):
            found.read()
        near = Box((3, 5, 2), (7, 12, 10))
        np.testing.assert_array_equal(found.read(near), VOXELS[:4, :, :8])


def test_names_of_the_array_that_the_group_contradicts(tmp_path):
    write(tmp_path / "0", "zarr3", stored(VOXELS, "xyz"), "xyz")
    group(tmp_path, "zarr3", "xyz")
    with volume.open(str(tmp_path)) as found:
        np.testing.assert_array_equal(found.read(), VOXELS)
    for axes in ("zyx", "czyx"):
        group(tmp_path, "zarr3", axes)
        with pytest.raises(ValueError, match=r"axes .*, but its array has 3"):
            volume.open(str(tmp_path))


@pytest.mark.parametrize("driver", ["zarr", "zarr3"])
def test_an_array_named_alone_is_what_it_is_in_its_group(
    driver, tmp_path, monkeypatch
):
    """Offset, voxel size, kind and attributes are the group's to tell."""
    folder = tmp_path / "labels.zarr"
    first, second = f"{driver}_0", f"{driver}_1"
    for path in (first, second, "other"):
        write(folder / path, driver, stored(VOXELS, "zyx"))
    ours = {"ffn_tf": {"kind": "segmentation", "attributes": {"a": 1}}}
    group(folder, driver, "zyx", (first, f"{second}/"), more=ours)
    monkeypatch.chdir(folder)
    for address in (
        f"{folder}/{first}",
        f"{driver}://{folder}/{second}/",
        first,
    ):
        with volume.open(address) as found:
            assert found.domain == Box.from_size((3, 5, 2), VOXELS.shape)
            assert found.voxel_size_nm == (40, 8, 4)
            assert found.scales_nm == ((40, 8, 4),)
            assert found.info.kind == "segmentation"
            assert found.attributes == {"a": 1}
            np.testing.assert_array_equal(found.read(), VOXELS)
    with pytest.raises(ValueError, match=r"a single array.*no scale 1"):
        volume.open(f"{folder}/{first}?mip=1")
    with volume.open(f"{folder}/other") as found:
        assert found.domain == Box.from_shape(VOXELS.shape)
        assert found.voxel_size_nm == (1, 1, 1)
        assert found.attributes == {}


def test_what_an_array_knows_and_its_group_does_not(tmp_path):
    write(tmp_path / "0", "zarr", VOXELS)
    group(tmp_path, "zarr", "zyx", unit=None)
    own = {"resolution": [30, 6, 5], "offset": [30, 12, 15]}
    (tmp_path / "0" / ".zattrs").write_text(json.dumps(own))
    with volume.open(f"{tmp_path}/0") as found:
        assert found.voxel_size_nm == (30, 6, 5)
        assert found.domain.start == (1, 2, 3)


def test_a_folder_around_an_array_that_cannot_be_read(tmp_path, capsys):
    write(tmp_path / "0", "zarr", VOXELS)
    group(tmp_path, "zarr", "zyx")
    (tmp_path / ".zattrs").write_text("{")
    with volume.open(f"{tmp_path}/0") as found:
        assert found.domain == Box.from_shape(VOXELS.shape)
    assert f"{tmp_path}/0: whether the folder" in capsys.readouterr().err


@pytest.mark.parametrize("unit", [None, "pixel"])
def test_a_translation_without_units_counts_voxels(unit, tmp_path):
    write(tmp_path / "0", "zarr", VOXELS)
    group(tmp_path, "zarr", "zyx", unit=unit)
    with volume.open(str(tmp_path)) as found:
        assert found.voxel_size_nm == (1, 1, 1)
        assert found.domain == Box.from_size((3, 5, 2), VOXELS.shape)
        np.testing.assert_array_equal(found.read(), VOXELS)


@pytest.mark.parametrize("scale", [[0, 4, 4], [-40, 4, 4], [40, 4]], ids=str)
def test_scales_that_make_no_sense(scale, tmp_path):
    write(tmp_path / "0", "zarr", VOXELS)
    group(tmp_path, "zarr", "zyx")
    written = json.loads((tmp_path / ".zattrs").read_text())
    steps = written["multiscales"][0]["datasets"][0]
    steps["coordinateTransformations"][0]["scale"] = scale
    (tmp_path / ".zattrs").write_text(json.dumps(written))
    with pytest.raises(ValueError, match=r"OME-NGFF: expected .*found"):
        volume.open(str(tmp_path))
