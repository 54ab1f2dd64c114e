"""A server in a process of its own, and how a test talks to it.

The process ends when its standard input does. The other end of that pipe is
held here, so the server goes away with `close`, and also when this process is
killed. (A child that is forked, not spawned, holds it too.)
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import types
from typing import Any, Self

from servers.faults import Fault

TESTS = pathlib.Path(__file__).resolve().parents[1]
# No look for cloud credentials, no proxy between us and loopback.
OFFLINE = {
    "GOOGLE_AUTH_TOKEN_FOR_TESTING": "loopback",  # TensorStore
    "GCE_METADATA_ROOT": "metadata.invalid",
    "GCE_METADATA_HOST": "metadata.invalid",
    "NO_GCE_CHECK": "true",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}
_START_SECONDS = 60
_CONTROL_SECONDS = 60


class Handle:
    """A server process. Also a context manager, which closes it."""

    def __init__(self, module: str, *arguments: str) -> None:
        path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, "--until_eof"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)},
        )
        try:
            self.port = self._told_port()
        except BaseException:
            self.close()
            raise
        self.url = f"http://127.0.0.1:{self.port}"

    def _told_port(self) -> int:
        assert self._process.stdout
        ready, _, _ = select.select(
            [self._process.stdout], [], [], _START_SECONDS
        )
        line = self._process.stdout.readline() if ready else b""
        if not line:
            self._process.kill()
            self._process.wait()
            raise RuntimeError(
                f"{' '.join(self._process.args)}: no port in "  # type: ignore[arg-type]
                f"{_START_SECONDS} s; it said: {self.said() or 'nothing'}"
            )
        return json.loads(line)["port"]

    @property
    def pid(self) -> int:
        return self._process.pid

    def said(self) -> str:
        """What the process wrote to its standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def environment(self) -> dict[str, str]:
        """The variables under which clients find this server."""
        return dict(OFFLINE)

    def ask(
        self, method: str, target: str, body: bytes = b""
    ) -> tuple[int, bytes]:
        """Status and body of a plain request, on a connection of its own."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=_CONTROL_SECONDS
        )
        try:
            connection.request(method, target, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin and self._process.stdout
        self._process.kill()  # It has nothing to save.
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()


@dataclasses.dataclass(frozen=True)
class Asked:
    """One request, as the server saw it.

    Attributes:
      seconds: since the last reset, when it was answered.
      method: GET, ...
      target: path and query.
      range: the Range header, or "".
      status: of the answer; 0 if there was none.
      size: of the body that was sent, or was to be sent.
    """

    seconds: float
    method: str
    target: str
    range: str
    status: int
    size: int


@dataclasses.dataclass(frozen=True)
class State:
    """What a server counted since the last reset.

    Attributes:
      requests: how many, by key.
      statuses: how many answers, by status; 0 is those never given.
      bytes_sent, bytes_received: in bodies.
      connections: how many were opened.
      in_flight, most_in_flight: requests at once, now and ever.
      log: the last requests, at most 20,000.
      settings: latency and limits.
      errors: what went wrong inside the server; there should be nothing.
    """

    requests: dict[str, int]
    statuses: dict[int, int]
    bytes_sent: int
    bytes_received: int
    connections: int
    in_flight: int
    most_in_flight: int
    log: tuple[Asked, ...]
    settings: dict[str, float]
    errors: tuple[str, ...]

    @property
    def total(self) -> int:
        """All requests."""
        return sum(self.requests.values())


class Controlled(Handle):
    """A server that can be told to be slow or faulty, and that counts."""

    def _control(self, **told: Any) -> State:
        status, body = self.ask(
            "POST", "/__control__", json.dumps(told).encode()
        )
        if status != 200:
            raise ValueError(f"{self.url}: {body.decode()}")
        found = json.loads(body)
        return State(
            **found
            | {
                "statuses": {int(k): n for k, n in found["statuses"].items()},
                "log": tuple(Asked(*entry) for entry in found["log"]),
                "errors": tuple(found["errors"]),
            }
        )

    def set(self, **settings: float) -> None:
        """Changes latency_ms, stream_mbps or total_mbps (serving.Settings)."""
        self._control(set=settings)

    def add(self, *faults: Fault) -> None:
        """Adds faults behind those there are."""
        self._control(faults=[dataclasses.asdict(fault) for fault in faults])

    def state(self) -> State:
        return self._control()

    def reset(self) -> None:
        """No latency, no limits, no faults, nothing counted.

        Clients that wait for what never comes are let go: their connections
        are closed, and they may ask again.
        """
        self._control(reset=True)
