"""The state of a stage that somebody trains, or trained until they fell silent."""

import json
import time
from pathlib import Path

import pytest

from stilts.ledger.record import stage_path, write_failure
from stilts.ledger.status import _unfinished
from stilts.storage.lease import Lease
from stilts.storage.local import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def heard(store: LocalStore, seconds: float) -> None:
    """Let the last heartbeat of the stage's lease, by a machine elsewhere, be so many seconds ago."""
    path = f"{stage_path('a')}/claims/1.json"
    lease = json.loads(store.read(path) or b"")
    store.write(path, json.dumps({**lease, "host": "elsewhere", "renewed": time.time() - seconds}).encode())


def test_a_stage_whose_holder_is_silent_waits(store: LocalStore) -> None:
    assert _unfinished(store, "a") == {"state": "waiting", "detail": ""}
    lease = Lease(store, stage_path("a"))
    assert lease.acquire()
    assert _unfinished(store, "a")["state"] == "running"
    heard(store, 5.0)
    found = _unfinished(store, "a")
    assert found["state"] == "running"
    assert found["detail"].startswith("elsewhere (process ")
    heard(store, 2400.0)
    found = _unfinished(store, "a")
    assert found["state"] == "waiting"
    assert found["detail"].startswith("elsewhere (process ")
    assert found["detail"].endswith("was last heard of 40 min 0 s ago")


@pytest.mark.parametrize("content", [b"{}", b"[]", b"null", b"", b"{", b'{"released": false, "renewed": "now"}'])
def test_a_damaged_lease_is_none(store: LocalStore, content: bytes) -> None:
    store.write(f"{stage_path('a')}/claims/1.json", content)
    assert _unfinished(store, "a") == {"state": "waiting", "detail": ""}
    with Lease(store, stage_path("a")) as lease:
        assert lease.attempt == 2


def test_the_reason_of_a_failure_is_shown(store: LocalStore) -> None:
    write_failure(store, "a", {"status": "failed", "error": "bad data", "time": 1.0})
    assert _unfinished(store, "a") == {"state": "failed", "detail": "bad data"}
