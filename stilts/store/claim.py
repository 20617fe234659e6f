"""Claim: a lease on a stage, so that two drivers never train it at the same time.

A claim is a file `claims/N.json`, created exclusively, N counting attempts; the highest N is the holder. The holder
renews it; one that has not been renewed for `LEASE_SECONDS` is dead and may be followed by N + 1. A holder that is
no longer the highest has been declared dead and must write nothing more.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from stilts.errors import StiltsError
from stilts.store.protocol import Store

LEASE_SECONDS = 60.0
RENEW_SECONDS = 10.0


class ClaimLost(StiltsError):
    """Another attempt holds the stage; this one must stop and write nothing."""


class Claim:
    """Context manager: waits for the claim on a stage, renews it in a thread, releases it at the end.

    Args:
        path: folder of the stage in the store.
        waiting: called about once a second while another attempt holds the claim, with that holder's description.
    """

    def __init__(self, store: Store, path: str, waiting: Callable[[str], None] | None = None) -> None:
        self._store = store
        self._folder = f"{path}/claims"
        self._waiting = waiting
        self._stop = threading.Event()
        self._lost = False
        self.attempt = 0

    def __enter__(self) -> "Claim":
        while not self._try():
            time.sleep(1.0)
        self._thread = threading.Thread(target=self._renew, daemon=True, name="claim")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._held():
            for attempt in self._attempts():
                if attempt <= self.attempt:
                    self._store.remove(self._path(attempt))

    def check(self) -> None:
        """Raise where this attempt no longer holds the stage; call it before every write that matters.

        Raises:
            ClaimLost: another attempt took over.
        """
        if self._lost or not self._held():
            raise ClaimLost(f"{self._folder}: attempt {self.attempt} was declared dead and another one took over")

    def _try(self) -> bool:
        attempts = self._attempts()
        if attempts:
            holder = self._read(max(attempts))
            if holder is not None and not _dead(holder):
                if self._waiting:
                    self._waiting(f"{holder['host']} (process {holder['pid']})")
                return False
        self.attempt = max(attempts, default=0) + 1
        return self._store.create(self._path(self.attempt), self._content())

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            if not self._held():
                self._lost = True
                return
            self._store.write(self._path(self.attempt), self._content())

    def _held(self) -> bool:
        return max(self._attempts(), default=0) == self.attempt

    def _attempts(self) -> list[int]:
        return [int(name.removesuffix(".json")) for name in self._store.list(self._folder)]

    def _path(self, attempt: int) -> str:
        return f"{self._folder}/{attempt}.json"

    def _content(self) -> bytes:
        holder = {
            "host": socket.gethostname(),
            "boot": _boot(),
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "renewed": time.time(),
        }
        return json.dumps(holder).encode()

    def _read(self, attempt: int) -> dict[str, str] | None:
        content = self._store.read(self._path(attempt))
        return None if content is None else json.loads(content)


def holder(store: Store, path: str) -> str | None:
    """Who works on the stage in this folder, `host (process N)`; None where nobody living does."""
    attempts = [int(name.removesuffix(".json")) for name in store.list(f"{path}/claims")]
    content = store.read(f"{path}/claims/{max(attempts)}.json") if attempts else None
    if content is None:
        return None
    found = json.loads(content)
    return None if _dead(found) else f"{found['host']} (process {found['pid']})"


def _dead(holder: dict[str, str]) -> bool:
    """Not renewed for the lease, or a process of this machine that is gone: no need to wait for the lease then."""
    if time.time() - float(holder["renewed"]) > LEASE_SECONDS:
        return True
    if holder["host"] != socket.gethostname() or holder["boot"] != _boot():
        return False
    return _started(int(holder["pid"])) != holder["started"]


def _boot() -> str:
    """This boot and process-id namespace: where both agree, process ids can be compared."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Start time of a process, so that a reused pid is not taken for the old one; empty where it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if stat[0] == "Z" else stat[19]
