"""Servers on localhost that tests start: storage that speaks S3 or Google's protocol, and proxies that break things.

    with s3_server() as endpoint:                    # moto's server, a process of its own
        with TcpProxy(endpoint) as proxy:            # proxy.endpoint instead of the server's
            proxy.cut()                              # connections are reset, new ones refused
            proxy.stall()                            # they are accepted, and nothing comes back
            proxy.resume()
        with HttpProxy(endpoint) as proxy:           # acts on whole requests, by their number
            proxy.act = lambda number, method, path: "lose" if number == 3 else "pass"

Endpoints are `127.0.0.1:PORT`.
"""

import contextlib
import http.client
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}
"""Credentials that moto takes; tests put them into their environment."""

START_SECONDS = 120.0


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """moto's S3 server, empty; gives its endpoint."""
    with _started(lambda port: [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]) as endpoint:
        yield endpoint


@contextlib.contextmanager
def gcs_server() -> Iterator[str]:
    """A server of Google's storage protocol, with one bucket, `bucket`."""
    with _started(lambda port: [sys.executable, "-m", "tests.gcs", str(port)]) as endpoint:
        yield endpoint


def make_bucket(endpoint: str, name: str) -> None:
    """A new bucket of an S3 server."""
    _request(endpoint, "PUT", f"/{name}")


def s3_uri(endpoint: str, path: str) -> str:
    """URI of a store below `path` (bucket and prefix) on an S3 server."""
    return f"s3://{path}?region=us-east-1&endpoint_override={endpoint}&scheme=http"


def gs_uri(endpoint: str, path: str) -> str:
    """URI of a store below `path` (bucket and prefix) on a server of Google's protocol."""
    return f"gs://{path}?endpoint_override={endpoint}&scheme=http"


@contextlib.contextmanager
def _started(command: Callable[[int], list[str]]) -> Iterator[str]:
    port = free_port()
    path = os.pathsep.join(entry for entry in sys.path if entry)
    process = subprocess.Popen(
        command(port),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            assert process.poll() is None, f"{command(port)} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{command(port)} did not listen in time"
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _request(endpoint: str, method: str, path: str) -> None:
    connection = http.client.HTTPConnection(endpoint, timeout=30)
    connection.request(method, path)
    answer = connection.getresponse()
    assert answer.status < 300, answer.read()
    connection.close()


class TcpProxy:
    """Passes bytes to and fro; can reset what is open and refuse what comes, or hold everything."""

    def __init__(self, target: str) -> None:
        self.lead_to(target)
        self._port = free_port()
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._flowing = threading.Event()
        self._listener: socket.socket | None = None

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> "TcpProxy":
        self.resume()
        return self

    def __exit__(self, *error: object) -> None:
        self.cut()

    def cut(self) -> None:
        """Reset every connection and listen no more."""
        with self._guard:
            if self._listener is not None:
                # A listener that a thread waits for is only gone once it is shut down.
                with contextlib.suppress(OSError):
                    self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
                self._listener = None
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            self._open.clear()
        self._flowing.set()  # or the threads that hold would never end

    def lead_to(self, target: str) -> None:
        """Pass the connections that are opened from now on to another endpoint."""
        host, _, port = target.partition(":")
        self._target = (host, int(port))

    def stall(self) -> None:
        """Take connections and bytes, and pass nothing on."""
        self._flowing.clear()

    def resume(self) -> None:
        """Pass everything, what was held first."""
        self._flowing.set()
        with self._guard:
            if self._listener is not None:
                return
            self._listener = socket.socket()
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", self._port))
            self._listener.listen(128)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(self._target, timeout=30)
            except OSError:
                return
            with self._guard:
                if self._listener is not listener:
                    client.close()
                    server.close()
                    return
                self._open |= {client, server}
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        with client, server, contextlib.suppress(OSError, ValueError):
            while True:
                for one in select.select([client, server], [], [])[0]:
                    content = one.recv(1 << 16)
                    self._flowing.wait()
                    if not content:
                        return
                    other[one].sendall(content)
        with self._guard:
            self._open -= {client, server}


Act = Callable[[int, str, str], str]
"""Number of a request (from 1), its method and its path -> what to do with it."""


class HttpProxy:
    """Passes whole requests on, counts them, and does to each what `act` says.

    `pass`; `drop` (the server never gets it, the connection is closed); `lose` (the server does it, and the answer is
    lost); a number (that status is answered, the server does not get it); `freeze` (it is held, before the server gets
    it, until `thaw`); `freeze-after` (the server does it, and the answer is held).

    Attributes:
        requests: method and path of each request so far.
        frozen: set while a request is held.
    """

    def __init__(self, target: str) -> None:
        self.act: Act = lambda number, method, path: "pass"
        self.requests: list[str] = []
        self.frozen = threading.Event()
        self.thaw = threading.Event()
        self._guard = threading.Lock()
        self._server = _HttpServer(("127.0.0.1", 0), _forwarder(self, target))
        self.endpoint = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "HttpProxy":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.thaw.set()
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        """Count from one again."""
        with self._guard:
            self.requests.clear()

    def decide(self, method: str, path: str) -> str:
        """Count a request and say what is to be done with it."""
        with self._guard:
            self.requests.append(f"{method} {path}")
            return self.act(len(self.requests), method, path)

    def hold(self) -> None:
        self.frozen.set()
        self.thaw.wait()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed leave their connections behind; that is what these tests are about."""


def _forwarder(proxy: HttpProxy, target: str) -> type[BaseHTTPRequestHandler]:
    class Forwarder(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _forward(self) -> None:
            body = self._body()
            act = proxy.decide(self.command, self.path)
            if act == "freeze":
                proxy.hold()
            if act == "drop" or (act == "freeze" and self._left()):
                self.close_connection = True
            elif act.isdecimal():
                self._answer(int(act), [], b"<Error><Code>SlowDown</Code><Message>try again</Message></Error>")
            else:
                answer = self._ask(body)
                if act == "freeze-after":
                    proxy.hold()
                if act == "lose":
                    self.close_connection = True
                else:
                    self._answer(*answer)

        def _left(self) -> bool:
            """Whether the client is gone; what it had asked for must not happen after its death."""
            return bool(select.select([self.connection], [], [], 0)[0])

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("transfer-encoding", "expect")}
            headers["Content-Length"] = str(len(body))
            connection = http.client.HTTPConnection(target, timeout=60)
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer.status, answer.getheaders(), content

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            length = str(len(content))
            for name, value in headers:
                if name.lower() == "content-length" and self.command == "HEAD":
                    length = value
                elif name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = _forward  # noqa: N815

    return Forwarder
