"""The Optuna study of a search in its store: numbered files `experiments/NAME/study/N.json`, each with Optuna's logs.

Any machine that has access to the store can therefore continue the search. Optuna's `JournalStorage` keeps the state of
the study in memory and writes each change as one log.

Invariants: files are created exclusively and never changed; their numbers have no gaps. Only the driver that holds the
lease of the search writes. It reads the files once, when the journal is opened; a second writer would find its next
number taken.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from stilts.errors import StiltsError
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Corrupt, Store

SCHEMA = 1


class StoreJournal(BaseJournalBackend):
    """Journal of a study in a store.

    Args:
        folder: folder of the journal in the store.

    Raises:
        Corrupt: a file is missing or damaged, or was written by a newer stilts.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder
        stems = (name.removesuffix(".json") for name in store.list(folder) if name.endswith(".json"))
        self._files = max((int(stem) for stem in stems if stem.isdecimal()), default=0)
        contents = parallel_map(store, lambda number: store.read(self._path(number)), range(1, self._files + 1))
        self._logs = [log for number, content in enumerate(contents, 1) for log in self._parsed(number, content)]

    @property
    def empty(self) -> bool:
        """Whether nothing has been written."""
        return self._files == 0

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """See `BaseJournalBackend`."""
        return self._logs[log_number_from:]

    def append_logs(self, logs: Sequence[dict[str, Any]]) -> None:
        """Write logs as one file.

        Raises:
            StiltsError: another driver has written to the study, or the store cannot be written.
        """
        content = json.dumps({"schema": SCHEMA, "logs": list(logs)})
        if not self._store.create(self._path(self._files + 1), content.encode()):
            raise StiltsError(
                f"{self._store.uri}/{self._path(self._files + 1)} is there already: another driver continues this "
                "search"
            )
        self._files += 1
        self._logs += json.loads(content)["logs"]

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number}.json"

    def _parsed(self, number: int, content: bytes | None) -> list[dict[str, Any]]:
        try:
            found = json.loads(content or b"")
            if found["schema"] > SCHEMA:
                raise Corrupt(f"{self._store.uri}/{self._path(number)} was written by a newer stilts; upgrade")
            logs: list[dict[str, Any]] = found["logs"]
        except (ValueError, TypeError, KeyError):
            raise Corrupt(
                f"{self._store.uri}/{self._path(number)} is missing or damaged, and the study with it: remove the "
                "folder to begin the search again; trials whose stages are stored are not trained again"
            ) from None
        return logs


class _Memory(BaseJournalBackend):
    """Collects logs, so that they can be written at once."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return json.loads(json.dumps(self.logs[log_number_from:]))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.logs += logs


def import_study(journal: StoreJournal, database: Path, name: str) -> bool:
    """Copy a study from an SQLite file to an empty journal, in one write. Returns whether the file has the study."""
    url = f"sqlite:///{database}"
    if name not in optuna.get_all_study_names(url):
        return False
    collected = _Memory()
    optuna.copy_study(from_study_name=name, from_storage=url, to_storage=JournalStorage(collected))
    journal.append_logs(collected.logs)
    return True
