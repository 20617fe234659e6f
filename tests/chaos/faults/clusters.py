"""Faults of nodes and of the cluster."""

import contextlib
import time

import psutil

from tests.chaos.faults.base import after
from tests.chaos.nodes import clock_environment
from tests.chaos.scene import Scene

HOG_SECONDS = 120.0
"""Maximum time until Ray must have killed workers of a node whose memory is taken."""
END_SECONDS = 240.0
"""Maximum time until all drivers must have ended after the GCS server was killed."""
CLOCKS = ("3600", "-3600", "frozen")


def node(scene: Scene) -> str | None:
    if not scene.busy():
        return None
    raylet, others = scene.nodes.lose(scene.chance)
    scene.nodes.add()
    return f"raylet {raylet} and {len(others)} processes"


def memory(scene: Scene) -> str | None:
    busy = {attempt.pid for attempt in scene.busy()}
    found = [(group, pids) for group, pids in scene.nodes.groups_of_ranks() if busy & pids]
    if not found:
        return None
    group, pids = scene.chance.choice(found)
    used, hog, late = group.used, group.hog(), after(HOG_SECONDS)

    def over() -> bool:
        return late() or not all(map(_lives, pids)) or hog.poll() is not None

    def end() -> None:
        if late():
            scene.problems.append(
                f"Ray has killed no worker, with {group.used >> 20} MB in use: the fault had no effect"
            )
        with contextlib.suppress(psutil.Error):
            hog.kill()
        hog.wait()

    scene.later.append((over, end))
    return f"a node with {len(pids)} ranks and {used >> 20} MB in use"


def _lives(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def gcs(scene: Scene) -> str | None:
    if not scene.busy() or not scene.drivers:
        return None
    killed, began, late = scene.nodes.kill_gcs(), time.monotonic(), after(END_SECONDS)
    scene.down = True

    def over() -> bool:
        return late() or not scene.drivers

    def restart() -> None:
        for driver in scene.drivers:
            scene.problems.append(f"driver {driver.pid} ran on for {time.monotonic() - began:.0f} s without GCS")
            driver.kill()
        scene.nodes.restart()
        scene.down = False

    scene.later.append((over, restart))
    return f"process {killed}, with {len(scene.drivers)} drivers"


def clock(scene: Scene) -> str | None:
    if not scene.busy() or not scene.runs:
        return None
    set_to = scene.chance.choice(CLOCKS)
    environment = clock_environment(set_to)
    if scene.chance.random() < 0.5:
        raylet, _ = scene.nodes.lose(scene.chance)
        scene.nodes.add(environment)
        return f"a node with clock {set_to} instead of that of raylet {raylet}"
    if len(scene.runs) > 1:
        scene.chance.choice(scene.runs).kill()
    return f"driver {scene.start('run', environment).pid} with clock {set_to}"
