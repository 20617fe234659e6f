"""Tracker: where the numbers of stages are logged for people to look at. One run a stage, named by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from stilts.identity.stage import EvaluationSpec


@dataclass(frozen=True)
class Tracked:
    """What is told of a stage when its run begins.

    Attributes:
        name: of the stage; the run's.
        key: what tells it from every other stage, in every launch: who logs it again goes on with the same run.
        cells: of the experiment that it serves: `MODEL/INTERMEDIATE/TARGET/sSEED`.
        settings: what determined it, flat: `recipe.learning_rate`, `tasks`, `parent`.
        evaluations: those that its trial does.
        trains: whether its trial trains it, too.
    """

    name: str
    key: str
    cells: tuple[str, ...]
    settings: Mapping[str, Any]
    evaluations: tuple[EvaluationSpec, ...] = ()
    trains: bool = True


class Tracker(Protocol):
    """Logs numbers of stages, several at a time, all calls from one thread. Any error ends the tracking alone.

    A stage goes on with its own run after a restart, whichever process then logs it, and no step stands in it twice.
    """

    def begin(self, stage: Tracked, step: int | None) -> None:
        """Open a stage's run, or go on with it.

        Args:
            step: the first that this process has seen; None: the stage is not trained, only evaluated. Dev scores of
                earlier steps may be logged, too: again, where another process has logged them.
        """

    def log(self, stage: Tracked, step: int, values: Mapping[str, float]) -> None:
        """Numbers of one step."""

    def end(self, stage: Tracked, status: str, step: int, scores: Mapping[str, float]) -> None:
        """The stage is over: `done`, `failed`, `diverged`, or `stopped`; the scores of its last step, if any."""
