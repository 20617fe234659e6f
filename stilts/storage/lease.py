"""Lease: the right of one attempt to work on a stage, so that two drivers never train the same stage at once.

A lease is a file `claims/N.json` in the stage's folder. It is created exclusively; N counts the attempts, and the
highest N is the holder. The holder renews its lease every `RENEW_SECONDS`. A lease that has not been renewed for
`LEASE_SECONDS` has expired, and another attempt may take over by creating N + 1. An attempt that is no longer the
highest has been taken over and must not write anything more. A holder that could not renew its lease for that long,
because it was paused or cut off from the store, stops working until it has checked that it is still the highest
(`confirm`).

Invariants: N only grows. A released lease is marked `released` and stays the highest. If it were removed, the next
attempt could get the number of a paused attempt, and both would take themselves for the holder. What a paused attempt
still writes to its own file is therefore always below the highest number, and nobody reads it.

Expiry compares the clocks of different machines: they must agree within `LEASE_SECONDS - RENEW_SECONDS`.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from stilts.errors import StiltsError
from stilts.storage.protocol import Store, Unreachable

LEASE_SECONDS = 60.0
RENEW_SECONDS = 10.0
WAIT_SECONDS = 1.0

FOLDER = "claims"
"""Name of the folder of leases inside a leased folder. It is part of the store's format and must not change: drivers of
older versions look there."""


class LeaseLost(StiltsError):
    """Another attempt holds the lease. This attempt must stop and must not write anything more."""


class Lease:
    """Context manager that waits for the lease on a folder, renews it in a thread, and releases it on exit.

    Args:
        path: folder in the store, usually that of a stage.
        waiting: called with a description of the holder each time that the lease is found to be held by another
            attempt.

    Attributes:
        attempt: number of this attempt.
        lost: the renewing thread has found another attempt. Reading it does not access the store.
    """

    def __init__(self, store: Store, path: str, waiting: Callable[[str], None] | None = None) -> None:
        self._store = store
        self._folder = f"{path}/{FOLDER}"
        self._waiting = waiting
        self._stop = threading.Event()
        self._renewed = 0.0
        self.lost = False
        self.attempt = 0

    def __enter__(self) -> "Lease":
        while not self.acquire():
            time.sleep(WAIT_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        # A lease that cannot be released expires by itself. The failure must not hide how the stage ended.
        with contextlib.suppress(StiltsError, OSError):
            self.lost = self.lost or not self._held()
            if not self.lost:
                self._write(released=True)
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
        return self.lost or time.time() - self._renewed > LEASE_SECONDS

    def confirm(self) -> None:
        """Make sure that no other attempt is at work. Call it before each piece of work.

        It accesses the store only if the lease has expired, and then waits until the store can be reached.

        Raises:
            LeaseLost: another attempt has taken over.
        """
        while self.lapsed:
            try:
                self.check()
                self._write()
                self.check()
            except Unreachable:
                time.sleep(WAIT_SECONDS)

    def acquire(self) -> bool:
        """Take the lease if it is free and return True; return False if another attempt holds it.

        Leaving the context releases the lease.
        """
        if not self._try():
            return False
        self._thread = threading.Thread(target=self._renew, daemon=True, name="lease")
        self._thread.start()
        return True

    def _try(self) -> bool:
        highest = max(_attempts(self._store, self._folder), default=0)
        found = _read(self._store, self._folder, highest)
        if found is not None and not _over(found):
            if self._waiting:
                self._waiting(_describe(found))
            return False
        self.attempt = highest + 1
        self._renewed = time.time()
        # Since the listing, another attempt may have come and gone, and its successor may be at work: list again.
        return self._store.create(_file(self._folder, self.attempt), _content()) and self._held()

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            # A short outage of the store must not end this thread. During a long one, the lease expires.
            with contextlib.suppress(StiltsError, OSError):
                if not self._held():
                    self.lost = True
                    return
                self._write()

    def _held(self) -> bool:
        return max(_attempts(self._store, self._folder), default=0) == self.attempt

    def _write(self, *, released: bool = False) -> None:
        now = time.time()
        self._store.write(_file(self._folder, self.attempt), _content(released=released))
        self._renewed = now

    def _taken(self) -> LeaseLost:
        return LeaseLost(
            f"{self._folder}: attempt {self.attempt} was declared dead and another one took over, or the store is gone"
        )


def holder(store: Store, path: str) -> str | None:
    """Return who holds the lease on a folder, as `host (process N)`, or None if nobody alive does."""
    folder = f"{path}/{FOLDER}"
    found = _read(store, folder, max(_attempts(store, folder), default=0))
    return None if found is None or _over(found) else _describe(found)


def is_newest(store: Store, path: str, attempt: int) -> bool:
    """Whether no later attempt has taken over the lease on a folder; for processes that work with its holder."""
    return max(_attempts(store, f"{path}/{FOLDER}"), default=0) == attempt


def _attempts(store: Store, folder: str) -> list[int]:
    stems = (name.removesuffix(".json") for name in store.list(folder))
    return [int(stem) for stem in stems if stem.isdecimal()]


def _file(folder: str, attempt: int) -> str:
    return f"{folder}/{attempt}.json"


def _read(store: Store, folder: str, attempt: int) -> dict[str, Any] | None:
    """Content of a lease; None if there is none or the file is damaged."""
    try:
        return json.loads(store.read(_file(folder, attempt)) or b"null")
    except ValueError:
        return None


def _content(*, released: bool = False) -> bytes:
    pid = os.getpid()
    lease = {"host": socket.gethostname(), "boot": _boot(), "pid": pid, "started": _started(pid)}
    return json.dumps({**lease, "renewed": time.time(), "released": released}).encode()


def _describe(lease: dict[str, Any]) -> str:
    return f"{lease['host']} (process {lease['pid']})"


def _over(lease: dict[str, Any]) -> bool:
    """Whether a lease is released or expired, or is held by a process of this machine that no longer exists."""
    if lease["released"] or time.time() - lease["renewed"] > LEASE_SECONDS:
        return True
    return lease["host"] == socket.gethostname() and lease["boot"] == _boot() and _gone(lease["pid"], lease["started"])


def _boot() -> str:
    """Identifies this boot and this pid namespace. Process ids are comparable only where both are equal."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _gone(pid: int, started: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's process; its start time may be hidden
        return False
    return _started(pid) != started


def _started(pid: int) -> str:
    """Start time of a process, by which a reused pid is recognised; empty if the process does not exist."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if stat[0] == "Z" else stat[19]
