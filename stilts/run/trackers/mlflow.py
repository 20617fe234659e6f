"""MLflow: one MLflow experiment per experiment, of the same name, and one run per stage."""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

from stilts.errors import StiltsError
from stilts.experiment.secrets import redact
from stilts.run.trackers.base import Tracked

KEY = "stilts.key"
LONGEST = 5000
"""Characters of a tag's value."""
_STATUS = {"done": "FINISHED", "stopped": "KILLED"}


class MLflow:
    """Logs to the server or database at MLFLOW_TRACKING_URI, or to `FOLDER/mlflow.db` if that is not set.

    Raises:
        StiltsError: the package is not installed, or the server cannot be reached.
    """

    def __init__(self, experiment: str, folder: Path) -> None:
        try:
            from mlflow.entities import Metric
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise StiltsError("the tracker mlflow needs a package: pip install 'stilts[mlflow]'") from None
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            folder.mkdir(parents=True, exist_ok=True)
            uri = f"sqlite:///{(folder / 'mlflow.db').resolve()}"
        try:
            self._client = MlflowClient(uri)
            found = self._client.get_experiment_by_name(experiment)
            self._experiment = self._client.create_experiment(experiment) if found is None else found.experiment_id
        except MlflowException as error:
            raise StiltsError(f"the tracker mlflow: {redact(f'{uri}: {error}')}") from None
        self._metric = Metric
        self._runs: dict[str, str] = {}
        self._logged: dict[str, int] = {}

    def begin(self, stage: Tracked, step: int | None) -> None:
        found = self._client.search_runs([self._experiment], f"tags.`{KEY}` = '{stage.key}'", max_results=1)
        if found:
            run = found[0].info.run_id
            self._client.update_run(run, status="RUNNING")
        else:
            tags = {KEY: stage.key, "stilts.cells": "\n".join(stage.cells)[:LONGEST]}
            run = self._client.create_run(self._experiment, tags=tags, run_name=stage.name).info.run_id
            for name, value in stage.settings.items():
                self._client.log_param(run, name, value)
        self._runs[stage.name] = run
        self._logged[stage.name] = max((m.step for m in self._client.get_metric_history(run, "loss")), default=0)

    def log(self, stage: Tracked, step: int, values: Mapping[str, float]) -> None:
        if step > self._logged[stage.name]:
            self._log(stage, step, values)

    def end(self, stage: Tracked, status: str, step: int, scores: Mapping[str, float]) -> None:
        self._log(stage, step, scores)
        self._client.set_terminated(self._runs.pop(stage.name), _STATUS.get(status, "FAILED"))

    def _log(self, stage: Tracked, step: int, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [self._metric(name, value, now, step) for name, value in values.items()]
        for first in range(0, len(metrics), 1000):  # the API accepts 1000 metrics per call
            self._client.log_batch(self._runs[stage.name], metrics=metrics[first : first + 1000])
