"""Copies of resume states in the store, from which the next attempt of the stage can resume on another node.

They are needed for stores whose scratch folder is local to a node, such as buckets. Layout, below the stage's folder:

    resume/ATTEMPT/STEP/            files of a state
    resume/ATTEMPT/latest.json      the step, and the manifest of the files; written after the files

Invariants:

- A state that `latest.json` names is either complete, or fails the check against its manifest and is not used.
- An attempt writes only to the folder with its own number. If its lease was taken over while it was paused, it cannot
  overwrite the states of the attempt that follows.
- An older state is removed only after `latest.json` names a newer one.

On this machine at most two copies exist besides the training's own state: one that waits and one that is being
uploaded. Both are hard links to the files that the training wrote. A newer state replaces the one that waits.
"""

import json
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stilts.os_errors import CACHE, explained
from stilts.run.stage.uploader import Uploader
from stilts.storage.protocol import Corrupt, Store
from stilts.train.checkpoint import META

log = logging.getLogger(__name__)

_LATEST = "latest.json"


class ResumeCopies:
    """Copies the resume states of one attempt to the store. Only the leader uses it.

    Args:
        path: path in the store below which the resume states are kept.
        folder: local folder in which the training keeps its resume state; copies that wait lie next to it.
        attempt: the attempt's number, from the lease.
        uploader: runs the uploads in the background.
    """

    def __init__(self, store: Store, path: str, folder: Path, attempt: int, uploader: Uploader) -> None:
        self._store, self._path, self._attempt, self._uploader = store, path, attempt, uploader
        self._linking, self._waiting, self._sending = (
            folder.with_name(f"{folder.name}.{state}") for state in ("linking", "waiting", "sending")
        )
        self._lock = threading.Lock()
        for orphan in (self._linking, self._waiting, self._sending):  # left behind by an attempt that was killed
            shutil.rmtree(orphan, ignore_errors=True)

    def saved(self, folder: Path) -> None:
        """Queue a copy of a complete state. The caller may replace the files immediately."""
        shutil.rmtree(self._linking, ignore_errors=True)
        with explained("write", self._linking, what=CACHE):
            self._linking.mkdir()
            for file in folder.iterdir():
                os.link(file, self._linking / file.name)
        with self._lock:
            shutil.rmtree(self._waiting, ignore_errors=True)
            self._linking.rename(self._waiting)
        self._uploader.submit(self._send)

    def newer(self, step: int) -> Path | None:
        """Fetch the newest undamaged state in the store and return its local folder.

        None if the store has no state, or none that is later than `step`.
        """
        for latest in sorted(self._stored(), key=lambda latest: -latest["step"]):
            if latest["step"] <= step:
                return None
            try:
                return self._store.fetch_tree(latest["path"], latest["manifest"])
            except Corrupt as error:
                log.warning("the resume state is damaged and is not used: %s", error)
        return None

    def stop(self) -> None:
        """Discard the state that waits, because the training is over. An upload that has started is finished."""
        with self._lock:
            shutil.rmtree(self._waiting, ignore_errors=True)

    def _send(self) -> None:
        """Upload the state that waits. Does nothing if an earlier call has already uploaded it."""
        with self._lock:
            if self._waiting.exists():
                shutil.rmtree(self._sending, ignore_errors=True)
                self._waiting.rename(self._sending)
        if not self._sending.exists():  # otherwise it is the waiting state, or one whose upload failed before
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
