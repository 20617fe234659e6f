"""Weights & Biases: one project per experiment (or WANDB_PROJECT), and one run per stage."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stilts.errors import StiltsError
from stilts.experiment.secrets import redact
from stilts.run.trackers.base import Tracked

STEP = "step"
TAG = 64
"""Largest number of characters of a tag."""


class WeightsAndBiases:
    """Logs to Weights & Biases, or to `FOLDER/wandb` with WANDB_MODE=offline (for `wandb sync --append`).

    Raises:
        StiltsError: the package is not installed, there is no API key, or the server does not accept it.
    """

    def __init__(self, experiment: str, folder: Path) -> None:
        try:
            import wandb
        except ImportError:
            raise StiltsError("the tracker wandb needs a package: pip install 'stilts[wandb]'") from None
        try:
            known = os.environ.get("WANDB_MODE", "online") != "online" or wandb.login(prompt=False)
        except wandb.Error as error:
            raise StiltsError(f"the tracker wandb: {redact(str(error))} WANDB_MODE=offline logs to files.") from None
        if not known:
            raise StiltsError(
                "the tracker wandb needs a key: set WANDB_API_KEY, run `wandb login`, or set WANDB_MODE=offline"
            )
        self._wandb, self._experiment, self._folder = wandb, experiment, folder
        self._runs: dict[str, Any] = {}
        self._logged: dict[str, int] = {}

    def begin(self, stage: Tracked, step: int | None) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        run = self._wandb.init(
            id=stage.key[:32],
            name=stage.name,
            resume="allow",
            reinit="create_new",
            project=os.environ.get("WANDB_PROJECT", self._experiment),
            group=self._experiment,
            tags=sorted({cell[:TAG] for cell in stage.cells}),
            config={**stage.settings, "cells": list(stage.cells)},
            dir=str(self._folder),
            # Nothing about this process or machine is sent.
            settings=self._wandb.Settings(
                silent=True, console="off", disable_code=True, disable_git=True, x_disable_stats=True
            ),
        )
        run.define_metric("*", step_metric=STEP)
        self._runs[stage.name] = run
        self._logged[stage.name] = int(run.summary.get(STEP, 0) or 0)

    def log(self, stage: Tracked, step: int, values: Mapping[str, float]) -> None:
        if step > self._logged[stage.name]:
            self._runs[stage.name].log({STEP: step, **values})

    def end(self, stage: Tracked, status: str, step: int, scores: Mapping[str, float]) -> None:
        run = self._runs.pop(stage.name)
        run.summary.update({**scores, "status": status})
        run.finish(exit_code=0 if status in ("done", "stopped") else 1)
