"""Buckets of objects as Google Cloud Storage keeps them, in memory.

Every write makes a new generation, greater than all before; a change of what
is said about an object (its content type, ...) a new metageneration. What is
not there has generation 0. A request may set conditions on both:

    ifGenerationMatch=N        refused with 412 unless it is N
    ifGenerationNotMatch=N     refused if it is N: a read with 304 (the reader
                               has it already), anything else with 412

A read of another generation than there is (generation=N) is refused with 404:
old versions are not kept.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
import dataclasses
import functools
import hashlib
import itertools
import time
from typing import Any
from urllib.parse import quote

import google_crc32c

# What a client may say of an object.
_SAYABLE = (
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "metadata",
)


class Refused(Exception):
    """A status other than the one hoped for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Object:
    """One object, of one generation.

    Attributes:
      data: its bytes, as stored.
      generation, metageneration: which version it is.
      said: what the client said of it: contentType, contentEncoding, ...
      time: of its making, RFC 3339.
    """

    data: bytes
    generation: int
    metageneration: int
    said: dict[str, Any]
    time: str

    @functools.cached_property
    def md5(self) -> str:
        return base64.b64encode(hashlib.md5(self.data).digest()).decode()

    @functools.cached_property
    def crc32c(self) -> str:
        number = google_crc32c.value(self.data)
        return base64.b64encode(number.to_bytes(4, "big")).decode()

    @property
    def etag(self) -> str:
        return f"{self.generation}-{self.metageneration}"

    def resource(self, bucket: str, name: str, home: str) -> dict[str, Any]:
        """Its metadata, as the API spells them; `home` is that of its links."""
        path = f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}"
        return {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{self.generation}",
            "selfLink": f"{home}{path}",
            "mediaLink": f"{home}/download{path}?alt=media",
            "bucket": bucket,
            "name": name,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "etag": self.etag,
            "size": str(len(self.data)),
            "md5Hash": self.md5,
            "crc32c": self.crc32c,
            "storageClass": "STANDARD",
            "timeCreated": self.time,
            "updated": self.time,
            "contentType": "application/octet-stream",
        } | self.said


class Buckets:
    """All buckets, by name."""

    def __init__(self, names: list[str]) -> None:
        self._buckets: dict[str, dict[str, Object]] = {n: {} for n in names}
        self._generations = itertools.count(int(time.time() * 1e6))

    def names(self) -> list[str]:
        return sorted(self._buckets)

    def bucket(self, bucket: str) -> dict[str, Object]:
        """The objects of a bucket, by name.

        Raises:
          Refused: 404.
        """
        if bucket not in self._buckets:
            raise Refused(
                404, f"The specified bucket does not exist: {bucket}."
            )
        return self._buckets[bucket]

    def create(self, bucket: str) -> None:
        if bucket in self._buckets:
            raise Refused(409, f"Bucket {bucket} exists already.")
        self._buckets[bucket] = {}

    def remove(self, bucket: str) -> None:
        if self.bucket(bucket):
            raise Refused(409, f"Bucket {bucket} is not empty.")
        del self._buckets[bucket]

    def new_number(self) -> int:
        """Greater than all before."""
        return next(self._generations)

    def put(
        self, bucket: str, name: str, data: bytes, said: dict[str, Any]
    ) -> Object:
        """A new generation of an object; nothing is checked."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        made = Object(data, self.new_number(), 1, _sayable(said), now)
        self.bucket(bucket)[name] = made
        return made

    def say(self, bucket: str, name: str, said: dict[str, Any]) -> Object:
        """A new metageneration."""
        found = self.bucket(bucket)[name]
        changed = dataclasses.replace(
            found,
            said=_sayable(found.said | said),
            metageneration=found.metageneration + 1,
        )
        self.bucket(bucket)[name] = changed
        return changed

    def for_reading(
        self, bucket: str, name: str, query: dict[str, str]
    ) -> Object:
        """An object, if the conditions in `query` hold.

        Raises:
          Refused: 404, 412, or 304 where the reader has it already.
        """
        found = self.bucket(bucket).get(name)
        wanted = query.get("generation")
        if found is None or wanted not in (None, str(found.generation)):
            raise Refused(404, f"No such object: {bucket}/{name}#{wanted}")
        _check(found, query, unwanted_status=304)
        return found

    def check_writable(
        self, bucket: str, name: str, query: dict[str, str]
    ) -> None:
        """Refuses with 412 if a condition in `query` does not hold."""
        _check(self.bucket(bucket).get(name), query, unwanted_status=412)

    def listed(
        self, bucket: str, query: dict[str, str], home: str
    ) -> dict[str, Any]:
        """A page of a listing."""
        objects = self.bucket(bucket)
        most = int(query.get("maxResults") or 1000)
        items: list[dict[str, Any]] = []
        prefixes: list[str] = []
        page: dict[str, Any] = {"kind": "storage#objects"}
        for shown, name in _shown(sorted(objects), query):
            if len(items) + len(prefixes) == most:
                page["nextPageToken"] = shown
                break
            if name is None:
                prefixes.append(shown)
            else:
                items.append(objects[name].resource(bucket, name, home))
        page |= {"items": items} if items else {}
        page |= {"prefixes": prefixes} if prefixes else {}
        return page


def _shown(
    names: list[str], query: dict[str, str]
) -> Iterator[tuple[str, str | None]]:
    """(name, name) of each object of a listing, (prefix, None) of folders."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    begin = max(query.get("startOffset", ""), query.get("pageToken", ""))
    end, last = query.get("endOffset", ""), ""
    for name in names:
        if not name.startswith(prefix) or (end and name >= end):
            continue
        at = name.find(delimiter, len(prefix)) if delimiter else -1
        if at < 0 and name >= begin:
            yield name, name
        elif at >= 0:
            folder = name[: at + len(delimiter)]
            if folder >= begin and folder != last:
                yield folder, None
            last = folder


def _check(
    found: Object | None, query: dict[str, str], *, unwanted_status: int
) -> None:
    for what in ("Generation", "Metageneration"):
        number = getattr(found, what.lower()) if found else 0
        wanted = query.get(f"if{what}Match")
        if wanted is not None and int(wanted) != number:
            raise Refused(412, f"{what} is {number}, not {wanted}.")
        unwanted = query.get(f"if{what}NotMatch")
        if unwanted is not None and int(unwanted) == number:
            raise Refused(unwanted_status, f"{what} is {number}.")


def _sayable(said: dict[str, Any]) -> dict[str, Any]:
    return {key: said[key] for key in _SAYABLE if said.get(key)}
