"""The progress of a run, written down so that others can watch it: `experiments/NAME/runs/ID/progress.json`.

It lies in the run's own folder, beside the lease that tells whether its driver lives, and goes with it when the run
ends. Nothing depends on it: it is replaced as the run goes on, and one that cannot be read counts as absent.
"""

import json
import os
import platform
import time
from dataclasses import asdict, dataclass

from stilts.schedule.progress import RunProgress, StageProgress
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store

SCHEMA = 1


@dataclass(frozen=True)
class RunReport:
    """What a driver told of its run.

    Attributes:
        driver: `host (process N)`.
        time: seconds since 1970 when it did.
    """

    driver: str
    time: float
    progress: RunProgress


def write_seconds(store: Store) -> float:
    """Seconds between two writes. In a bucket each is one request: 120 in an hour, a twentieth of a cent."""
    return 2.0 if isinstance(store, LocalStore) else 30.0


def write_progress(store: Store, run: str, progress: RunProgress) -> None:
    """Note how far the run is.

    Args:
        run: path of its folder.
    """
    content = {"schema": SCHEMA, "driver": f"{platform.node()} (process {os.getpid()})", "time": time.time()}
    store.write(_path(run), json.dumps({**content, **asdict(progress)}).encode())


def read_progress(store: Store, run: str) -> RunReport | None:
    """What the driver of a run told last; None where it has told nothing that can be read."""
    try:
        found = json.loads(store.read(_path(run)) or b"")
        stages = tuple(StageProgress(**stage) for stage in found["running"])
        left = None if found["left"] is None else float(found["left"])
        progress = RunProgress(float(found["seconds"]), left, dict(found["counts"]), stages)
        return RunReport(str(found["driver"]), float(found["time"]), progress)
    except (ValueError, KeyError, TypeError):
        return None


def _path(run: str) -> str:
    return f"{run}/progress.json"
