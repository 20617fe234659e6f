"""Scene: a running grid with its search, their drivers, and what can be done to them."""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from tests.chaos import grid, trace
from tests.chaos.database import Database
from tests.chaos.nodes import MARK, Nodes
from tests.chaos.stores import Place

CLEAN_PAUSE_SECONDS = 3.0
CLEAN_SECONDS = 180.0
"""Maximum duration of one `stilts clean`."""

Command = Literal["run", "tune", "clean"]


@dataclass(eq=False)
class Driver:
    """One process of the command line.

    Attributes:
        killed: whether the harness has killed it.
        began: when it was started, on the monotonic clock.
    """

    command: Command
    process: "subprocess.Popen[bytes]"
    log: Path
    killed: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.killed = True
        self.process.kill()


@dataclass
class Scene:
    """A running grid, into which faults are injected.

    Attributes:
        experiment: the YAML of the grid; that of its search lies beside it.
        database: of the search's study, unless it lies in the store.
        drivers: the processes that are running.
        ended: those that have ended.
        later: actions that end a fault, as (condition, action): the action runs as soon as the condition holds.
        problems: what was found wrong during the bout, as messages.
        searching: whether the search has been started.
        down: whether the cluster is down, so that no driver can start.
    """

    nodes: Nodes
    experiment: Path
    place: Place
    database: Database | None
    chance: random.Random
    drivers: list[Driver] = field(default_factory=list)
    ended: list[Driver] = field(default_factory=list)
    later: list[tuple[Callable[[], bool], Callable[[], None]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    searching: bool = False
    down: bool = False

    def __post_init__(self) -> None:
        self.trace = trace.Trace(self.nodes.trace, self.place.uri)
        self._cleaner: threading.Thread | None = None
        self._stop_cleaner = threading.Event()
        self._numbers = iter(range(1, 10**6))

    @property
    def runs(self) -> list[Driver]:
        """The drivers of the grid that are running."""
        return [driver for driver in self.drivers if driver.command == "run"]

    @property
    def searches(self) -> list[Driver]:
        """The drivers of the search that are running."""
        return [driver for driver in self.drivers if driver.command == "tune"]

    def start(self, command: Command, environment: Mapping[str, str] | None = None) -> Driver:
        """Start another driver, with additional environment variables."""
        self.searching = self.searching or command == "tune"
        driver = self._start(command, environment or {})
        self.drivers.append(driver)
        return driver

    def _start(self, command: Command, environment: Mapping[str, str]) -> Driver:
        path = self.experiment.parent / f"{command}-{next(self._numbers)}.log"
        arguments = {
            "run": [str(self.experiment)],
            "tune": [str(grid.search_of(self.experiment))],
            "clean": ["--store", self.place.uri, "-y"],
        }
        environment = {**self.nodes.environment, **environment}
        if command == "clean":
            environment.pop(MARK, None)  # it is no part of the cluster, whose marked processes a restart kills
        with path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.driver", command, *arguments[command]],
                cwd=self.experiment.parent,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return Driver(command, process, path)

    def see_ended(self) -> list[Driver]:
        """Move the drivers that have ended to `ended`; return them."""
        over = [driver for driver in self.drivers if driver.process.poll() is not None]
        self.drivers = [driver for driver in self.drivers if driver not in over]
        self.ended += over
        return over

    def busy(self) -> list[trace.Attempt]:
        """The attempts that are running."""
        return [attempt for attempt in self.trace.attempts if not attempt.ended and psutil.pid_exists(attempt.pid)]

    # --- stilts clean ------------------------------------------------------------------------------------

    @property
    def cleaning(self) -> bool:
        """Whether `stilts clean` runs every few seconds."""
        return self._cleaner is not None

    def start_cleaner(self) -> None:
        """Run `stilts clean -y` every few seconds until `stop_cleaner`."""
        self._cleaner = threading.Thread(target=self._clean_again_and_again, daemon=True)
        self._cleaner.start()

    def stop_cleaner(self) -> None:
        """Wait for the `stilts clean` that is running, and start no other."""
        self._stop_cleaner.set()
        if self._cleaner is not None:
            self._cleaner.join()

    def _clean_again_and_again(self) -> None:
        while not self._stop_cleaner.wait(CLEAN_PAUSE_SECONDS):
            self.clean()

    def clean(self) -> Driver:
        """Run `stilts clean -y` once."""
        driver = self._start("clean", {})
        began = time.monotonic()
        try:
            driver.process.wait(CLEAN_SECONDS)
        except subprocess.TimeoutExpired:
            self.problems.append(f"stilts clean ran for {time.monotonic() - began:.0f} s; see {driver.log}")
            driver.kill()
            driver.process.wait()
        self.ended.append(driver)
        return driver
