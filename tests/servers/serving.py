"""A server of anything: reads requests, is late and faulty, sends answers.

A request has a key (what it is about: see faults.py), waits for the latency,
meets a fault or is answered by the Service, and is sent at the rate that the
settings allow (connection.py).

`/__control__` is the server's own: it knows neither latency nor faults, and
nobody counts it.

    GET                  the state, as JSON
    POST                 {"set": {...}, "faults": [...], "reset": true}, each
                         part optional, in this order; answers the state
    /__control__/...     goes to the Service (`Service.control`)
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import email.utils
import http
import json
import time
import traceback
from typing import Any, Protocol

from servers.faults import Fault, Faults
from servers.messages import Answer, Request, as_json

CONTROL = "/__control__"
_LOG_LENGTH = 20_000
_CORS = (
    "Access-Control-Allow-Origin: *\r\n"
    "Access-Control-Expose-Headers: *\r\n"
    "Access-Control-Allow-Headers: *\r\n"
    "Access-Control-Allow-Methods: *\r\n"
)


class Service(Protocol):
    """What a server serves."""

    def key(self, request: Request) -> str:
        """What the request is about."""

    def answer(self, request: Request) -> Answer: ...

    def control(self, request: Request) -> Answer:
        """Answers what a test asks behind the clients' backs."""


@dataclasses.dataclass
class Settings:
    """How slow the server is.

    Attributes:
      latency_ms: from the end of a request to the beginning of its answer.
      stream_mbps: most megabytes a second for one answer; 0 is no limit.
      total_mbps: for all answers together.
    """

    latency_ms: float = 0.0
    stream_mbps: float = 0.0
    total_mbps: float = 0.0


class Server:
    """A service, how badly it is served, and what was asked of it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.settings = Settings()
        self.faults = Faults()
        self.in_flight = 0
        self.link_free = 0.0  # When what was sent so far has left.
        self.waiting: set[asyncio.Transport] = set()  # For what never comes.
        self._date = (0, "")
        self.forget()

    def forget(self) -> None:
        """Starts counting from zero."""
        self.requests: collections.Counter[str] = collections.Counter()
        self.statuses: collections.Counter[int] = collections.Counter()
        self.errors: list[str] = []
        self.log: collections.deque[tuple[Any, ...]] = collections.deque(
            maxlen=_LOG_LENGTH
        )
        self.bytes_sent = self.bytes_received = self.connections = 0
        self.most_in_flight = self.in_flight
        self.since = time.monotonic()

    def state(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "statuses": self.statuses,
            "errors": self.errors,
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
            "connections": self.connections,
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "settings": dataclasses.asdict(self.settings),
            "log": list(self.log),
        }

    def control(self, request: Request) -> Answer:
        if request.raw_path != CONTROL:
            return self.service.control(request)
        told = json.loads(request.body or b"{}")
        try:
            self.settings = dataclasses.replace(
                self.settings, **told.get("set", {})
            )
            faults = [Fault(**fields) for fields in told.get("faults", [])]
        except (TypeError, ValueError) as error:
            return Answer(400, body=str(error).encode())
        for fault in faults:
            self.faults.add(fault)
        if told.get("reset"):
            self.settings = Settings()
            self.faults.clear()
            for transport in list(self.waiting):
                transport.abort()
            self.forget()
        return as_json(self.state())

    def key(self, request: Request) -> str:
        """The service's key; the path where it fails to make one."""
        try:
            return self.service.key(request)
        except Exception:  # noqa: BLE001 - any mistake of ours must be told.
            self._remember(request)
            return request.path

    def answer(self, request: Request) -> Answer:
        """The service's answer; its own mistakes are 500 and remembered."""
        if request.method == "OPTIONS":
            return Answer(204)
        try:
            return self.service.answer(request)
        except Exception:  # noqa: BLE001
            self._remember(request)
            return Answer(500, body=self.errors[-1].encode())

    def _remember(self, request: Request) -> None:
        self.errors.append(f"{request.target}\n{traceback.format_exc()}")

    def head(self, request: Request, answer: Answer, length: int) -> bytes:
        """Status line and headers."""
        now = int(time.time())
        if now != self._date[0]:
            self._date = (now, email.utils.formatdate(now, usegmt=True))
        phrase = http.HTTPStatus(answer.status).phrase
        lines = [f"HTTP/1.1 {answer.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        if answer.status not in (204, 304):
            if "Content-Length" not in answer.headers:
                lines.append(f"Content-Length: {length}")
        if is_last(request):
            lines.append("Connection: close")
        lines += [f"Date: {self._date[1]}", _CORS, ""]
        return "\r\n".join(lines).encode("latin-1")


def is_last(request: Request) -> bool:
    """Whether the client wants no more on this connection."""
    return request.headers.get("connection", "").lower() == "close"
