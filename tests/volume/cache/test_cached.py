"""Remote volumes through the disk cache, against real servers."""

import concurrent.futures
import functools
import http.server
import os
import pathlib
import random
import shutil
import subprocess
import sys
import threading
import time

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
from servers import gcs_server, volumes
from servers.faults import Fault
import tensorstore as ts

from ffn_tf.volume import failures, place
from ffn_tf.volume.box import Box
from ffn_tf.volume.cache import cached
from ffn_tf.volume.cache.cached import CachedSource
from ffn_tf.volume.cache.disk import CacheOptions
from ffn_tf.volume.source import VolumeInfo

VALUES = volumes.VALUES
DOMAIN = Box.from_shape(VALUES.shape)
BOX = Box((8, 5, 4), (16, 10, 8))  # One chunk, in the middle.
FILES = {
    "unsharded": "s0/8-16_5-10_4-8",
    "sharded": "s0/0.shard",
    "zarr3": "c/1/1/1",
}
every_format = pytest.mark.parametrize("name", volumes.FORMATS)


def source(name, kvstore, folder, trust=False, deadline_s=None, **options):
    """A volume [z, y, x], opened anew, through the cache in `folder`."""
    options = {"fill_missing_data_reads": False} | options
    driver = volumes.spec(name, kvstore)["driver"]
    view = ts.open(
        {"driver": driver, "kvstore": kvstore} | options,
        read=True,
        context=place.context(),
    ).result()
    view = view[..., 0] if view.rank == 4 else view
    info = VolumeInfo(
        DOMAIN,
        np.dtype(np.uint16),
        chunk_zyx=view.chunk_layout.read_chunk.shape[:3],
    )
    return CachedSource(
        view,
        info,
        {"made": "by hand"},
        "em",
        CacheOptions(1.0, str(folder), trust),
        deadline_s=deadline_s,
    )


@pytest.fixture
def remote(http_server, http_folder):
    """kvstore(name) of a volume of VALUES; folder(name) of its files."""

    class Remote:
        server = http_server

        def kvstore(self, name):
            if not self.folder(name).exists():
                volumes.write(name, self.local(name))
            return http_server.kvstore(f"{http_folder.name}/{name}")

        def folder(self, name):
            return http_folder / name

        def local(self, name):
            return {"driver": "file", "path": f"{http_folder}/{name}/"}

        def key(self, name):
            """Of the file that holds BOX."""
            return f"{http_folder.name}/{name}/{FILES[name]}"

        def change(self, name, box, voxels):
            opened = volumes.open(name, self.local(name))
            opened[box.slices].write(voxels).result()

    return Remote()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


# -----------------------------------------------------------------------------
# What is kept
# -----------------------------------------------------------------------------


@every_format
def test_the_second_pass_is_from_the_disk(name, remote, folder):
    first = source(name, remote.kvstore(name), folder)
    np.testing.assert_array_equal(first.read(DOMAIN), VALUES)
    first.close()
    told = first.statistics()
    assert (told.hits, told.misses, told.hit_rate) == (0, 27, 0)
    assert told.remote_bytes >= VALUES.nbytes
    second = source(name, remote.kvstore(name), folder)
    remote.server.reset()
    np.testing.assert_array_equal(second.read(DOMAIN), VALUES)
    state = remote.server.state()
    files = 2 if name == "sharded" else 27
    assert state.statuses == {304: files}
    assert state.bytes_sent == 0
    told = second.statistics()
    assert (told.hits, told.misses, told.hit_rate) == (27, 0, 1)
    assert (told.checks, told.disk_bytes) == (
        files,
        first.statistics().remote_bytes,
    )
    assert "27 of 27 chunks (100.0%)" in str(told)
    # What was asked once is not asked again, not even if it left the memory.
    second._held.forget(
        [c.name for c in second._table.within((0,) * 4, (22, 13, 9, 1))]
    )
    np.testing.assert_array_equal(second.read(DOMAIN), VALUES)
    assert remote.server.state().statuses == {304: files}
    second.close()


@every_format
def test_trust_asks_nothing(name, remote, folder):
    source(name, remote.kvstore(name), folder).read(DOMAIN)
    source(name, remote.kvstore(name), folder).close()
    second = source(name, remote.kvstore(name), folder, trust=True)
    remote.server.reset()
    np.testing.assert_array_equal(second.read(DOMAIN), VALUES)
    assert remote.server.state().total == 0


def test_what_is_in_memory_is_not_asked_for(remote, folder):
    held = source("unsharded", remote.kvstore("unsharded"), folder)
    held.read(DOMAIN)
    shutil.rmtree(folder)
    remote.server.reset()
    np.testing.assert_array_equal(held.read(BOX), VALUES[BOX.slices])
    assert remote.server.state().total == 0


@every_format
def test_a_chunk_that_many_boxes_share_is_asked_for_once(name, remote, folder):
    opened = source(name, remote.kvstore(name), folder)
    remote.server.reset()
    boxes = [BOX, BOX.padded(-1), BOX, DOMAIN, BOX]
    for box, voxels in zip(boxes, opened.read_many(boxes)):
        np.testing.assert_array_equal(voxels, VALUES[box.slices])
    assert opened.statistics().misses == 27
    if name != "sharded":
        assert set(remote.server.state().requests.values()) == {1}


def test_another_process_gets_what_one_has_fetched(remote, folder):
    kvstore = remote.kvstore("unsharded")
    first = source("unsharded", kvstore, folder)
    first.read(DOMAIN)
    first.close()
    code = (
        "import sys, test_cached as t; s = t.source('unsharded', "
        f"{kvstore!r}, {str(folder)!r}); v = s.read(t.DOMAIN); "
        "assert (v == t.VALUES).all(); print(s.statistics().hit_rate)"
    )
    here = pathlib.Path(__file__).parent
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{here}:{here.parents[1]}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "1.0\n"


def test_volumes_do_not_mix(remote, folder, http_server):
    """The same chunk names at another place, or of other metadata."""
    one = remote.kvstore("unsharded")
    source("unsharded", one, folder, trust=True).read(DOMAIN)
    two = volumes.spec("unsharded", remote.local("two"))
    two["scale_metadata"]["resolution"] = [1, 2, 3]
    store = ts.open(two, create=True).result()
    store[..., 0].write(VALUES + np.uint16(5000)).result()
    there = dict(one, path=one["path"].replace("unsharded", "two"))
    other = source("unsharded", there, folder, trust=True)
    np.testing.assert_array_equal(other.read(DOMAIN), VALUES + 5000)
    # The second volume where the first one was.
    shutil.rmtree(remote.folder("unsharded"))
    os.rename(remote.folder("two"), remote.folder("unsharded"))
    moved = source("unsharded", one, folder, trust=True)
    np.testing.assert_array_equal(moved.read(DOMAIN), VALUES + 5000)


def test_buckets_of_two_servers_do_not_mix(folder, monkeypatch):
    """Which server has gs://em, the environment says, and no spec."""
    kvstore = {"driver": "gcs", "bucket": "two-servers", "path": ""}
    for more in (0, 5000):
        place.context.cache_clear()  # It asks one server for ever.
        with gcs_server.start("two-servers") as server:
            for name, value in server.environment().items():
                monkeypatch.setenv(name, value)
            context = place.context()
            described = volumes.spec("unsharded", kvstore)
            store = ts.open(described, create=True, context=context).result()
            store[..., 0].write(VALUES + np.uint16(more)).result()
            opened = source("unsharded", kvstore, folder, trust=True)
            np.testing.assert_array_equal(opened.read(DOMAIN), VALUES + more)
            opened.close()
    place.context.cache_clear()


# -----------------------------------------------------------------------------
# What changes
# -----------------------------------------------------------------------------


@every_format
def test_never_stale_after_a_change_unless_asked(name, remote, folder):
    kvstore = remote.kvstore(name)
    before = source(name, kvstore, folder)
    before.read(DOMAIN)
    before.close()
    changed = VALUES.copy()
    changed[BOX.slices] += 30000
    remote.change(name, BOX, changed[BOX.slices])
    trusting = source(name, kvstore, folder, trust=True)
    np.testing.assert_array_equal(trusting.read(DOMAIN), VALUES)
    after = source(name, kvstore, folder)
    np.testing.assert_array_equal(after.read(DOMAIN), changed)
    told = after.statistics()
    # A shard that was written anew is another one, with all its chunks.
    assert told.stale == told.misses
    assert told.stale > 1 if name == "sharded" else told.stale == 1
    assert told.hits == 27 - told.stale
    # What was open stays as it was.
    np.testing.assert_array_equal(before.read(DOMAIN), VALUES)
    after.close()
    again = source(name, kvstore, folder)
    np.testing.assert_array_equal(again.read(DOMAIN), changed)
    assert again.statistics().hit_rate == 1


@every_format
def test_a_chunk_that_vanishes_and_comes_back(name, remote, folder):
    kvstore = remote.kvstore(name)
    first = source(name, kvstore, folder)
    first.read(DOMAIN)
    first.close()
    file = remote.folder(name) / FILES[name]
    os.rename(file, f"{file}.away")
    gone = source(name, kvstore, folder)
    with pytest.raises(failures.MissingError, match=r"missing.*\?missing=zero"):
        gone.read(BOX)
    zeros = source(name, kvstore, folder, fill_missing_data_reads=True)
    assert not zeros.read(BOX).any()
    os.rename(f"{file}.away", file)
    back = source(name, kvstore, folder)
    np.testing.assert_array_equal(back.read(DOMAIN), VALUES)
    back.close()


@every_format
def test_chunks_that_were_never_written(name, remote, folder):
    ts.open(volumes.spec(name, remote.local(name)), create=True).result()
    remote.change(name, BOX, VALUES[BOX.slices])
    kvstore = remote.server.kvstore(f"{remote.folder(name).parent.name}/{name}")
    near = BOX.padded(1)
    for _ in range(2):
        opened = source(name, kvstore, folder)
        np.testing.assert_array_equal(opened.read(BOX), VALUES[BOX.slices])
        with pytest.raises(failures.MissingError):
            opened.read(near)
        zeros = source(name, kvstore, folder, fill_missing_data_reads=True)
        expected = np.zeros_like(VALUES)
        expected[BOX.slices] = VALUES[BOX.slices]
        np.testing.assert_array_equal(zeros.read(DOMAIN), expected)
        assert zeros.statistics().misses + zeros.statistics().hits <= 27
        opened.close()


# -----------------------------------------------------------------------------
# Servers of other kinds
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gcs", "s3"])
@every_format
def test_buckets(kind, name, folder, request):
    server = request.getfixturevalue(f"{kind}_server")
    bucket = request.getfixturevalue(f"{kind}_bucket")
    kvstore = server.kvstore(bucket, "em")
    volumes.write(name, kvstore)
    for expected in (0.0, 1.0):
        opened = source(name, kvstore, folder)
        np.testing.assert_array_equal(opened.read(DOMAIN), VALUES)
        opened.close()
        assert opened.statistics().hit_rate == expected
    changed = VALUES.copy()
    changed[BOX.slices] += 30000
    volumes.open(name, kvstore)[BOX.slices].write(changed[BOX.slices]).result()
    opened = source(name, kvstore, folder)
    np.testing.assert_array_equal(opened.read(DOMAIN), changed)
    assert opened.statistics().stale > 0


class WithoutEtags(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("trust", [False, True])
def test_a_server_without_etags(trust, tmp_path, folder):
    volumes.write("unsharded", {"driver": "file", "path": f"{tmp_path}/em/"})
    handler = functools.partial(WithoutEtags, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        kvstore = {"driver": "http", "base_url": url, "path": "/em/"}
        try:
            for expected in (0.0, float(trust)):
                opened = source("unsharded", kvstore, folder, trust)
                np.testing.assert_array_equal(opened.read(DOMAIN), VALUES)
                opened.close()
                assert opened.statistics().hit_rate == expected
        finally:
            server.shutdown()
            thread.join()


# -----------------------------------------------------------------------------
# Failures
# -----------------------------------------------------------------------------


@every_format
def test_of_a_batch_the_boxes_that_failed_are_told(name, remote, folder):
    kvstore = remote.kvstore(name)
    key = remote.key(name)
    opened = source(name, kvstore, folder)
    remote.server.add(Fault(key, "status", status=403))
    far = Box((0, 0, 0), (1, 1, 1))
    if name == "sharded":
        far = Box((21, 12, 8), (22, 13, 9))  # In the other shard.
    boxes = [far, BOX, far, BOX.padded(-1)]
    with pytest.raises(failures.ReadsFailed) as caught:
        opened.read_many(boxes)
    text = str(caught.value)
    assert "em: cannot read 2 of 4 boxes" in text
    assert str(BOX) in text and str(BOX.padded(-1)) in text
    assert "PERMISSION_DENIED" in text and "The other 2 were read" in text
    assert pathlib.PurePath(FILES[name]).name in text
    for index in (0, 2):
        np.testing.assert_array_equal(
            caught.value.outcomes[index], VALUES[far.slices]
        )
    for index in (1, 3):
        error = caught.value.outcomes[index]
        assert type(error) is failures.ReadError
        assert error.box == boxes[index]
    remote.server.reset()
    np.testing.assert_array_equal(opened.read(DOMAIN), VALUES)


@every_format
def test_a_damaged_chunk_is_named_and_not_kept(name, remote, folder):
    kvstore = remote.kvstore(name)
    file = remote.folder(name) / FILES[name]
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    opened = source(name, kvstore, folder)
    with pytest.raises(failures.CorruptError) as caught:
        opened.read(BOX)
    assert "s0/8-16_5-10_4-8" in str(caught.value) or name == "zarr3"
    assert FILES[name] in str(caught.value)
    assert str(BOX) in str(caught.value)
    opened.close()
    with pytest.raises(failures.CorruptError):
        source(name, kvstore, folder).read(BOX)
    file.write_bytes(whole)
    np.testing.assert_array_equal(opened.read(DOMAIN), VALUES)


@pytest.mark.parametrize("name", ["unsharded", "zarr3"])
def test_what_was_damaged_on_its_way_is_not_kept(name, remote, folder):
    """A proxy that shortens a chunk, once, and leaves its ETag."""
    kvstore = remote.kvstore(name)
    opened = source(name, kvstore, folder)
    remote.server.add(Fault(remote.key(name), "short", times=1))
    with pytest.raises(failures.CorruptError):
        opened.read(DOMAIN)
    np.testing.assert_array_equal(opened.read(DOMAIN), VALUES)
    opened.close()
    again = source(name, kvstore, folder)
    np.testing.assert_array_equal(again.read(DOMAIN), VALUES)
    assert again.statistics().hit_rate == 1


@every_format
def test_a_deadline_holds_for_the_whole_batch(name, remote, folder):
    kvstore = remote.kvstore(name)
    opened = source(name, kvstore, folder, deadline_s=1.0)
    far = Box((0, 0, 0), (1, 1, 1))
    if name == "sharded":
        far = Box((21, 12, 8), (22, 13, 9))
    remote.server.add(Fault(remote.key(name), "hang", times=1))
    start = time.monotonic()
    with pytest.raises(TimeoutError) as caught:
        opened.read_many([far, *[BOX] * 50, far, *[BOX] * 500])
    assert time.monotonic() - start < 10
    assert isinstance(caught.value, failures.OverdueReads)
    assert "cannot read 550 of 552 boxes" in str(caught.value)
    assert "time was up" in str(caught.value)
    for index in (0, 51):
        np.testing.assert_array_equal(
            caught.value.outcomes[index], VALUES[far.slices]
        )


def test_a_cache_that_is_damaged_meanwhile(remote, folder, capfd):
    kvstore = remote.kvstore("unsharded")
    first = source("unsharded", kvstore, folder)
    first.read(DOMAIN)
    first.close()
    database = next(folder.rglob("cache.db"))
    second = source("unsharded", kvstore, folder)
    np.testing.assert_array_equal(second.read(BOX), VALUES[BOX.slices])
    shutil.rmtree(database.parent)
    np.testing.assert_array_equal(second.read(DOMAIN), VALUES)
    second.close()


def test_it_is_only_read(remote, folder):
    opened = source("unsharded", remote.kvstore("unsharded"), folder)
    with pytest.raises(ValueError, match=r"em: .*read-only"):
        opened.write(BOX, VALUES[BOX.slices])
    assert opened.attributes == {"made": "by hand"}
    assert opened.report() == [str(opened.statistics())]


# -----------------------------------------------------------------------------
# Laws
# -----------------------------------------------------------------------------


@pytest.fixture
def narrow(monkeypatch):
    """So little at a time that everything waits for everything."""
    monkeypatch.setattr(cached, "_PART_CHUNKS", 2)
    monkeypatch.setattr(cached, "_AHEAD_CHUNKS", 3)
    monkeypatch.setattr(cached, "_DECODING_PARTS", 1)
    monkeypatch.setattr(cached, "HELD_BYTES", 3000)


def boxes_of(draw):
    corner = [draw(st.integers(0, n)) for n in DOMAIN.size]
    size = [draw(st.integers(0, n - c)) for n, c in zip(DOMAIN.size, corner)]
    return Box.from_size(corner, size)


@every_format
@hypothesis.settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(data=st.data())
def test_any_boxes_in_any_order(name, data, narrow, remote, folder):
    opened = source(
        name, remote.kvstore(name), folder, trust=data.draw(st.booleans())
    )
    for _ in range(data.draw(st.integers(1, 3))):
        count = data.draw(st.integers(0, 6))
        boxes = [boxes_of(data.draw) for _ in range(count)]
        found = opened.read_many(boxes)
        assert len(found) == len(boxes)
        for box, voxels in zip(boxes, found):
            assert voxels.dtype == np.uint16 and voxels.flags.c_contiguous
            np.testing.assert_array_equal(voxels, VALUES[box.slices])
    assert opened._held._total <= 3000 + 2 * 500
    assert not opened._held._pins


@every_format
def test_many_threads(name, narrow, remote, folder):
    opened = source(name, remote.kvstore(name), folder)

    def work(seed):
        rng = random.Random(seed)
        for _ in range(20):
            start = [rng.randrange(n) for n in DOMAIN.size]
            end = [rng.randint(s + 1, n) for s, n in zip(start, DOMAIN.size)]
            boxes = [Box(start, end), BOX]
            for box, voxels in zip(boxes, opened.read_many(boxes)):
                np.testing.assert_array_equal(voxels, VALUES[box.slices])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert not opened._held._pins
    opened.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('reading "file:///em/1/0/0": bad', True),
        ("1/0/0 is damaged", True),
        ("file 11/0/0: bad", False),
        ("file 1/0/01: bad", False),
        ("1/0/0-64: bad", False),
    ],
)
def test_a_chunk_is_named_by_its_whole_name(text, expected):
    assert cached._is_named("1/0/0", text) == expected
