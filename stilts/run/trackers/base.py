"""Tracker: logs the metrics of stages to an experiment tracker. Each stage is one run there, of the same name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from stilts.identity.stage import EvaluationSpec


@dataclass(frozen=True)
class Tracked:
    """What a tracker gets to know of a stage when its run begins.

    Attributes:
        name: of the stage and of its run.
        key: identifies the stage in every launch, so that a later launch continues the same run.
        cells: cells of the experiment that need it: `MODEL/INTERMEDIATE/TARGET/sSEED`.
        settings: what determines it, as a flat mapping: `recipe.learning_rate`, `tasks`, `parent`.
        evaluations: evaluations that its trial makes.
        trains: whether its trial trains it.
    """

    name: str
    key: str
    cells: tuple[str, ...]
    settings: Mapping[str, Any]
    evaluations: tuple[EvaluationSpec, ...] = ()
    trains: bool = True


class Tracker(Protocol):
    """Logs metrics of several stages at a time, from one thread. An error ends the tracking, not the run.

    After a restart, a stage continues its run, also from another process, and no step is logged twice.
    """

    def begin(self, stage: Tracked, step: int | None) -> None:
        """Open the run of a stage, or continue it.

        Args:
            step: the first step that this process logs; None if the stage is only evaluated. Dev scores of earlier
                steps may follow, even if another process has logged them already.
        """

    def log(self, stage: Tracked, step: int, values: Mapping[str, float]) -> None:
        """Log the metrics of one step."""

    def end(self, stage: Tracked, status: str, step: int, scores: Mapping[str, float]) -> None:
        """End the run with status `done`, `failed`, `diverged` or `stopped`, and log the final scores, if any."""
