"""Large files: what arrives, what a failure leaves, and what is repeated."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from stilts.storage import retry
from stilts.storage.bucket import transfer
from stilts.storage.bucket.store import ObjectStore
from stilts.storage.open import open_store
from stilts.storage.protocol import Corrupt
from tests.servers import HttpProxy, gs_uri, s3_uri
from tests.storage.conftest import elsewhere, tree_folder

Proxied = tuple[HttpProxy, ObjectStore]
SIZE = 2 * transfer.PART + 12_345
"""Three parts of an upload, two requests of a download."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "large").write_bytes(os.urandom(SIZE))
    (folder / "sub" / "part").write_bytes(os.urandom(transfer.PART))
    (folder / "empty").touch()
    return folder


@pytest.fixture
def proxied(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxied]:
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.02)
    with HttpProxy(s3_endpoint) as proxy:
        store = open_store(s3_uri(proxy.endpoint, f"bucket/{uuid.uuid4().hex[:12]}"))
        assert isinstance(store, ObjectStore)
        yield proxy, store


@pytest.mark.parametrize("backend", ["s3", "gcs"])
def test_every_byte_arrives(
    backend: str, tree: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = request.getfixturevalue(f"{backend}_endpoint")
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "cache"))
    uri = (s3_uri if backend == "s3" else gs_uri)(endpoint, f"bucket/{uuid.uuid4().hex[:12]}")
    store = open_store(uri)
    manifest = store.put_tree(tree, "w")
    found = elsewhere(store, tmp_path).fetch_tree("w", manifest)
    for name in ("large", "sub/part", "empty"):
        assert (found / name).read_bytes() == (tree / name).read_bytes()
    assert manifest["large"]["bytes"] == SIZE


def test_an_upload_that_fails_leaves_no_object(proxied: Proxied, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fails after the first part."""

    def half(reader: BinaryIO, part: int, update: object) -> object:
        yield reader.read(part)
        raise PermissionError(13, "the disk")

    proxy, store = proxied
    monkeypatch.setattr(transfer, "_hashed", half)
    with pytest.raises(PermissionError):
        store.put_tree(tree, "w")
    assert not [meta["path"] for meta in store._below(None) if meta["path"].endswith("/large")]
    assert any(request.startswith("DELETE") and "uploadId" in request for request in proxy.requests), "it is aborted"


def test_a_part_that_fails_is_sent_again_without_the_others(proxied: Proxied, tree: Path) -> None:
    proxy, store = proxied
    proxy.act = lambda number, method, path: "503" if "partNumber=2" in path and _nth(proxy, path) == 1 else "pass"
    manifest = store.put_tree(tree, "w")
    assert store.has_tree("w", manifest)
    assert [_nth(proxy, f"partNumber={number}&") for number in (1, 2, 3)] == [1, 2, 1]


def test_a_completion_whose_answer_was_lost_counts(proxied: Proxied, tree: Path) -> None:
    proxy, store = proxied
    lost = []

    def act(number: int, method: str, path: str) -> str:
        if method == "POST" and "uploadId=" in path and not lost:
            lost.append(path)
            return "lose"
        return "pass"

    proxy.act = act
    manifest = store.put_tree(tree, "w")
    assert lost
    assert store.has_tree("w", manifest)


def test_an_object_that_is_shorter_than_its_manifest_says_is_corrupt(
    proxied: Proxied, tree: Path, tmp_path: Path
) -> None:
    _, store = proxied
    manifest = store.put_tree(tree, "w")
    store.write(f"{tree_folder(store, 'w')}/large", b"short")
    with pytest.raises(Corrupt, match="large is not what was written"):
        elsewhere(store, tmp_path).fetch_tree("w", manifest)
    assert not store.has_tree("w", manifest)


def _nth(proxy: HttpProxy, part: str) -> int:
    return sum(part in request for request in proxy.requests)
