"""Requests, answers, and the part of a thing that a request asks for."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import dataclasses
import functools
import io
import json
import os
import re
from typing import Any
import urllib.parse

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


@dataclasses.dataclass
class Request:
    """One request, read to the end.

    Attributes:
      method: GET, ...
      target: path and query, as sent.
      headers: by names in lower case.
      body: decoded if it came in chunks.
      version: above 0: as if the thing had been replaced so many times.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    version: int = 0

    @property
    def raw_path(self) -> str:
        """Quoted, with its first slash."""
        return self.target.partition("?")[0]

    @property
    def path(self) -> str:
        """Without quotes and without the first slash."""
        return urllib.parse.unquote(self.raw_path).lstrip("/")

    @functools.cached_property
    def query(self) -> dict[str, str]:
        text = self.target.partition("?")[2]
        return dict(urllib.parse.parse_qsl(text, keep_blank_values=True))


class Stretch:
    """Bytes of a file, which nobody has read yet.

    Args:
      file: open; closed with this.
      start, stop: which bytes.
    """

    def __init__(self, file: io.FileIO, start: int, stop: int) -> None:
        self._file = file
        self._start, self._stop = start, stop

    def __len__(self) -> int:
        return self._stop - self._start

    def __bytes__(self) -> bytes:
        size = self._stop - self._start
        return os.pread(self._file.fileno(), size, self._start)

    def send(self, to: int) -> None:
        """Sends what a socket takes without waiting; the rest is left."""
        with contextlib.suppress(BlockingIOError):
            while sent := os.sendfile(
                to, self._file.fileno(), self._start, len(self)
            ):
                self._start += sent

    def close(self) -> None:
        self._file.close()


@dataclasses.dataclass
class Answer:
    """What is sent back; the server adds length, date and CORS."""

    status: int
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: bytes | Stretch = b""


def as_json(value: Any, status: int = 200) -> Answer:
    """An answer that is JSON."""
    body = json.dumps(value).encode()
    return Answer(status, {"Content-Type": "application/json"}, body)


def content(
    request: Request,
    size: int,
    etag: str,
    read: Callable[[int, int], bytes | Stretch],
    headers: dict[str, str],
) -> Answer:
    """The answer to GET and HEAD of `size` bytes named `etag`.

    Args:
      request: what is asked.
      size: of the whole, in bytes.
      etag: with its quotes.
      read: read(start, stop) -> the bytes between; only called for GET.
      headers: more of them.
    """
    asked = request.headers
    headers = {"ETag": etag, "Accept-Ranges": "bytes"} | headers
    if "if-match" in asked and not _names(asked["if-match"], etag):
        return Answer(412, headers)
    if "if-none-match" in asked and _names(asked["if-none-match"], etag):
        return Answer(304, headers)
    start, stop, status = 0, size, 200
    match = _RANGE.match(asked.get("range", ""))
    if match and asked.get("if-range", etag) == etag:
        start, stop = _bounds(match, size)
        status = 206
        if start >= stop:
            headers["Content-Range"] = f"bytes */{size}"
            return Answer(416, headers)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    if request.method == "HEAD":
        headers["Content-Length"] = str(stop - start)
        return Answer(status, headers)
    return Answer(status, headers, read(start, stop))


def _names(condition: str, etag: str) -> bool:
    """Whether a list of ETags names this one."""
    names = [name.strip().removeprefix("W/") for name in condition.split(",")]
    return "*" in names or etag in names


def _bounds(match: re.Match[str], size: int) -> tuple[int, int]:
    """[start, stop) of a Range header; empty if there is no such part."""
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if last else (size, size)
    return int(first), min(size, int(last) + 1) if last else size
