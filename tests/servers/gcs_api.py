"""What Google Cloud Storage answers: the JSON API before the buckets.

The paths that it knows, quoted as they are sent:

    /storage/v1/b[/BUCKET[/o[/NAME]]]                 and /download/...
    /storage/v1/b/BUCKET/o/NAME/copyTo/b/BUCKET/o/NAME      or rewriteTo
    /storage/v1/b/BUCKET/o/NAME/moveTo/o/NAME
    /upload/storage/v1/b/BUCKET/o?uploadType=...      and /resumable/upload/...
    /batch/storage/v1                                 any of the first two
    /BUCKET/NAME                                      media, for browsers
"""

from __future__ import annotations

from collections.abc import Iterator
import gzip
import json
import re
from typing import Any
from urllib.parse import unquote

from servers.gcs_objects import Buckets, Object, Refused
from servers.messages import Answer, Request, as_json, content

_PATH = re.compile(
    r"/(?:download/|upload/|resumable/upload/)?storage/v1/b"
    r"(?:/(?P<bucket>[^/]+)(?:/o(?:/(?P<name>.*?))?)?)?"
    r"(?:/(?P<how>copyTo|rewriteTo|moveTo)(?:/b/(?P<to>[^/]+))?"
    r"/o/(?P<to_name>.+))?"
)
_BROWSER_PATH = re.compile(r"/(?P<bucket>[^/]+)(?:/(?P<name>.*))?")
_HEADERS = {
    "cacheControl": "Cache-Control",
    "contentDisposition": "Content-Disposition",
    "contentEncoding": "Content-Encoding",
    "contentLanguage": "Content-Language",
    "contentType": "Content-Type",
}


class Gcs:
    """The API before the buckets."""

    def __init__(self, buckets: list[str]) -> None:
        self._all = Buckets(buckets)
        self._uploads: dict[str, tuple[Request, bytearray]] = {}

    def key(self, request: Request) -> str:
        if request.raw_path.startswith("/batch/"):
            return "batch"
        begun = self._uploads.get(request.query.get("upload_id", ""))
        bucket, name = _subject(begun[0] if begun else request)
        return f"{bucket}/{name}" if name else bucket

    def answer(self, request: Request) -> Answer:
        try:
            return self._answer(request)
        except Refused as refused:
            error = {"code": refused.status, "message": str(refused)}
            return as_json({"error": error}, refused.status)

    def _answer(self, request: Request) -> Answer:
        path, method = request.raw_path, request.method
        if path.startswith("/batch/"):
            return self._batch(request)
        if "upload_id" in request.query:
            return self._resumed(request, request.query["upload_id"])
        bucket, name = _subject(request)
        if path.startswith(("/upload/", "/resumable/")):
            return self._upload(request, bucket, name)
        if not path.startswith(("/storage/", "/download/")):
            return self._media(request, bucket, name)
        if not name:
            is_listing = path.rstrip("/").endswith("/o")
            listing = self._list if is_listing else self._of_bucket
            return listing(request, bucket)
        self._replace_if_told(request, bucket, name)
        if method == "POST":
            return self._copy(request, bucket, name)
        if method in ("PATCH", "PUT"):
            return self._patch(request, bucket, name)
        if method == "DELETE":
            self._all.for_reading(bucket, name, {})
            self._all.check_writable(bucket, name, request.query)
            del self._all.bucket(bucket)[name]
            return Answer(204)
        if request.query.get("alt") == "media" or path.startswith("/download/"):
            return self._media(request, bucket, name)
        found = self._all.for_reading(bucket, name, request.query)
        return _described(request, bucket, name, found)

    def _replace_if_told(
        self, request: Request, bucket: str, name: str
    ) -> None:
        found = self._all.bucket(bucket).get(name)
        if request.version and found:
            self._all.put(bucket, name, found.data, found.said)

    # -------------------------------------------------------------- objects

    def _media(self, request: Request, bucket: str, name: str) -> Answer:
        found = self._all.for_reading(bucket, name, request.query)
        size, data = len(found.data), found.data
        headers = {
            "Content-Type": "application/octet-stream",
            "X-Goog-Generation": str(found.generation),
            "X-Goog-Metageneration": str(found.metageneration),
            "X-Goog-Hash": f"crc32c={found.crc32c},md5={found.md5}",
            "X-Goog-Stored-Content-Length": str(size),
        }
        said = {_HEADERS.get(key): value for key, value in found.said.items()}
        headers |= {str(key): str(said[key]) for key in said if key}
        encoding = headers.get("Content-Encoding", "identity")
        headers["X-Goog-Stored-Content-Encoding"] = encoding
        accepted = request.headers.get("accept-encoding", "")
        if encoding == "gzip" and "gzip" not in accepted:
            # Ranges are of the stored bytes, so there is none of these.
            request.headers.pop("range", None)
            del headers["Content-Encoding"]
            data = gzip.decompress(data)
        etag = f'"{found.etag}"'
        return content(
            request, len(data), etag, lambda a, b: data[a:b], headers
        )

    def _patch(self, request: Request, bucket: str, name: str) -> Answer:
        self._all.for_reading(bucket, name, {})
        self._all.check_writable(bucket, name, request.query)
        said = json.loads(request.body or b"{}")
        changed = self._all.say(bucket, name, said)
        return _described(request, bucket, name, changed)

    def _copy(self, request: Request, bucket: str, name: str) -> Answer:
        found = self._all.for_reading(bucket, name, {})
        match = _PATH.fullmatch(request.raw_path)
        if not match or not match["how"]:
            raise Refused(404, f"Not known here: POST {request.target}")
        source = bucket, name
        bucket, name = match["to"] or bucket, unquote(match["to_name"])
        self._all.check_writable(bucket, name, request.query)
        if match["how"] == "moveTo":
            del self._all.bucket(source[0])[source[1]]
        said = found.said | json.loads(request.body or b"{}")
        copy = self._all.put(bucket, name, found.data, said)
        if match["how"] != "rewriteTo":
            return _described(request, bucket, name, copy)
        return as_json(
            {
                "kind": "storage#rewriteResponse",
                "totalBytesRewritten": str(len(copy.data)),
                "objectSize": str(len(copy.data)),
                "done": True,
                "resource": copy.resource(bucket, name, _home(request)),
            }
        )

    # -------------------------------------------------------------- uploads

    def _upload(self, request: Request, bucket: str, name: str) -> Answer:
        self._all.bucket(bucket)
        kind = request.query.get("uploadType")
        if kind == "resumable":
            upload_id = str(self._all.new_number())
            self._uploads[upload_id] = (request, bytearray())
            where = f"{_home(request)}{request.raw_path}"
            where += f"?uploadType=resumable&upload_id={upload_id}"
            return Answer(200, {"Location": where})
        self._replace_if_told(request, bucket, name)
        headers, data, said = request.headers, request.body, b"{}"
        if kind == "multipart":
            (_, said), (headers, data) = _parts(request)
        described = {"contentType": headers.get("content-type")}
        described |= json.loads(said)
        return self._uploaded(request, name, data, described)

    def _resumed(self, request: Request, upload_id: str) -> Answer:
        """A piece of an upload; "bytes 0-9/*", "bytes 0-9/10", "bytes */10"."""
        if upload_id not in self._uploads:
            raise Refused(404, f"No upload {upload_id}; it may be finished.")
        begun, data = self._uploads[upload_id]
        sent = request.headers.get("content-range", "bytes 0-/")
        match = re.fullmatch(r"bytes (?:(\d+)-\d*|\*)/(\d*|\*)", sent)
        if not match:
            raise Refused(400, f"Content-Range: {sent}")
        if match[1] and int(match[1]) == len(data):
            data += request.body
        if match[2] == "*" or int(match[2] or 0) > len(data):
            have = {"Range": f"bytes=0-{len(data) - 1}"} if data else {}
            return Answer(308, have)
        del self._uploads[upload_id]
        said = json.loads(begun.body or b"{}")
        kind = begun.headers.get("x-upload-content-type")
        said = {"contentType": kind} | said
        return self._uploaded(begun, _subject(begun)[1], bytes(data), said)

    def _uploaded(
        self, request: Request, name: str, data: bytes, said: dict[str, Any]
    ) -> Answer:
        """Stores what came, if it came whole and is still wanted."""
        bucket = _subject(request)[0]
        self._all.check_writable(bucket, name, request.query)
        if "contentEncoding" in request.query:
            said = said | {"contentEncoding": request.query["contentEncoding"]}
        sums = Object(data, 0, 0, {}, "")
        for key, found in (("md5Hash", sums.md5), ("crc32c", sums.crc32c)):
            if said.get(key) not in (None, found):
                raise Refused(400, f"{key} is {found}, not {said[key]}.")
        made = self._all.put(bucket, name, data, said)
        return _described(request, bucket, name, made)

    # ------------------------------------------------- listings and buckets

    def _list(self, request: Request, bucket: str) -> Answer:
        page = self._all.listed(bucket, request.query, _home(request))
        return as_json(_only(page, request.query.get("fields", "*")))

    def _of_bucket(self, request: Request, bucket: str) -> Answer:
        if request.method == "POST":
            bucket = json.loads(request.body)["name"]
            self._all.create(bucket)
        elif not bucket:
            items = [_bucket_resource(name) for name in self._all.names()]
            return as_json({"kind": "storage#buckets", "items": items})
        elif request.method == "DELETE":
            self._all.remove(bucket)
            return Answer(204)
        self._all.bucket(bucket)
        return as_json(_bucket_resource(bucket))

    def _batch(self, request: Request) -> Answer:
        """Requests in the parts of one, answered in the parts of one."""
        text = ""
        for headers, body in _parts(request):
            lines = body.decode().splitlines()
            middle = lines.index("") if "" in lines else len(lines)
            method, target, *_ = lines[0].split(" ")
            inner = Request(
                method,
                re.sub(r"^https?://[^/]+", "", target),
                _headers(lines[1:middle]),
                "\n".join(lines[middle:]).strip().encode(),
            )
            answer = self.answer(inner)
            name = headers.get("content-id", "").strip("<>")
            text += (
                "--batch\r\nContent-Type: application/http\r\n"
                f"Content-ID: <response-{name}>\r\n\r\n"
                f"HTTP/1.1 {answer.status} -\r\n"
                "Content-Type: application/json; charset=UTF-8\r\n"
                f"Content-Length: {len(answer.body)}\r\n\r\n"
                f"{answer.body.decode()}\r\n"
            )
        kind = {"Content-Type": "multipart/mixed; boundary=batch"}
        return Answer(200, kind, f"{text}--batch--\r\n".encode())

    # -------------------------------------------------------------- control

    def control(self, request: Request) -> Answer:
        """/__control__/BUCKET/NAME, without ceremony."""
        _, bucket, name = f"{request.path}/".split("/", 2)
        name = name.removesuffix("/")
        if bucket not in self._all.names():
            self._all.create(bucket)
        objects = self._all.bucket(bucket)
        if request.method == "PUT" and name:
            said = dict(request.query)
            self._all.put(bucket, name, request.body, said)
        elif request.method == "DELETE":
            for known in [n for n in objects if n.startswith(name)]:
                del objects[known]
        elif not name:
            return as_json(sorted(objects))
        elif name not in objects:
            return Answer(404)
        return Answer(200, body=objects[name].data if name in objects else b"")


def _subject(request: Request) -> tuple[str, str]:
    """The bucket and the object that a request is about; "" for none."""
    path = request.raw_path
    match = _PATH.fullmatch(path) or _BROWSER_PATH.fullmatch(path)
    if not match:
        return "", ""
    name = unquote(match["name"] or "") or request.query.get("name", "")
    if not name and request.query.get("uploadType") == "multipart":
        name = json.loads(next(_parts(request))[1])["name"]
    elif not name and request.query.get("uploadType") == "resumable":
        name = json.loads(request.body or b"{}").get("name", "")
    return unquote(match["bucket"] or ""), name


def _home(request: Request) -> str:
    """Where the client found us."""
    return f"http://{request.headers.get('host', '')}"


def _headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.lower(): value.strip() for name, _, value in pairs}


def _parts(request: Request) -> Iterator[tuple[dict[str, str], bytes]]:
    """Headers and bodies of the parts of a multipart request."""
    match = re.search(
        r"boundary=(\"?)([^\";]+)\1", request.headers["content-type"]
    )
    if not match:
        raise Refused(400, "multipart without boundary")
    mark, body = f"--{match[2]}".encode(), request.body
    # Some clients end their lines properly, some do not.
    end = b"\r\n" if mark + b"\r\n" in body else b"\n"
    for part in (end + body).split(end + mark)[1:-1]:
        head, _, rest = part.removeprefix(end).partition(end + end)
        yield _headers(head.decode().splitlines()), rest


def _only(page: dict[str, Any], fields: str) -> dict[str, Any]:
    """The fields of a listing: "items(name,size),nextPageToken"; "*" is all."""
    wanted = dict(re.findall(r"(\w+|\*)(?:\(([^)]*)\))?", fields))
    if "*" in wanted:
        return page
    found = {key: value for key, value in page.items() if key in wanted}
    names = wanted.get("items", "").split(",")
    if names != [""] and "items" in found:
        found["items"] = [
            {name: item[name] for name in names if name in item}
            for item in found["items"]
        ]
    return found


def _described(
    request: Request, bucket: str, name: str, found: Object
) -> Answer:
    answer = as_json(found.resource(bucket, name, _home(request)))
    answer.headers["ETag"] = found.etag
    return answer


def _bucket_resource(name: str) -> dict[str, Any]:
    return {
        "kind": "storage#bucket",
        "id": name,
        "name": name,
        "location": "US",
        "storageClass": "STANDARD",
        "metageneration": "1",
        "etag": "1",
        "timeCreated": "2024-01-01T00:00:00.000Z",
    }
