"""Makes the servers known to the tests in this folder.

Where `pythonpath = ["tests"]` is in pyproject.toml and `pytest_plugins =
["servers.fixtures"]` in tests/conftest.py, all tests know them, and this does
nothing.
"""

import pathlib
import sys

import pytest

_TESTS = str(pathlib.Path(__file__).resolve().parents[1])
if _TESTS not in sys.path:
    sys.path.insert(0, _TESTS)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("servers.fixtures")
