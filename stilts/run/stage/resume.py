"""Copies of resume states in the store, from which the next attempt of the stage can resume on another node.

They are needed for stores whose scratch folder is local to a node, such as buckets. Layout, below the stage's folder:

    resume/ATTEMPT/STEP/            files of a state
    resume/ATTEMPT/latest.json      written after them: the step, and the manifest of the files

Invariants: what `latest.json` names is complete, or fails its manifest and is not used; an attempt writes below its own
number alone, so that one that was paused and declared dead cannot spoil its successor's state; older states go only
when a newer one is named. At most two states wait or are on their way, as hard links to the files that training wrote:
a newer one takes the place of the one that waits.
"""

import json
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stilts.run.stage.uploader import Uploader
from stilts.storage.protocol import Corrupt, Store
from stilts.train.checkpoint import META

log = logging.getLogger(__name__)

_LATEST = "latest.json"


class ResumeCopies:
    """The resume states of one attempt at a stage. Used by the leader alone.

    Args:
        path: of the resume states in the store.
        folder: where training keeps them on this machine; copies wait beside it.
        attempt: number of the lease.
    """

    def __init__(self, store: Store, path: str, folder: Path, attempt: int, uploader: Uploader) -> None:
        self._store, self._path, self._attempt, self._uploader = store, path, attempt, uploader
        self._linking, self._waiting, self._sending = (
            folder.with_name(f"{folder.name}.{state}") for state in ("linking", "waiting", "sending")
        )
        self._lock = threading.Lock()
        for left in (self._linking, self._waiting, self._sending):  # by an attempt that was killed
            shutil.rmtree(left, ignore_errors=True)

    def saved(self, folder: Path) -> None:
        """Have a complete state copied to the store; training may replace it at once."""
        shutil.rmtree(self._linking, ignore_errors=True)
        self._linking.mkdir()
        for file in folder.iterdir():
            os.link(file, self._linking / file.name)
        with self._lock:
            shutil.rmtree(self._waiting, ignore_errors=True)
            self._linking.rename(self._waiting)
        self._uploader.submit(self._send)

    def newer(self, step: int) -> Path | None:
        """A local copy of the newest state in the store, if it is beyond a step; None where there is none."""
        for latest in sorted(self._stored(), key=lambda latest: -latest["step"]):
            if latest["step"] <= step:
                return None
            try:
                return self._store.fetch_tree(latest["path"], latest["manifest"])
            except Corrupt as error:
                log.warning("the resume state is damaged and is not used: %s", error)
        return None

    def stop(self) -> None:
        """Copy nothing more but what is on its way: the training is over."""
        with self._lock:
            shutil.rmtree(self._waiting, ignore_errors=True)

    def _send(self) -> None:
        """Copy the newest state that waits; nothing to do where an earlier call took it."""
        with self._lock:
            if self._waiting.exists():
                shutil.rmtree(self._sending, ignore_errors=True)
                self._waiting.rename(self._sending)
        if not self._sending.exists():
            return
        step = json.loads((self._sending / META).read_text())["step"]
        manifest = self._store.put_tree(self._sending, f"{self._path}/{self._attempt}/{step}")
        self._uploader.check()
        latest = {"step": step, "manifest": manifest}
        self._store.write(f"{self._path}/{self._attempt}/{_LATEST}", json.dumps(latest).encode())
        self._uploader.check()
        self._remove_older(str(step))
        shutil.rmtree(self._sending)

    def _remove_older(self, kept: str) -> None:
        own = f"{self._path}/{self._attempt}"
        for name in self._store.list(own):
            if name not in (_LATEST, kept):
                self._store.remove(f"{own}/{name}")
        for attempt in self._store.list(self._path):
            if attempt.isdecimal() and int(attempt) < self._attempt:
                self._store.remove(f"{self._path}/{attempt}")

    def _stored(self) -> Iterator[dict[str, Any]]:
        for attempt in self._store.list(self._path):
            content = self._store.read(f"{self._path}/{attempt}/{_LATEST}")
            if content is not None:
                latest = json.loads(content)
                yield {**latest, "path": f"{self._path}/{attempt}/{latest['step']}"}
