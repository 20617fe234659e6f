"""Faults of ranks, trials and drivers."""

import contextlib
import signal

import psutil

from tests.chaos.faults.base import after
from tests.chaos.scene import Scene

PAUSE_SECONDS = 90.0
"""Maximum length of a pause if no other attempt takes over."""
STALL_SECONDS = 220.0
"""Maximum time until a stalled rank must have been noticed: twelve times `runtime.stall_seconds`, and some more."""


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


def stall(scene: Scene) -> str | None:
    stalled = scene.trace.training()
    if not stalled or len(scene.runs) != 1:
        return None
    process = psutil.Process(scene.chance.choice(stalled))
    process.send_signal(signal.SIGSTOP)
    late = after(STALL_SECONDS)

    def over() -> bool:
        return late() or not process.is_running() or process.status() == psutil.STATUS_ZOMBIE

    def wake() -> None:
        if late():
            scene.problems.append(f"rank {process.pid} stalled for {STALL_SECONDS} s, and nobody ended it")
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGCONT)

    scene.later.append((over, wake))
    return f"rank {process.pid}"


def pause(scene: Scene) -> str | None:
    training = [attempt for attempt in scene.busy() if attempt.steps]
    if not training or not scene.runs:
        return None
    paused = scene.chance.choice(training)
    process = psutil.Process(paused.pid)
    process.send_signal(signal.SIGSTOP)
    if len(scene.runs) == 1:
        scene.start("run")
    late = after(PAUSE_SECONDS)

    def over() -> bool:
        attempts = scene.trace.attempts
        heirs = [a for a in attempts if a.stage == paused.stage and a.steps and a.begin > paused.steps[0][0]]
        taken = any(heir.steps[-1][0] > paused.last + 1 for heir in heirs)
        return taken or late() or not process.is_running()

    def wake() -> None:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGCONT)

    scene.later.append((over, wake))
    return f"rank {paused.pid} at {paused.stage}, step {paused.steps[-1][1]}"


def driver(scene: Scene) -> str | None:
    if not scene.runs or not scene.busy():
        return None
    killed = scene.chance.choice(scene.runs)
    killed.kill()
    return f"driver {killed.pid}, of {len(scene.runs)}"


def rival(scene: Scene) -> str | None:
    if len(scene.runs) != 1 or not scene.busy():
        return None
    first = scene.runs[0].pid
    return f"driver {scene.start('run').pid} beside {first}"
