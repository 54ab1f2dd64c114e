"""Places: folders on this machine, in buckets, and behind web servers.

    em                            a folder of this machine
    gs://bucket/em                Google Cloud Storage
    s3://bucket/em                S3; another server of its kind by `endpoint`
    http://host/em  https://...   a web server, read-only

Small files (metadata) are read and written here, whole. Chunks are
TensorStore's business, which gets a place as `kvstore(...)`.

s3:// is asked with the credentials that Amazon's tools would use (environment,
`~/.aws`, the role of the machine), or, if there are none, as anybody.

Remote reads are retried with growing pauses, from 50 ms on, for about a
minute; a server that sends nothing for 30 s counts as failed (set before
TensorStore is first used, by TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS). A place
whose small files cannot be had in a minute cannot be reached. Nor can one
whose name cannot be looked up, which is said at once, unless there is a proxy,
that may know it.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import socket
import time
from typing import Any
import urllib.request

# TensorStore alone would wait for a silent server for ever.
os.environ.setdefault("TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS", "30")
os.environ.setdefault("TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES", "1")

# isort: split
import tensorstore as ts

from ffn_tf.volume import files

# One of them is in the folder of every volume of chunks.
METADATA_FILES = ["info", "zarr.json", ".zarray", ".zgroup", "attributes.json"]
REMOTE = ("gs", "s3", "http", "https")
_DRIVERS = {"gs": "gcs", "s3": "s3"}
_PATIENCE_S = 60.0  # With small files.
# Curl's word for: no such host, no connection, no answer in time.
_UNREACHED = re.compile(r"curl_code='(5|6|7|28)'")
_ARE_YOU = "Is this machine online, and is it the right address?"
_LOOK_UP_S = 2.0  # For a name whose server says "try again".
_RETRIES = {"max_retries": 10, "initial_delay": "50ms", "max_delay": "10s"}


@functools.cache
def context() -> ts.Context:
    """The one cache and the one set of limits of this process."""
    remote = {
        f"{kind}_request_{name}": value
        for kind in ("gcs", "s3", "http")
        for name, value in (
            ("concurrency", {"limit": 128}),
            ("retries", _RETRIES),
        )
    }
    return ts.Context(
        {
            "cache_pool": {"total_bytes_limit": 2_000_000_000},
            "data_copy_concurrency": {"limit": max(2, os.cpu_count() or 1)},
            "file_io_concurrency": {"limit": 32},
            **remote,
        }
    )


class UnreachedError(ConnectionError):
    """A server cannot be reached.

    Attributes:
      host: its name, with the port if it has one of its own.
    """

    def __init__(self, message: str, host: str = "") -> None:
        super().__init__(message)
        self.host = host


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder.

    Attributes:
      url: a path, or a URL whose scheme is one of REMOTE.
      endpoint: for s3: URL of the server, if it is not Amazon's.
      region: for s3.
    """

    url: str
    endpoint: str = ""
    region: str = ""

    @property
    def scheme(self) -> str:
        """One of REMOTE; "" for this machine."""
        scheme, separator, _ = self.url.partition("://")
        return scheme if separator else ""

    @property
    def is_remote(self) -> bool:
        return bool(self.scheme)

    @property
    def parent(self) -> tuple[str, str] | None:
        """URL of the folder that it is in, and its name there."""
        url = self.url if self.is_remote else os.path.abspath(self.url)
        above, _, name = url.rstrip("/").rpartition("/")
        is_top = not above or above.endswith(":/")
        return None if is_top else (above, name)

    @property
    def host(self) -> str:
        """Who is asked: the name of a server; "" for this machine."""
        given, url = os.environ, self.url if self.is_remote else ""
        if self.scheme == "gs":
            url = given.get("TENSORSTORE_GCS_HTTP_URL") or given.get(
                "STORAGE_EMULATOR_HOST", "https://storage.googleapis.com"
            )
        elif self.scheme == "s3":
            url = self.endpoint or "https://s3.amazonaws.com"
        host, _, _ = url.partition("://")[2].partition("/")
        return host.rpartition("@")[2]

    def look_up(self) -> None:
        """Asks for the host's name, once for all.

        Raises:
          UnreachedError: nobody knows it.
        """
        try:
            _look_up(self.host)
        except (OSError, UnicodeError) as error:
            raise UnreachedError(
                f"{self.url}: host {self.host} is unknown ({error}). "
                f"{_ARE_YOU}",
                self.host,
            ) from error

    def kvstore(self, *parts: str) -> dict[str, Any]:
        """The folder, or one in it, as TensorStore names it."""
        inside = [part for part in parts if part]
        if not self.is_remote:
            path = os.path.abspath(os.path.join(self.url, *inside))
            return {"driver": "file", "path": path + "/"}
        # Whatever a name has in it: to a bucket, # and ; are letters.
        host, _, path = self.url.partition("://")[2].partition("/")
        key = "/".join([path.strip("/"), *inside]).strip("/")
        if self.scheme in ("http", "https"):
            base = f"{self.scheme}://{host}"
            return {"driver": "http", "base_url": base, "path": f"/{key}/"}
        spec: dict[str, Any] = {
            "driver": _DRIVERS[self.scheme],
            "bucket": host,
            "path": f"{key}/" if key else "",
        }
        if self.scheme == "s3" and self.endpoint:
            spec["endpoint"] = self.endpoint
        if self.scheme == "s3" and (self.region or self.endpoint):
            spec["aws_region"] = self.region or "us-east-1"
        if self.scheme == "s3" and (kind := _credentials_of_s3()):
            spec["aws_credentials"] = {"type": kind}
        return spec

    def name(self, *parts: str) -> str:
        """A file or folder in it, for messages."""
        return "/".join([self.url.rstrip("/"), *filter(None, parts)])

    def read_all(self, names: list[str]) -> list[bytes | None]:
        """Small files in the folder, at the same time; None where missing.

        Raises:
          UnreachedError: the server cannot be reached.
          OSError: it refuses.
        """
        self.look_up()
        store = _opened(self)
        pending = [store.read(name) for name in names]
        until = time.monotonic() + _PATIENCE_S
        found = []
        for name, future in zip(names, pending):
            try:
                result = future.result(max(0.0, until - time.monotonic()))
            except (ValueError, OSError) as error:
                late = isinstance(error, TimeoutError)
                if late or _UNREACHED.search(str(error)):
                    why = (
                        f"nothing in {_PATIENCE_S:g} s"
                        if late
                        else short(error)
                    )
                    raise UnreachedError(
                        f"{self.name(name)}: no answer: {why}. {_ARE_YOU}",
                        self.host,
                    ) from error
                raise OSError(
                    f"{self.name(name)}: cannot be read: {short(error)}"
                ) from error
            is_there = result.state == "value"
            found.append(bytes(result.value) if is_there else None)
        return found

    def read(self, *parts: str) -> bytes | None:
        """One small file; see `read_all`."""
        return self.read_all(["/".join(filter(None, parts))])[0]

    def read_json(self, *parts: str) -> dict[str, Any] | None:
        """A JSON object in a file; None if the file is missing.

        Raises:
          OSError: as `read`; or the file holds something else.
        """
        data = self.read(*parts)
        if data is None:
            return None
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise OSError(
                f"{self.name(*parts)} is not JSON: {error}."
            ) from error
        if not isinstance(found, dict):
            raise OSError(f"{self.name(*parts)} is not a JSON object.")
        return found

    def write(self, name: str, data: bytes) -> None:
        """Writes a small file, whole or not at all.

        Raises:
          OSError: it cannot be written; web servers are only read.
        """
        if not self.is_remote:
            with files.atomic_path(os.path.join(self.url, name)) as temporary:
                temporary.write_bytes(data)
            return
        try:
            _opened(self).write(name, data).result()
        except (ValueError, OSError) as error:
            raise OSError(
                f"{self.name(name)}: cannot be written: {short(error)}"
            ) from error

    def is_empty(self) -> bool:
        """True if nothing is in the folder, or it is not there.

        A remote one counts as empty if it has no metadata of a volume: to
        list a bucket may take for ever.
        """
        if self.is_remote:
            return not any(self.read_all(METADATA_FILES))
        return not os.path.isdir(self.url) or not os.listdir(self.url)

    def folders(self) -> list[str]:
        """Names of the folders in it; none where that cannot be asked."""
        if self.is_remote:
            return []
        if not os.path.isdir(self.url):
            return []
        with os.scandir(self.url) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())


# What says that there are credentials of S3, apart from keys.
_FILES_OF_S3 = {
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
    "AWS_CONFIG_FILE": "~/.aws/config",
}
_NAMES_OF_S3 = (
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_MACHINE = "/sys/class/dmi/id/sys_vendor"


def _credentials_of_s3() -> str:
    """Which to use; "" for those that TensorStore looks for.

    It says on standard error where there are none, line by line.
    """
    given = os.environ
    if given.get("AWS_ACCESS_KEY_ID") and given.get("AWS_SECRET_ACCESS_KEY"):
        return "environment"
    paths = [given.get(name, path) for name, path in _FILES_OF_S3.items()]
    if any(map(given.get, _NAMES_OF_S3)) or any(
        os.path.exists(os.path.expanduser(path)) for path in paths
    ):
        return ""
    return "" if "Amazon" in _read_if_there(_MACHINE) else "anonymous"


def _read_if_there(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


@functools.cache  # Of what is known.
def _look_up(host: str) -> None:
    if not host or urllib.request.getproxies().keys() - {"no"}:
        return
    name = re.sub(r":\d*$", "", host).strip("[]")
    until = time.monotonic() + _LOOK_UP_S
    while True:
        try:
            socket.getaddrinfo(name, None)
            return
        except socket.gaierror as error:
            again = error.errno == socket.EAI_AGAIN
            if not again or time.monotonic() > until:
                raise
        time.sleep(0.25)


@functools.lru_cache(maxsize=64)
def _opened(place: Place) -> ts.KvStore:
    return ts.KvStore.open(place.kvstore(), context=context()).result()


def short(error: BaseException) -> str:
    """The sentence of a TensorStore error, without its trail."""
    text = str(error)
    for mark in (" [source locations", " [tensorstore_"):
        text = text.split(mark)[0]
    return text
