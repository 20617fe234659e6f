"""RunResult: what `stilts run` has done. Imports no Ray, so that it can be used anywhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from stilts.errors import LimitReached, StiltsError
from stilts.ledger.logs import DEFAULT_STORE, log_command
from stilts.ledger.spending import Spending
from stilts.schedule.agenda import StageOutcome
from stilts.show.display import Displayed

if TYPE_CHECKING:
    import pandas as pd

CONTINUE = "The same command with a higher limit continues."
"""What to do after a limit is reached."""


@dataclass(frozen=True)
class RunResult(Displayed):
    """What became of the stages of one run.

    Attributes:
        stages: outcome of every stage that the store lacked when the run started, by name.
        spent: what all launches of the experiment have used together, this one included.
        stopped: the limit that ended the run early; None if no limit did.
        dropped: stages whose weights were dropped while others ran.
        weights: `kept` or `dropped` (`runtime.keep`) by the name of each stage of the experiment that has, or had,
            weights.
        store: URI of the store, for the command that shows the log of a stage.
    """

    stages: Mapping[str, StageOutcome]
    spent: Spending
    stopped: str | None = None
    dropped: tuple[str, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    store: str = DEFAULT_STORE

    @property
    def complete(self) -> bool:
        """Whether every stage is done."""
        return all(stage.status == "done" for stage in self.stages.values())

    @property
    def done(self) -> list[str]:
        """Names of the stages that this run has trained or evaluated."""
        return [name for name, stage in self.stages.items() if stage.status == "done"]

    @property
    def failed(self) -> dict[str, StageOutcome]:
        """Stages that failed or diverged, or were not run because their parent did."""
        return {name: stage for name, stage in self.stages.items() if stage.status not in ("done", "waiting")}

    @property
    def waiting(self) -> list[str]:
        """Names of the stages that a stop has left for the next run."""
        return [name for name, stage in self.stages.items() if stage.status == "waiting"]

    @property
    def table(self) -> "pd.DataFrame":
        """A row per stage: stage, status, message, seconds of the last attempt, retries, weights (kept or dropped)."""
        import pandas as pd

        columns = ["stage", "status", "message", "seconds", "retries", "weights"]
        rows = [
            (name, s.status, s.message, s.seconds, s.retries, self.weights.get(name, ""))
            for name, s in self.stages.items()
        ]
        return pd.DataFrame(rows, columns=columns)

    @property
    def reason(self) -> str | None:
        """Why the run is not complete, with a line per failed stage; None if it is complete."""
        if self.complete:
            return None
        lines = [self._line(name, stage) for name, stage in self.failed.items()]
        said = [f"{len(lines)} of {len(self.stages)} stages did not end well:", *(f"  - {line}" for line in lines)]
        if self.stopped is None:
            return "\n".join(said)
        stopped = f"{self.stopped}; {len(self.waiting)} of {len(self.stages)} stages wait. {CONTINUE}"
        return "\n".join([*(said if lines else ()), stopped])

    def _line(self, name: str, stage: StageOutcome) -> str:
        log = f" (see `{log_command(name, self.store)}`)" if stage.status in ("failed", "diverged") else ""
        return f"{name}: {stage.status}{': ' if stage.message else ''}{stage.message}{log}"

    def raise_if_incomplete(self) -> None:
        """Raise an error if any stage is not done.

        Raises:
            LimitReached: a limit of cost or GPU-hours ended the run.
            StiltsError: stages failed or diverged; the message names each with its reason.
        """
        if self.reason is not None:
            raise (StiltsError if self.stopped is None else LimitReached)(self.reason)

    def show(self, console: Console) -> None:
        """Print the number of stages that are done, what was spent, and why others are not done."""
        hours = f"{self.spent.gpu_hours:,.3f} GPU-hours so far"
        console.print(f"{len(self.done)} of {len(self.stages)} stages done; {hours}")
        if self.reason is not None:
            console.print(f"[yellow]{escape(self.reason)}[/]", soft_wrap=True)
