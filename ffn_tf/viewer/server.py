"""Who answers the browser: Neuroglancer's own server, and our files beside it.

    http://127.0.0.1:PORT/v/TOKEN/              the viewer (the client is in the
                                                package: no internet is needed)
    http://127.0.0.1:PORT/data/TOKEN/NAME/...   what was given to `serve`

One server on one port, so that one tunnel (ssh -L) shows all. It listens on the
loopback address of this machine unless told otherwise, and only who knows the
token, which is random, gets anything. Pages of other servers that know it may
read, too (CORS): so a scene opens in any Neuroglancer on this machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
import concurrent.futures
import ipaddress
import pathlib
import re
import secrets
from typing import Any, Protocol

from ffn_tf import program

_THREADS = 16  # Chunks that are read at the same time.
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)


class Files(Protocol):
    """What can be served: contents, or files of this machine, by path."""

    def get(self, path: str) -> bytes | pathlib.Path | None: ...


class Server:
    """A running server with one viewer. Also a context manager."""

    def __init__(self, bind_address: str = "127.0.0.1", port: int = 0) -> None:
        """Starts it; port 0 is any that is free.

        Raises:
          OSError: the port is taken.
        """
        import neuroglancer.server

        self._module = neuroglancer.server
        neuroglancer.set_server_bind_address(bind_address, port)
        try:
            # Who may look from elsewhere does not get our credentials, too.
            self.viewer = neuroglancer.Viewer(
                allow_credentials=_is_loopback(bind_address)
            )
        except OSError as error:
            raise OSError(
                f"Cannot listen on {bind_address}, port {port}: {error}. "
                f"Choose another --port or --bind_address."
            ) from error
        self._token = secrets.token_hex(20)
        self._pool = concurrent.futures.ThreadPoolExecutor(_THREADS)
        self._files: dict[str, Files] = {}
        told = {"files": self._files, "pool": self._pool}
        self._module.global_server.app.add_handlers(
            ".*", [(rf"/data/{self._token}/([^/]+)/(.*)", _handler(), told)]
        )

    @property
    def url(self) -> str:
        """Where the viewer is."""
        return str(self.viewer.get_viewer_url())

    def url_of(self, name: str) -> str:
        """Where what is served as `name` is."""
        base = self._module.get_server_url()
        return f"{base}/data/{self._token}/{name}"

    def serve(self, files: Mapping[str, Files]) -> None:
        """Answers requests for files by their names from now on."""
        self._files.update(files)

    def close(self) -> None:
        """Ends it: the viewer's address is no longer valid."""
        self._module.stop()
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_loopback(bind_address: str) -> bool:
    try:
        return ipaddress.ip_address(bind_address).is_loopback
    except ValueError:
        return bind_address == "localhost"


def _handler() -> type:
    """The class that answers; tornado comes with Neuroglancer."""
    import tornado.web

    class Handler(tornado.web.RequestHandler):
        def initialize(self, files: Mapping[str, Files], pool: Any) -> None:
            self.files, self.pool = files, pool

        def set_default_headers(self) -> None:
            self.set_header("Content-Type", "application/octet-stream")
            self.set_header("Access-Control-Allow-Origin", "*")
            self.set_header("Access-Control-Allow-Headers", "*")
            self.set_header("Access-Control-Allow-Private-Network", "true")
            exposed = "Content-Length, Content-Range, Content-Encoding"
            self.set_header("Access-Control-Expose-Headers", exposed)

        def compute_etag(self) -> None:
            return None  # It takes longer than to send it again.

        def options(self, *_: str) -> None:
            self.set_status(204)

        async def get(self, name: str, path: str) -> None:
            if name not in self.files:
                self.send_error(404)
                return
            wanted = self.request.headers.get("Range", "")
            loop = asyncio.get_running_loop()
            try:
                status, headers, body = await loop.run_in_executor(
                    self.pool, answer, self.files[name], path, wanted
                )
            except (OSError, ValueError) as error:
                program.warn(f"{error}")
                # Neuroglancer would wait for ever for what it calls an error.
                status, headers, body = 404, {}, f"{error}".encode()
            self.set_status(status)
            for key, value in headers.items():
                self.set_header(key, value)
            self.finish(body)

        head = get

    return Handler


def answer(
    files: Files, path: str, wanted: str = ""
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a request.

    Args:
      files: what is asked.
      path: for what.
      wanted: the header Range; those of several ranges get everything.

    Raises:
      OSError: it cannot be read.
    """
    found = files.get(path)
    if found is None:
        return 404, {}, b""
    if isinstance(found, bytes):
        size = len(found)
    else:
        size = found.stat().st_size
        if found.suffix == ".gz" and not path.endswith(".gz"):
            return 200, {"Content-Encoding": "gzip"}, found.read_bytes()
    match = _RANGE.fullmatch(wanted)
    if match is None or match.groups() == ("", ""):
        return 200, {}, _part(found, 0, size)
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        return 416, {"Content-Range": f"bytes */{size}"}, b""
    said = {"Content-Range": f"bytes {start}-{end - 1}/{size}"}
    return 206, said, _part(found, start, end)


def _part(found: bytes | pathlib.Path, start: int, end: int) -> bytes:
    if isinstance(found, bytes):
        return found[start:end]
    with open(found, "rb") as file:
        file.seek(start)
        return file.read(end - start)
