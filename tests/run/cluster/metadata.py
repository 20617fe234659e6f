"""A server on localhost that plays the metadata services of AWS and Google."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

ACTION, REBALANCE = "/latest/meta-data/spot/instance-action", "/latest/meta-data/events/recommendations/rebalance"
PREEMPTED = "/computeMetadata/v1/instance/preempted"


class Metadata:
    """What the services answer; change it at any time.

    Attributes:
        aws: path -> body, of what is announced.
        token_seconds: tokens run out after this time, whatever was asked for.
        preempted: of Google.
        broken: the status of every answer, while it is set.
        delay: seconds before every answer.
        asked: (method, path) of every request.
    """

    def __init__(self) -> None:
        self.clouds = {"aws", "gcp"}
        self.aws: dict[str, str] = {}
        self.token_seconds = 21600.0
        self.preempted = "FALSE"
        self.etags = True
        self.broken: int | None = None
        self.delay = 0.0
        self.asked: list[tuple[str, str]] = []
        self.tokens: dict[str, float] = {}

    @property
    def etag(self) -> str:
        return hashlib.sha256(self.preempted.encode()).hexdigest()[:16]


class _Handler(BaseHTTPRequestHandler):
    metadata: Metadata

    def do_PUT(self) -> None:
        if self._opened("aws") and self._path == "/latest/api/token":
            seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            if not seconds.isdecimal() or not 1 <= int(seconds) <= 21600:
                return self._answer(400)
            token = f"token-{len(self.metadata.tokens)}"
            self.metadata.tokens[token] = time.monotonic() + min(float(seconds), self.metadata.token_seconds)
            return self._answer(200, token)
        return self._answer(404)

    def do_GET(self) -> None:
        if self._opened("aws") and self._path.startswith("/latest/"):
            if self.metadata.tokens.get(self.headers.get("X-aws-ec2-metadata-token", ""), 0.0) < time.monotonic():
                return self._answer(401)
            body = self.metadata.aws.get(self._path)
            return self._answer(404) if body is None else self._answer(200, body)
        if "gcp" in self.metadata.clouds and self._path == PREEMPTED:
            if self.headers.get("Metadata-Flavor") != "Google":
                return self._answer(403)
            return self._google()
        return self._answer(404)

    def _google(self) -> None:
        """A long poll answers when the value is another one than that of the etag, or at the end of its time."""
        asked = {name: values[0] for name, values in parse_qs(urlparse(self.path).query).items()}
        last = asked.get("last_etag", self.metadata.etag)
        until = time.monotonic() + (float(asked.get("timeout_sec", 3600)) if "wait_for_change" in asked else 0.0)
        while time.monotonic() < until and self.metadata.etag == last and self.metadata.broken is None:
            time.sleep(0.05)
        headers = {"Metadata-Flavor": "Google"} | ({"ETag": self.metadata.etag} if self.metadata.etags else {})
        self._answer(200, self.metadata.preempted, headers)

    def _opened(self, cloud: str) -> bool:
        self.metadata.asked.append((self.command, self._path))
        time.sleep(self.metadata.delay)
        return cloud in self.metadata.clouds

    @property
    def _path(self) -> str:
        return urlparse(self.path).path

    def _answer(self, status: int, body: str = "", headers: dict[str, str] | None = None) -> None:
        self.send_response(self.metadata.broken or status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def serving(port: int = 0) -> Iterator[tuple[Metadata, str]]:
    """What is answered, and the address `127.0.0.1:PORT`."""
    metadata = Metadata()
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"metadata": metadata}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield metadata, f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
