"""Precomputed volumes of gs:// read through gcsfs."""

import gzip
import json
import sys

import numpy as np
import pytest
from servers import channels
from servers.channels import (
    DOMAIN,
    FIRST,
    VOXELS,
    with_and_without_shards,
)

from ffn_tf.volume import address as address_lib
from ffn_tf.volume import failures
from ffn_tf.volume.formats import chunked, gcsfs_source

pytest.importorskip("cloudvolume")
pytest.importorskip("gcsfs")


@pytest.fixture
def make(gcs_server, gcs_bucket):
    """make(...): the address of such a volume."""

    def made(**more):
        channels.write(f"gs://{gcs_bucket}/em/", **more)
        return f"precomputed://gs://{gcs_bucket}/em"

    return made


def opened(address, query=""):
    return gcsfs_source.open_gcsfs(address_lib.parse(f"{address}{query}"))


def truncate(server, bucket, name, keep):
    data = server.get(bucket, name)
    assert data is not None
    server.put(bucket, name, data[:keep])


@with_and_without_shards
def test_voxels_of_a_channel(make, sharding):
    channels.check_channels(opened, make(sharding=sharding))


def test_it_says_of_itself_what_tensorstore_says(make, gcs_server, gcs_bucket):
    address = make()
    theirs = chunked.open_chunked(address_lib.parse(address), writable=False)
    source = opened(address)
    assert source.info == theirs.info
    assert source.scales_nm == theirs.scales_nm
    assert source.attributes == theirs.attributes == {}
    steps = [{"by": "ffn_tf", "method": {"ffn_tf": {"made": "here"}}}]
    provenance = json.dumps({"processing": steps})
    gcs_server.put(gcs_bucket, "em/provenance", provenance.encode())
    assert opened(address).attributes == {"made": "here"}


def test_each_chunk_is_fetched_once(make, gcs_server, gcs_bucket):
    source = opened(make())
    gcs_server.reset()
    source.read_many([DOMAIN, DOMAIN, FIRST])
    state = gcs_server.state()
    assert state.total == 3 * 3 * 3
    assert set(state.requests.values()) == {1}
    source.read_many([])
    assert gcs_server.state().total == 27


def test_few_requests_are_made_at_once(make, gcs_server, monkeypatch):
    monkeypatch.setattr(gcsfs_source, "_REQUESTS", 4)
    source = opened(make())
    gcs_server.reset()
    gcs_server.set(latency_ms=20)
    np.testing.assert_array_equal(source.read(DOMAIN), VOXELS[0])
    assert 2 <= gcs_server.state().most_in_flight <= 4


@with_and_without_shards
def test_a_missing_chunk_is_named(make, sharding):
    channels.check_missing(opened, make(box=FIRST, sharding=sharding))


@pytest.mark.parametrize("query", ["", "?missing=zero"])
@pytest.mark.parametrize("keep", [0, 30])
def test_a_damaged_chunk_is_named(make, gcs_server, gcs_bucket, query, keep):
    address = make()
    name = "4_8_40/14-18_23-26_32-34"
    truncate(gcs_server, gcs_bucket, f"em/{name}", keep)
    source = opened(address, query)
    source.read(FIRST)
    with pytest.raises(OSError, match=f"{address}.*chunk {name} is damaged"):
        source.read(DOMAIN)


@pytest.mark.parametrize("query", ["", "?missing=zero"])
def test_a_truncated_shard_is_named(make, gcs_server, gcs_bucket, query):
    """In the middle of its chunks, of which the indices are at the end."""
    address = make(sharding=channels.SHARDING)
    truncate(gcs_server, gcs_bucket, "em/4_8_40/0.shard", 100)
    with pytest.raises(OSError, match=r"4_8_40/0\.shard"):
        opened(address, query).read(DOMAIN)
    truncate(gcs_server, gcs_bucket, "em/4_8_40/0.shard", 10)
    with pytest.raises(OSError, match=r"0\.shard, bytes 0\.\.16: 10 bytes"):
        opened(address, query).read(DOMAIN)


@pytest.mark.parametrize("keep", [10, 100])
def test_only_chunks_that_are_cut_off_are_damaged(
    make, gcs_server, gcs_bucket, keep
):
    """Each is named; those in whole shards are read."""
    address = make(sharding=channels.SHARDING)
    before = opened(address)
    scale = before._scale
    chunks = scale.chunks(DOMAIN)
    places = dict(
        zip(chunks, before._shards.parts(chunks, before._bucket.read))
    )
    truncate(gcs_server, gcs_bucket, "em/4_8_40/0.shard", keep)
    # The indices, which are at its end, are gone; also those that were read.
    for source in (before, opened(address)):
        with pytest.raises(failures.ReadsFailed) as caught:
            source.read_many(chunks)
        for chunk, outcome in zip(chunks, caught.value.outcomes):
            if "0.shard" in places[chunk].path:
                assert type(outcome) is failures.CorruptError
                assert outcome.box == chunk
                assert f"chunk {scale.name_of(chunk)}" in outcome.reason
                assert "4_8_40/0.shard" in outcome.reason
            else:
                part = chunk.relative_to(channels.START).slices
                np.testing.assert_array_equal(outcome, VOXELS[0][part])


def test_gzipped_objects(make, gcs_server, gcs_bucket):
    """As CloudVolume writes them; the server says that they are packed."""
    storage = pytest.importorskip("google.cloud.storage")
    address = make()
    name = "em/4_8_40/10-14_20-23_30-32"
    data = gcs_server.get(gcs_bucket, name)
    client = storage.Client.create_anonymous_client()
    blob = client.bucket(gcs_bucket).blob(name)
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(data))
    client.close()
    assert gcs_server.get(gcs_bucket, name) != data
    np.testing.assert_array_equal(opened(address).read(DOMAIN), VOXELS[0])


@pytest.mark.parametrize(
    "kind", ["status", "close", "reset", "truncate", "hang"]
)
def test_a_server_that_recovers(
    make, gcs_server, gcs_bucket, kind, monkeypatch
):
    monkeypatch.setattr(gcsfs_source, "_SILENCE_SECONDS", 0.5)
    faults = pytest.importorskip("servers.faults")
    source = opened(make())
    gcs_server.add(
        faults.Fault(f"{gcs_bucket}/em/4_8_40/1", kind, times=1),
    )
    np.testing.assert_array_equal(source.read(DOMAIN), VOXELS[0])
    assert gcs_server.state().total > 27


def test_a_server_that_refuses(make, gcs_server, gcs_bucket, capfd):
    faults = pytest.importorskip("servers.faults")
    address = make()
    source = opened(address, "?missing=zero")
    gcs_server.add(
        faults.Fault(f"{gcs_bucket}/em/4_8_40/14", "status", status=403)
    )
    with pytest.raises(OSError, match=r"em/4_8_40/14-18\S+: cannot be read"):
        source.read(DOMAIN)
    assert not capfd.readouterr().err


def test_what_is_not_there(make, gcs_server, gcs_bucket):
    address = make()
    with pytest.raises(FileNotFoundError, match=r"there is no gs://.*/no/info"):
        opened(f"precomputed://gs://{gcs_bucket}/no")
    with pytest.raises(FileNotFoundError, match="there is no gs://no-bucket"):
        opened("precomputed://gs://no-bucket/em")
    for damage, told in (("{", "is not JSON"), ("[]", "is not a JSON object")):
        gcs_server.put(gcs_bucket, "em/info", damage.encode())
        with pytest.raises(OSError, match=told):
            opened(address)
    gcs_server.put(gcs_bucket, "em/info", b"{}")
    with pytest.raises(OSError, match="/em/info describes no volume"):
        opened(address)


@pytest.mark.parametrize(
    "address", ["/em", "zarr3://gs://b/em", "https://host/em", "s3://b/em"]
)
def test_other_formats_and_places(address):
    text = address if "zarr" in address else f"precomputed://{address}"
    with pytest.raises(ValueError, match="gs:// only"):
        opened(text)


def test_a_package_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(OSError, match="pip install gcsfs"):
        opened("precomputed://gs://b/em")


def test_it_does_not_write(make):
    with pytest.raises(ValueError, match="only reads"):
        opened(make()).write(DOMAIN, VOXELS[0])
