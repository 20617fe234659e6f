"""The progress of a run in the store, `experiments/NAME/runs/ID/progress.json`, for `stilts status --watch`.

The file is in the folder of the run, beside the lease that shows whether the driver is alive, and is removed with it
when the run ends. It is replaced during the run. Nothing depends on it; a file that cannot be read counts as absent.
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
    """What a driver has reported of its run.

    Attributes:
        driver: `host (process N)`.
        time: when it did, in seconds since 1970.
    """

    driver: str
    time: float
    progress: RunProgress


def write_seconds(store: Store) -> float:
    """Seconds between two writes. In a bucket each is one paid request: 120 an hour cost a twentieth of a cent."""
    return 2.0 if isinstance(store, LocalStore) else 30.0


def rest_seconds(store: Store) -> float:
    """Seconds between two writes while no stage runs; then only what has changed is written."""
    return write_seconds(store) if isinstance(store, LocalStore) else 300.0


def write_progress(store: Store, run: str, progress: RunProgress) -> None:
    """Write the progress of a run.

    Args:
        run: path of the run's folder.
    """
    content = {"schema": SCHEMA, "driver": f"{platform.node()} (process {os.getpid()})", "time": time.time()}
    store.write(_path(run), json.dumps({**content, **asdict(progress)}).encode())


def read_progress(store: Store, run: str) -> RunReport | None:
    """Return the latest report of a run; None if there is none that can be read."""
    try:
        found = json.loads(store.read(_path(run)) or b"")
        stages = tuple(StageProgress(**stage) for stage in found["running"])
        left = None if found["left"] is None else float(found["left"])
        failures = {str(name): str(reason) for name, reason in dict(found.get("failures", {})).items()}
        elsewhere = {str(who): int(number) for who, number in dict(found.get("elsewhere", {})).items()}
        progress = RunProgress(float(found["seconds"]), left, dict(found["counts"]), stages, failures, elsewhere)
        return RunReport(str(found["driver"]), float(found["time"]), progress)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _path(run: str) -> str:
    return f"{run}/progress.json"
