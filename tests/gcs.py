"""A server of Google's storage protocol on localhost: `python -m tests.gcs PORT`; it has one bucket, `bucket`.

gcp-storage-emulator plays the JSON API, which pyarrow speaks. obstore speaks the XML API, of which the emulator lacks
what is here: listings, creation where nothing exists (`x-goog-if-generation-match: 0`), entity tags and times, metadata
and removal.
"""

import sys
import threading
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
from gcp_storage_emulator.server import RequestHandler, Router
from gcp_storage_emulator.storage import Storage

_JSON = ("/storage/", "/upload/", "/download/", "/batch/", "/b/")
_METADATA = "x-goog-meta-"

_turn = threading.Lock()
"""The emulator's tables are made for one request at a time."""


class _Memory(Storage):
    def _write_config_to_file(self) -> None:
        """Kept in memory: writing every table after every request takes longer than all the rest."""


class _Handler(RequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        path = urlsplit(self.path).path
        if path == "/" or path.startswith(_JSON):
            with _turn:
                Router(self).handle(self.command)
            return
        bucket, _, name = unquote(path[1:]).partition("/")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            with _turn:
                act = "list" if not name else self.command.lower()
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

    def _xml_get(self, bucket: str, name: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        content = self.storage.get_file(bucket, name, show_error=False)
        return HTTPStatus.OK, _headers(self.storage.get_file_obj(bucket, name)), content

    _xml_head = _xml_get

    def _xml_list(self, bucket: str, name: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        found, folders = self.storage.get_file_list(bucket, query.get("prefix"), query.get("delimiter"))
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
