"""The kinds of faults. A fault is injected into a random target; without a target, it is skipped.

rank    SIGKILL of a rank that runs a stage
trial   SIGKILL of the process of a trial
node    SIGKILL of all processes of a Ray node; then another node joins
driver  SIGKILL of a driver; then the same command is started again
rival   a second driver is started on the same experiment and store
pause   SIGSTOP of a stage's leading rank and start of a rival, until the rival has taken over the lease and the stage
cut     the store cannot be reached for some seconds
"""

import contextlib
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.chaos import grid, trace
from tests.chaos.nodes import Nodes
from tests.chaos.stores import Place

PAUSE_SECONDS = 90.0
"""Maximum length of a pause if no other driver takes over."""


@dataclass
class Scene:
    """A running grid, into which faults are injected.

    Attributes:
        drivers: the drivers that are running.
        later: actions that end a fault, as (condition, action): the action runs as soon as the condition holds.
        started: number of drivers that were started.
    """

    nodes: Nodes
    experiment: Path
    store: str
    place: Place
    chance: random.Random
    drivers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    later: list[tuple[Callable[[], bool], Callable[[], None]]] = field(default_factory=list)
    started: int = 0

    def start_driver(self) -> int:
        """Start another driver; return its process id."""
        self.started += 1
        with (self.experiment.parent / f"driver-{self.started}.log").open("wb") as log:
            driver = subprocess.Popen(
                grid.command(self.experiment),
                cwd=self.experiment.parent,
                env=self.nodes.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.drivers.append(driver)
        return driver.pid

    def attempts(self) -> list[trace.Attempt]:
        """All attempts at this grid's stages so far."""
        return trace.attempts(trace.read(self.nodes.trace), self.store)

    def busy(self) -> list[trace.Attempt]:
        """The attempts that are running."""
        return [attempt for attempt in self.attempts() if not attempt.ended and psutil.pid_exists(attempt.pid)]


Fault = Callable[[Scene], str | None]
"""Injects a fault; returns a description of its target, or None if there was no target."""


def rank(scene: Scene) -> str | None:
    return _kill(scene, scene.nodes.ranks())


def trial(scene: Scene) -> str | None:
    return _kill(scene, scene.nodes.trials())


def _kill(scene: Scene, processes: list[psutil.Process]) -> str | None:
    if not processes or not scene.busy():
        return None
    process = scene.chance.choice(processes)
    process.kill()
    return f"process {process.pid}"


def node(scene: Scene) -> str | None:
    if not scene.busy():
        return None
    raylet, others = scene.nodes.lose(scene.chance)
    scene.nodes.add()
    return f"raylet {raylet} and {len(others)} processes"


def driver(scene: Scene) -> str | None:
    if not scene.drivers or not scene.busy():
        return None
    process = scene.chance.choice(scene.drivers)
    process.kill()
    return f"driver {process.pid}, of {len(scene.drivers)}"


def rival(scene: Scene) -> str | None:
    if len(scene.drivers) != 1 or not scene.busy():
        return None
    return f"driver {scene.start_driver()} beside {scene.drivers[0].pid}"


def pause(scene: Scene) -> str | None:
    training = [attempt for attempt in scene.busy() if attempt.steps]
    if not training or not scene.drivers:
        return None
    paused = scene.chance.choice(training)
    process = psutil.Process(paused.pid)
    process.send_signal(signal.SIGSTOP)
    if len(scene.drivers) == 1:
        scene.start_driver()
    deadline = time.time() + PAUSE_SECONDS

    def over() -> bool:
        heirs = [a for a in scene.attempts() if a.stage == paused.stage and a.steps and a.begin > paused.steps[0][0]]
        taken = any(heir.steps[-1][0] > paused.last + 1 for heir in heirs)
        return taken or time.time() > deadline or not process.is_running()

    def wake() -> None:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGCONT)

    scene.later.append((over, wake))
    return f"rank {paused.pid} at {paused.stage}, step {paused.steps[-1][1]}"


def cut(scene: Scene) -> str | None:
    if not scene.busy():
        return None
    seconds = scene.chance.uniform(2, 8)
    deadline = time.time() + seconds
    scene.place.cut()
    scene.later.append((lambda: time.time() > deadline, scene.place.mend))
    return f"{seconds:.1f} s without {scene.store}"


KINDS: dict[str, Fault] = {fault.__name__: fault for fault in (rank, trial, node, driver, rival, pause, cut)}
