"""The kinds of faults, each done to whatever is there at the moment; a fault that finds no target is not done.

rank    SIGKILL of a rank that runs a stage
trial   SIGKILL of a trial's own process
node    SIGKILL of a Ray node with all its processes; another node joins
driver  SIGKILL of a driver; the same command is started again
rival   a second driver on the same experiment and store
pause   SIGSTOP of a stage's leading rank, and a rival, until its lease is taken over and its stage goes on elsewhere
cut     the store is out of reach for some seconds
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
"""The longest pause, where nobody takes over."""


@dataclass
class Scene:
    """What there is to be disturbed: one grid under way.

    Attributes:
        drivers: those that live.
        later: what is to be done later: (when, what); `when` may be early if what it waits for has come.
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
        """One more; its process id."""
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
        """The attempts at this grid's stages so far."""
        return trace.attempts(trace.read(self.nodes.trace), self.store)

    def busy(self) -> list[trace.Attempt]:
        """Attempts under way."""
        return [attempt for attempt in self.attempts() if not attempt.ended and psutil.pid_exists(attempt.pid)]


Fault = Callable[[Scene], str | None]
"""Does it; returns what it hit, None where there was nothing to hit."""


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
