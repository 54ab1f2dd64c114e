"""The server of buckets, as its clients see it."""

import gc
import gzip
import io
import json
import warnings

from google.api_core import exceptions
from google.cloud import storage
import numpy as np
import pytest
import tensorstore as ts

from servers import volumes
from servers.faults import Fault

BIG = bytes(range(256)) * 5_000  # 1.28 MB


@pytest.fixture
def bucket(gcs_bucket) -> storage.Bucket:
    """The new bucket, as google-cloud-storage has it."""
    client = storage.Client()
    yield client.bucket(gcs_bucket)
    client.close()
    del client
    # It leaves the sockets of requests that failed to the garbage collector,
    # which would complain in whatever test comes next.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


# -----------------------------------------------------------------------------
# google-cloud-storage
# -----------------------------------------------------------------------------


def test_an_object(bucket):
    blob = bucket.blob("em/a b/ü%.txt")
    blob.metadata = {"by": "test"}
    blob.upload_from_string(b"hello", "text/plain")
    found = bucket.get_blob("em/a b/ü%.txt")
    assert (found.size, found.content_type) == (5, "text/plain")
    assert found.metadata == {"by": "test"}
    assert found.generation == blob.generation > 0
    assert found.md5_hash == blob.md5_hash == "XUFAKrxLKna5cZ2REBfFkg=="
    assert found.crc32c == "mnG7TA=="
    assert found.download_as_bytes() == b"hello"
    assert found.download_as_bytes(start=1, end=3) == b"ell"
    found.cache_control = "no-store"
    found.patch()
    assert bucket.get_blob("em/a b/ü%.txt").metageneration == 2
    found.delete()
    assert bucket.get_blob("em/a b/ü%.txt") is None


def test_an_upload_in_pieces(bucket):
    blob = bucket.blob("big", chunk_size=1 << 18)
    blob.upload_from_file(io.BytesIO(BIG), content_type="x/y")
    assert bucket.get_blob("big").content_type == "x/y"
    assert blob.download_as_bytes() == BIG  # In pieces, too.
    with bucket.blob("unknown length").open("wb", chunk_size=1 << 18) as file:
        file.write(BIG)
    assert bucket.blob("unknown length").download_as_bytes() == BIG


def test_uploads_that_are_not_wanted(bucket):
    blob = bucket.blob("x")
    blob.upload_from_string(b"1", if_generation_match=0)
    for wrong in (0, blob.generation - 1):
        with pytest.raises(exceptions.PreconditionFailed, match="not"):
            bucket.blob("x").upload_from_string(b"2", if_generation_match=wrong)
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.blob("x").delete(if_generation_match=wrong)
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.blob("x").download_as_bytes(if_generation_match=wrong or 1)
    assert bucket.blob("x").download_as_bytes() == b"1"
    bucket.blob("x").upload_from_string(
        b"3", if_generation_match=blob.generation
    )
    assert bucket.blob("x").download_as_bytes() == b"3"
    broken = bucket.blob("x")
    broken.md5_hash = "AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(exceptions.BadRequest, match="md5Hash"):
        broken.upload_from_string(b"4")
    assert bucket.blob("x").download_as_bytes() == b"3"


def test_gzip_is_unpacked_for_those_who_want_it(gcs_server, bucket):
    packed = gzip.compress(b"hello" * 100)
    blob = bucket.blob("x")
    blob.content_encoding = "gzip"
    blob.upload_from_string(packed)
    assert blob.download_as_bytes() == b"hello" * 100
    assert blob.download_as_bytes(raw_download=True) == packed
    assert blob.download_as_bytes(raw_download=True, end=9) == packed[:10]
    # A client that accepts no gzip.
    assert gcs_server.ask("GET", f"/{bucket.name}/x") == (200, b"hello" * 100)


def test_listings(bucket):
    names = [f"d/{i % 3}/{i}" for i in range(10)] + ["d/x", "e"]
    for name in names:
        bucket.blob(name).upload_from_string(b"1")
    found = bucket.list_blobs(prefix="d/", page_size=4)
    assert [b.name for b in found] == sorted(n for n in names if n != "e")
    found = bucket.list_blobs(prefix="d/", delimiter="/", page_size=2)
    assert [b.name for b in found] == ["d/x"]
    assert found.prefixes == {"d/0/", "d/1/", "d/2/"}
    found = bucket.list_blobs(
        start_offset="d/2", end_offset="e", fields="items(name),nextPageToken"
    )
    found = list(found)
    assert [b.name for b in found] == ["d/2/2", "d/2/5", "d/2/8", "d/x"]
    assert [b.size for b in found] == [None] * 4


def test_buckets_copies_and_batches(bucket):
    client = bucket.client
    other = client.create_bucket(f"{bucket.name}-2")
    assert {b.name for b in client.list_buckets()} >= {bucket.name, other.name}
    bucket.blob("a").upload_from_string(b"1")
    copy = bucket.copy_blob(bucket.blob("a"), other, "b/c")
    assert copy.download_as_bytes() == b"1"
    bigger = other.blob("d")
    assert bigger.rewrite(bucket.blob("a"))[1:] == (1, 1)
    with client.batch():
        other.blob("b/c").delete()
        other.blob("d").delete()
    assert list(other.list_blobs()) == []
    with pytest.raises(exceptions.NotFound):
        with client.batch():
            other.blob("b/c").delete()
    other.delete()
    with pytest.raises(exceptions.NotFound, match="bucket does not exist"):
        other.blob("x").upload_from_string(b"1")


# -----------------------------------------------------------------------------
# TensorStore
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", volumes.FORMATS)
def test_tensorstore(gcs_server, gcs_bucket, name):
    volumes.check_values(name, gcs_server.kvstore(gcs_bucket, "em/v"))
    conditional = [
        asked
        for asked in gcs_server.state().log
        if "ifGenerationMatch=" in asked.target
    ]
    assert conditional


def test_four_writers(gcs_server, gcs_bucket):
    volumes.check_writers(lambda name: gcs_server.kvstore(gcs_bucket, name))


def test_listing_and_removal(gcs_server, gcs_bucket):
    store = ts.KvStore.open(gcs_server.kvstore(gcs_bucket, "a")).result()
    for name in (b"x", b"y/z", b"y/z2"):
        store.write(name, name).result()
    assert sorted(store.list().result()) == [b"x", b"y/z", b"y/z2"]
    store.delete_range(ts.KvStore.KeyRange(b"y/", b"y0")).result()
    assert gcs_server.names(gcs_bucket) == ["a/x"]
    assert gcs_server.get(gcs_bucket, "a/x") == b"x"


# -----------------------------------------------------------------------------
# cloud-volume, gcsfs: what one writes all read
# -----------------------------------------------------------------------------


def test_cloud_volume(gcs_server, gcs_bucket):
    import cloudvolume

    path = f"gs://{gcs_bucket}/em"
    for name in ("unsharded", "sharded"):
        volumes.write(name, gcs_server.kvstore(gcs_bucket, f"em/{name}"))
        there = cloudvolume.CloudVolume(f"{path}/{name}", progress=False)
        np.testing.assert_array_equal(there[:][..., 0], volumes.VALUES)
    info = cloudvolume.CloudVolume.create_new_info(
        num_channels=1,
        layer_type="image",
        data_type="uint16",
        encoding="raw",
        resolution=[4, 8, 33],
        voxel_offset=[0, 0, 0],
        volume_size=volumes.SHAPE,
        chunk_size=volumes.CHUNK,
    )
    ours = cloudvolume.CloudVolume(f"{path}/cv", info=info, progress=False)
    ours.commit_info()
    ours[:] = volumes.VALUES[..., None]
    kvstore = gcs_server.kvstore(gcs_bucket, "em/cv")
    found = volumes.open("unsharded", kvstore).read().result()
    np.testing.assert_array_equal(found, volumes.VALUES)


def test_cloud_files(gcs_bucket):
    import cloudfiles

    files = cloudfiles.CloudFiles(f"gs://{gcs_bucket}/x")
    files.put("a.json", b'{"a": 1}', compress="gzip")
    files.puts([(str(i), b"%d" % i) for i in range(5)])
    assert files.get("a.json") == b'{"a": 1}'
    assert files["3", 0:1] == b"3"
    assert sorted(files.list(flat=True)) == ["0", "1", "2", "3", "4", "a.json"]
    assert files.exists(["1", "9"]) == {"1": True, "9": False}
    files.delete(["1", "2", "9"])
    assert sorted(files.list()) == ["0", "3", "4", "a.json"]


def test_gcsfs(gcs_server, gcs_bucket, monkeypatch):
    # Its newer class asks a service that is not here what the bucket is.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    from gcsfs import core

    volumes.write("unsharded", gcs_server.kvstore(gcs_bucket, "em"))
    there = core.GCSFileSystem(token="anon", skip_instance_cache=True)
    info = json.loads(there.cat_file(f"{gcs_bucket}/em/info"))
    assert info["scales"][0]["size"] == list(volumes.SHAPE)
    chunk = f"{gcs_bucket}/em/s0/8-16_5-10_4-8"
    part = volumes.VALUES[8:16, 5:10, 4:8].tobytes(order="F")
    assert there.cat_file(chunk) == part
    assert there.cat_ranges([chunk] * 2, [3, 10], [9, 99]) == [
        part[3:9],
        part[10:99],
    ]
    assert len(there.ls(f"{gcs_bucket}/em/s0")) == 27
    there.pipe_file(f"{gcs_bucket}/f/small", b"1")
    # In pieces; aiohttp warns of those above 1 MB.
    with there.open(f"{gcs_bucket}/f/big", "wb", block_size=1 << 18) as file:
        file.write(BIG)
    assert gcs_server.get(gcs_bucket, "f/big") == BIG
    there.mv(f"{gcs_bucket}/f/small", f"{gcs_bucket}/g/moved")
    there.rm(f"{gcs_bucket}/f", recursive=True)
    names = gcs_server.names(gcs_bucket)
    assert [n for n in names if n[0] in "fg"] == ["g/moved"]


# -----------------------------------------------------------------------------
# The handle
# -----------------------------------------------------------------------------


def test_behind_the_clients_backs(gcs_server, gcs_bucket, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    gcs_server.load(gcs_bucket, tmp_path)
    gcs_server.put(gcs_bucket, "ü %/x", b"3")
    assert gcs_server.names(gcs_bucket) == ["b", "d/a", "ü %/x"]
    assert gcs_server.get(gcs_bucket, "ü %/x") == b"3"
    gcs_server.clear(gcs_bucket, "d/")
    assert gcs_server.names(gcs_bucket) == ["b", "ü %/x"]
    with pytest.raises(FileNotFoundError, match=r"no .*/none"):
        gcs_server.get(gcs_bucket, "none")
    assert gcs_server.state().total == 0


def test_keys(gcs_server, gcs_bucket, bucket):
    bucket.blob("a/b").upload_from_string(b"1")
    bucket.blob("c", chunk_size=1 << 18).upload_from_file(io.BytesIO(BIG))
    bucket.blob("a/b").download_as_bytes()
    list(bucket.list_blobs())
    assert gcs_server.state().requests == {
        f"{gcs_bucket}/a/b": 2,
        f"{gcs_bucket}/c": 6,
        gcs_bucket: 1,
    }


def test_latency_and_faults(gcs_server, gcs_bucket, bucket):
    gcs_server.put(gcs_bucket, "em/x", b"123")
    gcs_server.put(gcs_bucket, "seg/x", b"456")
    gcs_server.set(latency_ms=100)
    fault = Fault(f"{gcs_bucket}/em/", "status", status=503, times=1)
    gcs_server.add(fault)
    assert bucket.blob("em/x").download_as_bytes() == b"123"
    assert bucket.blob("seg/x").download_as_bytes() == b"456"
    state = gcs_server.state()
    assert state.requests == {
        f"{gcs_bucket}/em/x": 2,
        f"{gcs_bucket}/seg/x": 1,
    }
    assert state.log[0].seconds > 0.1
    gcs_server.add(Fault(f"{gcs_bucket}/seg/", "changed", times=1))
    before = bucket.get_blob("seg/x").generation
    assert bucket.get_blob("seg/x").generation == before


def test_the_bucket_of_h01_is_there(gcs_server):
    gcs_server.put("h01-release", "data/test/info", b"{}")
    store = ts.KvStore.open("gs://h01-release/data/test/").result()
    assert store.read("info").result().value == b"{}"
    gcs_server.clear("h01-release", "data/test/")


def test_tensorstore_asks_for_the_url_at_each_opening(
    gcs_server, gcs_bucket, monkeypatch
):
    """But a store that is open stays with its server."""
    gcs_server.put(gcs_bucket, "x", b"1")
    kvstore = gcs_server.kvstore(gcs_bucket)
    before = ts.KvStore.open(kvstore).result()
    assert before.read("x").result().value == b"1"
    monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", "http://127.0.0.1:9")
    assert before.read("x").result().value == b"1"
    context = ts.Context({"gcs_request_retries": {"max_retries": 1}})
    after = ts.KvStore.open(kvstore, context=context).result()
    with pytest.raises(ValueError, match="port 9"):
        after.read("x").result()
