"""The fixture `h01`: a small h01-release on the GCS server of the tests."""

from __future__ import annotations

import pytest
from servers.gcs_server import GcsServer

from h01 import release


@pytest.fixture(scope="session")
def _built(_gcs_process: GcsServer) -> release.Release:
    return release.build(_gcs_process)


@pytest.fixture
def h01(_built: release.Release, gcs_server: GcsServer) -> release.Release:
    """gs://h01-release, of which clients in this process know."""
    return _built
