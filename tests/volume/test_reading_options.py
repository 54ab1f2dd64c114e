"""?cache=, ?tolerate= and ?deadline_s= of an address, by every method."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from servers import volumes
from servers.faults import Fault

from ffn_tf import volume
from ffn_tf.volume import failures

VALUES = volumes.VALUES.T  # Written [x, y, z].
CHUNK = "s0/8-16_5-10_4-8"
IN_CHUNK = (4, 5, 8)  # Its first voxel, zyx.
SIZE = VALUES.size * VALUES.itemsize


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FFN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def em(http_server, http_folder):
    """The address of a volume on the web server."""
    volumes.write("unsharded", {"driver": "file", "path": f"{http_folder}/"})
    return f"precomputed://{http_server.url}/{http_folder.name}"


def read(address):
    with volume.open(address) as opened:
        return opened.read(), opened


def chunk_of(voxels):
    z, y, x = IN_CHUNK
    return voxels[z : z + 4, y : y + 5, x : x + 8]


def test_a_second_run_reads_from_the_disk(em, http_server):
    first, opened = read(f"{em}?cache=disk")
    np.testing.assert_array_equal(first, VALUES)
    assert "0 of 27 chunks" in opened.report()[0]
    sent = http_server.state().bytes_sent
    assert sent > SIZE
    second, opened = read(f"{em}?cache=disk")
    np.testing.assert_array_equal(second, VALUES)
    assert "27 of 27 chunks (100.0%)" in opened.report()[0]
    assert http_server.state().bytes_sent - sent < SIZE / 10


def test_a_trusted_cache_does_not_ask(em, http_server, http_folder):
    read(f"{em}?cache=disk")
    os.remove(http_folder / CHUNK)
    asked = http_server.state().requests
    found, _ = read(f"{em}?cache=trusted")
    np.testing.assert_array_equal(found, VALUES)
    for name, count in http_server.state().requests.items():
        assert "s0" not in name or asked[name] == count
    with pytest.raises(failures.MissingError, match=CHUNK):
        read(f"{em}?cache=disk")


def test_what_changed_is_read_anew(em, http_folder):
    read(f"{em}?cache=disk")
    changed = bytes(2 * 4 * 5 * 8)
    (http_folder / CHUNK).write_bytes(changed)
    found, _ = read(f"{em}?cache=disk")
    assert not chunk_of(found).any()
    assert (found == 0).sum() <= 160 + 1


def test_the_size_of_the_cache(em, monkeypatch):
    monkeypatch.setenv("FFN_CACHE_GB", "much")
    with pytest.raises(ValueError, match=r"FFN_CACHE_GB.*found 'much'"):
        read(f"{em}?cache=disk")


@pytest.mark.parametrize("method", ["tensorstore", "cloudvolume"])
@pytest.mark.parametrize("cached", ["", "&cache=disk"])
def test_damage_is_filled_and_told(em, http_folder, capfd, method, cached):
    os.truncate(http_folder / CHUNK, 100)
    address = f"{em}?access={method}{cached}"
    with pytest.raises(failures.CorruptError, match=CHUNK):
        read(address)
    capfd.readouterr()
    found, opened = read(f"{address}&tolerate=corrupt")
    expected = VALUES.copy()
    chunk_of(expected)[...] = 0
    np.testing.assert_array_equal(found, expected)
    assert "1 damaged chunks, 160 voxels filled" in opened.report()[-1]
    warned = capfd.readouterr().err
    assert "1 damaged chunks" in warned and CHUNK in warned
    knows_no_cache = method == "cloudvolume" and bool(cached)
    assert ("knows no cache" in warned) == knows_no_cache


@pytest.mark.parametrize("method", ["tensorstore", "cloudvolume", "gcsfs"])
def test_what_is_cut_off_of_a_shard_is_filled(
    gcs_server, gcs_bucket, method, capfd
):
    volumes.write("sharded", gcs_server.kvstore(gcs_bucket, "em"))
    shard = gcs_server.get(gcs_bucket, "em/s0/0.shard")
    gcs_server.put(gcs_bucket, "em/s0/0.shard", shard[:-1])
    address = f"precomputed://gs://{gcs_bucket}/em?access={method}"
    with pytest.raises(failures.CorruptError):
        read(address)
    found, opened = read(f"{address}&tolerate=corrupt")
    assert set(found[found != VALUES]) == {0}
    lost = (found == 0).sum()
    assert f"damaged chunks, {lost} voxels filled" in opened.report()[-1]


@pytest.mark.parametrize("fault", ["gone", "truncated"])
def test_gcsfs_names_what_is_damaged(gcs_server, gcs_bucket, fault):
    volumes.write("unsharded", gcs_server.kvstore(gcs_bucket, "em"))
    address = f"precomputed://gs://{gcs_bucket}/em?access=gcsfs"
    name = f"em/{CHUNK}"
    if fault == "gone":
        gcs_server.clear(gcs_bucket, name)
        with pytest.raises(failures.MissingError, match=CHUNK):
            read(f"{address}&tolerate=corrupt")
        return
    gcs_server.put(gcs_bucket, name, bytes(100))
    with pytest.raises(failures.CorruptError, match=CHUNK):
        read(address)
    found, opened = read(f"{address}&tolerate=corrupt")
    assert not chunk_of(found).any()
    assert "1 damaged chunks, 160 voxels filled" in opened.report()[-1]


def test_missing_chunks_and_the_network_are_not_tolerated(
    em, http_server, http_folder
):
    http_server.add(Fault(f"{http_folder.name}/{CHUNK}", "status", status=403))
    with pytest.raises(failures.ReadError) as caught:
        read(f"{em}?tolerate=corrupt")
    assert not isinstance(caught.value, failures.CorruptError)
    http_server.reset()
    os.remove(http_folder / CHUNK)
    with pytest.raises(failures.MissingError):
        read(f"{em}?tolerate=corrupt")


@pytest.mark.parametrize("more", ["", "&cache=disk", "&access=cloudvolume"])
def test_a_deadline_names_the_boxes_that_are_late(
    em, http_server, http_folder, more
):
    http_server.add(Fault(f"{http_folder.name}/{CHUNK}", "hang"))
    boxes = [
        volume.Box.from_size(corner, (4, 5, 8))
        for corner in (IN_CHUNK, (0,) * 3)
    ]
    with volume.open(f"{em}?deadline_s=2{more}") as opened:
        with pytest.raises(failures.OverdueReads) as caught:
            opened.read_many(boxes)
    late, there = caught.value.outcomes
    assert isinstance(late, TimeoutError) and late.box == boxes[0]
    np.testing.assert_array_equal(there, VALUES[:4, :5, :8])


# Each fails at once, so that it is the pauses between attempts that are long.
@pytest.fixture
def broken(gcs_server, gcs_bucket):
    """Of a volume in a bucket, the file of one chunk."""

    def made(name):
        volumes.write(name, gcs_server.kvstore(gcs_bucket, "em"))
        file = CHUNK if name == "unsharded" else "s0/0.shard"
        gcs_server.add(Fault(f"{gcs_bucket}/em/{file}", "reset"))
        return f"precomputed://gs://{gcs_bucket}/em"

    return made


@pytest.mark.parametrize("name", ["unsharded", "sharded"])
@pytest.mark.parametrize("method", ["cloudvolume", "gcsfs"])
def test_a_deadline_in_a_bucket(gcs_server, broken, method, name):
    address = broken(name)
    late, there = (
        volume.Box.from_size(corner, (1, 2, 3))
        for corner in (IN_CHUNK, (8, 10, 16))
    )
    with volume.open(f"{address}?access={method}&deadline_s=3") as opened:
        begin = time.monotonic()
        with pytest.raises(failures.OverdueReads, match="1 of 2") as caught:
            opened.read_many([late, there])
        with pytest.raises(failures.OverdueError) as alone:
            opened.read(late)
        assert 6 <= time.monotonic() - begin < 15
        error, voxels = caught.value.outcomes
        assert error.box == alone.value.box == late
        np.testing.assert_array_equal(voxels, VALUES[there.slices])
        gcs_server.reset()
        np.testing.assert_array_equal(opened.read(late), VALUES[late.slices])


@pytest.mark.parametrize("method", ["cloudvolume", "gcsfs"])
def test_what_is_late_does_not_keep_a_process(broken, method):
    address = f"{broken('unsharded')}?access={method}&deadline_s=1"
    program = (
        "import time; from ffn_tf import volume\n"
        f"with volume.open({address!r}) as opened:\n"
        "    try: opened.read()\n"
        "    except TimeoutError: print(time.time())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        timeout=100,
    )
    assert time.time() - float(ended.stdout) < 10
    assert not ended.stderr


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("cache=memory", "no cache=memory; expected disk, trusted"),
        ("cache=disk", "on this machine"),
        ("tolerate=all", "no tolerate=all; expected corrupt"),
        ("deadline_s=0", "deadline_s: expected a positive number, found '0'"),
        ("deadline_s=soon", "expected a positive number, found 'soon'"),
    ],
)
def test_options_that_are_wrong(tmp_path, query, message):
    volumes.write("unsharded", {"driver": "file", "path": f"{tmp_path}/em/"})
    with pytest.raises(ValueError, match=message):
        volume.open(f"precomputed://{tmp_path}/em?{query}")


def test_who_writes_tolerates_nothing(tmp_path):
    volumes.write("unsharded", {"driver": "file", "path": f"{tmp_path}/em/"})
    with pytest.raises(ValueError, match="tolerate=corrupt is for reading"):
        volume.open(f"precomputed://{tmp_path}/em?tolerate=corrupt", mode="r+")
