"""Who asks a bucket of S3, and what TensorStore says of it."""

import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.volume import access, place

VOXELS = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)
EVERYBODY = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::%s/*",
}
_READ = """
import sys
from ffn_tf import volume
with volume.open(sys.argv[1]) as found:
    print(found.read().sum())
"""


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """The environment of somebody who has no credentials."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_whose_credentials(nobody, monkeypatch, tmp_path):
    bucket = place.Place("s3://bucket/em")
    monkeypatch.setattr(place, "_MACHINE", str(tmp_path / "vendor"))
    assert bucket.kvstore()["aws_credentials"] == {"type": "anonymous"}
    with monkeypatch.context() as keys:
        keys.setenv("AWS_ACCESS_KEY_ID", "a")
        assert bucket.kvstore()["aws_credentials"] == {"type": "anonymous"}
        keys.setenv("AWS_SECRET_ACCESS_KEY", "b")
        assert bucket.kvstore()["aws_credentials"] == {"type": "environment"}
    with monkeypatch.context() as profile:
        profile.setenv("AWS_PROFILE", "me")
        assert "aws_credentials" not in bucket.kvstore()
    (tmp_path / "vendor").write_text("Amazon EC2\n")
    assert "aws_credentials" not in bucket.kvstore()
    (tmp_path / "vendor").unlink()
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").touch()
    assert "aws_credentials" not in bucket.kvstore()


@pytest.mark.parametrize("keys", [False, True])
def test_nothing_is_said_of_credentials(keys, s3_server, s3_bucket, request):
    address = f"precomputed://s3://{s3_bucket}/em?endpoint={s3_server.url}"
    with volume.create(address, volume.from_array(VOXELS).info) as new:
        new.write(new.domain, VOXELS)
    if not keys:
        body = json.dumps({"Statement": [EVERYBODY]}) % s3_bucket
        status, _ = s3_server.ask("PUT", f"/{s3_bucket}?policy", body.encode())
        assert status == 200
        request.getfixturevalue("nobody")
    ran = subprocess.run(
        [sys.executable, "-c", _READ, address],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == (f"{VOXELS.sum()}\n", "")


@pytest.fixture
def impatient(monkeypatch):
    """One retry and three seconds, not ten and a minute."""
    monkeypatch.setattr(place, "_RETRIES", {"max_retries": 1})
    monkeypatch.setattr(place, "_PATIENCE_S", 3)
    for cache in (place.context, place._opened):
        cache.cache_clear()
    yield
    for cache in (place.context, place._opened):
        cache.cache_clear()


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_server_that_does_not_answer(impatient, monkeypatch, is_silent):
    """One error, soon; nobody else is asked to try."""
    monkeypatch.setitem(access.METHODS, "cloudvolume", lambda address: None)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if is_silent:
            server.listen()
        host, port = server.getsockname()
        url = f"http://{host}:{port}/em"
        with pytest.raises(OSError, match="is it the right address"):
            volume.open(f"precomputed://{url}")


@pytest.mark.parametrize(
    "place_of, host",
    [
        ("em", ""),
        ("http://host:80/a/0", "host:80"),
        ("https://me:secret@host", "host"),
        ("gs://bucket/em", "storage.googleapis.com"),
        ("s3://bucket/em", "s3.amazonaws.com"),
    ],
)
def test_who_is_asked(place_of, host, monkeypatch):
    for name in ("TENSORSTORE_GCS_HTTP_URL", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    assert place.Place(place_of).host == host
    monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", "http://here:1")
    assert place.Place("gs://bucket/em").host == "here:1"
    there = place.Place("s3://bucket/em", endpoint="http://there:2")
    assert there.host == "there:2"


@pytest.mark.parametrize("name", ["no.invalid", "a..b", "[::z]:80"])
def test_a_name_that_nobody_knows_is_not_asked_ten_times(name, monkeypatch):
    monkeypatch.setattr("urllib.request.getproxies", dict)
    begin = time.monotonic()
    with pytest.raises(OSError, match="is it the right address") as told:
        volume.open(f"precomputed://http://{name}/em")
    assert time.monotonic() - begin < 5
    assert name in str(told.value)
    with pytest.raises(place.UnreachedError) as told:
        place.Place(f"http://{name}/em").read("info")
    assert told.value.host == name


def test_names_that_only_a_proxy_knows(monkeypatch, impatient):
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"no": "a"})
    with pytest.raises(place.UnreachedError, match="host nobody"):
        place.Place("http://nobody.invalid/em").read("info")
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"http": "a"})
    with pytest.raises(place.UnreachedError, match="curl_code"):
        place.Place("http://nobody.invalid/em").read("info")


@pytest.mark.parametrize(
    "url, above",
    [
        ("/a/em.zarr/0/", ("/a/em.zarr", "0")),
        ("/em", None),
        ("gs://bucket/em.zarr/0", ("gs://bucket/em.zarr", "0")),
        ("gs://bucket/0", ("gs://bucket", "0")),
        ("gs://bucket", None),
        ("http://host:80/a/0/", ("http://host:80/a", "0")),
        ("http://host:80/", None),
    ],
)
def test_the_folder_that_a_place_is_in(url, above):
    assert place.Place(url).parent == above


def test_the_folder_that_a_relative_path_is_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert place.Place("0").parent == (str(tmp_path), "0")
    assert place.Place("a/../b").parent == (str(tmp_path), "b")
