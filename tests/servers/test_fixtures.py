"""The fixtures in sessions of their own, with workers, and with a crash."""

import os
import pathlib
import subprocess
import sys

from servers.handle import TESTS
from servers.test_http_server import wait_for_end

# Each test notes its worker and the processes of its servers.
MODULE = """
import os, pathlib, signal, tempfile
import pytest

def note(server):
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    text = f"{worker}-{os.getpid()} {server.pid}\\n"
    with open(pathlib.Path(__file__).parent / "notes", "a") as file:
        file.write(text)

@pytest.mark.parametrize("i", range(6))
def test_http(http_server, i):
    note(http_server)
    assert http_server.state().total == 0
    http_server.set(latency_ms=3)
    http_server.ask("GET", "/x")

def test_new_places(http_folder, gcs_bucket, gcs_server):
    note(gcs_server)
    assert list(http_folder.iterdir()) == []
    assert gcs_server.names(gcs_bucket) == []
    assert os.environ["TENSORSTORE_GCS_HTTP_URL"] == gcs_server.url

def test_afterwards():
    assert "TENSORSTORE_GCS_HTTP_URL" not in os.environ
"""
CRASH = """
def test_crash(http_server):
    note(http_server)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run(folder: pathlib.Path, source: str, *arguments: str) -> tuple[str, dict]:
    """What pytest says, and the servers of each process."""
    (folder / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error"]
    command += ["--import-mode=importlib", "-p", "servers.fixtures"]
    found = subprocess.run(
        [*command, *arguments, str(folder)],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    servers: dict[str, set[int]] = {}
    for line in (folder / "notes").read_text().splitlines():
        process, server = line.split()
        servers.setdefault(process, set()).add(int(server))
    return found.stdout, servers


def test_one_process_for_a_session(tmp_path):
    said, servers = run(tmp_path, MODULE, "-p", "no:xdist")
    assert "8 passed" in said
    (pids,) = servers.values()
    assert len(pids) == 2  # Of http and of gcs.
    for pid in pids:
        wait_for_end(pid)


def test_one_for_each_worker(tmp_path):
    arguments = ("-n", "2")
    said, servers = run(tmp_path, MODULE, *arguments)
    assert "8 passed" in said
    check_ended(servers)


def test_none_is_left_after_a_crash(tmp_path):
    said, servers = run(tmp_path, MODULE + CRASH, "-n", "2")
    assert "1 failed, 8 passed" in said and "crashed" in said
    check_ended(servers)


def check_ended(servers: dict[str, set[int]]) -> None:
    assert len(servers) >= 2
    pids = [pid for of_worker in servers.values() for pid in of_worker]
    assert len(pids) == len(set(pids)) <= 2 * len(servers)
    for pid in pids:
        wait_for_end(pid)


def test_mistakes_of_the_server_fail_the_test(tmp_path):
    source = MODULE + (
        "def test_mistake(gcs_server):\n"
        "    path = '/upload/storage/v1/b/h01-release/o?uploadType=multipart'\n"
        "    assert gcs_server.ask('POST', path, b'no parts')[0] == 500\n"
    )
    said, _ = run(tmp_path, source, "-p", "no:xdist", "-k", "mistake or i")
    assert "1 error" in said and "KeyError" in said
