"""Amazon's S3 on loopback, in memory: the moto package.

    with s3_server.start("volumes") as server:
        os.environ |= server.environment()
        ts.open({"driver": "zarr3", "kvstore": server.kvstore("volumes")})

moto keeps its objects in dictionaries without locks, and checks a condition
(If-Match, If-None-Match) before it reads the body that will be stored. So here
one request is answered at a time: a conditional write is one step, as it is in
the real service. It is slow (some hundred requests a second), and knows no
latency and no faults: for these there is gcs_server.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
import json
import os
import sys
import threading
from typing import Any

from servers.handle import Handle

REGION = "us-east-1"


class S3Server(Handle):
    """A running server of buckets."""

    def __init__(self, *buckets: str) -> None:
        super().__init__("servers.s3_server")
        for bucket in buckets:
            self.create(bucket)

    def create(self, bucket: str) -> None:
        """Makes a bucket that is not there."""
        status, body = self.ask("PUT", f"/{bucket}")
        if status != 200:
            raise ValueError(f"{self.url}: bucket {bucket}: {body.decode()}")

    def forget(self) -> None:
        """Removes all buckets and objects."""
        self.ask("POST", "/moto-api/reset")

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            "AWS_ACCESS_KEY_ID": "loopback",
            "AWS_SECRET_ACCESS_KEY": "loopback",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_S3": self.url,  # boto3; TensorStore ignores it.
        }

    def kvstore(self, bucket: str, path: str = "") -> dict[str, Any]:
        """A folder of a bucket, as TensorStore names it.

        It takes the credentials of the environment, and does not complain
        that there are no others.
        """
        return {
            "driver": "s3",
            "bucket": bucket,
            "path": f"{path.strip('/')}/" if path else "",
            "endpoint": self.url,
            "aws_region": REGION,
            "aws_credentials": {"type": "environment"},
        }


start = S3Server


class _OneByOne:
    """A WSGI application that answers one request at a time."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        with self._lock:
            answer = self._application(environ, start_response)
            try:
                return list(answer)
            finally:
                getattr(answer, "close", lambda: None)()


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    # Only the server's process needs moto.
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug import serving

    class Quiet(serving.WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *args: Any, **kwargs: Any) -> None:
            pass

    parser = argparse.ArgumentParser(description="Serves S3 on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--until_eof", action="store_true")
    parsed = parser.parse_args()
    application = DomainDispatcherApplication(create_backend_app)
    server = serving.make_server(
        "127.0.0.1",
        parsed.port,
        _OneByOne(application),
        threaded=True,
        request_handler=Quiet,
    )
    print(json.dumps({"port": server.server_port}), flush=True)
    if parsed.until_eof:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
