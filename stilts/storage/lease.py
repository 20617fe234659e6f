"""Lease: the right of one attempt to work on a stage, so that two drivers never train the same stage at once.

A lease is a file `claims/N.json` in the stage's folder. It is created exclusively; N counts the attempts, and the
highest N is the holder. The holder renews its lease regularly: each heartbeat changes the file. Another attempt may
take over when the file has not changed for the length of the lease. It first marks the file as `taken`, provided that
it is still the one that it has watched, and then creates N + 1. An attempt that is no longer the highest, or whose file
is marked, has been taken over and must not write anything more. A holder that could not renew its lease for that long,
because it was paused or cut off from the store, stops working until it has checked that it still holds it (`confirm`).

Clocks. Nobody compares the clocks of two machines. The holder measures the time since its last heartbeat, and whoever
waits measures how long it has seen the same file, each on a clock of its own machine that nobody can set. The holder's
clock goes on while the machine sleeps; that of who waits stands still, because a holder on the same machine could not
renew its lease. For the same reason, the wait begins anew when the store has not answered. The time of day in the file
is for people only.

Invariants: N only grows. A released lease is marked `released` and stays the highest. If it were removed, the next
attempt could get the number of a paused attempt, and both would take themselves for the holder. What a paused attempt
still writes to its own file is therefore always below the highest number, and nobody reads it.

In a bucket every request costs money, so that heartbeats and looks are rarer there: an idle holder makes 30 requests an
hour, and an attempt that waits 60. A driver holds up to two leases, that of its run and that of its search.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from stilts.errors import StiltsError
from stilts.storage.local import LocalStore
from stilts.storage.process import boot_id, is_gone, start_time
from stilts.storage.protocol import Store, Unreachable

LEASE_SECONDS = 60.0
RENEW_SECONDS = 10.0
WAIT_SECONDS = 1.0
BUCKET_FACTOR = 6.0
"""How much longer leases are in a bucket, and how much rarer looks."""
BUCKET_RENEW_FACTOR = 12.0
"""How much rarer heartbeats are in a bucket. Two of them may fail in a row."""
FORGOTTEN_SECONDS = 86400.0
"""A lease whose last heartbeat is older than this by the time of day counts as abandoned. It is so long that clocks
which are hours apart do no harm."""

FOLDER = "claims"
"""Name of the folder of leases inside a leased folder. It is part of the store's format and must not change: drivers of
older versions look there."""


class LeaseLost(StiltsError):
    """Another attempt holds the lease. This attempt must stop and must not write anything more."""


@dataclass(frozen=True)
class Periods:
    """Times of the leases of one store, in seconds.

    Attributes:
        lease: how long a lease without a heartbeat holds.
        renew: time between two heartbeats.
        look: time between two looks at a lease that another attempt holds.
    """

    lease: float
    renew: float
    look: float

    @classmethod
    def of(cls, store: Store) -> "Periods":
        """The times for a store on a file system, or in a bucket."""
        if isinstance(store, LocalStore):
            return cls(LEASE_SECONDS, RENEW_SECONDS, WAIT_SECONDS)
        look = max(WAIT_SECONDS, RENEW_SECONDS * BUCKET_FACTOR)
        return cls(LEASE_SECONDS * BUCKET_FACTOR, RENEW_SECONDS * BUCKET_RENEW_FACTOR, look)


class LeaseWatch:
    """Watches the lease on a folder, in order to take it over or to pass over what is leased.

    Keep one object for as long as the lease is of interest: it knows for how long the heartbeat has stood still. The
    first look makes two requests, later ones one, unless something has happened.

    Attributes:
        attempt: number of the highest lease.
        version: version of its file, which must be marked before it is taken over; None if there is nothing to mark.
    """

    def __init__(self, store: Store, path: str) -> None:
        self._store, self._folder, self._periods = store, f"{path}/{FOLDER}", Periods.of(store)
        self._seen: bytes | None = None
        self._since, self._expired = 0.0, False
        self.attempt = 0
        self.version: str | None = None

    def holder(self) -> str | None:
        """Return who holds the lease, as `host (process N)`, or None if it is free or has expired."""
        if self._seen is not None:
            who = self._look(self.attempt)
            if who is not None:
                return who
        return self._look(max(_attempts(self._store, self._folder), default=0))

    def end_expired(self) -> None:
        """Mark the lease as over, if the last look has found that it has expired, so that anybody can take it at once.

        Otherwise each process that wants the folder would have to watch the heartbeat for the whole lease, too.
        """
        if self.version is not None and self._expired:
            self._store.replace(_file(self._folder, self.attempt), _content(released=True, taken=True), self.version)

    def _look(self, attempt: int) -> str | None:
        began = _awake()
        try:
            found = self._store.read_version(_file(self._folder, attempt)) if attempt else None
        except Exception:
            self._seen = None  # the holder could not reach the store either: the wait begins anew
            raise
        ended = _awake()
        content = None if found is None else _parsed(found[0])
        slow = ended - began > self._periods.renew
        if attempt != self.attempt or found is None or found[0] != self._seen or slow:
            # The time of a slow answer does not count: the content may be from the end of it.
            self.attempt, self._seen, self._since = attempt, None if found is None else found[0], ended
        self._expired = began - self._since > self._periods.lease
        if found is None or content is None or _over(content):
            self.version = None
            return None
        self.version = found[1]
        return None if self._expired else _describe(content)


class Lease:
    """Context manager that waits for the lease on a folder, renews it in a thread, and releases it on exit.

    Args:
        path: folder in the store, usually that of a stage.
        waiting: called with a description of the holder each time that the lease is found to be held by another
            attempt.

    Attributes:
        attempt: number of this attempt.
        lost: the renewing thread has found another attempt. Reading it does not access the store.
        held_by: who held the lease at the last look; None if it was free.
    """

    def __init__(self, store: Store, path: str, waiting: Callable[[str], None] | None = None) -> None:
        self._store = store
        self._folder = f"{path}/{FOLDER}"
        self._watch = LeaseWatch(store, path)
        self._waiting = waiting
        self._stop = threading.Event()
        self._writing = threading.Lock()
        self._renewed = 0.0
        self._version = ""
        self._id = uuid.uuid4().hex
        self.periods = Periods.of(store)
        self.lost = False
        self.attempt = 0
        self.held_by: str | None = None

    def __enter__(self) -> "Lease":
        # Many leases are held for a few seconds only, for instance those for declaring an experiment.
        pause = min(WAIT_SECONDS, self.periods.look)
        while not self.acquire():
            time.sleep(pause)
            pause = min(2 * pause, self.periods.look)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        # A lease that cannot be released expires by itself. The failure must not hide how the stage ended.
        with contextlib.suppress(StiltsError, OSError):
            self.lost = self.lost or not self._held() or not self._write(released=True)
            if not self.lost:
                for attempt in _attempts(self._store, self._folder):
                    if attempt < self.attempt:
                        self._store.remove(_file(self._folder, attempt))
        if self.lost and isinstance(error, Exception) and not isinstance(error, LeaseLost):
            # The other attempt has probably removed files that this one was using: not an error of the program.
            raise self._taken() from error

    def check(self) -> None:
        """Check that this attempt still holds the lease. Call it before every write that matters.

        Raises:
            LeaseLost: another attempt has taken over.
        """
        if self.lost or not self._held():
            raise self._taken()

    @property
    def lapsed(self) -> bool:
        """Whether the lease has expired or is lost, so that another attempt may be at work."""
        return self.lost or _now() - self._renewed > self.periods.lease

    def confirm(self) -> None:
        """Make sure that no other attempt is at work. Call it before each piece of work.

        It accesses the store only if the lease has expired, and then waits until the store can be reached.

        Raises:
            LeaseLost: another attempt has taken over.
        """
        while self.lapsed:
            try:
                self.check()
                if not self._write():
                    raise self._taken()
                self.check()
            except Unreachable:
                time.sleep(WAIT_SECONDS)

    def acquire(self) -> bool:
        """Take the lease if it is free and return True; return False if another attempt holds it.

        Leaving the context releases the lease. Whether a heartbeat has stopped can only be seen by calling this method
        of the same object again.
        """
        if not self._try():
            return False
        self._thread = threading.Thread(target=self._renew, daemon=True, name="lease")
        self._thread.start()
        return True

    def _try(self) -> bool:
        who = self.held_by = self._watch.holder()
        if who is not None:
            if self._waiting:
                self._waiting(who)
            return False
        highest, version = self._watch.attempt, self._watch.version
        if (
            version is not None
            and self._store.replace(_file(self._folder, highest), self._taken_mark(), version) is None
        ):
            return False  # its holder has come back, or somebody else was faster
        self.attempt = highest + 1
        self._renewed = _now()
        path = _file(self._folder, self.attempt)
        # Since the listing, another attempt may have come and gone, and its successor may be at work: list again.
        if not self._store.create(path, self._content()) or not self._held():
            return False
        found = self._store.read_version(path)
        self._version = "" if found is None else found[1]
        return True

    def _renew(self) -> None:
        pause = self.periods.renew
        while not self._stop.wait(pause):
            # A short outage of the store must not end this thread. During a long one, the lease expires.
            pause = min(self.periods.renew, self.periods.look)
            with contextlib.suppress(StiltsError, OSError):
                # On a file system, replacing is not one step, and looking costs nothing.
                if (isinstance(self._store, LocalStore) and not self._held()) or not self._write():
                    self.lost = True
                    return
                pause = self.periods.renew

    def _held(self) -> bool:
        return max(_attempts(self._store, self._folder), default=0) == self.attempt

    def _write(self, *, released: bool = False) -> bool:
        """Write a heartbeat; return False if another attempt has taken over."""
        with self._writing:
            now, path = _now(), _file(self._folder, self.attempt)
            version = self._store.replace(path, self._content(released=released), self._version)
            if version is None:
                # The answer to an earlier heartbeat may have been lost; then the file is still ours.
                found = self._store.read_version(path)
                content = None if found is None else _parsed(found[0])
                if found is None or content is None or content.get("id") != self._id or content.get("taken"):
                    return False
                version = self._store.replace(path, self._content(released=released), found[1])
                if version is None:
                    return False
            self._version, self._renewed = version, now
            return True

    def _content(self, *, released: bool = False) -> bytes:
        return _content(released=released, id=self._id)

    def _taken_mark(self) -> bytes:
        return _content(released=True, id=self._id, taken=True)

    def _taken(self) -> LeaseLost:
        return LeaseLost(
            f"{self._folder}: attempt {self.attempt} was declared dead and another one took over, or the store is gone"
        )


@dataclass(frozen=True)
class Sighting:
    """What one look at a lease shows; for people, because one look cannot tell a dead holder from a living one.

    Attributes:
        who: `host (process N)`.
        age: seconds since the last heartbeat, by the time of day of two machines whose clocks may differ.
        late: whether at least two heartbeats are missing, by these clocks.
        silent: whether the lease has long expired, by these clocks.
    """

    who: str
    age: float
    late: bool
    silent: bool


def sighting(store: Store, path: str) -> Sighting | None:
    """Look at the lease on a folder; None if it is free, or its holder is known to be dead."""
    folder = f"{path}/{FOLDER}"
    highest = max(_attempts(store, folder), default=0)
    found = _parsed(store.read(_file(folder, highest)) or b"") if highest else None
    if found is None or _over(found):
        return None
    age = time.time() - found["renewed"]
    if age > FORGOTTEN_SECONDS:
        return None
    periods = Periods.of(store)
    return Sighting(_describe(found), age, age > 3 * periods.renew, age > 2 * periods.lease)


def holder(store: Store, path: str) -> str | None:
    """Return who holds the lease on a folder, as `host (process N)`; None if it is free (see `sighting`)."""
    found = sighting(store, path)
    return None if found is None else found.who


def is_newest(store: Store, path: str, attempt: int) -> bool:
    """Whether no later attempt has taken over the lease on a folder; for processes that work with its holder."""
    return max(_attempts(store, f"{path}/{FOLDER}"), default=0) == attempt


def _attempts(store: Store, folder: str) -> list[int]:
    stems = (name.removesuffix(".json") for name in store.list(folder))
    return [int(stem) for stem in stems if stem.isdecimal()]


def _file(folder: str, attempt: int) -> str:
    return f"{folder}/{attempt}.json"


def _parsed(content: bytes) -> dict[str, Any] | None:
    """Content of a lease's file; None if it is damaged."""
    try:
        found = json.loads(content)
    except ValueError:
        return None
    kinds = {"host": str, "boot": str, "pid": int, "started": str, "renewed": int | float, "released": bool}
    whole = isinstance(found, dict) and all(isinstance(found.get(name), kind) for name, kind in kinds.items())
    return found if whole else None


def _content(*, released: bool = False, id: str = "", taken: bool = False) -> bytes:
    pid = os.getpid()
    lease = {"host": socket.gethostname(), "boot": boot_id(), "pid": pid, "started": start_time(pid), "id": id}
    return json.dumps({**lease, "renewed": time.time(), "released": released, "taken": taken}).encode()


def _describe(lease: dict[str, Any]) -> str:
    return f"{lease['host']} (process {lease['pid']})"


def _over(lease: dict[str, Any]) -> bool:
    """Whether a lease is released or taken, or is held by a process of this machine that no longer exists."""
    if lease["released"]:
        return True
    return (
        lease["host"] == socket.gethostname() and lease["boot"] == boot_id() and is_gone(lease["pid"], lease["started"])
    )


def _awake() -> float:
    """Seconds on a clock of this machine that nobody can set, and that stands still while the machine sleeps."""
    return time.monotonic()


def _now() -> float:
    """Seconds on a clock of this machine that nobody can set, and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
