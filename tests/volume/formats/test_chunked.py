"""Folders of chunks that others made, and that are damaged."""

import json
import os
import pathlib

import numpy as np
import pytest
from servers import volumes
import tensorstore as ts

from ffn_tf import volume

Box = volume.Box

# Every voxel different, every axis of another length.
VOXELS = np.arange(5 * 7 * 9, dtype=np.uint16).reshape(5, 7, 9)
DOMAIN = Box.from_shape(VOXELS.shape)


def make(folder, driver, voxels, metadata=None, attributes=None, **schema):
    """A store as TensorStore alone writes it; `voxels` in its own axes."""
    spec = {"driver": driver, "kvstore": f"file://{folder}/"}
    if metadata:
        spec["metadata"] = metadata
    store = ts.open(
        spec, create=True, dtype=voxels.dtype, shape=voxels.shape, **schema
    ).result()
    store.write(voxels).result()
    if attributes is not None:
        (pathlib.Path(folder) / ".zattrs").write_text(json.dumps(attributes))
    return str(folder)


def test_precomputed_of_other_tools(tmp_path):
    """x y z on disk, an offset, a voxel size that differs by axis."""
    cloudvolume = pytest.importorskip("cloudvolume")
    folder = f"{tmp_path}/em"
    cloudvolume.CloudVolume.from_numpy(
        np.asfortranarray(VOXELS.T),
        f"precomputed://file://{folder}",
        resolution=(4, 8, 40),
        voxel_offset=(10, 20, 30),
        chunk_size=(4, 3, 2),
        layer_type="image",
        compress=False,
        progress=False,
    )
    for address in (folder, f"precomputed://{folder}"):
        with volume.open(address) as found:
            assert found.domain == Box.from_size((30, 20, 10), VOXELS.shape)
            assert found.voxel_size_nm == (40.0, 8.0, 4.0)
            assert found.info.chunk_zyx == (2, 3, 4)
            assert found.info.kind == "image"
            np.testing.assert_array_equal(found.read(), VOXELS)
            box = Box((31, 22, 13), (34, 26, 18))
            np.testing.assert_array_equal(
                found.read(box), VOXELS[1:4, 2:6, 3:8]
            )


def test_precomputed_is_read_by_other_tools(tmp_path):
    cloudvolume = pytest.importorskip("cloudvolume")
    address = f"precomputed://{tmp_path}/seg"
    info = volume.VolumeInfo(
        Box.from_size((30, 20, 10), VOXELS.shape),
        np.dtype(np.uint64),
        (40, 8, 4),
        (2, 3, 4),
    )
    with volume.create(address, info, attributes={"a": 1}) as new:
        new.write(new.domain, VOXELS.astype(np.uint64))
    seen = cloudvolume.CloudVolume(
        f"precomputed://file://{tmp_path}/seg", progress=False
    )
    assert seen.resolution.tolist() == [4, 8, 40]
    assert seen.voxel_offset.tolist() == [10, 20, 30]
    assert seen.layer_type == "segmentation"
    assert seen.encoding == "compressed_segmentation"
    np.testing.assert_array_equal(seen[:][..., 0], VOXELS.T)


def test_cloudvolume_s_compressed_files_are_not_zeros(tmp_path):
    cloudvolume = pytest.importorskip("cloudvolume")
    cloudvolume.CloudVolume.from_numpy(
        np.asfortranarray(VOXELS.T),
        f"precomputed://file://{tmp_path}/em",
        chunk_size=(4, 3, 2),
        layer_type="image",
        progress=False,
    )
    for query in ("", "&missing=zero"):
        address = f"{tmp_path}/em?access=tensorstore{query}"
        with pytest.raises(OSError, match=r"\.gz.*compress=False"):
            volume.open(address)
    with volume.open(f"{tmp_path}/em") as found:
        assert found.served.method == "cloudvolume"
        assert "compress=False" in str(found.served)
        np.testing.assert_array_equal(found.read(), VOXELS)


def test_precomputed_scales_and_channels(tmp_path):
    folder = tmp_path / "em"
    for mip, factor in enumerate((1, 2)):
        coarse = VOXELS[:, ::factor, ::factor].T
        spec = volumes.precomputed(
            f"file://{folder}/",
            coarse.dtype,
            channels=2,
            size=coarse.shape,
            resolution=[4 * factor, 4 * factor, 40],
            chunk_size=[4, 4, 4],
            encoding="raw",
        )
        store = ts.open(spec, create=True, open=True).result()
        store[..., 0].write(coarse).result()
        store[..., 1].write(coarse + np.uint16(1000)).result()
        with volume.open(f"{folder}?mip={mip}") as found:
            assert found.voxel_size_nm == (40.0, 4.0 * factor, 4.0 * factor)
            np.testing.assert_array_equal(found.read(), coarse.T)
        with volume.open(f"{folder}?mip={mip}&channel=1") as found:
            np.testing.assert_array_equal(found.read(), coarse.T + 1000)
    with volume.open(f"{folder}?resolution_nm=40,8,8") as found:
        assert found.voxel_size_nm == (40, 8, 8)
    for query in ("mip=2", "resolution_nm=40,4,8"):
        with pytest.raises(ValueError, match=r"no scale .*mip=1: 40, 8, 8"):
            volume.open(f"{folder}?{query}")
    with pytest.raises(ValueError, match=r"channel 2 does not exist.*are 2"):
        volume.open(f"{folder}?channel=2")


@pytest.mark.parametrize("driver", ["zarr", "zarr3"])
def test_a_plain_zarr_array(driver, tmp_path):
    folder = make(tmp_path / "em", driver, VOXELS)
    with volume.open(folder) as found:
        assert found.domain == DOMAIN
        assert found.voxel_size_nm == (1.0, 1.0, 1.0)
        np.testing.assert_array_equal(found.read(), VOXELS)


def test_the_voxel_size_of_a_single_array(tmp_path):
    """Which is one of no scales: it is the one asked for, or an error."""
    info = volume.VolumeInfo(DOMAIN, VOXELS.dtype, (40, 8, 4))
    for name in ("em.n5", "group.zarr"):
        volume.create(f"{tmp_path}/{name}", info).close()
    attributes = {"resolution": [40, 8, 4]}
    make(tmp_path / "em.zarr", "zarr", VOXELS, attributes=attributes)
    for name in ("em.n5", "em.zarr", "group.zarr/0"):
        folder = f"{tmp_path}/{name}"
        with volume.open(f"{folder}?resolution_nm=40,8,4.001") as found:
            assert found.voxel_size_nm == (40, 8, 4)
        with pytest.raises(ValueError, match=r"array of 40, 8, 4 nm \(z, y, x"):
            volume.open(f"{folder}?resolution_nm=4,8,40")
    folder = make(tmp_path / "unknown.zarr", "zarr", VOXELS)
    with pytest.raises(ValueError, match="which does not say its voxel size"):
        volume.open(f"{folder}?resolution_nm=1,1,1")


def test_zarr_attributes_of_funlib(tmp_path):
    attributes = {"resolution": [40, 8, 4], "offset": [80, 8, 40]}
    folder = make(tmp_path / "em", "zarr", VOXELS, attributes=attributes)
    with volume.open(folder) as found:
        assert found.voxel_size_nm == (40.0, 8.0, 4.0)
        assert found.domain == Box.from_size((2, 1, 10), VOXELS.shape)
        np.testing.assert_array_equal(found.read(), VOXELS)


def test_zarr3_labels_and_units(tmp_path):
    """Axes that are named x, y, z are taken by their names."""
    folder = make(
        tmp_path / "em",
        "zarr3",
        VOXELS.transpose(1, 2, 0),
        {"dimension_names": ["y", "x", "z"]},
        dimension_units=["8 nm", "4 nm", "0.04 um"],
    )
    with volume.open(folder) as found:
        assert found.voxel_size_nm == (40.0, 8.0, 4.0)
        np.testing.assert_array_equal(found.read(), VOXELS)


@pytest.mark.parametrize("driver", ["zarr", "zarr3"])
def test_zarr_channels_and_time(driver, tmp_path):
    both = np.stack([VOXELS, VOXELS + np.uint16(1000)])
    folder = make(tmp_path / "em", driver, both)
    for channel in (0, 1):
        with volume.open(f"{folder}?channel={channel}") as found:
            np.testing.assert_array_equal(found.read(), both[channel])
    folder = make(tmp_path / "tczyx", driver, both[np.newaxis])
    with volume.open(f"{folder}?channel=1") as found:
        np.testing.assert_array_equal(found.read(), both[1])


@pytest.mark.parametrize("shape", [(4, 5), (2, 1, 3, 4, 5)])
def test_ranks_that_are_no_volume(shape, tmp_path):
    folder = make(tmp_path / "em", "zarr", np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match=r"expected axes \[z, y, x\]"):
        volume.open(folder)


def test_ome_zarr_of_other_tools(tmp_path):
    """A group: scales, units of micrometres, half-voxel translations."""
    folder = tmp_path / "em.zarr"
    for path, factor in (("s0", 1), ("s1", 2)):
        make(folder / path, "zarr", VOXELS[np.newaxis, :, ::factor, ::factor])
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    multiscale = {
        "version": "0.4",
        "axes": [{"name": "c", "type": "channel"}]
        + [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"],
        "datasets": [
            {
                "path": path,
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1, 0.04, *[0.004 * f] * 2]},
                    {
                        "type": "translation",
                        "translation": [0, 0.4, *[0.08 + 0.002 * (f - 1)] * 2],
                    },
                ],
            }
            for path, f in (("s0", 1), ("s1", 2))
        ],
    }
    (folder / ".zattrs").write_text(json.dumps({"multiscales": [multiscale]}))
    with volume.open(f"{folder}") as found:
        assert found.voxel_size_nm == pytest.approx((40, 4, 4))
        assert found.domain == Box.from_size((10, 20, 20), VOXELS.shape)
        np.testing.assert_array_equal(found.read(), VOXELS)
    with volume.open(f"zarr://{folder}?mip=1") as found:
        assert found.voxel_size_nm == pytest.approx((40, 8, 8))
        assert found.domain.start == (10, 10, 10)
        np.testing.assert_array_equal(found.read(), VOXELS[:, ::2, ::2])
    with volume.open(f"{folder}?resolution_nm=40,8,8") as found:
        assert found.voxel_size_nm == pytest.approx((40, 8, 8))
    with pytest.raises(ValueError, match=r"mip=0: 40, 4, 4; mip=1: 40, 8, 8"):
        volume.open(f"{folder}?resolution_nm=40,16,16")
    with pytest.raises(ValueError, match="no scale mip=2; there are"):
        volume.open(f"zarr://{folder}?mip=2")
    with volume.open(f"{folder}/s0") as found:
        np.testing.assert_array_equal(found.read(), VOXELS)
    with pytest.raises(ValueError, match=r"a single array.*no scale 1"):
        volume.open(f"{folder}/s0?mip=1")


def test_groups_that_are_no_volume_name_what_is_in_them(tmp_path):
    (tmp_path / ".zgroup").write_text('{"zarr_format": 2}')
    make(tmp_path / "raw", "zarr", VOXELS)
    with pytest.raises(ValueError, match=r"without OME-NGFF.*: raw"):
        volume.open(str(tmp_path))
    folder = tmp_path / "em.n5"
    folder.mkdir()
    (folder / "attributes.json").write_text('{"n5": "2.5.0"}')
    make(folder / "s0", "n5", VOXELS.T)
    with pytest.raises(ValueError, match=r"without OME-NGFF.*: s0"):
        volume.open(str(folder))


@pytest.mark.parametrize(
    "attributes",
    [
        {"units": ["nm"] * 3, "resolution": [4, 8, 40]},
        {"units": ["um"] * 3, "resolution": [0.004, 0.008, 0.04]},
        {"resolution": [4, 8, 40]},
    ],
    ids=str,
)
def test_n5_counts_x_first(attributes, tmp_path):
    folder = make(
        tmp_path / "em.n5",
        "n5",
        np.asarray(VOXELS.T),
        {"offset": [8, 8, 80], **attributes},
    )
    written = json.loads((tmp_path / "em.n5/attributes.json").read_text())
    assert written["dimensions"] == [9, 7, 5]
    with volume.open(folder) as found:
        assert found.voxel_size_nm == pytest.approx((40, 8, 4))
        assert found.domain == Box.from_size((2, 1, 2), VOXELS.shape)
        np.testing.assert_array_equal(found.read(), VOXELS)


def test_n5_channels_are_last_on_disk(tmp_path):
    both = np.stack([VOXELS, VOXELS + np.uint16(1000)])
    folder = make(tmp_path / "em.n5", "n5", np.asarray(both.T))
    with volume.open(f"{folder}?channel=1") as found:
        np.testing.assert_array_equal(found.read(), both[1])


def test_a_missing_chunk_of_a_spec_is_an_error(tmp_path):
    spec = {
        "driver": "zarr",
        "kvstore": f"file://{tmp_path}/em.zarr/",
        "metadata": {"chunks": [2, 2, 2]},
    }
    array = ts.open(spec, create=True, dtype=ts.uint8, shape=(4, 2, 2)).result()
    array[:2] = 7  # And nothing in the second chunk.
    del spec["metadata"]
    whole = volume.Box.from_shape((4, 2, 2))
    cast = {"driver": "cast", "base": spec, "dtype": "uint16"}
    for strict in (spec, cast):
        with volume.open(json.dumps(strict)) as found:
            assert found.read(volume.Box.from_shape((2, 2, 2))).max() == 7
            with pytest.raises(
                (OSError, ValueError), match=r"NOT_FOUND|missing"
            ):
                found.read(whole)
    spec["fill_missing_data_reads"] = True
    with volume.open(json.dumps(spec)) as found:
        assert found.read(whole)[2:].max() == 0


def test_tensorstore_spec(tmp_path):
    folder = make(tmp_path / "em", "zarr", VOXELS)
    spec = {
        "driver": "cast",
        "dtype": "float32",
        "base": {"driver": "zarr", "kvstore": f"file://{folder}/"},
    }
    with volume.open(json.dumps(spec)) as found:
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found.read(), VOXELS)
    with pytest.raises(OSError, match="cannot be opened"):
        volume.open('{"driver": "zarr", "kvstore": "memory://"}')
    with pytest.raises((OSError, ValueError), match="cannot be opened"):
        volume.open('{"driver": "no such driver"}')


def test_tensorstore_url_of_a_path(tmp_path, monkeypatch):
    """As docs/formats.md has it: PLACE/|zarr3: with a path, or a URL."""
    make(tmp_path / "e m", "zarr3", VOXELS)
    monkeypatch.chdir(tmp_path)
    for place in (
        "e m/",
        "e m",
        f"{tmp_path}/e m/",
        f"file://{tmp_path}/e%20m",
    ):
        with volume.open(f"{place}|zarr3:") as found:
            np.testing.assert_array_equal(found.read(), VOXELS)
    with pytest.raises(FileNotFoundError, match=r"nothing/\|zarr3:: cannot be"):
        volume.open("nothing/|zarr3:")


CREATED = {
    "precomputed": "1_1_1/0-4_0-4_0-4",
    "zarr": "0/0/0/0",
    "zarr3": "0/c/0/0/0",
    "n5": "0/0/0",
}


@pytest.fixture(params=CREATED)
def created(request, tmp_path):
    """Address, path of the first chunk, path of the array's metadata."""
    name = request.param
    address = f"{name}://{tmp_path}/em"
    info = volume.VolumeInfo(DOMAIN, VOXELS.dtype, chunk_zyx=(4, 4, 4))
    with volume.create(address, info) as new:
        new.write(DOMAIN, VOXELS)
    metadata = {
        "precomputed": "info",
        "zarr": "0/.zarray",
        "zarr3": "0/zarr.json",
        "n5": "attributes.json",
    }[name]
    folder = tmp_path / "em"
    return address, folder / CREATED[name], folder / metadata


def test_a_missing_chunk_is_not_zeros(created):
    address, chunk, _ = created
    chunk.unlink()
    with volume.open(address) as found:
        with pytest.raises(OSError) as caught:
            found.read()
        assert str(chunk) in str(caught.value)
        assert "?missing=zero" in str(caught.value)
        far = Box((4, 4, 4), (5, 7, 9))
        np.testing.assert_array_equal(found.read(far), VOXELS[far.slices])
    expected = VOXELS.copy()
    expected[:4, :4, :4] = 0
    with volume.open(f"{address}?missing=zero") as found:
        np.testing.assert_array_equal(found.read(), expected)


def test_a_truncated_chunk_is_named(created):
    address, chunk, _ = created
    os.truncate(chunk, 5)
    with volume.open(address) as found:
        with pytest.raises(OSError) as caught:
            found.read_many([DOMAIN, Box((0, 0, 0), (1, 1, 1))])
    assert str(chunk) in str(caught.value)


def test_damaged_metadata(created):
    address, _, metadata = created
    metadata.write_bytes(metadata.read_bytes()[:20])
    with pytest.raises(OSError) as caught:
        volume.open(address)
    assert address in str(caught.value)
    assert "JSON" in str(caught.value)


def test_a_flipped_bit_is_noticed_in_zarr3(tmp_path):
    address = f"zarr3://{tmp_path}/em"
    info = volume.VolumeInfo(DOMAIN, VOXELS.dtype, chunk_zyx=(8, 8, 16))
    with volume.create(address, info) as new:
        new.write(DOMAIN, VOXELS)
    chunk = tmp_path / "em/0/c/0/0/0"
    damaged = bytearray(chunk.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    chunk.write_bytes(damaged)
    with volume.open(address) as found:
        with pytest.raises(OSError, match="em/0/c/0/0/0"):
            found.read()


def test_zeros_are_written_so_that_they_are_not_missing(created):
    address, _, _ = created
    with volume.open(address, mode="r+") as found:
        found.write(DOMAIN, np.zeros(DOMAIN.size, np.uint16))
    with volume.open(address) as found:
        assert not found.read().any()


def test_what_was_open_sees_later_writes_of_this_process(created):
    address, _, _ = created
    with volume.open(address) as reader:
        reader.read()
        with volume.open(address, mode="r+") as writer:
            writer.write(DOMAIN, VOXELS + np.uint16(1))
        np.testing.assert_array_equal(reader.read(), VOXELS + 1)
