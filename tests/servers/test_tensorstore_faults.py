"""What TensorStore 0.1.86 does when a server fails; HTTP and GCS alike.

Reading a chunk. "Asks again" is after http_request_retries (Context;
gcs_request_retries for gs://) {"max_retries": 32, "initial_delay": "1s",
"max_delay": "32s"}, which are the defaults: a server that stays down is
reported after a quarter of an hour (asked at 0, 1, 3, 8, 17, 34 s, ...).
With 6, "50ms", "1s" it takes 2.6 s. The error of the last attempt is
ValueError "ABORTED: Error reading URL: All N retry attempts failed: ...".

    the server does                 TensorStore does
    408 429 500 502 503 504         asks again
    connection refused, no DNS      asks again
    closes without an answer        asks again (curl_code 52)
    reset in the head or body       asks again (curl_code 56)
    body cut, length of the whole   asks again (curl_code 18)
    400                             ValueError at once
    401 403                         PERMISSION_DENIED at once
    410                             NOT_FOUND at once
    416                             OUT_OF_RANGE at once
    301 302 307 308                 not followed; an error at once over HTTP;
                                    gs:// ABORTS THE PROCESS (std::logic_error)
    404 204, also 304 412           the chunk is missing: ZEROS, SILENTLY; with
                                    fill_missing_data_reads=false NOT_FOUND "is
                                    missing". So also of a shard's parts.
    a bucket that is not there      missing, as 404
    body and length both too short  FAILED_PRECONDITION (crc32c: DATA_LOSS) at
                                    once, whatever the codec: raw "Expected
                                    chunk length", jpeg "Premature end", zstd
                                    "Truncated", ...; of a range "was not
                                    satisfied"; nobody asks again
    ignores the range (200)         FAILED_PRECONDITION "was ignored by server"
    one bit flipped                 raw, jpeg, compressed_segmentation, zstd and
                                    blosc: READ AS IF NOTHING WERE; gzip, png,
                                    crc32c: FAILED_PRECONDITION or DATA_LOSS.
                                    X-Goog-Hash of GCS is not looked at.
    drips, 200 bytes a second       waits, for ever if need be
    never answers                   WAITS FOR EVER
    announces more than it sends    waits for ever (if the connection stays)
    never accepts the connection    waits for ever
    a shard replaced between the    412 (If-Match, ifGenerationMatch), reads the
    reading of index and chunk      index again, and returns the new voxels
    ... before every request        GCS: ASKS FOR EVER, without a pause, 4,000
                                    times a second; max_retries does not count

What ends the waiting, and only that (read before the first request of the
process, later changes do nothing; also --flags of ts.parse_tensorstore_flags):

    TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS=T     alone: no byte for T seconds
    TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES=B      fewer than B a second; alone:
                                                  for 30 s
    TENSORSTORE_CURL_CONNECT_TIMEOUT_SECONDS=T

Each time-out is one attempt (curl_code 28), so a server that never answers
takes T * (1 + max_retries) and the delays. Time to the first byte counts: T
must exceed the slowest honest answer. A body with some bytes of it there takes
longer: curl averages the speed over some seconds (6 s at T=2).

Writing a chunk (GCS). The same statuses are tried again. A part of a chunk is
read, changed and written with ifGenerationMatch:

    412 as another one wrote it     reads it again, and writes both changes
    answer lost (reset, cut)        asks again, gets 412, reads, writes again:
                                    right; but where every answer is lost the
                                    error comes though the voxels ARE WRITTEN
    403, 503 for ever               an error, nothing is written
    never answers                   waits for ever

Requests at once: http_request_concurrency, gcs_request_concurrency {"limit":
32} of the Context; TENSORSTORE_HTTP_REQUEST_CONCURRENCY and TENSORSTORE_GCS_
REQUEST_CONCURRENCY set what "shared", the default, is. A first burst may stay
below it: some requests wait for the first answers, up to 30 s if none come.

A future that hangs is given up with result(timeout=); what was asked stays
open, and the process ends all the same. TENSORSTORE_GCS_HTTP_URL is read each
time that a store is opened. Chunks in a cache_pool are known by bucket and
name, not by server.

cloud-volume 12.15 in the same places: 503, 429, closed, reset, cut: tries
again, as long as 15 s at least; 403: over GCS after 10 s an error, over HTTP a
MISSING CHUNK, so with fill_missing zeros; never answers: waits for ever; too
short, or a bit flipped: MD5IntegrityError over GCS; over HTTP the flipped bit
is not seen. gcsfs 2026.10: 503, 429, closed, reset, cut: tries again, 15 s at
least; never answers: waits for ever; short and flipped are not seen.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorstore as ts

from servers import volumes
from servers.faults import Fault
from servers.handle import Controlled

BOX = np.s_[8:16, 5:10, 4:8]  # One chunk, in the middle.
# Its keys, and those of the shard that it is in.
CHUNKS = {
    "unsharded": "s0/8-16_5-10_4-8",
    "sharded": "s0/",
    "zarr3": "c/1/1/1",
}


@dataclasses.dataclass
class Remote:
    """A server, and a place in it.

    Attributes:
      scheme: http or gs.
      server: its handle.
      key: of the place.
      place: for reading, as TensorStore names it.
      writable: for writing; the folder itself, of an HTTP server.
    """

    scheme: str
    server: Controlled
    key: str
    place: dict[str, Any]
    writable: dict[str, Any]

    def holds(self, name: str) -> None:
        """Puts a volume there, and forgets that it was asked to."""
        volumes.write(name, self.writable)
        self.server.reset()

    def open(self, name: str, **options: Any) -> ts.TensorStore:
        """The volume; faults begin now."""
        context = options.pop("context", volumes.retries(2))
        found = volumes.open(name, self.place, context, **options)
        self.server.reset()
        return found

    def fails(self, name: str, *faults: tuple[str, dict[str, Any]]) -> None:
        for kind, more in faults:
            self.server.add(Fault(f"{self.key}/{CHUNKS[name]}", kind, **more))

    def statuses(self) -> list[int]:
        """Of the answers, one after the other."""
        return [asked.status for asked in self.server.state().log]


@pytest.fixture(params=["http", "gs"])
def remote(request: pytest.FixtureRequest) -> Remote:
    if request.param == "http":
        server = request.getfixturevalue("http_server")
        folder = request.getfixturevalue("http_folder")
        written = {"driver": "file", "path": f"{folder}/"}
        key = folder.name
        return Remote("http", server, key, server.kvstore(key), written)
    server = request.getfixturevalue("gcs_server")
    bucket = request.getfixturevalue("gcs_bucket")
    place = server.kvstore(bucket, "em")
    return Remote("gs", server, f"{bucket}/em", place, place)


def right(view: ts.TensorStore) -> bool:
    return np.array_equal(view[BOX].read().result(), volumes.VALUES[BOX])


def refusal(view: ts.TensorStore) -> str:
    with pytest.raises(ValueError) as caught:
        view[BOX].read().result()
    return re.split(r" \[(?:source locations|tensorstore_)", str(caught.value))[
        0
    ]


# -----------------------------------------------------------------------------
# Asked again
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", volumes.FORMATS)
def test_nothing_is_wrong(remote, name):
    remote.holds(name)
    assert right(remote.open(name))
    # The shard's index, the minishard's, the chunk.
    assert len(remote.statuses()) == (3 if name == "sharded" else 1)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_statuses_that_pass(remote, status):
    remote.holds("unsharded")
    view = remote.open("unsharded")
    remote.fails("unsharded", ("status", {"status": status, "times": 2}))
    assert right(view)
    assert remote.statuses() == [status, status, 200]
    remote.fails("unsharded", ("status", {"status": status}))
    found = refusal(view)
    assert "ABORTED" in found and "All 2 retry attempts failed" in found
    assert str(status) in found
    assert remote.statuses()[3:] == [status] * 3


BROKEN = {
    "close": r"Empty reply|Recv failure|Send failure",
    "reset": "Recv failure",
    "truncate": r"partial file: end of response with \d+ bytes missing",
}


@pytest.mark.parametrize("name", volumes.FORMATS)
@pytest.mark.parametrize("kind", BROKEN)
def test_connections_that_break(remote, kind, name):
    remote.holds(name)
    view = remote.open(name)
    remote.fails(name, (kind, {"times": 1}))
    assert right(view)
    remote.fails(name, (kind, {}))
    found = refusal(view)
    assert "ABORTED" in found and re.search(BROKEN[kind], found)


def test_no_server():
    place = {"driver": "http", "base_url": "http://127.0.0.1:9", "path": "/a/"}
    with pytest.raises(ValueError, match=r"All 2 retry.*Could not connect"):
        volumes.open("zarr3", place, volumes.retries(2))


# -----------------------------------------------------------------------------
# Errors at once
# -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status, code",
    [
        (400, "Bad Request"),
        (401, "PERMISSION_DENIED"),
        (403, "PERMISSION_DENIED"),
        (410, "NOT_FOUND"),
        (416, "OUT_OF_RANGE"),
    ],
)
def test_statuses_that_stay(remote, status, code):
    remote.holds("unsharded")
    view = remote.open("unsharded")
    remote.fails("unsharded", ("status", {"status": status}))
    found = refusal(view)
    assert code in found and str(status) in found
    assert remote.statuses() == [status]


@pytest.mark.parametrize("name", volumes.FORMATS)
@pytest.mark.parametrize("kind", ["short", "length"])
def test_bodies_that_are_too_short(remote, kind, name):
    """With a length that says so, nobody asks again."""
    remote.holds(name)
    view = remote.open(name)
    remote.fails(name, (kind, {"extra": -3, "times": 1}))
    found = refusal(view)
    expected = {
        "unsharded": "Expected chunk length to be 320, but received",
        "sharded": "was not satisfied by response",
        "zarr3": "Not enough data",
    }
    assert expected[name] in found or "DATA_LOSS" in found
    assert len(remote.statuses()) == 1


def test_a_server_that_knows_no_ranges(remote):
    remote.holds("sharded")
    view = remote.open("sharded")
    remote.fails("sharded", ("whole", {}))
    assert "was ignored by server" in refusal(view)


# -----------------------------------------------------------------------------
# Wrong voxels
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 204, 304, 412])
@pytest.mark.parametrize("name", volumes.FORMATS)
def test_missing_chunks_are_zeros_unless_told_otherwise(remote, name, status):
    remote.holds(name)
    remote.fails(name, ("status", {"status": status}))
    told = {"context": volumes.retries(2)}
    strict = volumes.open(name, remote.place, told["context"])
    assert re.search("NOT_FOUND: .*missing", refusal(strict))
    default = volumes.open(
        name, remote.place, volumes.retries(2), fill_missing_data_reads=True
    )
    assert not default[BOX].read().result().any()


@pytest.mark.parametrize("name", volumes.FORMATS)
def test_a_flipped_bit_is_noticed_by_checksums_only(remote, name):
    remote.holds(name)
    view = remote.open(name)
    # Of three answers for a part of a shard, the last is the chunk.
    skip = 2 if name == "sharded" else 0
    remote.fails(name, ("flip", {"skip": skip}))
    if name == "zarr3":
        assert "DATA_LOSS" in refusal(view)
    else:
        found = view[BOX].read().result()
        assert np.count_nonzero(found != volumes.VALUES[BOX]) == 1


@pytest.mark.parametrize("skip", [1, 2])
def test_a_shard_that_is_replaced_while_it_is_read(remote, skip):
    remote.holds("sharded")
    view = remote.open("sharded")
    remote.fails("sharded", ("changed", {"skip": skip, "times": 1}))
    assert right(view)
    assert remote.statuses() == [206] * skip + [412] + [206] * 3


# -----------------------------------------------------------------------------
# Waiting
# -----------------------------------------------------------------------------

ENDLESS = {
    "hang": {},
    "length": {"extra": 100},
    "drip": {"bytes_per_s": 20},
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_by_default_nothing_ends_the_waiting(remote, kind):
    remote.holds("unsharded")
    view = remote.open("unsharded")
    remote.fails("unsharded", (kind, ENDLESS[kind]))
    found = view[BOX].read()
    with pytest.raises(TimeoutError):
        found.result(timeout=3)
    assert len(remote.statuses()) == 1
    remote.server.reset()
    if kind != "drip":
        np.testing.assert_array_equal(found.result(), volumes.VALUES[BOX])


READ = """
import json, sys, time
import tensorstore as ts
place, context, key = json.loads(sys.argv[1])
store = ts.KvStore.open(place, context=ts.Context(context)).result()
begin = time.monotonic()
try:
    text = store.read(key).result(timeout=60).state
except Exception as error:
    text = str(error)
print(json.dumps([time.monotonic() - begin, text]))
"""


def read_elsewhere(remote: Remote, **environment: str) -> tuple[float, str]:
    """Seconds and outcome of reading a chunk in a process of its own."""
    told = json.dumps([remote.place, volumes.retries(2), CHUNKS["unsharded"]])
    found = subprocess.run(
        [sys.executable, "-c", READ, told],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(json.loads(found.stdout))


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_lowest_speed_ends_the_waiting(remote, kind):
    remote.holds("unsharded")
    remote.fails("unsharded", (kind, ENDLESS[kind] | {"times": 1}))
    limits = {
        "TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS": "1",
        "TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES": "100",
    }
    seconds, outcome = read_elsewhere(remote, **limits)
    assert outcome == "value"
    assert len(remote.statuses()) >= 2
    assert seconds > 1
    if kind == "hang":
        remote.fails("unsharded", (kind, {}))
        seconds, outcome = read_elsewhere(remote, **limits)
        assert re.search("All 2 retry attempts failed: .*too slow", outcome)
        assert seconds > 3


def test_too_low_a_patience_refuses_slow_honest_servers(remote):
    remote.holds("unsharded")
    remote.fails("unsharded", ("delay", {"seconds": 3}))
    _, outcome = read_elsewhere(
        remote, TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS="1"
    )
    assert "too slow" in outcome


# -----------------------------------------------------------------------------
# At once
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 3, 64])
def test_how_many_requests_there_are_at_once(remote, limit):
    """Of 27 chunks; by default there may be 32 requests."""
    remote.holds("unsharded")
    more = {}
    if limit:
        for name in ("http", "gcs"):
            more[f"{name}_request_concurrency"] = {"limit": limit}
    view = remote.open("unsharded", context=volumes.retries(2, **more))
    remote.server.set(latency_ms=100)
    expected = min(limit or 32, 27)
    for _ in range(50):  # The first requests wait for connections.
        found = view.read().result()
        np.testing.assert_array_equal(found, volumes.VALUES)
        if remote.server.state().most_in_flight >= expected:
            break
    assert remote.server.state().most_in_flight == expected
