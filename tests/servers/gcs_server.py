"""Google Cloud Storage's JSON API on loopback, in memory.

    with gcs_server.start("h01-release") as server:
        server.put("h01-release", "em/info", b"{...}")
        os.environ |= server.environment()
        ...                                   # read gs://h01-release/em/

What TensorStore (TENSORSTORE_GCS_HTTP_URL), google-cloud-storage and with it
cloud-volume, and gcsfs (STORAGE_EMULATOR_HOST) use of it:

    objects   upload (media, multipart, resumable), media (one range; gzip is
              unpacked for clients that do not accept it), metadata, patch,
              copy, rewrite, delete; preconditions (gcs_objects.py); checksums
    listing   prefix, delimiter, startOffset, endOffset, maxResults, pages,
              fields
    buckets   list, get, create, delete; and batches of all these
    /BUCKET/NAME   media, for browsers

No rights, old versions, or expiry. The key of a request (faults.py) is
"BUCKET/NAME", or "BUCKET" where it is about the bucket, "batch" of batches.
Fault "changed": the object has got a new generation, of the same bytes.

`put`, `get`, `names` and `clear` go by /__control__/BUCKET/NAME, which is
never late, faulty or counted.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
from urllib.parse import quote

from servers import connection
from servers.gcs_api import Gcs
from servers.handle import Controlled
from servers.serving import CONTROL


class GcsServer(Controlled):
    """A running server of buckets."""

    def __init__(self, *buckets: str) -> None:
        super().__init__("servers.gcs_server", *buckets)

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            "TENSORSTORE_GCS_HTTP_URL": self.url,
            "STORAGE_EMULATOR_HOST": self.url,
            # Else gcsfs asks for the kind of each bucket by gRPC, for 60 s.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "GOOGLE_CLOUD_PROJECT": "loopback",
            # Else a thread asks what each bucket is, and leaves its socket.
            "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA": "true",
        }

    def kvstore(self, bucket: str, path: str = "") -> dict[str, str]:
        """A folder of a bucket, as TensorStore names it."""
        path = f"{path.strip('/')}/" if path else ""
        return {"driver": "gcs", "bucket": bucket, "path": path}

    def _stored(
        self, method: str, bucket: str, name: str = "", body: bytes = b""
    ) -> bytes:
        target = f"{CONTROL}/{quote(bucket)}/{quote(name)}"
        status, found = self.ask(method, target, body)
        if status != 200:
            raise FileNotFoundError(f"{self.url}: no {bucket}/{name}.")
        return found

    def put(self, bucket: str, name: str, data: bytes) -> None:
        """Writes an object; a bucket that is not there is made."""
        self._stored("PUT", bucket, name, data)

    def load(self, bucket: str, folder: str | os.PathLike[str]) -> None:
        """Writes every file below `folder`, by its path."""
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                self.put(bucket, name, path.read_bytes())

    def get(self, bucket: str, name: str) -> bytes:
        return self._stored("GET", bucket, name)

    def names(self, bucket: str) -> list[str]:
        """Names of all objects; makes the bucket if there is none."""
        return json.loads(self._stored("GET", bucket))

    def clear(self, bucket: str, prefix: str = "") -> None:
        """Removes the objects whose names begin with `prefix`."""
        self._stored("DELETE", bucket, prefix)


start = GcsServer


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves buckets on loopback.")
    parser.add_argument("buckets", nargs="*")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--until_eof", action="store_true")
    parsed = parser.parse_args()
    connection.serve(
        Gcs(parsed.buckets), parsed.port, until_eof=parsed.until_eof
    )


if __name__ == "__main__":
    main()
