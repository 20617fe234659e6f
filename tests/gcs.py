"""A server of Google's storage protocol on localhost: `python -m tests.gcs PORT`; it has one bucket, `bucket`.

gcp-storage-emulator keeps the objects. It has the JSON API only; obstore uses the XML API, which is here: listings,
creation only if nothing exists (`x-goog-if-generation-match: 0`), uploads in parts, ranges, entity tags and times,
metadata and removal.
"""

import hashlib
import re
import sys
import threading
import uuid
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import buckets, objects
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage

_METADATA = "x-goog-meta-"

_turn = threading.Lock()
"""The emulator's tables are made for one request at a time."""


class _Memory(Storage):
    def _write_config_to_file(self) -> None:
        """Kept in memory: writing every table after every request takes longer than all the rest."""


_uploads: dict[str, dict[int, bytes]] = {}
"""Parts of each upload by their numbers."""


class _Handler(RequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        url = urlsplit(self.path)
        bucket, _, name = unquote(url.path[1:]).partition("/")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.query = {key: values[0] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        try:
            with _turn:
                upload = "upload_" if {"uploads", "uploadId"} & self.query.keys() else ""
                act = "list" if not name else upload + self.command.lower()
                status, headers, content = getattr(self, f"_xml_{act}")(bucket, name, body)
        except NotFound:
            code = "NoSuchKey" if bucket in self.storage.buckets else "NoSuchBucket"
            status, headers, content = HTTPStatus.NOT_FOUND, {}, f"<Error><Code>{code}</Code></Error>".encode()
        self._send(status, headers, content)

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = _handle  # noqa: N815

    def _xml_put(self, bucket: str, name: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if bucket not in self.storage.buckets:
            raise NotFound
        there = name in self.storage.objects.get(bucket, {})
        if there and self.headers.get("x-goog-if-generation-match") == "0":
            return HTTPStatus.PRECONDITION_FAILED, {}, b"<Error><Code>PreconditionFailed</Code></Error>"
        given = {key.lower(): value for key, value in self.headers.items()}
        metadata = {key.removeprefix(_METADATA): given[key] for key in given if key.startswith(_METADATA)}
        resource = objects._make_object_resource(
            "http://localhost", bucket, name, "application/octet-stream", str(len(body)), {"metadata": metadata}
        )
        self.storage.create_file(bucket, name, body, objects._checksums(body, resource))
        return HTTPStatus.OK, _headers(resource), b""

    def _xml_upload_post(self, bucket: str, name: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Begin an upload in parts, or complete it."""
        if "uploads" in self.query:
            if bucket not in self.storage.buckets:
                raise NotFound
            _uploads[upload := uuid.uuid4().hex] = {}
            content = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            return HTTPStatus.OK, {}, content.encode()
        parts = self._parts()
        _, headers, _ = self._xml_put(bucket, name, b"".join(parts[number] for number in sorted(parts)))
        del _uploads[self.query["uploadId"]]
        etag = escape(headers["ETag"])
        content = f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
        return HTTPStatus.OK, headers, content.encode()

    def _xml_upload_put(self, bucket: str, name: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self._parts()[int(self.query["partNumber"])] = body
        return HTTPStatus.OK, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}, b""

    def _xml_upload_delete(self, bucket: str, name: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self._parts()
        del _uploads[self.query["uploadId"]]
        return HTTPStatus.NO_CONTENT, {}, b""

    def _parts(self) -> dict[int, bytes]:
        try:
            return _uploads[self.query["uploadId"]]
        except KeyError:
            raise NotFound from None

    def _xml_get(self, bucket: str, name: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        content = self.storage.get_file(bucket, name, show_error=False)
        headers = _headers(self.storage.get_file_obj(bucket, name))
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked is None:
            return HTTPStatus.OK, headers, content
        first, last = int(asked[1]), min(int(asked[2]), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return HTTPStatus.PARTIAL_CONTENT, headers, content[first : last + 1]

    _xml_head = _xml_get

    def _xml_list(self, bucket: str, name: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        found, folders = self.storage.get_file_list(bucket, self.query.get("prefix"), self.query.get("delimiter"))
        parts = [f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in folders]
        for one in found:
            parts.append(
                f"<Contents><Key>{escape(one['name'])}</Key><LastModified>{one['updated']}</LastModified>"
                f"<ETag>{escape(one['etag'])}</ETag><Size>{one['size']}</Size></Contents>"
            )
        content = f"<ListBucketResult>{''.join(parts)}<IsTruncated>false</IsTruncated></ListBucketResult>"
        return HTTPStatus.OK, {"Content-Type": "application/xml"}, content.encode()

    def _xml_delete(self, bucket: str, name: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.storage._hard_delete_file(bucket, name)
        return HTTPStatus.NO_CONTENT, {}, b""

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _headers(resource: dict[str, Any]) -> dict[str, str]:
    updated = datetime.fromisoformat(resource["updated"])
    metadata = {f"{_METADATA}{key}": value for key, value in (resource.get("metadata") or {}).items()}
    return {
        "ETag": f'"{resource["etag"]}"',
        "Last-Modified": format_datetime(updated, usegmt=True),
        "x-goog-generation": resource["generation"],
        **metadata,
    }


def main(port: int) -> None:
    storage = _Memory(use_memory_fs=True)
    buckets.create_bucket("bucket", storage)
    ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, storage)).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
