"""The fixture `h01`: a small h01-release on the GCS server of the tests."""

from __future__ import annotations

from collections.abc import Iterator
import gc
import warnings

import pytest
from servers.gcs_server import GcsServer

from h01 import release


@pytest.fixture(scope="session")
def _built(_gcs_process: GcsServer) -> release.Release:
    return release.build(_gcs_process)


@pytest.fixture
def h01(
    _built: release.Release, gcs_server: GcsServer
) -> Iterator[release.Release]:
    """gs://h01-release, of which clients in this process know."""
    yield _built
    # Google's client leaves the sockets of requests that failed to the garbage
    # collector, which would complain in whatever test comes next.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
