"""Generations, conditions and listings."""

import base64
import hashlib

import hypothesis
from hypothesis import strategies as st
import pytest

from servers.gcs_objects import Buckets, Refused


@pytest.fixture
def buckets() -> Buckets:
    return Buckets(["a"])


def refusal(function, *arguments) -> int:
    with pytest.raises(Refused) as caught:
        function(*arguments)
    return caught.value.status


def test_generations_grow(buckets):
    first = buckets.put("a", "x", b"1", {})
    second = buckets.put("a", "x", b"1", {})
    assert first.generation < second.generation
    assert (first.metageneration, second.metageneration) == (1, 1)
    third = buckets.say("a", "x", {"contentType": "text/plain"})
    assert third.generation == second.generation
    assert third.metageneration == 2
    assert len({first.etag, second.etag, third.etag}) == 3
    assert third.said == {"contentType": "text/plain"}
    assert buckets.say("a", "x", {"contentType": None}).said == {}


def test_checksums(buckets):
    made = buckets.put("a", "x", b"123456789", {})
    assert base64.b64decode(made.md5) == hashlib.md5(b"123456789").digest()
    # The check value of CRC-32C.
    assert base64.b64decode(made.crc32c).hex() == "e3069283"


def test_conditions(buckets):
    made = buckets.put("a", "x", b"1", {})
    now, other = str(made.generation), str(made.generation - 1)
    read, check = buckets.for_reading, buckets.check_writable
    for good in (
        {},
        {"ifGenerationMatch": now},
        {"ifGenerationNotMatch": other},
        {"ifMetagenerationMatch": "1"},
        {"ifGenerationNotMatch": "0"},
        {"generation": now},
    ):
        assert read("a", "x", good) is made
        check("a", "x", good)
    assert refusal(read, "a", "x", {"generation": other}) == 404
    for bad, of_read in (
        ({"ifGenerationMatch": other}, 412),
        ({"ifGenerationMatch": "0"}, 412),
        ({"ifGenerationNotMatch": now}, 304),
        ({"ifMetagenerationMatch": "2"}, 412),
        ({"ifMetagenerationNotMatch": "1"}, 304),
    ):
        assert refusal(read, "a", "x", bad) == of_read
        assert refusal(check, "a", "x", bad) == 412
    check("a", "new", {"ifGenerationMatch": "0"})
    assert refusal(check, "a", "new", {"ifGenerationMatch": now}) == 412
    assert refusal(check, "a", "new", {"ifGenerationNotMatch": "0"}) == 412
    assert refusal(read, "a", "new", {"ifGenerationMatch": now}) == 404


def test_buckets(buckets):
    assert refusal(buckets.put, "b", "x", b"", {}) == 404
    assert refusal(buckets.create, "a") == 409
    buckets.create("b")
    assert buckets.names() == ["a", "b"]
    buckets.put("b", "x", b"", {})
    assert refusal(buckets.remove, "b") == 409
    del buckets.bucket("b")["x"]
    buckets.remove("b")
    assert buckets.names() == ["a"]


def pages(buckets: Buckets, query: dict[str, str]) -> tuple[list, list, list]:
    """Names and prefixes of all pages of a listing, and the pages' sizes."""
    names, prefixes, sizes = [], [], []
    while True:
        page = buckets.listed("a", query, "http://home")
        names += [item["name"] for item in page.get("items", [])]
        prefixes += page.get("prefixes", [])
        sizes.append(len(page.get("items", [])) + len(page.get("prefixes", [])))
        if "nextPageToken" not in page:
            return names, prefixes, sizes
        query = query | {"pageToken": page["nextPageToken"]}


NAMES = st.text("ab/", min_size=1, max_size=6)


@hypothesis.given(
    st.sets(NAMES, max_size=12),
    st.sampled_from(["", "/", "ab"]),
    st.text("ab/", max_size=2),
    st.integers(1, 5),
    st.text("ab/", max_size=3),
    st.text("ab/", max_size=3),
)
def test_listings(stored, delimiter, prefix, most, start, end):
    buckets = Buckets(["a"])
    for name in stored:
        buckets.put("a", name, b"", {})
    query = {"prefix": prefix, "maxResults": str(most), "endOffset": end}
    names, prefixes, sizes = pages(
        buckets, query | {"delimiter": delimiter, "startOffset": start}
    )
    expected, folders = set(), set()
    for name in stored:
        rest = name[len(prefix) :]
        if not name.startswith(prefix) or (end and name >= end):
            continue
        if delimiter and delimiter in rest:
            cut = rest.index(delimiter) + len(delimiter)
            folders.add(prefix + rest[:cut])
        else:
            expected.add(name)
    assert names == sorted(name for name in expected if name >= start)
    assert prefixes == sorted(name for name in folders if name >= start)
    assert all(size == most for size in sizes[:-1])
    assert sizes[-1] <= most
