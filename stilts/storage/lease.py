"""Claim: a lease on a stage, so that two drivers never train it at the same time.

A claim is a file `claims/N.json`, created exclusively, N counting attempts; the highest N is the holder. The holder
renews it; one that has not been renewed for `LEASE_SECONDS` is dead and may be followed by N + 1. A holder that is
no longer the highest has been declared dead and must write nothing more. One that could not renew for as long, paused
or cut off from the store, does nothing more until it knows that it is still the highest (`confirm`).

Invariants: N only grows. A released claim stays as the highest, marked `released`; were it removed, the next attempt
could get the number of one that is paused, and both would take themselves for the holder. Whatever a paused attempt
still writes to its own file is therefore below the highest, and nobody reads it.

Leases compare the clocks of the machines: they must agree within `LEASE_SECONDS - RENEW_SECONDS`.
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


class ClaimLost(StiltsError):
    """Another attempt holds the stage; this one must stop and write nothing."""


class Claim:
    """Context manager: waits for the claim on a stage, renews it in a thread, releases it at the end.

    Args:
        path: folder of the stage in the store.
        waiting: called, with the holder's description, each time that another attempt is found to hold the claim.

    Attributes:
        attempt: number of this attempt at the stage.
        lost: the renewal found another attempt; known without a look at the store.
    """

    def __init__(self, store: Store, path: str, waiting: Callable[[str], None] | None = None) -> None:
        self._store = store
        self._folder = f"{path}/claims"
        self._waiting = waiting
        self._stop = threading.Event()
        self._renewed = 0.0
        self.lost = False
        self.attempt = 0

    def __enter__(self) -> "Claim":
        while not self.acquire():
            time.sleep(WAIT_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        # A claim that cannot be released runs out by itself, and must not hide how the stage ended.
        with contextlib.suppress(StiltsError, OSError):
            self.lost = self.lost or not self._held()
            if not self.lost:
                self._write(released=True)
                for attempt in _attempts(self._store, self._folder):
                    if attempt < self.attempt:
                        self._store.remove(_file(self._folder, attempt))
        if self.lost and isinstance(error, Exception) and not isinstance(error, ClaimLost):
            # Most likely the other attempt took files away from under this one: no fault of the program.
            raise self._taken() from error

    def check(self) -> None:
        """Raise where this attempt no longer holds the stage; call it before every write that matters.

        Raises:
            ClaimLost: another attempt took over.
        """
        if self.lost or not self._held():
            raise self._taken()

    @property
    def lapsed(self) -> bool:
        """The lease has run out, or the claim is lost: another attempt may be at work."""
        return self.lost or time.time() - self._renewed > LEASE_SECONDS

    def confirm(self) -> None:
        """Make sure that nobody else is at work; call it before each piece of it. Asks the store only where the lease
        has run out, and then waits for a store that is away.

        Raises:
            ClaimLost: another attempt took over.
        """
        while self.lapsed:
            try:
                self.check()
                self._write()
                self.check()
            except Unreachable:
                time.sleep(WAIT_SECONDS)

    def acquire(self) -> bool:
        """Take the claim if it is free; False where another attempt holds it. Released by leaving the context."""
        if not self._try():
            return False
        self._thread = threading.Thread(target=self._renew, daemon=True, name="claim")
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
        # Another one may have come and gone since the listing, and its successor may be at work: look again.
        return self._store.create(_file(self._folder, self.attempt), _content()) and self._held()

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            # A store out of reach for a moment must not end the renewing; for longer, the lease runs out.
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

    def _taken(self) -> ClaimLost:
        return ClaimLost(
            f"{self._folder}: attempt {self.attempt} was declared dead and another one took over, or the store is gone"
        )


def holder(store: Store, path: str) -> str | None:
    """Who works on the stage in this folder, `host (process N)`; None where nobody living does."""
    folder = f"{path}/claims"
    found = _read(store, folder, max(_attempts(store, folder), default=0))
    return None if found is None or _over(found) else _describe(found)


def _attempts(store: Store, folder: str) -> list[int]:
    stems = (name.removesuffix(".json") for name in store.list(folder))
    return [int(stem) for stem in stems if stem.isdecimal()]


def _file(folder: str, attempt: int) -> str:
    return f"{folder}/{attempt}.json"


def _read(store: Store, folder: str, attempt: int) -> dict[str, Any] | None:
    """A claim; None where there is none, or the disk lost its content."""
    try:
        return json.loads(store.read(_file(folder, attempt)) or b"null")
    except ValueError:
        return None


def _content(*, released: bool = False) -> bytes:
    pid = os.getpid()
    claim = {"host": socket.gethostname(), "boot": _boot(), "pid": pid, "started": _started(pid)}
    return json.dumps({**claim, "renewed": time.time(), "released": released}).encode()


def _describe(claim: dict[str, Any]) -> str:
    return f"{claim['host']} (process {claim['pid']})"


def _over(claim: dict[str, Any]) -> bool:
    """Released, or not renewed for the lease, or of a process of this machine that is gone: no need to wait then."""
    if claim["released"] or time.time() - claim["renewed"] > LEASE_SECONDS:
        return True
    return claim["host"] == socket.gethostname() and claim["boot"] == _boot() and _gone(claim["pid"], claim["started"])


def _boot() -> str:
    """This boot and process-id namespace: where both agree, process ids can be compared."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _gone(pid: int, started: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's, whose start time may be hidden from us
        return False
    return _started(pid) != started


def _started(pid: int) -> str:
    """Start time of a process, so that a reused pid is not taken for the old one; empty where it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if stat[0] == "Z" else stat[19]
