"""Leases under fire: killed and paused holders, races, clocks that run out."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from stilts.errors import StiltsError
from stilts.storage import lease as leases
from stilts.storage.lease import Lease, LeaseLost, LeaseWatch, holder, sighting
from stilts.storage.protocol import Store, Unreachable

STAGE = "stages/a-0123456789ab"


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.6)
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(leases, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(leases, "BUCKET_FACTOR", 1.0)
    monkeypatch.setattr(leases, "BUCKET_RENEW_FACTOR", 1.0)


_HOLDER = """
import sys, time
from stilts.storage import lease as leases
from stilts.storage.open import open_store
leases.LEASE_SECONDS, leases.RENEW_SECONDS = float(sys.argv[2]), float(sys.argv[3])
leases.BUCKET_FACTOR = leases.BUCKET_RENEW_FACTOR = 1.0
store = open_store(sys.argv[1])
with leases.Lease(store, sys.argv[4], lambda who: print("waiting", flush=True)) as lease:
    print("held", lease.attempt, flush=True)
    for line in sys.stdin:
        if line == "release\\n":
            break
        try:
            lease.check()
            print("mine", flush=True)
        except leases.LeaseLost:
            print("lost", flush=True)
print("released", flush=True)
"""


class Other:
    """Another process that leases the stage."""

    def __init__(self, store: Store, lease: float = 60.0, renew: float = 0.1) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, store.uri, str(lease), str(renew), STAGE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.read()

    def send(self, number: int) -> None:
        self.process.send_signal(number)


@pytest.fixture
def other(store: Store) -> Iterator[Callable[..., Other]]:
    made: list[Other] = []

    def make(**settings: float) -> Other:
        made.append(Other(store, **settings))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.communicate()


def _held(store: Store) -> bool:
    return holder(store, STAGE) is not None


def test_a_lease_holds_and_releases(store: Store) -> None:
    assert not _held(store)
    with Lease(store, STAGE) as lease:
        lease.check()
        assert lease.attempt == 1
        assert holder(store, STAGE) == f"{leases.socket.gethostname()} (process {os.getpid()})"
    assert not _held(store)


def test_attempts_are_counted_and_earlier_leases_are_removed(store: Store) -> None:
    for attempt in range(1, 4):
        with Lease(store, STAGE) as lease:
            assert lease.attempt == attempt
    assert list(store.list(f"{STAGE}/claims")) == ["3.json"]


def test_an_error_releases(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), Lease(store, STAGE):
        raise ZeroDivisionError
    assert not _held(store)


def test_the_second_waits_for_the_first(store: Store, other: Callable[..., Other]) -> None:
    first = other()
    assert first.read() == "held 1"
    second = other()
    assert second.read() == "waiting"
    assert first.ask("check") == "mine"
    assert first.ask("release") == "released"
    while (said := second.read()) == "waiting":
        pass
    assert said == "held 2"


def test_one_of_many_wins_and_all_get_their_turn(store: Store, other: Callable[..., Other]) -> None:
    racers = [other() for _ in range(3)]
    assert sum(racer.read().startswith("held") for racer in racers) == 1


def test_a_killed_holder_is_followed_at_once_on_the_same_machine(
    store: Store, other: Callable[..., Other], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = other()
    assert first.read() == "held 1"
    first.send(signal.SIGKILL)
    first.process.wait()
    pauses: list[float] = []
    monkeypatch.setattr(leases.time, "sleep", pauses.append)
    with Lease(store, STAGE) as lease:
        assert pauses == []
        assert lease.attempt == 2


def test_a_killed_holder_that_nobody_reaped_is_dead_too(store: Store, other: Callable[..., Other]) -> None:
    first = other()
    assert first.read() == "held 1"
    first.send(signal.SIGKILL)  # a zombie until it is waited for
    time.sleep(0.1)
    assert not _held(store)


@pytest.mark.usefixtures("fast")
def test_a_paused_holder_loses_and_does_not_rise_again(store: Store, other: Callable[..., Other]) -> None:
    first = other(lease=0.6)
    assert first.read() == "held 1"
    first.send(signal.SIGSTOP)
    with Lease(store, STAGE) as second:
        assert second.attempt == 2
        first.send(signal.SIGCONT)
        assert first.ask("check") == "lost"
        time.sleep(0.3)
        second.check()
        assert first.ask("release") == "released"
        second.check()
        assert _held(store)
    assert not _held(store)


@pytest.mark.usefixtures("fast")
def test_a_paused_holder_stays_lost_after_its_successor_is_done(store: Store, other: Callable[..., Other]) -> None:
    """Were numbers given again, the paused one would take the third attempt's lease for its own."""
    first = other(lease=0.6)
    assert first.read() == "held 1"
    first.send(signal.SIGSTOP)
    with Lease(store, STAGE):
        pass
    with Lease(store, STAGE) as third:
        assert third.attempt == 3
        first.send(signal.SIGCONT)
        assert first.ask("check") == "lost"
        third.check()


def test_a_heartbeat_after_the_takeover_changes_nothing(store: Store) -> None:
    """The paused holder had looked before the takeover and writes after it, even after the successor's release."""
    paused = Lease(store, STAGE)
    assert paused._try()
    store.create(f"{STAGE}/claims/2.json", leases._content(released=True))
    paused._write()
    assert not _held(store)
    with pytest.raises(LeaseLost, match="attempt 1 was declared dead"):
        paused.check()


def test_a_late_lease_below_the_highest_does_not_hold(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It listed 1, slept, and meanwhile 2 came and went, was cleared away, and 3 is at work."""
    listings = iter([[1]])
    real = leases._attempts
    store.create(f"{STAGE}/claims/3.json", leases._content())
    late = Lease(store, STAGE)
    monkeypatch.setattr(leases, "_attempts", lambda *a: next(listings, None) or real(*a))
    assert not late._try()


@pytest.mark.usefixtures("fast")
def test_renewal_outlasts_the_lease_and_a_store_out_of_reach(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, failures = type(store).replace, iter([StiltsError("full"), OSError("gone")])

    def failing(self: Store, path: str, content: bytes, version: str) -> str | None:
        error = next(failures, None)
        if error:
            raise error
        return replace(self, path, content, version)

    with Lease(store, STAGE) as lease:
        monkeypatch.setattr(type(store), "replace", failing)
        time.sleep(1.2)
        assert lease._thread.is_alive()
        assert _held(store)
        lease.check()


@pytest.mark.usefixtures("fast")
def test_a_holder_that_could_not_renew_makes_sure_before_it_continues(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off from the store for longer than the lease, with nobody else interested; and with somebody."""
    reachable = threading.Event()
    reachable.set()
    replace, listed = type(store).replace, type(store).list

    def replacing(self: Store, path: str, content: bytes, version: str) -> str | None:
        if not reachable.is_set():
            raise Unreachable("away")
        return replace(self, path, content, version)

    def listing(self: Store, folder: str) -> Iterator[str]:
        if not reachable.is_set():
            raise Unreachable("away")
        return listed(self, folder)

    with Lease(store, STAGE) as lease:
        with monkeypatch.context() as broken:
            broken.setattr(type(store), "replace", replacing)
            broken.setattr(type(store), "list", listing)
            reachable.clear()
            lease.confirm()  # the lease still runs
            time.sleep(0.8)
            assert lease.lapsed
            began = time.monotonic()
            threading.Timer(0.5, reachable.set).start()
            lease.confirm()
            assert time.monotonic() - began > 0.3
            assert not lease.lapsed
        store.write(f"{STAGE}/claims/1.json", leases._content(released=True, id="successor", taken=True))
        store.create(f"{STAGE}/claims/2.json", leases._content())
        time.sleep(0.8)
        with pytest.raises(LeaseLost):
            lease.confirm()


@pytest.mark.usefixtures("fast")
def test_an_error_after_the_lease_was_lost_is_that_loss(store: Store) -> None:
    """Its successor has replaced the files that it was about to read."""

    def work() -> None:
        with Lease(store, STAGE):
            store.create(f"{STAGE}/claims/2.json", leases._content())
            raise FileNotFoundError("weights")

    with pytest.raises(LeaseLost) as raised:
        work()
    assert isinstance(raised.value.__cause__, FileNotFoundError)


def _elsewhere(renewed: float, **more: object) -> bytes:
    """A lease of another machine, whose clock shows `renewed`."""
    gone = {"host": "elsewhere", "boot": "b", "pid": 2**22 + 1, "started": "1", "released": False, "id": "x"}
    return json.dumps({**gone, "renewed": renewed, **more}).encode()


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("ahead", [-3600.0, 0.0, 3600.0])
def test_a_lease_is_taken_over_when_its_heartbeat_stands_still(store: Store, ahead: float) -> None:
    """Whatever the clock of its machine says, in its past or in its future."""
    store.write(f"{STAGE}/claims/1.json", _elsewhere(time.time() + ahead))
    lease, began = Lease(store, STAGE), time.monotonic()
    with lease:
        assert 0.6 < time.monotonic() - began < 5
        assert lease.attempt == 2


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_a_beating_lease_is_never_taken_over(store: Store, ahead: float) -> None:
    """The holder's clock is an hour apart, and its heartbeat goes on for several lengths of a lease."""
    lease = Lease(store, STAGE)
    for beat in range(16):
        store.write(f"{STAGE}/claims/1.json", _elsewhere(time.time() + ahead, beat=beat))
        assert not lease.acquire()
        time.sleep(0.15)


@pytest.fixture
def awake(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of who waits, which the test sets."""
    clock = [1000.0]
    monkeypatch.setattr(leases, "_awake", lambda: clock[0])
    return clock


def test_the_time_of_a_slow_answer_does_not_count(
    store: Store, awake: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server of the store stood still, for the holder, too; or the process that waits was paused."""
    period = leases.Periods.of(store).lease
    store.write(f"{STAGE}/claims/1.json", _elsewhere(0.0))
    read, delays = type(store).read_version, iter([2 * period, 0.0, 2 * period])

    def slow(self: Store, path: str) -> tuple[bytes, str] | None:
        awake[0] += next(delays, 0.0)
        return read(self, path)

    monkeypatch.setattr(type(store), "read_version", slow)
    watch = LeaseWatch(store, STAGE)
    for _ in range(4):
        assert watch.holder() is not None
        awake[0] += 1.0
    awake[0] += period
    assert watch.holder() is None


def test_after_an_outage_the_wait_begins_anew(
    store: Store, awake: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder could not renew its lease either, and is about to."""
    period = leases.Periods.of(store).lease
    store.write(f"{STAGE}/claims/1.json", _elsewhere(0.0))
    watch = LeaseWatch(store, STAGE)
    assert watch.holder() is not None
    with monkeypatch.context() as away:

        def fail(self: Store, path: str) -> tuple[bytes, str] | None:
            raise Unreachable("away")

        away.setattr(type(store), "read_version", fail)
        awake[0] += 2 * period
        with pytest.raises(Unreachable):
            watch.holder()
    assert watch.holder() is not None
    awake[0] += period + 1
    assert watch.holder() is None


def test_a_machine_that_slept_takes_nothing_over_from_itself(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two drivers on a laptop: neither could renew its lease while it slept."""
    with Lease(store, STAGE) as lease:
        watch = LeaseWatch(store, STAGE)
        assert watch.holder() is not None
        now = leases._now
        monkeypatch.setattr(leases, "_now", lambda: now() + 3600)
        assert lease.lapsed, "the holder makes sure before it continues"
        assert watch.holder() is not None
        lease.confirm()
        assert not lease.lapsed


@pytest.mark.parametrize("look", [1.0, 60.0])
def test_a_short_wait_is_short_in_a_bucket_too(monkeypatch: pytest.MonkeyPatch, store: Store, look: float) -> None:
    pauses: list[float] = []
    lease = Lease(store, STAGE)
    lease.periods = leases.Periods(360.0, 60.0, look)
    with Lease(store, STAGE) as held:

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 8:
                held._write(released=True)

        monkeypatch.setattr(leases.time, "sleep", sleep)
        with lease:
            pass
    assert pauses == [min(2.0**i, look) for i in range(8)]


@pytest.mark.usefixtures("fast")
def test_a_holder_that_comes_back_in_time_keeps_its_lease(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its heartbeat arrives after the other one has decided, and before that one has marked it as taken."""
    store.write(f"{STAGE}/claims/1.json", _elsewhere(0.0))
    lease = Lease(store, STAGE)
    assert not lease.acquire()
    time.sleep(0.8)
    replace = type(store).replace

    def late(self: Store, path: str, content: bytes, version: str) -> str | None:
        store.write(path, _elsewhere(1.0))
        return replace(self, path, content, version)

    with monkeypatch.context() as racing:
        racing.setattr(type(store), "replace", late)
        assert not lease.acquire()
    assert list(store.list(f"{STAGE}/claims")) == ["1.json"]
    assert not lease.acquire()  # it watches the new heartbeat from the beginning


def test_a_lease_that_was_marked_is_lost_and_free(store: Store) -> None:
    """Who took it over died before it could create its own."""
    with Lease(store, STAGE) as lease:
        store.write(f"{STAGE}/claims/1.json", leases._content(released=True, id="other", taken=True))
        assert not lease._write()
        with Lease(store, STAGE) as other:
            assert other.attempt == 2
        with pytest.raises(LeaseLost):
            lease.check()


def test_a_heartbeat_whose_answer_was_lost_is_no_loss(store: Store) -> None:
    with Lease(store, STAGE) as lease:
        version = lease._version
        assert lease._write()
        lease._version = version  # as if the answer had not arrived
        assert lease._write()
        lease.check()


def test_one_look_says_who_and_how_long_ago(store: Store) -> None:
    store.write(f"{STAGE}/claims/1.json", _elsewhere(time.time() - 50))
    assert holder(store, STAGE) == f"elsewhere (process {2**22 + 1})"
    store.write(f"{STAGE}/claims/1.json", _elsewhere(time.time() - 3600))
    found = sighting(store, STAGE)
    assert found is not None
    assert found.silent
    assert found.age == pytest.approx(3600, abs=60)
    store.write(f"{STAGE}/claims/1.json", _elsewhere(time.time() - 90000))
    assert sighting(store, STAGE) is None


def test_a_reused_process_id_is_not_the_holder(store: Store) -> None:
    content = json.loads(leases._content())
    store.write(f"{STAGE}/claims/1.json", json.dumps({**content, "started": "1"}).encode())
    assert not _held(store)


def test_another_users_process_is_taken_for_alive(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(pid: int, number: int) -> None:
        raise PermissionError

    content = json.loads(leases._content())
    store.write(f"{STAGE}/claims/1.json", json.dumps({**content, "started": ""}).encode())
    monkeypatch.setattr(os, "kill", forbid)
    assert _held(store)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_lease_that_the_disk_lost_is_over(store: Store, content: bytes) -> None:
    store.write(f"{STAGE}/claims/4.json", content)
    with Lease(store, STAGE) as lease:
        assert lease.attempt == 5


def test_files_of_others_among_the_leases_are_passed_over(store: Store) -> None:
    for name in (".nfs0000000000012345", "readme.txt", "x.json"):
        store.write(f"{STAGE}/claims/{name}", b"")
    with Lease(store, STAGE) as lease:
        assert lease.attempt == 1


def test_a_release_that_fails_is_not_an_error_of_the_stage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Store, path: str, content: bytes, version: str) -> None:
        raise StiltsError("full")

    lease = Lease(store, STAGE).__enter__()
    monkeypatch.setattr(type(store), "replace", full)
    lease.__exit__(None, None, None)


def test_a_lease_removed_with_its_stage_is_lost(store: Store) -> None:
    with Lease(store, STAGE) as lease:
        store.remove(STAGE)
        with pytest.raises(LeaseLost):
            lease.check()
    assert not _held(store)
