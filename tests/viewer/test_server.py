"""What is answered, and to whom."""

from __future__ import annotations

import gzip
import http.client
import socket
import urllib.parse

import numpy as np
import pytest

from ffn_tf import volume
from ffn_tf.viewer import chunks, server
from ffn_tf.viewer.folder import Folder


class Damaged:
    def get(self, path):
        raise OSError(f"{path}: damaged")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh" / "7:0").write_bytes(b"0123456789")
    (tmp_path / "mesh" / "9.gz").write_bytes(gzip.compress(b"nine"))
    (tmp_path / "secret").write_bytes(b"secret")
    return tmp_path / "mesh"


@pytest.fixture
def asked(served):
    """asked(files, path, ...): status, headers and body of an answer."""

    def ask(files, path, method="GET", **headers):
        url = urllib.parse.urlsplit(served(files))
        connection = http.client.HTTPConnection(url.netloc)
        connection.request(method, f"{url.path}/{path}", headers=headers)
        found = connection.getresponse()
        body = found.read()
        connection.close()
        return found.status, found.headers, body

    return ask


def test_a_file(asked, folder):
    status, headers, body = asked(Folder(folder), "7:0")
    assert (status, body) == (200, b"0123456789")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert asked(Folder(folder), "7%3A0")[2] == body
    status, headers, body = asked(Folder(folder), "7:0", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "10", b"")


def test_a_compressed_file(asked, folder):
    status, headers, body = asked(Folder(folder), "9", Range="bytes=0-1")
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert gzip.decompress(body) == b"nine"


@pytest.mark.parametrize(
    ("wanted", "status", "said", "body"),
    [
        ("bytes=2-4", 206, "bytes 2-4/10", b"234"),
        ("bytes=7-", 206, "bytes 7-9/10", b"789"),
        ("bytes=-3", 206, "bytes 7-9/10", b"789"),
        ("bytes=-30", 206, "bytes 0-9/10", b"0123456789"),
        ("bytes=8-90", 206, "bytes 8-9/10", b"89"),
        ("bytes=10-11", 416, "bytes */10", b""),
        ("bytes=4-2", 416, "bytes */10", b""),
        ("bytes=0-1,3-4", 200, None, b"0123456789"),
        ("bytes=-", 200, None, b"0123456789"),
        ("lines=1-2", 200, None, b"0123456789"),
    ],
)
def test_a_range(wanted, status, said, body, asked, folder):
    found = asked(Folder(folder), "7:0", Range=wanted)
    assert (found[0], found[1]["Content-Range"], found[2]) == (
        status,
        said,
        body,
    )


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "%2e%2e%2fsecret",
        "..%5csecret",
        "x/../../secret",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "%00",
        "",
    ],
)
def test_nothing_outside_of_what_was_named(path, asked, folder):
    status, _, body = asked(Folder(folder), path)
    assert status == 404
    assert b"secret" not in body and b"root" not in body
    opened = volume.from_array(np.zeros((2, 3, 4), np.uint8))
    files = chunks.Chunks([opened], {"mesh": Folder(folder)})
    assert asked(files, "mesh/7:0")[0] == 200
    assert asked(files, f"mesh/{path}")[0] == 404
    assert asked(files, path)[0] == 404


def test_a_failure_is_said(asked, capsys):
    status, headers, body = asked(Damaged(), "0/0-1_0-1_0-1")
    assert (status, body) == (404, b"0/0-1_0-1_0-1: damaged")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "warning: 0/0-1_0-1_0-1: damaged" in capsys.readouterr().err


def test_other_pages_may_ask(asked, folder):
    status, headers, _ = asked(Folder(folder), "7:0", "OPTIONS")
    assert status == 204
    assert headers["Access-Control-Allow-Private-Network"] == "true"


def test_who_does_not_know_the_token(running, served, folder):
    url = urllib.parse.urlsplit(served(Folder(folder)))
    _, data, token, name = url.path.split("/")
    assert data == "data" and len(token) == 40
    for path in (
        f"/data/{'0' * 40}/{name}/7:0",
        f"/data/{token}/unknown/7:0",
        f"/data/{name}/7:0",
        "/",
    ):
        connection = http.client.HTTPConnection(url.netloc)
        connection.request("GET", path)
        assert connection.getresponse().status == 404
        connection.close()


def test_it_listens_on_loopback(running, monkeypatch):
    url = urllib.parse.urlsplit(running.url)
    assert url.hostname == "127.0.0.1"
    sockets = running._module.global_server.http_server._sockets.values()
    assert [s.getsockname()[0] for s in sockets] == ["127.0.0.1"]
    assert running.viewer.allow_credentials


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_credentials_stay_here(address, expected):
    assert server._is_loopback(address) == expected


def test_the_client_is_in_the_package(running):
    """Nothing of the viewer comes from the internet."""
    url = urllib.parse.urlsplit(running.url)
    connection = http.client.HTTPConnection(url.netloc)
    connection.request("GET", url.path)
    found = connection.getresponse()
    page = found.read().decode()
    connection.close()
    assert found.status == 200
    assert "<script" in page and "://" not in page


def test_a_port_that_is_taken(running):
    """In another process, as there is one server in each."""
    import subprocess
    import sys

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ran = subprocess.run(
            [
                sys.executable,
                "-c",
                f"from ffn_tf.viewer import server; server.Server(port={port})",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 1
    assert f"Cannot listen on 127.0.0.1, port {port}" in ran.stderr
    assert "Choose another --port" in ran.stderr
