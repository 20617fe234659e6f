"""Two drivers on one store: each passes over what the other trains, and none trains what the other has ended."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec
from stilts.ledger.record import stage_path, write_failure
from stilts.plan.job import StageJob
from stilts.run import leases as module
from stilts.run.leases import Leases, Pace
from stilts.run.tune_adapter.searcher import StageSearcher
from stilts.schedule.agenda import Agenda
from stilts.storage import lease as storage_lease
from stilts.storage.bucket.store import ObjectStore
from stilts.storage.cache import Cache
from stilts.storage.lease import Lease
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store
from stilts.storage.uri import parse_uri
from tests.servers import HttpProxy, s3_uri
from tests.waiting import wait_until

PARENTS = {"a": None, "b": None, "child-of-a": "a"}


def job(name: str, store: Store) -> StageJob:
    return StageJob(name, BaseSpec({"hub": name}), None, (), True, False, store.uri, Runtime())


class Driver:
    """A searcher on a store, as Tune would ask it."""

    def __init__(self, store: Store, parents: dict[str, str | None], places: int = 1) -> None:
        self.agenda = Agenda(parents)
        self.leases = Leases(store, [job(name, store) for name in parents])
        self.searcher = StageSearcher(self.agenda, lambda: places, leases=self.leases)

    def next(self, seconds: float = 5.0) -> str | None:
        """The stage that is offered within some seconds."""
        found: list[str] = []

        def offered() -> bool:
            answer = self.searcher.suggest(f"trial {time.monotonic()}")
            found.extend([answer["stage"]] if isinstance(answer, dict) else [])
            return bool(found)

        return found[0] if wait_until(offered, seconds) else None


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    # Quick looks, so that the test does not wait.
    monkeypatch.setattr(module.Pace, "of", classmethod(lambda cls, store: Pace(0.05, 0.05, 64, 2.0)))
    return LocalStore(tmp_path / "store")


@contextmanager
def held(store: Store, name: str) -> Iterator[Lease]:
    """The lease of another driver on a stage."""
    with Lease(store, stage_path(name)) as lease:
        yield lease


def passes_over_a(driver: Driver, seconds: float) -> None:
    """The driver trains the free stage, and offers nothing for some seconds while another one holds the lease of a."""
    assert driver.next() == "b"
    driver.searcher.on_trial_complete(*driver.searcher._stages, {"status": "done"})
    assert driver.next(seconds) is None


def test_a_leased_stage_is_passed_over_and_taken_when_its_lease_is_released(store: LocalStore) -> None:
    driver = Driver(store, PARENTS)
    with driver.leases:
        with held(store, "a"):
            passes_over_a(driver, 0.5)
            assert list(driver.agenda.leased) == ["a"]
            assert not driver.agenda.exhausted
        assert driver.next() == "a"


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_stage_that_fails_elsewhere_ends_here_too(store: LocalStore, status: str) -> None:
    write_failure(store, "a", {"status": "failed", "error": "in an earlier run", "time": 1.0})
    driver = Driver(store, PARENTS)
    with driver.leases:
        with held(store, "a"):
            passes_over_a(driver, 0.3)
            write_failure(store, "a", {"status": status, "error": "loss is NaN", "time": 2.0})
        assert wait_until(lambda: driver.searcher.suggest("x") == "FINISHED", 5)
    assert [driver.agenda.outcomes[name].status for name in PARENTS] == [status, "done", "not run"]
    assert driver.agenda.outcomes["a"].message == "loss is NaN"


def test_the_failure_of_an_earlier_attempt_does_not_end_a_stage(store: LocalStore) -> None:
    write_failure(store, "a", {"status": "failed", "error": "in an earlier run", "time": 1.0})
    driver = Driver(store, {"a": None})
    with driver.leases:
        with held(store, "a"):
            assert driver.next(0.3) is None
        assert driver.next() == "a"


def test_what_another_driver_has_done_is_not_trained_and_its_children_start(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: set[str] = set()
    monkeypatch.setattr(module, "lacking", lambda store, job, verify: None if job.name in done else job)
    driver = Driver(store, PARENTS)
    with driver.leases:
        with held(store, "a"):
            passes_over_a(driver, 0.3)
            done.add("a")
        assert driver.next() == "child-of-a"
    assert driver.agenda.outcomes["a"].status == "done"


def test_a_trial_that_came_too_late_counts_no_retry(store: LocalStore) -> None:
    driver = Driver(store, {"a": None, "b": None})
    with driver.leases:
        assert driver.next() == "a"
        with held(store, "a"):  # of a driver that took it at the same moment
            driver.searcher.on_trial_complete(
                *driver.searcher._stages, {"status": "leased", "error": "HOST (process 1)"}
            )
            assert driver.next() == "b"
    assert driver.agenda.outcomes["a"].lost == {}


def test_a_heartbeat_that_stands_still_is_ended_for_everybody(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_lease, "LEASE_SECONDS", 0.4)
    monkeypatch.setattr(storage_lease, "RENEW_SECONDS", 60.0)
    driver = Driver(store, {"a": None})
    silent = Lease(store, stage_path("a"))
    assert silent.acquire()
    with driver.leases:
        assert driver.next(0.2) is None
        assert driver.next() == "a"
        assert Lease(store, stage_path("a")).acquire(), "a trial, which has not watched, gets it at once"


def test_a_slow_store_does_not_hold_up_the_loop(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    monkeypatch.setattr(module.LeaseWatch, "holder", lambda self: go.wait(20) and None)
    driver = Driver(store, {"a": None})
    with driver.leases:
        begin = time.monotonic()
        assert driver.searcher.suggest("1") is None
        assert time.monotonic() - begin < 5
        go.set()
        assert driver.next() == "a"


def requests_an_hour(work: Callable[[], object], proxy: HttpProxy, seconds: float, scale: float) -> float:
    """Requests that happen during `work` and some seconds more, in an hour of a run whose times are `scale` as long."""
    proxy.forget()
    work()
    time.sleep(seconds)
    return len(proxy.requests) * 3600 / (seconds * scale)


def test_a_driver_at_rest_makes_few_requests(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scale = 60.0
    rest = Pace(100 / scale, 10 / scale, 1, 30.0)
    monkeypatch.setattr(module.Pace, "of", classmethod(lambda cls, store: rest))
    with HttpProxy(s3_endpoint) as proxy:
        store = ObjectStore(parse_uri(s3_uri(proxy.endpoint, f"bucket/{tmp_path.name}")), Cache(tmp_path / "cache"))
        names = [f"stage-{number}" for number in range(5)]
        others = [Lease(store, stage_path(name)) for name in names]
        assert all(lease.acquire() for lease in others)
        driver = Driver(store, dict.fromkeys(names), 8)
        with driver.leases:
            assert wait_until(lambda: driver.searcher.suggest("x") is None and len(driver.leases.who) == 5, 20)
            found = requests_an_hour(lambda: driver.searcher.suggest("x"), proxy, 9.0, scale)
    assert 0 < found <= 60, "120 less 60 for the heartbeats of its own lease"
