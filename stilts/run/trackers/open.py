"""Open trackers by their names."""

from collections.abc import Callable, Iterable
from pathlib import Path

from stilts.errors import StiltsError, nearest
from stilts.run.trackers.base import Tracker
from stilts.run.trackers.mlflow import MLflow
from stilts.run.trackers.tensorboard import TensorBoard
from stilts.run.trackers.wandb import WeightsAndBiases


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
    return {name: makers[name]() for name in wanted}
