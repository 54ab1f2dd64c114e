"""Connections: requests are read, are late, meet faults, and are answered.

One process, one thread: what a Service does in `answer` no other request can
see half done. An answer without fault or limit is written at once; one with
them is a task of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
import time

from servers.faults import Fault
from servers.messages import Answer, Request, Stretch
from servers.serving import CONTROL, Server, Service, is_last

_PIECE = 1 << 16  # Bytes written at once where a rate is kept.


class Connection(asyncio.Protocol):
    """One client's connection; one request at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = bytearray()
        self._head: Request | None = None  # Its body is still coming.
        self._request: Request | None = None  # Being answered.
        self._task: asyncio.Task[None] | None = None

    # ------------------------------------------------------------- reading

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._socket = transport.get_extra_info("socket")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.connections += 1

    def connection_lost(self, error: Exception | None) -> None:
        if self._task:
            self._task.cancel()
        self._server.waiting.discard(self._transport)
        self._end()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._request is None:
            self._next()

    def _next(self) -> None:
        """Begins the next request, if it is here as a whole."""
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._head = _parsed(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
            if self._head.headers.get("expect", "").lower() == "100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, size = _body(self._head, self._buffer)
        if body is None:
            return
        del self._buffer[:size]
        request, self._head = self._head, None
        request.body = body
        self._begin(request, size)

    def _begin(self, request: Request, size: int) -> None:
        server = self._server
        self._request = request
        if request.raw_path.startswith(CONTROL):
            self._write(request, server.control(request))
            self._finish(request)
            return
        key = server.key(request)
        server.requests[key] += 1
        server.bytes_received += size
        server.in_flight += 1
        server.most_in_flight = max(server.most_in_flight, server.in_flight)
        fault, ordinal = server.faults.next(request.method, key)
        settings, loop = server.settings, asyncio.get_running_loop()
        if fault or settings.stream_mbps or settings.total_mbps:
            self._task = loop.create_task(self._slowly(request, fault, ordinal))
        elif settings.latency_ms:
            loop.call_later(settings.latency_ms / 1000, self._plainly, request)
        else:
            self._plainly(request)

    # ----------------------------------------------------------- answering

    def _plainly(self, request: Request) -> None:
        """Without faults and limits; the fast way."""
        if self._transport.is_closing():
            return
        answer = self._server.answer(request)
        self._count(request, answer.status, len(answer.body))
        self._write(request, answer)
        self._finish(request)

    async def _slowly(
        self, request: Request, fault: Fault | None, ordinal: int
    ) -> None:
        await asyncio.sleep(self._server.settings.latency_ms / 1000)
        kind = fault.kind if fault else ""
        if fault and kind == "delay":
            await asyncio.sleep(fault.seconds)
        if kind == "close":
            self._count(request, 0, 0)
            self._transport.abort()
            return
        if kind == "hang":
            self._count(request, 0, 0)
            self._server.waiting.add(self._transport)
            await asyncio.Event().wait()
        if kind == "changed":
            request.version = ordinal
        if kind == "whole":
            request.headers.pop("range", None)
        if fault and kind == "status":
            answer = Answer(fault.status)
        else:
            answer = self._server.answer(request)
        await self._damaged(request, answer, fault)

    async def _damaged(
        self, request: Request, answer: Answer, fault: Fault | None
    ) -> None:
        """Sends an answer, or what the fault leaves of it."""
        body, kind = bytes(answer.body), fault.kind if fault else ""
        if isinstance(answer.body, Stretch):
            answer.body.close()
        length, rate = len(body), self._server.settings.stream_mbps * 1e6
        if fault and body:
            part = body[: int(length * fault.share)]
            if kind in ("reset", "truncate", "short"):
                body = part
            if kind == "short":
                length = len(body)
            if kind == "length":
                length += fault.extra
            if kind == "drip":
                rate = fault.bytes_per_s
            if kind == "flip":
                body = _flipped(body)
        self._count(request, answer.status, len(body))
        self._transport.write(self._server.head(request, answer, length))
        await self._paced(body, rate)
        if kind == "reset":
            await asyncio.sleep(0.05)  # So that the first part has left.
            linger = struct.pack("ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()
        elif kind == "truncate":
            self._transport.close()
        else:
            if kind == "length":
                self._server.waiting.add(self._transport)
            self._finish(request)

    async def _paced(self, body: bytes, rate: float) -> None:
        """Writes `body` at `rate` bytes a second, and at that of the link."""
        server = self._server
        link = server.settings.total_mbps * 1e6
        if not rate and not link:
            self._transport.write(body)
            return
        piece = max(1, min(_PIECE, int((rate or link) / 10)))
        begin = time.monotonic()
        for start in range(0, len(body), piece):
            part = body[start : start + piece]
            due = begin + (start + len(part)) / rate if rate else 0.0
            if link:
                free = max(time.monotonic(), server.link_free)
                server.link_free = free + len(part) / link
                due = max(due, server.link_free)
            await asyncio.sleep(due - time.monotonic())
            self._transport.write(part)

    def _write(self, request: Request, answer: Answer) -> None:
        body = answer.body
        head = self._server.head(request, answer, len(body))
        if isinstance(body, bytes):
            self._transport.write(head + body)
            return
        self._transport.write(head)
        if not self._transport.get_write_buffer_size():
            # Straight from the file, as far as the client's window is open.
            with contextlib.suppress(ConnectionError):
                body.send(self._socket.fileno())
        self._transport.write(bytes(body))
        body.close()

    def _count(self, request: Request, status: int, size: int) -> None:
        server = self._server
        server.statuses[status] += 1
        server.bytes_sent += size
        seconds = round(time.monotonic() - server.since, 4)
        asked = request.headers.get("range", "")
        server.log.append(
            (seconds, request.method, request.target, asked, status, size)
        )

    def _finish(self, request: Request) -> None:
        """The answer is written; on to the next request."""
        self._end()
        if is_last(request):
            self._transport.close()
        elif self._buffer:
            self._next()

    def _end(self) -> None:
        request, self._request, self._task = self._request, None, None
        if request and not request.raw_path.startswith(CONTROL):
            self._server.in_flight -= 1


def _parsed(head: bytes) -> Request:
    first, *rest = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in rest)
    return Request(method, target, {n.lower(): v.strip() for n, _, v in pairs})


def _body(request: Request, buffer: bytearray) -> tuple[bytes | None, int]:
    """The body of a request, None while it is not whole, and its length."""
    if request.headers.get("transfer-encoding", "").lower() != "chunked":
        size = int(request.headers.get("content-length", 0))
        return (
            (bytes(buffer[:size]), size) if len(buffer) >= size else (None, 0)
        )
    parts: list[bytes] = []
    at = 0
    while (end := buffer.find(b"\r\n", at)) >= 0:
        size = int(buffer[at:end].split(b";")[0], 16)
        at = end + 2 + size + 2
        if len(buffer) < at:
            break
        if not size:
            return b"".join(parts), at
        parts.append(bytes(buffer[end + 2 : at - 2]))
    return None, 0


def _flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


def serve(service: Service, port: int = 0, *, until_eof: bool = False) -> None:
    """Serves on loopback; tells the port as a line of JSON.

    Args:
      service: what is served.
      port: 0 takes a free one.
      until_eof: ends with the standard input, so with whoever has its other
        end, however that one ends.
    """

    async def run() -> None:
        server, loop = Server(service), asyncio.get_running_loop()
        listening = await loop.create_server(
            lambda: Connection(server), "127.0.0.1", port, backlog=1024
        )
        address = listening.sockets[0].getsockname()
        print(json.dumps({"port": address[1]}), flush=True)
        end = asyncio.Event()
        if until_eof:
            loop.add_reader(sys.stdin.fileno(), end.set)
        await end.wait()

    asyncio.run(run())
