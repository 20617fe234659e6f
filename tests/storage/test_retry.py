"""Stores that are out of reach, slow, or refuse: what is repeated, what is said, and when."""

import random
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.exceptions import GenericError

from stilts.errors import StiltsError
from stilts.storage import retry
from stilts.storage.bucket import clients
from stilts.storage.open import open_store
from stilts.storage.protocol import Store, Unreachable
from tests.servers import HttpProxy, TcpProxy, s3_uri


@pytest.fixture
def proxy(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpProxy]:
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.02)
    with HttpProxy(s3_endpoint) as made:
        yield made


@pytest.fixture
def store(proxy: HttpProxy) -> Store:
    return open_store(s3_uri(proxy.endpoint, f"bucket/{uuid.uuid4().hex[:12]}"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    for name in "ab":
        (folder / name).write_bytes(name.encode() * 7_000_000)
    return folder


def _use_everything(store: Store, tree: Path) -> None:
    store.write("record.json", b"x")
    assert store.read("record.json") == b"x"
    assert store.create("claims/1.json", b"first")
    assert not store.create("claims/1.json", b"second")
    manifest = store.put_tree(tree, "w")
    assert store.has_tree("w", manifest)
    assert (store.fetch_tree("w", manifest) / "a").stat().st_size == 7_000_000
    assert list(store.list(".")) == ["claims", "record.json", "w"]
    store.remove("w")
    assert list(store.list(".")) == ["claims", "record.json"]


_SLOW = pytest.mark.slow


@pytest.mark.parametrize("trouble", ["503", "lose", *(pytest.param(t, marks=_SLOW) for t in ("500", "429", "drop"))])
def test_what_may_pass_is_repeated(proxy: HttpProxy, store: Store, tree: Path, trouble: str) -> None:
    """Two requests of five meet trouble; nobody who uses the store notices."""
    proxy.act = lambda number, method, path: trouble if random.Random(number).random() < 0.4 else "pass"
    _use_everything(store, tree)
    assert sum(random.Random(number).random() < 0.4 for number in range(1, len(proxy.requests))) > 5
    assert len(proxy.requests) > 20


def test_a_creation_whose_answer_was_lost_is_recognised(proxy: HttpProxy, store: Store) -> None:
    proxy.act = lambda number, method, path: "lose" if number == 1 else "pass"
    assert store.create("claims/1.json", b"mine")
    assert proxy.requests[0].startswith("PUT")
    assert not store.create("claims/1.json", b"mine")


def test_a_creation_that_another_one_won_meanwhile_is_lost(
    proxy: HttpProxy, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same content does not make it ours."""
    proxy.act = lambda number, method, path: "drop" if number == 1 else "pass"
    other = open_store(store.uri)
    monkeypatch.setattr(retry.time, "sleep", lambda seconds: other.create("claims/1.json", b"same"))
    assert not store.create("claims/1.json", b"same")


def test_a_store_that_stays_away_is_said_in_the_end(
    proxy: HttpProxy, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "RETRY_SECONDS", 1.0)
    proxy.act = lambda number, method, path: "503"
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"reading s3://bucket/.*/a: the store has not answered for .* run the same"):
        store.read("a")
    assert 0.3 < time.monotonic() - began < 20
    assert len(proxy.requests) > 3


def test_pauses_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    now = [0.0]
    monkeypatch.setattr(retry.time, "monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(retry.time, "sleep", sleep)

    def fail() -> None:
        raise GenericError("Generic S3 error: error sending request")

    with pytest.raises(Unreachable):
        retry.retried(fail, "reading", "s3://b")
    assert 200 < now[0] <= retry.RETRY_SECONDS
    assert 15 < len(pauses) < 40
    assert all(0.5 * retry.FIRST_PAUSE * 2**i <= pause for i, pause in enumerate(pauses[:6]))
    assert max(pauses) <= retry.LONGEST_PAUSE
    assert len(set(pauses)) == len(pauses)


def test_a_connection_that_is_cut_for_a_while(s3_endpoint: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store goes away in the middle of an upload, and comes back."""
    monkeypatch.setenv("STILTS_CACHE", str(tree.parent / "cache"))
    with TcpProxy(s3_endpoint) as proxy:
        store = open_store(s3_uri(proxy.endpoint, f"bucket/{uuid.uuid4().hex[:12]}"))
        store.write("a", b"x")
        for cut_after in (0.0, 0.05, 0.2):
            back = [threading.Timer(cut_after, proxy.cut), threading.Timer(cut_after + 1.0, proxy.resume)]
            for timer in back:
                timer.start()
            manifest = store.put_tree(tree, "w")
            for timer in back:
                timer.join()
            assert store.has_tree("w", manifest)
            assert store.read("a") == b"x"


def test_a_connection_that_stalls_is_given_up(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(clients, "REQUEST_SECONDS", 1)
    with TcpProxy(s3_endpoint) as proxy:
        store = open_store(s3_uri(proxy.endpoint, f"bucket/{uuid.uuid4().hex[:12]}"))
        store.write("a", b"x")
        proxy.stall()
        threading.Timer(2.5, proxy.resume).start()
        assert store.read("a") == b"x"


# --- what cannot succeed -----------------------------------------------------------------------------------


def test_a_bucket_that_is_not_there_is_said_at_once(
    s3_endpoint: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILTS_CACHE", str(tree.parent / "cache"))
    store = open_store(s3_uri(s3_endpoint, "no-such-bucket/x"))
    for attempt in (
        lambda: store.read("a"),
        lambda: store.write("a", b""),
        lambda: store.create("a", b""),
        lambda: list(store.list(".")),
        lambda: store.put_tree(tree, "w"),
    ):
        with pytest.raises(StiltsError, match=r"s3://no-such-bucket/x.*there is no such bucket; create it"):
            attempt()


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("Server returned non-2xx status code: 403 Forbidden: <Error><Code>AccessDenied", "may not do that"),
        ("<Error><Code>InvalidAccessKeyId</Code>", "credentials are refused"),
        ("<Error><Code>SignatureDoesNotMatch</Code>", "credentials are refused"),
        ("Server returned non-2xx status code: 301 Moved Permanently", "another region"),
    ],
)
def test_refusals_are_explained_at_once(text: str, advice: str) -> None:
    asked = []

    def ask() -> None:
        asked.append(1)
        raise GenericError(text)

    with pytest.raises(StiltsError, match=f"writing s3://b/a: .*{advice}"):
        retry.retried(ask, "writing s3://b/a", "s3://b")
    assert len(asked) == 1


@pytest.mark.parametrize(
    "text",
    ["status code: 503", "HTTP status 500", "GET http://h:4030/b in 301.518µs - status code: 404"],
)
def test_troubles_are_not_taken_for_refusals(text: str) -> None:
    assert retry.permanent(GenericError(text)) is None


def test_what_is_not_there_is_not_taken_for_a_refusal_by_its_name() -> None:
    assert retry.permanent(FileNotFoundError("stages/AccessDenied/record.json not found")) is None


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("<Code>ExpiredToken</Code>", "have expired"),
        ("PUT http://169.254.169.254/latest/api/token - status code: 403 Forbidden", "no credentials were found"),
    ],
)
def test_credentials_are_waited_for_a_while(text: str, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a role gets them anew every few hours, and not always at the first request."""
    now = [0.0]
    monkeypatch.setattr(retry.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(retry.time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    with pytest.raises(StiltsError, match=advice) as error:
        retry.retried(lambda: _raise(GenericError(text)), "reading", "s3://b")
    assert not isinstance(error.value, Unreachable)
    assert 10 < now[0] <= retry.CREDENTIALS_SECONDS


def test_a_mistake_of_the_program_is_not_repeated() -> None:
    with pytest.raises(ZeroDivisionError):
        retry.retried(lambda: 1 / 0, "reading", "s3://b")
    with pytest.raises(PermissionError):
        retry.retried(lambda: _raise(PermissionError(13, "of this machine's disk")), "reading", "s3://b")


def _raise(error: Exception) -> None:
    raise error
