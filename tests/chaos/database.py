"""The databases of studies: an SQLite file that can be locked, and a PostgreSQL server that can be restarted."""

import contextlib
import getpass
import importlib.util
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tests import servers

_START_SECONDS = 60.0
_SERVER_USER = "postgres"
"""User as whom the server runs if this process is root's, which it refuses to be."""


class Database(Protocol):
    """A database for one study, which can be made unusable."""

    url: str

    def exists(self) -> bool:
        """Whether a study can be in it."""

    def fail(self) -> None:
        """Make the database unusable."""

    def mend(self) -> None:
        """Make it usable again."""


class Sqlite:
    """A file. While it fails, another connection holds its exclusive lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.url = f"sqlite:///{path}"

    def exists(self) -> bool:
        return self._path.exists()

    def fail(self) -> None:
        self._lock = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        self._lock.execute("BEGIN EXCLUSIVE")

    def mend(self) -> None:
        self._lock.rollback()
        self._lock.close()


def _programs() -> Path | None:
    """The folder with PostgreSQL's server programs."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (debian[-1] if debian else None)
    return None if found is None else Path(found).resolve().parent


def postgres_unavailable() -> str | None:
    """Why no PostgreSQL server can be started here; None if it can."""
    if _programs() is None:
        return "PostgreSQL is not installed (Debian's package is `postgresql`)"
    return None if importlib.util.find_spec("psycopg") else "psycopg is not installed"


class Postgres:
    """Context manager: a PostgreSQL server in a temporary folder. As root, it runs as the user `postgres`."""

    def __init__(self) -> None:
        self._port = servers.free_port()
        self._environment = dict(os.environ)  # of now: it must not be marked as a process of a cluster
        programs = _programs()
        assert programs is not None
        self._programs = programs
        self._user = _SERVER_USER if os.getuid() == 0 else None

    def __enter__(self) -> "Postgres":
        self._folder = tempfile.mkdtemp(prefix="chaos-pg-")
        if self._user:
            shutil.chown(self._folder, self._user)
        self._call("initdb", "-D", f"{self._folder}/data", "-A", "trust", "-U", getpass.getuser(), "-N")
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        where = ["-D", f"{self._folder}/data", "-p", str(self._port), "-h", "127.0.0.1", "-k", self._folder]
        self._server = subprocess.Popen(
            [str(self._programs / "postgres"), *where, "-F"],
            user=self._user,
            cwd="/",
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, "PostgreSQL did not start in time"
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the server at once, as if its machine was switched off."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait()

    def database(self, name: str) -> "PostgresDatabase":
        """Make a database; an older one of this name is removed."""
        on = ["-h", "127.0.0.1", "-p", str(self._port), "-U", getpass.getuser()]
        self._call("dropdb", *on, "--if-exists", name)
        self._call("createdb", *on, name)
        return PostgresDatabase(self, f"postgresql://127.0.0.1:{self._port}/{name}")

    def _answers(self) -> bool:
        ready = [str(self._programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(ready, capture_output=True, check=False).returncode == 0

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, user=self._user, cwd="/", check=True, capture_output=True)


class PostgresDatabase:
    """A database of a server. While it fails, the server does not run."""

    def __init__(self, server: Postgres, url: str) -> None:
        self._server, self.url = server, url

    def exists(self) -> bool:
        return True

    def fail(self) -> None:
        self._server.stop()

    def mend(self) -> None:
        self._server.start()


@contextlib.contextmanager
def postgres() -> Iterator[Postgres | None]:
    """A PostgreSQL server, or None if none can be started here."""
    if postgres_unavailable():
        yield None
        return
    with Postgres() as server:
        yield server
