"""Open trackers by their names."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from stilts.errors import StiltsError, nearest
from stilts.experiment.secrets import redact
from stilts.run.trackers.base import Tracker
from stilts.run.trackers.mlflow import MLflow
from stilts.run.trackers.tensorboard import TensorBoard
from stilts.run.trackers.wandb import WeightsAndBiases
from stilts.waiting import bounded

_ADDRESSES = {"mlflow": "MLFLOW_TRACKING_URI", "wandb": "WANDB_BASE_URL"}
"""The variables that give the address of a tracker's server."""


def open_trackers(names: Iterable[str], experiment: str, folder: Path) -> dict[str, Tracker]:
    """Open the trackers of a run.

    Args:
        names: as in `Runtime.trackers`.
        folder: of the results of the experiment, for trackers that write files on this machine.

    Raises:
        StiltsError: a name is unknown, a package or a key is missing, or a server does not answer.
    """
    makers: dict[str, Callable[[], Tracker]] = {
        "tensorboard": lambda: TensorBoard(folder / "tensorboard"),
        "wandb": lambda: WeightsAndBiases(experiment, folder),
        "mlflow": lambda: MLflow(experiment, folder),
    }
    wanted = dict.fromkeys(names)
    for name in wanted:
        if name not in makers:
            raise StiltsError(f"unknown tracker {name!r}; {nearest(name, makers)}")
    return {name: _open(name, makers[name]) for name in wanted}


def _open(name: str, make: Callable[[], Tracker]) -> Tracker:
    address = os.environ.get(_ADDRESSES.get(name, ""), "")
    if "://" not in address:
        return make()  # it writes files, or has the address of the vendor's own service
    server = f"the tracker {name} at {redact(address)}"
    return bounded(make, server, f"check {_ADDRESSES[name]} and the server, or leave this tracker out")
