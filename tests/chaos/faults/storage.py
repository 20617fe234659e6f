"""Faults of the store and of disks, and cleaning at the wrong time."""

from tests.chaos.faults.base import after
from tests.chaos.scene import Scene


def clean(scene: Scene) -> str | None:
    if scene.cleaning or not scene.busy():
        return None
    scene.start_cleaner()
    return "every few seconds until the end"


def cut(scene: Scene) -> str | None:
    if not scene.busy():
        return None
    seconds = scene.chance.uniform(2, 8)
    scene.place.cut()
    scene.later.append((after(seconds), scene.place.mend))
    return f"{seconds:.1f} s without {scene.place.uri}"


def readonly(scene: Scene) -> str | None:
    if not scene.busy():
        return None
    seconds = scene.chance.uniform(2, 8)
    how = scene.place.read_only(scene.chance)
    scene.later.append((after(seconds), scene.place.mend))
    return f"{seconds:.1f} s: {how}"


def full(scene: Scene) -> str | None:
    if not scene.busy():
        return None
    disks = [(disk, what) for disk, what in ((scene.place.disk, "store"), (scene.nodes.disk, "node")) if disk]
    disk, what = scene.chance.choice(disks)
    seconds = scene.chance.uniform(2, 8)
    disk.fill()
    scene.later.append((after(seconds), disk.empty))
    return f"{seconds:.1f} s: the disk of the {what}"
