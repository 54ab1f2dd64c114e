"""Precomputed volumes read by CloudVolume."""

import gc
import json
import os
import sys
import time
import types

import numpy as np
import pytest
from servers import channels
from servers.channels import (
    DOMAIN,
    FIRST,
    START,
    VOXELS,
    with_and_without_shards,
)

from ffn_tf.volume import address as address_lib
from ffn_tf.volume import failures, place
from ffn_tf.volume.formats import chunked, cloudvolume_source

cloudvolume = pytest.importorskip("cloudvolume")


def make(folder, *voxels_and_encoding, **more):
    """The folder of such a volume."""
    channels.write(f"file://{folder}/", *voxels_and_encoding, **more)
    return str(folder)


def opened(place, query=""):
    address = address_lib.parse(f"precomputed://{place}{query}")
    return cloudvolume_source.open_cloudvolume(address)


def change(folder, **changes):
    """Rewrites entries of the first scale."""
    path = folder / "info"
    info = json.loads(path.read_text())
    info["scales"][0] |= changes
    path.write_text(json.dumps(info))


@with_and_without_shards
def test_voxels_of_a_channel(sharding, tmp_path):
    channels.check_channels(opened, make(tmp_path, sharding=sharding))


def test_it_says_of_itself_what_tensorstore_says(tmp_path):
    folder = make(tmp_path)
    address = address_lib.parse(folder)
    theirs = chunked.open_chunked(address, writable=False)
    source = cloudvolume_source.open_cloudvolume(address)
    assert source.info == theirs.info
    assert source.scales_nm == theirs.scales_nm
    assert source.attributes == theirs.attributes == {}
    steps = [{"by": "ffn_tf", "method": {"ffn_tf": {"made": "here"}}}]
    provenance = {"sources": [], "owners": [], "description": ""}
    (tmp_path / "provenance").write_text(
        json.dumps(provenance | {"processing": steps})
    )
    assert opened(folder).attributes == {"made": "here"}


def test_scales(tmp_path):
    folder = make(tmp_path)
    make(tmp_path, VOXELS[:, :, :, ::2], resolution=[8, 8, 40])
    source = opened(folder, "?resolution_nm=40,8,8")
    assert source.info.voxel_size_nm == (40, 8, 8)
    np.testing.assert_array_equal(
        source.read(source.info.domain), VOXELS[0, :, :, ::2]
    )
    np.testing.assert_array_equal(
        opened(folder, "?mip=0").read(DOMAIN), VOXELS[0]
    )
    with pytest.raises(ValueError, match=r"no scale mip=2; .*mip=1: 40, 8, 8"):
        opened(folder, "?mip=2")


def test_its_own_compressed_files(tmp_path):
    """Which TensorStore cannot see."""
    for compress in ("gzip", "br"):
        folder = tmp_path / compress
        cloudvolume.CloudVolume.from_numpy(
            np.asfortranarray(VOXELS[0].T),
            f"precomputed://file://{folder}",
            resolution=(4, 8, 40),
            voxel_offset=START[::-1],
            chunk_size=(4, 3, 2),
            layer_type="image",
            compress=compress,
            progress=False,
        )
        (chunk,) = folder.glob("4_8_40/10-14_20-23_30-32*")
        assert chunk.suffix == {"gzip": ".gz", "br": ".br"}[compress]
        np.testing.assert_array_equal(opened(folder).read(DOMAIN), VOXELS[0])


@pytest.mark.parametrize("encoding", ["compresso", "crackle"])
def test_encodings_that_tensorstore_does_not_know(encoding, tmp_path):
    pytest.importorskip(encoding)
    voxels = VOXELS[0].astype(np.uint64)
    cloudvolume.CloudVolume.from_numpy(
        np.asfortranarray(voxels.T),
        f"precomputed://file://{tmp_path}",
        resolution=(4, 8, 40),
        voxel_offset=START[::-1],
        chunk_size=(4, 3, 2),
        layer_type="segmentation",
        encoding=encoding,
        compress=False,
        progress=False,
    )
    address = address_lib.parse(str(tmp_path))
    with pytest.raises(OSError, match=encoding):
        chunked.open_chunked(address, writable=False)
    source = cloudvolume_source.open_cloudvolume(address)
    assert source.info.kind == "segmentation"
    np.testing.assert_array_equal(source.read(DOMAIN), voxels)


@with_and_without_shards
def test_a_missing_chunk_is_named(sharding, tmp_path):
    folder = make(tmp_path, box=FIRST, sharding=sharding)
    channels.check_missing(opened, folder)


@pytest.fixture
def impatient(monkeypatch):
    """Its libraries try again at once."""
    naps = pytest.importorskip("tenacity.nap")
    brief = types.SimpleNamespace(sleep=lambda _: time.sleep(0.01))
    monkeypatch.setattr(naps, "time", brief)


@pytest.fixture(params=["file", "http", "gs"])
def place_of(request, tmp_path, impatient):
    """A folder, and what says where it is once it has been filled."""
    if request.param == "http":
        server = request.getfixturevalue("http_server")
        folder = request.getfixturevalue("http_folder")
        return folder, lambda: f"{server.url}/{folder.name}"
    if request.param == "file":
        return tmp_path, lambda: str(tmp_path)
    server = request.getfixturevalue("gcs_server")
    bucket = request.getfixturevalue("gcs_bucket")

    def loaded():
        server.load(bucket, tmp_path)
        return f"gs://{bucket}/em"

    return tmp_path / "em", loaded


@pytest.mark.parametrize("keep", [10, 40, -1])
def test_a_truncated_shard_is_damage(keep, place_of, capfd):
    """In its index, behind it, or in the index of a minishard."""
    folder, url = place_of
    make(folder, sharding=channels.SHARDING)
    shard = folder / "4_8_40/0.shard"
    shard.write_bytes(shard.read_bytes()[:keep])
    source = opened(url())
    with pytest.raises(failures.CorruptError, match="chunk 4_8_40/"):
        source.read(DOMAIN)
    assert not capfd.readouterr().out


def test_a_wrong_checksum_is_damage(gcs_server, gcs_bucket, tmp_path):
    faults = pytest.importorskip("servers.faults")
    make(tmp_path / "em")
    gcs_server.load(gcs_bucket, tmp_path)
    source = opened(f"gs://{gcs_bucket}/em")
    chunk = "4_8_40/14-18_23-26_32-34"
    gcs_server.add(faults.Fault(f"{gcs_bucket}/em/{chunk}", "flip"))
    with pytest.raises(failures.CorruptError, match=chunk):
        source.read(DOMAIN)


@pytest.mark.parametrize("query", ["", "?missing=zero"])
@pytest.mark.parametrize("encoding", ["raw", "compressed_segmentation"])
def test_a_damaged_chunk_is_named_and_not_printed(
    encoding, query, tmp_path, capfd
):
    more = {}
    if encoding == "compressed_segmentation":
        more["compressed_segmentation_block_size"] = [2, 2, 2]
    folder = make(tmp_path, VOXELS.astype(np.uint64), encoding, **more)
    name = "4_8_40/14-18_23-26_32-34"
    os.truncate(tmp_path / name, 24)
    source = opened(folder, query)
    source.read(FIRST)
    with pytest.raises(OSError, match=f"{folder}.*chunk {name} cannot be read"):
        source.read_many([DOMAIN, FIRST])
    source.close()
    captured = capfd.readouterr()
    assert not captured.out
    assert not captured.err


def test_an_empty_file_is_not_zeros(tmp_path):
    folder = make(tmp_path)
    os.truncate(tmp_path / "4_8_40/14-18_23-26_32-34", 0)
    with pytest.raises(OSError, match="chunk 4_8_40/14-18_23-26_32-34"):
        opened(folder).read(DOMAIN)


def test_what_it_would_read_wrongly_is_refused(tmp_path):
    colours = np.zeros((3, 5, 7, 9), np.uint8)
    grey = VOXELS[:1]
    for name, encoding, voxels, told in (
        ("jpeg", "jpeg", colours, "jpeg with 3 channels"),
        ("png", "png", colours, "png with 3 channels"),
        ("deep", "png", grey, "8 bits only"),
    ):
        folder = make(tmp_path / name, voxels, encoding)
        with pytest.raises(OSError, match=told):
            opened(folder)


def test_png(tmp_path):
    pytest.importorskip("pyspng")
    voxels = (VOXELS[:1] % 251).astype(np.uint8)
    folder = make(tmp_path, voxels, "png")
    np.testing.assert_array_equal(opened(folder).read(DOMAIN), voxels[0])


def test_an_encoding_that_nobody_knows(tmp_path):
    folder = make(tmp_path)
    change(tmp_path, encoding="smoke signals")
    with pytest.raises(OSError, match="smoke signals: not known"):
        opened(folder)


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*/nothing/info"):
        opened(tmp_path / "nothing")
    (tmp_path / "info").write_text("{")
    with pytest.raises(OSError, match="CloudVolume cannot open it"):
        opened(tmp_path)
    with pytest.raises(ValueError, match="precomputed volumes only"):
        cloudvolume_source.open_cloudvolume(
            address_lib.parse("em.zarr", creating=True)
        )


def test_a_package_that_is_missing(tmp_path, monkeypatch):
    folder = make(tmp_path)
    cloudvolume_source._cloudvolume.cache_clear()
    monkeypatch.setitem(sys.modules, "cloudvolume", None)
    with pytest.raises(OSError, match="pip install cloud-volume"):
        opened(folder)


def test_redirections_are_not_followed(tmp_path, capfd):
    folder = make(tmp_path / "here")
    info = json.loads((tmp_path / "here/info").read_text())
    info["redirect"] = f"precomputed://file://{tmp_path}/there"
    (tmp_path / "here/info").write_text(json.dumps(info))
    np.testing.assert_array_equal(opened(folder).read(DOMAIN), VOXELS[0])
    assert not capfd.readouterr().out


def test_it_does_not_write(tmp_path):
    source = opened(make(tmp_path))
    with pytest.raises(ValueError, match="only reads"):
        source.write(DOMAIN, VOXELS[0])


# -----------------------------------------------------------------------------
# Over the network
# -----------------------------------------------------------------------------


def test_a_bucket_without_credentials(gcs_server, gcs_bucket, tmp_path, capfd):
    make(tmp_path / "em", sharding=channels.SHARDING)
    gcs_server.load(gcs_bucket, tmp_path)
    source = opened(f"gs://{gcs_bucket}/em")
    np.testing.assert_array_equal(source.read(DOMAIN), VOXELS[0])
    source.close()
    captured = capfd.readouterr()
    assert not captured.out
    assert not captured.err
    with pytest.raises(FileNotFoundError, match="there is no gs://"):
        opened(f"gs://{gcs_bucket}/nothing")


def test_a_web_server(http_server, http_folder):
    make(http_folder)
    source = opened(f"{http_server.url}/{http_folder.name}")
    np.testing.assert_array_equal(source.read(DOMAIN), VOXELS[0])
    (http_folder / "4_8_40/14-18_23-26_32-34").unlink()
    with pytest.raises(OSError, match="14-18_23-26_32-34 is missing"):
        source.read(DOMAIN)


FAULTS = ["status", "close", "reset", "truncate", "hang"]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_web_server_that_recovers(
    kind, http_server, http_folder, monkeypatch
):
    monkeypatch.setattr(cloudvolume_source, "_SILENCE_SECONDS", 0.5)
    faults = pytest.importorskip("servers.faults")
    make(http_folder)
    source = opened(f"{http_server.url}/{http_folder.name}")
    chunk = f"{http_folder.name}/4_8_40/14-18_23-26_32-34"
    http_server.add(faults.Fault(chunk, kind, times=1))
    np.testing.assert_array_equal(source.read(DOMAIN), VOXELS[0])
    assert http_server.state().requests[chunk] == 2


# Google's own library waits for a silent server for a minute, and leaves it
# to the garbage collector to close a connection that broke.
@pytest.mark.filterwarnings(
    "ignore:.*<socket:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("kind", FAULTS[:-1])
def test_a_bucket_that_recovers(kind, gcs_server, gcs_bucket, tmp_path):
    faults = pytest.importorskip("servers.faults")
    make(tmp_path / "em")
    gcs_server.load(gcs_bucket, tmp_path)
    source = opened(f"gs://{gcs_bucket}/em")
    chunk = f"{gcs_bucket}/em/4_8_40/14-18_23-26_32-34"
    gcs_server.add(faults.Fault(chunk, kind, times=1))
    np.testing.assert_array_equal(source.read(DOMAIN), VOXELS[0])
    assert gcs_server.state().requests[chunk] == 2
    gc.collect()


def test_a_bucket_of_another_server_s(s3_server, s3_bucket):
    """Of S3's kind; what is not public is as if it were not there."""
    boto3 = pytest.importorskip("boto3")
    channels.write(s3_server.kvstore(s3_bucket, "em"))
    place, query = f"s3://{s3_bucket}/em", f"?endpoint={s3_server.url}"
    with pytest.raises(FileNotFoundError, match="info that everybody may"):
        opened(place, query)
    client = boto3.client("s3")
    for item in client.list_objects_v2(Bucket=s3_bucket)["Contents"]:
        client.put_object_acl(
            Bucket=s3_bucket, Key=item["Key"], ACL="public-read"
        )
    client.close()
    source = opened(place, query)
    np.testing.assert_array_equal(source.read(DOMAIN), VOXELS[0])


def test_places_as_cloudvolume_names_them():
    for url, endpoint, expected in (
        ("/data/em", "", "precomputed://file:///data/em"),
        ("gs://b/em", "", "precomputed://gs://b/em"),
        ("https://host/em", "", "precomputed://https://host/em"),
        ("s3://b/em", "", "precomputed://https://s3.amazonaws.com/b/em"),
        ("s3://b/em", "http://h:1/", "precomputed://http://h:1/b/em"),
    ):
        found = cloudvolume_source._cloud_path(place.Place(url, endpoint))
        assert found == expected
