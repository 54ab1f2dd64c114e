"""The servers as pytest fixtures; `pytest_plugins = ["servers.fixtures"]`.

    http_server, http_folder     a server of files, and a new folder in it
    gcs_server, gcs_bucket       a server of buckets, and a new bucket of it
    s3_server, s3_bucket         the same

One process of a kind serves a whole session; under xdist each worker has its
own. A test gets it without faults, latency and counts, and fails if the
server itself made a mistake meanwhile. Folders and buckets are new ones, as
TensorStore's caches know a chunk by bucket and name, and not by server.

Who asks for `gcs_server` or `s3_server` also has its environment, in this
process; subprocesses get theirs with `os.environ`, or `server.environment()`.
"""

from __future__ import annotations

from collections.abc import Iterator
import itertools
import pathlib

import pytest

from servers import gcs_server as gcs
from servers import http_server as http
from servers import s3_server as s3
from servers.handle import Controlled, Handle

H01_BUCKET = "h01-release"
_numbers = itertools.count()


def _without_mistakes(server: Controlled) -> Iterator[Controlled]:
    server.reset()
    yield server
    errors = server.state().errors
    server.reset()
    assert not errors, "\n".join(errors)
    assert not server.said()


def _enter(server: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def _http_process(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[http.HttpServer]:
    with http.start(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture(scope="session")
def _gcs_process() -> Iterator[gcs.GcsServer]:
    with gcs.start(H01_BUCKET) as server:
        yield server


@pytest.fixture(scope="session")
def _s3_process() -> Iterator[s3.S3Server]:
    with s3.start() as server:
        yield server


@pytest.fixture
def http_server(_http_process: http.HttpServer) -> Iterator[http.HttpServer]:
    """A server of the files in `http_server.folder`."""
    yield from _without_mistakes(_http_process)  # type: ignore[misc]


@pytest.fixture
def http_folder(http_server: http.HttpServer) -> pathlib.Path:
    """A new folder, which http_server serves as `/NAME`."""
    folder = http_server.folder / f"folder-{next(_numbers)}"
    folder.mkdir()
    return folder


@pytest.fixture
def gcs_server(
    _gcs_process: gcs.GcsServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[gcs.GcsServer]:
    """A server of buckets, of which clients in this process know."""
    _enter(_gcs_process, monkeypatch)
    yield from _without_mistakes(_gcs_process)  # type: ignore[misc]


@pytest.fixture
def gcs_bucket(gcs_server: gcs.GcsServer) -> Iterator[str]:
    """The name of a new, empty bucket of gcs_server."""
    name = f"bucket-{next(_numbers)}"
    gcs_server.clear(name)
    yield name
    gcs_server.clear(name)


@pytest.fixture
def s3_server(
    _s3_process: s3.S3Server, monkeypatch: pytest.MonkeyPatch
) -> s3.S3Server:
    """A server of S3's buckets, of which clients in this process know."""
    _enter(_s3_process, monkeypatch)
    return _s3_process


@pytest.fixture
def s3_bucket(s3_server: s3.S3Server) -> str:
    """The name of a new, empty bucket of s3_server."""
    name = f"bucket-{next(_numbers)}"
    s3_server.create(name)
    return name
