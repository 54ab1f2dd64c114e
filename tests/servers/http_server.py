"""An HTTP/1.1 server of files on loopback, as slow and as faulty as told.

    with http_server.start(folder) as server:
        server.set(latency_ms=20, stream_mbps=50)
        server.add(Fault("em/8_8_8", "status", status=503, times=3))
        ...                              # read f"{server.url}/em/"
        assert server.state().requests["em/info"] == 1

By hand, for a browser (Neuroglancer: precomputed://http://127.0.0.1:8080/em):

    PYTHONPATH=tests python -m servers.http_server FOLDER --port=8080

GET, HEAD and OPTIONS; one range; ETag, If-Match, If-None-Match, If-Range;
keep-alive; CORS for everyone. Files may change while it runs: each request
opens its file anew, and the ETag is made of inode, date and size. The key of
a request (faults.py) is its path.
"""

from __future__ import annotations

import argparse
import functools
import io
import mimetypes
import os
import pathlib
import urllib.parse

from servers import connection
from servers.handle import Controlled
from servers.messages import Answer, Request, Stretch, content

_PLUS = [bytes((i + n) % 256 for i in range(256)) for n in range(256)]


class Files:
    """The files below a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = os.path.realpath(folder)

    def key(self, request: Request) -> str:
        return request.path

    def answer(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return Answer(405, {"Allow": "GET, HEAD, OPTIONS"})
        path = os.path.realpath(os.path.join(self._folder, request.path))
        if not f"{path}/".startswith(f"{self._folder}/"):
            return Answer(403)
        try:
            file = io.FileIO(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return Answer(404)
        answer = self._content(request, path, file)
        if not isinstance(answer.body, Stretch):
            file.close()
        return answer

    def _content(self, request: Request, path: str, file: io.FileIO) -> Answer:
        stat, version = os.fstat(file.fileno()), request.version

        def read(start: int, stop: int) -> bytes | Stretch:
            found = Stretch(file, start, stop)
            if not version:
                return found
            return bytes(found).translate(_PLUS[version % 256])

        etag = f"{stat.st_ino:x}-{stat.st_mtime_ns:x}-{stat.st_size:x}"
        etag = f'"{etag}-{version}"' if version else f'"{etag}"'
        return content(
            request, stat.st_size, etag, read, {"Content-Type": _type(path)}
        )

    def control(self, request: Request) -> Answer:
        """Files are changed in the folder itself."""
        return Answer(404)


@functools.cache
def _type_of_suffix(suffix: str) -> str:
    return mimetypes.guess_type(f"a{suffix}")[0] or "application/octet-stream"


def _type(path: str) -> str:
    return _type_of_suffix(os.path.splitext(path)[1])


class HttpServer(Controlled):
    """A running server of files.

    Attributes:
      folder: what it serves.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = pathlib.Path(folder)
        super().__init__("servers.http_server", str(folder))

    def url_of(self, path: str | os.PathLike[str]) -> str:
        """The URL of a file or folder below `folder`."""
        relative = pathlib.Path(path).relative_to(self.folder).as_posix()
        return f"{self.url}/{urllib.parse.quote(relative)}"

    def kvstore(self, path: str = "") -> dict[str, str]:
        """The server, or a folder of it, as TensorStore names it."""
        path = f"{path.strip('/')}/" if path else ""
        return {"driver": "http", "base_url": self.url, "path": f"/{path}"}


start = HttpServer


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves files on loopback.")
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--until_eof", action="store_true")
    parsed = parser.parse_args()
    connection.serve(
        Files(parsed.folder), parsed.port, until_eof=parsed.until_eof
    )


if __name__ == "__main__":
    main()
