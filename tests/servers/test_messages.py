"""Which part of a thing a request asks for."""

import hypothesis
from hypothesis import strategies as st
import pytest

from servers.messages import Answer, Request, content

DATA = bytes(range(10))


def asked(method: str = "GET", **headers: str) -> Answer:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return content(
        Request(method, "/a", named),
        len(DATA),
        '"e"',
        lambda start, stop: DATA[start:stop],
        {"X": "y"},
    )


def test_whole():
    found = asked()
    assert (found.status, found.body) == (200, DATA)
    assert found.headers == {"ETag": '"e"', "Accept-Ranges": "bytes", "X": "y"}


@pytest.mark.parametrize(
    "text, start, stop",
    [
        ("bytes=0-0", 0, 1),
        ("bytes=3-5", 3, 6),
        ("bytes=3-", 3, 10),
        ("bytes=-3", 7, 10),
        ("bytes=-30", 0, 10),
        ("bytes=8-99", 8, 10),
    ],
)
def test_ranges(text, start, stop):
    found = asked(range=text)
    assert (found.status, found.body) == (206, DATA[start:stop])
    assert found.headers["Content-Range"] == f"bytes {start}-{stop - 1}/10"
    head = asked("HEAD", range=text)
    assert (head.status, head.body) == (206, b"")
    assert head.headers["Content-Length"] == str(stop - start)


@pytest.mark.parametrize("text", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_ranges_that_are_not_there(text):
    found = asked(range=text)
    assert (found.status, found.body) == (416, b"")
    assert found.headers["Content-Range"] == "bytes */10"


@pytest.mark.parametrize("text", ["bytes=0-1,4-5", "lines=0-1", "3-5"])
def test_what_is_no_single_range_is_ignored(text):
    assert asked(range=text).body == DATA


@hypothesis.given(st.integers(0, 12), st.integers(0, 12))
def test_pieces_make_the_whole(first, second):
    low, high = sorted((first, second))
    parts = [(0, low), (low, high), (high, 10)]
    found = [asked(range=f"bytes={a}-{b - 1}").body for a, b in parts if a < b]
    assert b"".join(found) == DATA


def test_conditions():
    assert asked(if_none_match='"e"').status == 304
    assert asked(if_none_match='"d", W/"e"').status == 304
    assert asked(if_none_match="*").body == b""
    assert asked(if_none_match='"d"').status == 200
    assert asked(if_match='"e"').status == 200
    assert asked(if_match='"d", "f"').status == 412
    assert asked(if_match='"d"').body == b""
    # The other version has no such part: all of this one.
    assert asked(if_range='"e"', range="bytes=1-2").body == DATA[1:3]
    assert asked(if_range='"d"', range="bytes=1-2").body == DATA


def test_parts_of_a_target():
    request = Request("GET", "/a%20b/c%2Fd?x=1%2B&y=", {})
    assert request.path == "a b/c/d"
    assert request.raw_path == "/a%20b/c%2Fd"
    assert request.query == {"x": "1+", "y": ""}
