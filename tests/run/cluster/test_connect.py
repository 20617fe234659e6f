"""Clusters that do not answer, and what a run says about them. The servers are real sockets."""

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from stilts import waiting
from stilts.errors import StiltsError
from stilts.run.cluster import connect
from stilts.run.cluster.connect import await_cluster, connected
from stilts.run.ray_private import signals_kept
from tests.servers import free_port


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line after 0.2 s, an end after 1 s, and no memory of earlier tests."""
    monkeypatch.setattr(waiting, "NOTICE_SECONDS", 0.2)
    monkeypatch.setattr(waiting, "INTERACTIVE_SECONDS", 1.0)
    monkeypatch.setattr(waiting, "_mode", waiting._Mode(interactive=True))
    monkeypatch.setattr(waiting, "_watcher", waiting._Watcher())
    monkeypatch.setattr(connect, "ATTEMPT_SECONDS", 0.4)
    monkeypatch.setattr(connect, "PAUSE_SECONDS", 0.1)


@pytest.fixture
def mute() -> Iterator[int]:
    """The port of a server that accepts connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_a_closed_port(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    address = form.format(free_port())
    began = time.monotonic()
    with pytest.raises(
        StiltsError, match=rf"{address} \(RAY_ADDRESS\) has not answered for 1 s \(Connection refused\)"
    ):
        await_cluster(address)
    assert time.monotonic() - began < 10
    assert f"waiting for the Ray cluster at {address} (RAY_ADDRESS) (Connection refused)" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_a_server_that_says_nothing(mute: int, form: str) -> None:
    # Ray replaces 127.0.0.1 by the machine's own address, on which this server does not listen.
    with pytest.raises(StiltsError, match=r"has not answered for 1 s .*`stilts doctor` checks the connection"):
        await_cluster(form.format(mute))


def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(StiltsError, match=r"nowhere\.invalid:6379.*has not answered"):
        await_cluster("nowhere.invalid:6379")


def test_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dashboard's port, for example, speaks HTTP/1."""
    with HTTPServer(("0.0.0.0", 0), BaseHTTPRequestHandler) as server:
        monkeypatch.setattr(BaseHTTPRequestHandler, "log_message", lambda *_: None)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        with pytest.raises(StiltsError, match=r"is not Ray's control service; .*dashboard"):
            await_cluster(f"ray://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_auto_without_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "bootstrap_address", lambda address: None)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(StiltsError, match=r"no Ray runs on this machine: start one"), connected():
        pass


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", "nonsense"])
def test_forms_that_ray_refuses(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with (
        pytest.raises(StiltsError, match=rf"cannot connect to the Ray cluster at {address} \(RAY_ADDRESS\)"),
        connected(),
    ):
        pass


def test_a_cluster_that_comes_late() -> None:
    """A server that answers an HTTP/2 connection as gRPC does, after half a second."""

    def answer(connection: socket.socket) -> None:
        with connection:
            assert connection.recv(1000).startswith(b"PRI * HTTP/2.0")
            connection.sendall(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"ray://127.0.0.1:{listener.getsockname()[1]}"

        def serve() -> None:
            time.sleep(0.5)
            listener.listen(8)
            answer(listener.accept()[0])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        await_cluster(address)
        thread.join(10)


def test_a_temporary_folder_that_is_too_long_for_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/tmp")
    assert connect._temporary_folder() is None
    monkeypatch.setenv("TMPDIR", "/tmp/" + "x" * 95)
    assert connect._temporary_folder() == "/tmp/ray"
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/" + "x" * 95)
    with pytest.raises(StiltsError, match=r"RAY_TMPDIR=.* is too long"):
        connect._temporary_folder()


def test_ray_does_not_replace_the_handler_of_sigterm() -> None:
    import signal

    from ray._private import utils

    def ours(number: int, frame: object) -> None: ...

    before = signal.signal(signal.SIGTERM, ours)
    try:
        with signals_kept():
            utils.set_sigterm_handler(lambda number, frame: None)
        assert signal.getsignal(signal.SIGTERM) is ours
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with signals_kept():
            utils.set_sigterm_handler(ours)
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)
