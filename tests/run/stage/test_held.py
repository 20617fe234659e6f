"""The lease of a stage, as a trial and a run in the foreground take it."""

import threading
from pathlib import Path

import pytest

from stilts.ledger.record import stage_path
from stilts.run.stage.ending import LEASED, describe
from stilts.run.stage.stage import Leased, _held
from stilts.storage.lease import Lease
from stilts.storage.local import LocalStore
from stilts.train.ranks import Ranks


def test_a_trial_gives_a_leased_stage_back_at_once(tmp_path: Path, ranks: Ranks) -> None:
    store, path = LocalStore(tmp_path), stage_path("a")
    with Lease(store, path) as other:
        with pytest.raises(Leased, match=r"\(process \d+\)") as caught, _held(Lease(store, path), ranks, wait=False):
            pytest.fail("it must not begin")
        assert describe(caught.value)["status"] == LEASED
        assert not other.lost
    with _held(Lease(store, path), ranks, wait=False) as nothing:
        assert nothing is None


def test_the_foreground_waits_for_the_lease(tmp_path: Path, ranks: Ranks) -> None:
    store, path = LocalStore(tmp_path), stage_path("a")
    other, asked = Lease(store, path), threading.Event()
    assert other.acquire()
    threading.Thread(target=lambda: asked.wait(20) and other.__exit__(None, None, None), daemon=True).start()
    lease = Lease(store, path, lambda who: asked.set())
    with _held(lease, ranks, wait=True):
        assert lease.attempt == 2
    assert asked.is_set()
