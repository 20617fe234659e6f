"""The backends over which the store's contract is run. A new backend is one entry here."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stilts.storage.bucket.store import ObjectStore
from stilts.storage.cache import Cache
from stilts.storage.local import LocalStore
from stilts.storage.open import open_store
from stilts.storage.protocol import Store
from tests.servers import gcs_server, gs_uri, s3_uri

BACKENDS = ("local", "shared", "s3", "gcs")

_LONG = {
    "test_a_kill_at_any_moment_leaves_nothing_partial": ("shared", "s3", "gcs"),
    "test_create_has_exactly_one_winner": ("shared", "gcs"),
}
"""Tests that take many seconds over these backends: on request."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The contract runs over every backend; what is built on it, and long, over some, unless all is asked for."""
    for item in items:
        backend = getattr(item, "callspec", None) and item.callspec.params.get("store")
        above = bool({"storage", "ledger"} & set(item.path.parts)) and item.path.name != "test_contract.py"
        if (above and backend in ("shared", "gcs")) or backend in _LONG.get(getattr(item, "originalname", ""), ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def gcs_endpoint() -> Iterator[str]:
    with gcs_server() as endpoint:
        yield endpoint


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "cache"))
    if request.param == "local":
        return open_store(str(tmp_path / "store"))
    if request.param == "shared":
        return open_store(f"file://{tmp_path}/shared/store")
    make, endpoint = (s3_uri, "s3_endpoint") if request.param == "s3" else (gs_uri, "gcs_endpoint")
    return open_store(make(request.getfixturevalue(endpoint), f"bucket/{uuid.uuid4().hex[:12]}/runs"))


def change(store: Store, path: str, name: str, damage: Callable[[Path], object], tmp_path: Path) -> Store:
    """Damage a file of a stored tree where it lies; the store as another machine opens it, without copies."""
    if isinstance(store, LocalStore):
        damage(store.root / path / name)
        return store
    assert isinstance(store, ObjectStore)
    place = f"{tree_folder(store, path)}/{name}"
    file = tmp_path / "damaged"
    file.write_bytes(store.read(place) or b"")
    damage(file)
    if file.exists():
        store.write(place, file.read_bytes())
    else:
        store.remove(place)
    return elsewhere(store, tmp_path)


def tree_folder(store: Store, path: str) -> str:
    """Where the files of a tree lie."""
    if isinstance(store, LocalStore):
        return path
    return str(Path(path).parent / json.loads(store.read(path) or b"")["tree"])


def elsewhere(store: Store, tmp_path: Path) -> Store:
    """The store as another machine opens it: with an empty cache."""
    if isinstance(store, ObjectStore):
        return ObjectStore(store.location, Cache(tmp_path / f"cache-{uuid.uuid4().hex[:8]}"))
    return open_store(store.uri)
