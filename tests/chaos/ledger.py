"""Watches the records in a store for violations: records that are rewritten, changed or lost.

Neither a record nor the predictions that it names may change once they exist. A local store is checked ten times a
second; a new inode, modification time or content is a violation. A bucket with versioning is checked once, at the end,
because it keeps every version of every object.
"""

import hashlib
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LOOK_SECONDS = 0.1
_PREDICTIONS = (".tsv", ".json", ".jsonl")


@dataclass(frozen=True)
class _Seen:
    inode: int
    written: int
    digest: str


class LocalLedger:
    """Context manager: watches `stages/*/record.json` and the evaluations of a store in a local folder.

    Attributes:
        violations: messages about records and predictions that were rewritten, changed or removed.
        records: stage -> time at which its record was first seen.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: dict[Path, _Seen] = {}
        self._stop = threading.Event()
        self._one_at_a_time = threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.violations: list[str] = []
        self.records: dict[str, float] = {}

    def __enter__(self) -> "LocalLedger":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self.look(thorough=True)

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            self.look()

    def look(self, *, thorough: bool = False) -> None:
        """Compare the files with their earlier state; `thorough` compares contents even if inode and time are equal."""
        with self._one_at_a_time:
            there = [*self._root.glob("stages/*/record.json"), *self._root.glob("stages/*/evaluations/*/*.record.json")]
            files = {file for record in there for file in (record, *_predictions(record))}
            for path in files:
                self._compare(path, thorough)
            for path in set(self._seen) - files:
                self.violations.append(f"{path} was there and is gone")
                del self._seen[path]

    def _compare(self, path: Path, thorough: bool) -> None:
        try:
            status = path.stat()
            before = self._seen.get(path)
            same = before is not None and (before.inode, before.written) == (status.st_ino, status.st_mtime_ns)
            if same and not thorough:
                return
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except FileNotFoundError:
            return
        now = _Seen(status.st_ino, status.st_mtime_ns, digest)
        if before is None and path.name == "record.json":
            self.records[path.parent.name] = time.time()
        if before is not None and now != before:
            what = "with other content" if now.digest != before.digest else "with the same content"
            self.violations.append(f"{path} was written again, {what}")
        self._seen[path] = now


def _predictions(record: Path) -> list[Path]:
    if record.name == "record.json":
        return []
    stem = record.name.removesuffix(".record.json")
    return [record.with_name(stem + suffix) for suffix in _PREDICTIONS if _is(record, stem + suffix)]


def _is(record: Path, name: str) -> bool:
    return record.with_name(name).exists()


class BucketLedger:
    """The same as `LocalLedger` for a bucket with versioning."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client, self._bucket = client, bucket
        self.violations: list[str] = []
        self.records: dict[str, float] = {}

    def __enter__(self) -> "BucketLedger":
        return self

    def __exit__(self, *error: object) -> None:
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket)
        versions: dict[str, list[float]] = {}
        for page in pages:
            for version in page.get("Versions", []):
                versions.setdefault(version["Key"], []).append(version["LastModified"].timestamp())
            for marker in page.get("DeleteMarkers", []):
                if marker["Key"].endswith("record.json"):
                    self.violations.append(f"{marker['Key']} was there and was removed")
        for key, times in versions.items():
            if key.endswith("record.json") and len(times) > 1:
                self.violations.append(f"{key} was written {len(times)} times")
            if key.endswith("/record.json"):
                self.records[key.split("/")[-2]] = times[0]
            stem, dot, suffix = key.partition(".")
            record = versions.get(f"{stem}.record.json", []) if f"{dot}{suffix}" in _PREDICTIONS else []
            if record and max(times) > record[0] + 1:  # S3 gives times in whole seconds
                self.violations.append(f"{key} was written again after its record")
