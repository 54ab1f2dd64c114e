"""The server of files, as plain clients see it."""

import concurrent.futures
import http.client
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from servers import http_server as http_server_lib
from servers.faults import Fault
from servers.handle import TESTS

DATA = bytes(range(256)) * 40  # 10,240 bytes
PLUS_ONE = bytes((b + 1) % 256 for b in DATA)


@pytest.fixture
def path(http_server, http_folder) -> str:
    """The path of a file of DATA, as it is asked for."""
    (http_folder / "a b.bin").write_bytes(DATA)
    return f"/{http_folder.name}/a%20b.bin"


def key(path: str) -> str:
    return path[1:].replace("%20", " ")


def connect(server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)


def get(server, path, method="GET", **headers):
    """Status, headers and body, on a connection of their own."""
    connection = connect(server)
    try:
        named = {name.replace("_", "-"): v for name, v in headers.items()}
        connection.request(method, path, headers=named)
        # Closed also when the body is cut short; else the socket stays open.
        with connection.getresponse() as answer:
            return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_a_file(http_server, path):
    status, headers, body = get(http_server, path)
    assert (status, body) == (200, DATA)
    assert headers["Content-Length"] == "10240"
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Date"].endswith(" GMT")
    status, headers, body = get(http_server, path, "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "10240", b"")
    status, headers, body = get(http_server, path, range="bytes=300-309")
    assert (status, body) == (206, DATA[300:310])
    status, headers, body = get(http_server, path, "OPTIONS")
    assert (status, body) == (204, b"")
    assert headers["Access-Control-Allow-Headers"] == "*"


def test_what_is_not_served(http_server, http_folder, path):
    for missing in ("/none", f"/{http_folder.name}", "/", f"{path}/x"):
        status, _, body = get(http_server, missing)
        assert (status, body) == (404, b""), missing
    outside = http_server.folder.parent / "secret"
    outside.write_bytes(b"secret")
    (http_folder / "link").symlink_to(outside)
    for wrong in ("/../secret", "/%2e%2e/secret", f"/{http_folder.name}/link"):
        assert get(http_server, wrong)[0] == 403, wrong
    assert get(http_server, path, "DELETE")[0] == 405


def test_changed_files(http_server, http_folder, path):
    file = http_folder / "a b.bin"
    etag = get(http_server, path)[1]["ETag"]
    assert get(http_server, path, if_none_match=etag)[0] == 304
    # A file of the same date and length, put in its place.
    (http_folder / "new").write_bytes(PLUS_ONE)
    stat = file.stat()
    os.utime(http_folder / "new", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (http_folder / "new").rename(file)
    status, headers, body = get(http_server, path, if_none_match=etag)
    assert (status, body) == (200, PLUS_ONE)
    assert headers["ETag"] != etag
    assert get(http_server, path, if_match=etag, range="bytes=0-1")[0] == 412


def test_more_than_a_client_takes_at_once(http_server, http_folder):
    """What its window has no room for comes later, in order."""
    data = os.urandom(20_000_000)
    (http_folder / "large").write_bytes(data)
    connection = connect(http_server)
    for start in (0, 12_345):
        asked = {"Range": f"bytes={start}-"}
        connection.request("GET", f"/{http_folder.name}/large", headers=asked)
        with connection.getresponse() as answer:
            time.sleep(0.1)
            assert answer.read() == data[start:]
    connection.close()
    assert http_server.state().bytes_sent == 2 * len(data) - 12_345


def test_connections_are_kept(http_server, path):
    connection = connect(http_server)
    for start in range(20):
        connection.request("GET", path, headers={"Range": f"bytes={start}-99"})
        assert connection.getresponse().read() == DATA[start:100]
    assert http_server.state().connections == 2  # And that of `state`.
    connection.request("GET", path, headers={"Connection": "close"})
    assert connection.getresponse().read() == DATA
    assert connection.sock is None
    connection.close()


def test_requests_that_come_in_pieces_or_in_a_row(http_server, path):
    request = f"GET {path} HTTP/1.1\r\nRange: bytes=7-7\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", http_server.port), 5) as sock:
        for byte in request:
            sock.sendall(bytes([byte]))
        sock.sendall(request * 3)
        found = b""
        while found.count(b"\r\n\r\n" + DATA[7:8]) < 4:
            found += sock.recv(10_000)
    assert found.count(b"206 Partial Content") == 4


def test_state(http_server, path):
    get(http_server, path, range="bytes=0-9")
    get(http_server, path)
    get(http_server, "/none")
    state = http_server.state()
    assert state.requests == {key(path): 2, "none": 1}
    assert state.statuses == {206: 1, 200: 1, 404: 1}
    assert (state.total, state.bytes_sent) == (3, 10_250)
    assert (state.in_flight, state.most_in_flight) == (0, 1)
    asked = [(e.method, e.target, e.range, e.size) for e in state.log]
    assert asked[0] == ("GET", path, "bytes=0-9", 10)
    assert len(asked) == 3
    http_server.reset()
    assert http_server.state().total == 0


def test_settings(http_server, path):
    http_server.set(latency_ms=150)
    http_server.set(stream_mbps=0.1)
    assert http_server.state().settings == {
        "latency_ms": 150,
        "stream_mbps": 0.1,
        "total_mbps": 0,
    }
    begin = time.monotonic()
    assert get(http_server, path)[2] == DATA
    assert time.monotonic() - begin > 0.24  # 0.15 s + 0.01 MB / 0.1 MB/s
    with pytest.raises(ValueError, match="unexpected keyword argument 'speed'"):
        http_server.set(speed=3)


def together(server, path, count):
    """Seconds for `count` requests at once."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        begin = time.monotonic()
        answers = list(pool.map(lambda _: get(server, path), range(count)))
    assert all(body == DATA for _, _, body in answers)
    return time.monotonic() - begin


def test_a_shared_link_is_shared(http_server, path):
    http_server.set(stream_mbps=0.02)  # 0.5 s each, at once
    at_once = together(http_server, path, 4)
    assert at_once > 0.49
    http_server.set(stream_mbps=0, total_mbps=0.02)  # one after the other
    assert together(http_server, path, 4) > 1.99
    assert at_once < 1.99 or http_server.state().most_in_flight == 4


def test_many_in_flight(http_server, path):
    http_server.set(latency_ms=1000)
    assert together(http_server, path, 30) > 1
    assert http_server.state().most_in_flight == 30


# -----------------------------------------------------------------------------
# Faults
# -----------------------------------------------------------------------------


def raw(server, path, seconds=1.0) -> tuple[bytes, bytes, str]:
    """Head, body, and how it ended: closed, reset or open (after a while)."""
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        sock.settimeout(seconds)
        found, end = b"", "open"
        try:
            while data := sock.recv(1 << 20):
                found += data
            end = "closed"
        except ConnectionResetError:
            end = "reset"
        except TimeoutError:
            pass
    head, _, body = found.partition(b"\r\n\r\n")
    return head, body, end


def length(head: bytes) -> int:
    return int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])


def test_statuses_in_bursts(http_server, path):
    http_server.add(
        Fault(key(path), "status", status=503, times=2),
        Fault(key(path), "status", status=429, times=1),
    )
    found = [get(http_server, path) for _ in range(4)]
    assert [status for status, _, _ in found] == [503, 503, 429, 200]
    assert [body for _, _, body in found] == [b"", b"", b"", DATA]


def test_no_answer(http_server, path):
    http_server.add(Fault(key(path), "close", times=1))
    assert raw(http_server, path) == (b"", b"", "closed")
    http_server.add(Fault(key(path), "hang", times=1))
    begin = time.monotonic()
    assert raw(http_server, path) == (b"", b"", "open")
    assert time.monotonic() - begin > 0.9
    assert raw(http_server, path)[1] == DATA
    state = http_server.state()
    assert state.statuses == {0: 2, 200: 1}
    assert state.in_flight == 0  # Who hung up waits no more.


def test_cut_answers(http_server, path):
    http_server.add(
        Fault(key(path), "reset", share=0.25, times=1),
        Fault(key(path), "truncate", share=0.5, times=1),
        Fault(key(path), "short", share=0.75, times=1),
    )
    head, body, end = raw(http_server, path)
    assert (length(head), body, end) == (10_240, DATA[:2560], "reset")
    head, body, end = raw(http_server, path)
    assert (length(head), body, end) == (10_240, DATA[:5120], "closed")
    head, body, end = raw(http_server, path)
    assert (length(head), body, end) == (7680, DATA[:7680], "open")
    assert raw(http_server, path)[1:] == (DATA, "open")


def test_wrong_lengths(http_server, path):
    for extra in (-100, 100):
        http_server.add(Fault(key(path), "length", extra=extra, times=1))
        head, body, end = raw(http_server, path)
        assert (length(head), body, end) == (10_240 + extra, DATA, "open")
        http_server.reset()


def test_late_and_slow(http_server, path):
    http_server.add(Fault(key(path), "delay", seconds=0.3, times=1))
    begin = time.monotonic()
    assert get(http_server, path)[2] == DATA
    assert time.monotonic() - begin > 0.3
    http_server.add(Fault(key(path), "drip", bytes_per_s=10_000, times=1))
    begin = time.monotonic()
    assert get(http_server, path)[2] == DATA
    assert time.monotonic() - begin > 1


def test_wrong_bytes(http_server, path):
    http_server.add(
        Fault(key(path), "flip", times=1),
        Fault(key(path), "whole", times=1),
        Fault(key(path), "changed", times=2),
    )
    true = get(http_server, "/none")[1]["ETag"]
    assert true is None
    _, _, body = get(http_server, path)
    wrong = [i for i in range(len(DATA)) if body[i] != DATA[i]]
    assert (wrong, body[5120] ^ DATA[5120]) == ([5120], 1)
    status, _, body = get(http_server, path, range="bytes=1-2")
    assert (status, body) == (200, DATA)
    _, first, body = get(http_server, path, range="bytes=3-9")
    assert body == PLUS_ONE[3:10]
    _, second, body = get(http_server, path, if_none_match=first["ETag"])
    assert body[0] == 2
    status, third, body = get(http_server, path, if_none_match=second["ETag"])
    assert (status, body) == (200, DATA)
    assert len({h["ETag"] for h in (first, second, third)}) == 3


# -----------------------------------------------------------------------------
# The process
# -----------------------------------------------------------------------------


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_end(pid: int) -> None:
    limit = time.monotonic() + 60
    while is_running(pid):
        assert time.monotonic() < limit, f"server {pid} runs on"
        time.sleep(0.02)


def test_it_ends_with_the_block(tmp_path):
    with http_server_lib.start(tmp_path) as server:
        assert is_running(server.pid)
    assert not is_running(server.pid)


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_it_ends_with_its_parent(tmp_path, end):
    program = (
        "import os\n"
        "from servers import http_server\n"
        f"server = http_server.start({str(tmp_path)!r})\n"
        f"print(server.pid, flush=True)\n"
        f"{end}\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
    )
    assert found.returncode in (3, -signal.SIGKILL), found.stderr
    wait_for_end(int(found.stdout))


def test_a_server_that_cannot_start(http_server, tmp_path):
    class Second(http_server_lib.HttpServer):
        def __init__(self) -> None:
            super(http_server_lib.HttpServer, self).__init__(
                "servers.http_server", str(tmp_path), f"--port={self.taken}"
            )

        taken = http_server.port

    with pytest.raises(RuntimeError, match="address already in use"):
        Second()


def test_by_hand(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    process = subprocess.Popen(
        [sys.executable, "-m", "servers.http_server", tmp_path],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    try:
        assert process.stdout.readline().startswith(b'{"port": ')
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
