"""An Optuna study in a database: temporary errors are retried, all others become messages.

A locked SQLite file, a restart of PostgreSQL and a broken connection are temporary. The operation is repeated for
`DATABASE_SECONDS`. Trials keep training in that time.
"""

import inspect
import random
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import sqlalchemy.exc
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, get_storage

from stilts.errors import StiltsError
from stilts.experiment.secrets import redact
from stilts.waiting import Wait, bounded, gave_up, noticed, patience

DATABASE_SECONDS = 120.0
"""A database that has not answered for so long ends the search. The same command continues it."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

_ADVICE = "`stilts doctor -e SEARCH.yaml` checks the connection"

_PASSING = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.InternalError,
    sqlalchemy.exc.TimeoutError,
)
_PERMANENT = {
    "disk is full": "its disk is full: free some space",
    "readonly database": "its file cannot be written: give this user permission to write",
    "disk i/o error": "its disk fails: free some space or move it",
    "could not extend file": "its disk is full: free some space",
    "no space left": "its disk is full: free some space",
}
"""Texts of errors that waiting does not resolve, and what to do."""


def open_database(url: str) -> "RetryingStorage":
    """Open the storage of Optuna studies at an SQLAlchemy URL. Its operations are retried.

    Raises:
        NoAnswer: the database does not answer an interactive command.
        Exception: of the database's driver or of SQLAlchemy: it cannot be used.
    """
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    engine: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith(("postgresql:", "postgresql+psycopg", "mysql:", "mysql+pymysql", "mysql+mysqldb")):
        engine["connect_args"] = {"connect_timeout": 10}
    storage = bounded(
        lambda: get_storage(RDBStorage(url, engine_kwargs=engine)),
        _server(redact(url)),
        _ADVICE,
    )
    return RetryingStorage(storage, redact(url))


def _server(place: str) -> str:
    return f"the database of the study ({place})"


class DatabaseAway(StiltsError):
    """The database of the study cannot be used now."""


def _repeated(name: str) -> Callable[..., Any]:
    @wraps(getattr(BaseStorage, name), updated=())  # not its mark as abstract
    def method(self: "RetryingStorage", *arguments: Any, **named: Any) -> Any:
        return self.repeat(name, *arguments, **named)

    return method


_OPERATIONS = [name for name, _ in inspect.getmembers(BaseStorage, inspect.isfunction) if not name.startswith("_")]
_Repeating: Any = type("_Repeating", (BaseStorage,), {name: _repeated(name) for name in _OPERATIONS})


class RetryingStorage(_Repeating):
    """An Optuna storage that does, and if necessary repeats, the operations of another one.

    Attributes:
        stopping: returns whether the run is being stopped; then an operation is not repeated any more.
    """

    def __init__(self, storage: BaseStorage, place: str) -> None:
        self._storage, self._place = storage, place
        self.stopping: Callable[[], bool] = lambda: False

    def repeat(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Do an operation of the storage, if necessary several times.

        Raises:
            DatabaseAway: it failed for `DATABASE_SECONDS`, or waiting does not resolve the error.
        """
        with noticed(_server(self._place)) as wait:
            return self._repeat(wait, name, *arguments, **named)

    def _repeat(self, wait: Wait, name: str, *arguments: Any, **named: Any) -> Any:
        server = _server(self._place)
        end, pause, tries = time.monotonic() + patience(server, DATABASE_SECONDS), FIRST_PAUSE, 0
        while True:
            tries += 1
            try:
                return getattr(self._storage, name)(*arguments, **named)
            except UpdateFinishedTrialError:
                if tries > 1 and name == "set_trial_state_values":
                    return True  # the answer to an earlier try was lost
                raise
            except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
                cause = error.__cause__ if isinstance(error, StorageInternalError) else error
                self._raise_permanent(cause or error)
                wait.failed(_text(cause or error))
                if time.monotonic() > end or self.stopping():
                    gave_up(server)
                    raise DatabaseAway(
                        f"{server} does not answer: {_text(cause or error)}; check that it runs and that no other "
                        f"process locks it; {_ADVICE}"
                    ) from error
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _raise_permanent(self, error: BaseException) -> None:
        text = _text(error).lower()
        remedy = next((remedy for part, remedy in _PERMANENT.items() if part in text), None)
        if remedy is not None:
            raise DatabaseAway(f"the database of the study ({self._place}) cannot be written; {remedy}") from error
        if not isinstance(error, _PASSING) and not getattr(error, "connection_invalidated", False):
            raise DatabaseAway(f"the database of the study ({self._place}) failed: {_text(error)}") from error


def _text(error: BaseException) -> str:
    """The first line of an error, without secrets. SQLAlchemy's further lines repeat the statement."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return redact(f"{type(error).__name__}: {lines[0] if lines else ''}")
