"""Faults of a search that runs on the same store as the grid, and of the database of its study."""

import time

from tests.chaos.faults.base import after
from tests.chaos.scene import Driver, Scene

BEGIN_SECONDS = 8.0
"""Time that the driver of a search has to open its study; afterwards its database may fail."""


def search(scene: Scene) -> str | None:
    if not scene.searching:
        return f"driver {scene.start('tune').pid} is started"
    if not scene.searches:
        return None
    killed = scene.chance.choice(scene.searches)
    killed.kill()
    return f"driver {killed.pid} of the search"


def database(scene: Scene) -> str | None:
    if scene.database is None:
        return None
    if not scene.searching:
        scene.start("tune")
    if not scene.busy() or not scene.database.exists() or not any(map(_has_begun, scene.searches)):
        return None
    seconds = scene.chance.uniform(6, 12)
    scene.database.fail()
    scene.later.append((after(seconds), scene.database.mend))
    return f"{seconds:.1f} s without {scene.database.url}"


def _has_begun(driver: Driver) -> bool:
    return time.monotonic() - driver.began > BEGIN_SECONDS
