"""What is object storage's own: requests, orphans of killed writers, planted objects, threads and forks."""

import json
import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stilts.storage.bucket import store as objects
from stilts.storage.bucket.store import ObjectStore
from stilts.storage.lease import Lease
from stilts.storage.open import open_store
from stilts.storage.protocol import Corrupt
from tests.servers import HttpProxy, s3_uri
from tests.storage.conftest import elsewhere

STAGE = "stages/a-0123456789ab"


@pytest.fixture
def proxy(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpProxy]:
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "cache"))
    with HttpProxy(s3_endpoint) as made:
        yield made


@pytest.fixture
def store(proxy: HttpProxy) -> ObjectStore:
    made = open_store(s3_uri(proxy.endpoint, f"bucket/{uuid.uuid4().hex[:12]}"))
    assert isinstance(made, ObjectStore)
    return made


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"w" * 100_000)
    return folder


# --- requests ----------------------------------------------------------------------------------------------


def test_small_objects_take_one_request(proxy: HttpProxy, store: ObjectStore) -> None:
    """A read in two could see the size of one version and the bytes of the next."""
    store.write("a", b"x")
    store.read("a")
    store.read("b")
    store.create("c", b"x")
    assert [request.split()[0] for request in proxy.requests] == ["PUT", "GET", "GET", "PUT"]


def test_a_renewal_takes_two_requests(proxy: HttpProxy, store: ObjectStore) -> None:
    with Lease(store, STAGE) as lease:
        proxy.forget()
        assert lease._held()
        lease._write()
        assert len(proxy.requests) == 2
        proxy.forget()
    assert len(proxy.requests) <= 5, "a release looks, writes, and lists what came before"


def test_removing_leaves_no_markers(store: ObjectStore, tree: Path) -> None:
    store.put_tree(tree, "stages/a/weights")
    store.write("stages/a/record.json", b"{}")
    store.remove("stages/a")
    assert list(store.list(".")) == []
    assert store._below(None) == []


# --- orphans ----------------------------------------------------------------------------------------------


def test_what_a_killed_writer_left_is_not_seen_and_goes_once_it_is_old(
    store: ObjectStore, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(f"{STAGE}/weights.tree-0123456789ab/model.safetensors", b"half")
    assert list(store.list(STAGE)) == []
    store.put_tree(tree, f"{STAGE}/weights")
    assert len(store._below(STAGE)) == 4, "it may still be at work"
    monkeypatch.setattr(objects, "STALE_SECONDS", -1.0)
    assert list(store.orphans()) == [f"{STAGE}/weights.tree-0123456789ab"]
    manifest = store.put_tree(tree, f"{STAGE}/weights")
    assert len(store._below(STAGE)) == 3
    assert list(store.orphans()) == []
    assert store.has_tree(f"{STAGE}/weights", manifest)


def test_the_old_tree_goes_with_the_new_one(store: ObjectStore, tree: Path) -> None:
    for _ in range(3):
        store.put_tree(tree, "w")
    assert len(store._below(None)) == 3


# --- planted objects ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("tree", "../../other/w.tree-0123456789ab", "which is none that stilts made"),
        ("tree", "x.tree-0123456789ab", "which is none that stilts made"),
        ("tree", "w", "which is none that stilts made"),
        ("files", {"../../../etc/cron.d/x": {"bytes": 1, "sha256": "00"}}, "outside"),
        ("files", {"/etc/passwd": {"bytes": 1, "sha256": "00"}}, "outside"),
    ],
)
def test_an_object_that_leads_out_of_its_tree_is_refused(
    store: ObjectStore, tree: Path, tmp_path: Path, field: str, value: object, message: str
) -> None:
    manifest = store.put_tree(tree, "w")
    named = json.loads(store.read("w") or b"")
    store.write("w", json.dumps({**named, field: value}).encode())
    other = elsewhere(store, tmp_path)
    for attempt in (lambda: other.fetch_tree("w", manifest), lambda: other.obtain("w"), lambda: list(other.list("w"))):
        with pytest.raises(Corrupt, match=message):
            attempt()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"tree": 1, "single": 0, "files": {"a": 5}}', b"\x80\x04."]
)
def test_what_names_no_tree_is_none(store: ObjectStore, content: bytes) -> None:
    store.write("w", content)
    assert not store.has_tree("w", {"a": {"bytes": 1, "sha256": "00"}})
    with pytest.raises(Corrupt, match="missing"):
        store.obtain("w")


@pytest.mark.parametrize("name", ["a b", "ü-ไทย", "a%41", "a#b?c=d&e", "x@y+z", "[*]", "~`'\"|<>"])
def test_names_mean_the_same_to_both_libraries(store: ObjectStore, tmp_path: Path, name: str) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / name).write_text(name)
    manifest = store.put_tree(tmp_path / "made", f"trees/{name}")
    assert list(store.list("trees")) == [name]
    assert store.has_tree(f"trees/{name}", manifest)
    assert (store.fetch_tree(f"trees/{name}", manifest) / name).read_text() == name
    store.remove(f"trees/{name}")
    assert store._below(None) == []


# --- threads and processes ---------------------------------------------------------------------------------


def test_a_tree_is_sent_while_others_use_the_store(store: ObjectStore, tmp_path: Path) -> None:
    """Training uploads in the background, renews its lease, and writes records, all at once."""
    made = []
    for i in range(3):
        folder = tmp_path / f"tree-{i}"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(bytes([i]) * 3_000_000)
        made.append(folder)
    stop = threading.Event()

    def use() -> int:
        count = 0
        while not stop.is_set():
            store.write(f"record-{count % 5}", b"x" * 1000)
            assert store.read(f"record-{count % 5}") == b"x" * 1000
            count += 1
        return count

    with ThreadPoolExecutor(5) as pool:
        users = [pool.submit(use) for _ in range(2)]
        try:
            manifests = list(pool.map(lambda i: store.put_tree(made[i], f"w{i}"), range(3)))
            folders = list(pool.map(lambda i: store.fetch_tree(f"w{i % 3}", manifests[i % 3]), range(6)))
        finally:
            stop.set()
        assert all(user.result() > 0 for user in users)
    assert [(f / "model.safetensors").read_bytes()[0] for f in folders] == [0, 1, 2, 0, 1, 2]


def test_a_fork_is_told_rather_than_left_waiting(store: ObjectStore) -> None:
    store.write("a", b"x")
    child = os.fork()
    if child == 0:
        try:
            store.read("a")
        except RuntimeError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
