"""TuneResult: the outcome of `stilts tune`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.console import Console

from stilts.errors import LimitReached, StiltsError
from stilts.search.trials import trials_grid
from stilts.show.display import Displayed
from stilts.show.grid import show

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TuneResult(Displayed):
    """The trials of a search and the best recipe.

    Attributes:
        title: what was tuned, in words.
        trials: one row per trial with its values, dev score and state (see `search.trials.COLUMNS`).
        best: the fields of an experiment that the best trial sets; None if no trial was completed.
        results: folder of the search's files, such as `best.yaml`.
        files: the files that were written: table, plots, and the best recipe.
        reason: why the search is not complete; None if all trials are over.
        limited: whether a limit of cost or GPU-hours ended the search.
    """

    title: str
    trials: pa.Table
    best: dict[str, Any] | None
    results: Path
    files: list[Path] = field(repr=False)
    reason: str | None = None
    limited: bool = False

    @property
    def complete(self) -> bool:
        """Whether all trials are over."""
        return self.reason is None

    @property
    def table(self) -> "pd.DataFrame":
        """The trials as a data frame."""
        return self.trials.to_pandas()

    def raise_if_incomplete(self) -> None:
        """Raise an error if trials are left.

        Raises:
            LimitReached: a limit of cost or GPU-hours ended the search.
            StiltsError: a stage before the tuned one failed, or trials cannot be judged.
        """
        if self.reason is not None:
            raise (LimitReached if self.limited else StiltsError)(self.reason)

    def to_json(self) -> list[dict[str, Any]]:
        """The trials as a list of rows."""
        rows: list[dict[str, Any]] = self.trials.to_pylist()
        return rows

    def show(self, console: Console) -> None:
        """Print the trials, the best first, and where the files are."""
        show(console, [trials_grid(self.trials, self.title)])
        best = self.results / "best.yaml"
        console.print(f"[dim]{len(self.files)} files in {self.results}; the best recipe: --with {best}[/]")
