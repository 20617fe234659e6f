"""What the functions of the API return: objects with their data, which print themselves and show in a notebook."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from stilts.errors import Problems, StiltsError, nearest, sized
from stilts.ledger.logs import StageLog
from stilts.ledger.spending import Spending
from stilts.monitor.live import LiveRun, remarks
from stilts.plan.cost.estimate import hours_unit
from stilts.plan.summary import Plan, stage_rows
from stilts.session import Session
from stilts.show.display import Displayed
from stilts.show.logs import show_log
from stilts.show.plan import show_compared, show_plan, show_simulation
from stilts.show.status import show_status, spending_line
from stilts.storage.local import LocalStore

if TYPE_CHECKING:
    import pandas as pd

    from stilts.results.analyse import Tables
    from stilts.results.claims.verify import Verification


@dataclass(frozen=True)
class PlanResult(Displayed):
    """What an experiment holds, and what is left to run.

    Attributes:
        plan: the plan itself: graph, jobs and costs.
        price: expected cost, where the experiment declares a `cluster`.
        simulation: figures of the simulated run, where one was asked for.
        absent: tasks that nothing provides data for, and how to give it; they can be planned, but not run.
        beside: hours and prices of this plan and of those that it is compared with, one row each.
    """

    plan: Plan = field(repr=False)
    price: dict[str, Any] | None = None
    simulation: dict[str, Any] | None = None
    absent: dict[str, str] = field(default_factory=dict)
    beside: list[dict[str, Any]] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, Any]:
        """Counts, tokens, GPU-hours and bytes by name: cells, stages, shared, done, to_train, gpu_hours ..."""
        return self.plan.figures

    @property
    def table(self) -> "pd.DataFrame":
        """A row per stage, parents first: name, state, cells, evaluations, examples, tokens, gpu_hours."""
        import pandas as pd

        return pd.DataFrame(stage_rows(self.plan))

    def to_json(self) -> dict[str, Any]:
        """Everything in plain JSON types."""
        costs = {"price": self.price, "simulation": self.simulation, "beside": self.beside or None}
        given = {name: value for name, value in costs.items() if value is not None}
        return {**self.figures, **given, "absent_data": list(self.absent), "by_stage": stage_rows(self.plan)}

    def show(self, console: Console) -> None:
        """Print the figures, the stages, and what a simulation came to."""
        show_plan(self.plan, console)
        if self.simulation is not None:
            experiment = self.plan.expansion.experiment
            show_simulation(self.simulation, console, hours_unit(experiment.runtime, experiment.cluster))
        if self.beside:
            show_compared(self.beside, console)
        for task, ways in self.absent.items():
            console.print(f"[yellow]{task}: sizes as declared; before a run, give {ways}[/]")


@dataclass(frozen=True)
class Results(Displayed, Mapping[str, pa.Table]):
    """The tables of an experiment by name: `results`, `summary`, `languages`, `items`, `study`, `best` ...

    Attributes:
        tables: Arrow tables by name.
        folder: where `write` puts the files.
    """

    tables: "Tables" = field(repr=False)
    folder: Path

    def __getitem__(self, name: str) -> pa.Table:
        if name not in self.tables:
            raise KeyError(f"no table {name!r}; {nearest(name, self.tables)}")
        return self.tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)

    def to_pandas(self, name: str = "results") -> "pd.DataFrame":
        """One of the tables as a data frame; `results` has a row per cell, language, split, condition and metric."""
        return self[name].to_pandas()

    def write(self) -> list[Path]:
        """Write every table as Parquet, and those for people as Markdown, CSV and LaTeX; returns the files."""
        from stilts.show.results import write_results

        return write_results(self.folder, self.tables)

    def to_json(self) -> dict[str, list[dict[str, Any]]]:
        """Every table as a list of rows."""
        return {name: table.to_pylist() for name, table in self.tables.items()}

    def show(self, console: Console) -> None:
        """Print scores and differences, then all analyses, and what failed."""
        from stilts.show.results import print_results

        print_results(console, self.tables)

    def show_scores(self, console: Console) -> None:
        """Print scores, what their differences are worth, and what failed."""
        from stilts.show.results import print_scores

        print_scores(console, self.tables)


@dataclass(frozen=True)
class Claims(Displayed):
    """The claims of an experiment with their verdicts.

    Attributes:
        claims: the table `claims`, a row per claim (`stilts.results.claims.table.CLAIMS`).
        experiment: its name.
        folder: where `write` puts claims.json.
        command: how to compute the verdicts again; part of claims.json.
    """

    claims: pa.Table = field(repr=False)
    experiment: str
    folder: Path
    command: str = "stilts.claims(experiment)"

    @property
    def table(self) -> "pd.DataFrame":
        """A row per claim."""
        return self.claims.to_pandas()

    def write(self) -> Path:
        """Write claims.json to the results folder; returns its path.

        Raises:
            StiltsError: it cannot be written.
        """
        from stilts.show.claims import claims_json

        LocalStore(self.folder).write("claims.json", claims_json(self.claims, self.experiment, self.command).encode())
        return self.folder / "claims.json"

    def to_json(self) -> list[dict[str, Any]]:
        """A list of claims, each with all columns of the table."""
        return list(self.claims.to_pylist())

    def show(self, console: Console) -> None:
        """Print a line per claim."""
        from stilts.show.claims import claims_grids
        from stilts.show.grid import show

        show(console, claims_grids(self.claims))


@dataclass(frozen=True)
class Verified(Displayed):
    """Verdicts recomputed from stored predictions, beside those that were reported.

    Attributes:
        found: `claims` (a row per claim), `problems` (what was altered) and `evaluations` (how many were scored again).
    """

    found: "Verification"

    def raise_if_altered(self) -> None:
        """Raise an error if predictions or scores were altered, or a verdict is not what was reported.

        Raises:
            Problems: each of them.
        """
        wrong = [
            f"{row['claim']}: reported {row['reported']}, recomputed {row['recomputed']}"
            for row in self.found.claims
            if not row["agrees"]
        ]
        if wrong or self.found.problems:
            raise Problems([*self.found.problems, *wrong])

    def to_json(self) -> dict[str, Any]:
        """Everything in plain JSON types."""
        return {**asdict(self.found), "agrees": self.found.agrees}

    def show(self, console: Console) -> None:
        """Print a line per claim."""
        from stilts.show.claims import verification_grid
        from stilts.show.grid import show

        show(console, [verification_grid(self.found)])


@dataclass(frozen=True)
class Report(Displayed):
    """The files of a report.

    Attributes:
        path: the HTML page.
        figures: files of the figures; empty if there are no results yet.
    """

    path: Path
    figures: list[Path] = field(repr=False)

    def show(self, console: Console) -> None:
        """Print where the files are."""
        console.print(f"{self.path} ({sized(self.path.stat().st_size)})", soft_wrap=True, highlight=False)
        said = "no figures: there are no numbers"
        if self.figures:
            said = f"{len(self.figures)} files in {self.figures[0].parent}"
        console.print(said, soft_wrap=True, highlight=False)

    def _repr_html_(self) -> str:
        return f'<a href="{self.path}">{self.path}</a>'


@dataclass(frozen=True)
class Status(Displayed):
    """The state of an experiment.

    Attributes:
        states: `{"name", "state", "detail"}` per stage; the state is done, running, failed, diverged or waiting.
        spent: what all runs have used.
        runs: runs under way, and runs that died.
    """

    session: Session = field(repr=False)
    states: list[dict[str, Any]] = field(repr=False)
    spent: Spending
    runs: list[LiveRun]

    @property
    def table(self) -> "pd.DataFrame":
        """A row per stage: name, state, detail."""
        import pandas as pd

        return pd.DataFrame(self.states)

    def to_json(self) -> dict[str, Any]:
        """Everything in plain JSON types."""
        return {"stages": self.states, "spent": asdict(self.spent), "runs": [run.to_json() for run in self.runs]}

    def show(self, console: Console) -> None:
        """Print counts, a line per stage, runs whose driver may be dead, and what was spent."""
        show_status(self.states, console, self.session.store.uri)
        for line in remarks(self.runs):
            console.print(Text(line, style="yellow"), soft_wrap=True)
        if line := spending_line(self.session.experiment, self.session.store):
            console.print(line)


@dataclass(frozen=True)
class Explanation(Displayed):
    """Why a stage is reused or not.

    Attributes:
        stage: its name.
        verdict: what the store has of it, in a sentence.
        nearest: the stage of the store that differs in the fewest fields; None if there is none.
        differences: `{"field", "wanted", "stored"}` per field that differs.
    """

    stage: str
    verdict: str
    nearest: str | None
    differences: list[dict[str, Any]]

    @property
    def table(self) -> "pd.DataFrame":
        """A row per field that differs: field, wanted, stored."""
        import pandas as pd

        return pd.DataFrame(self.differences, columns=["field", "wanted", "stored"])

    def to_json(self) -> dict[str, Any]:
        """Everything in plain JSON types."""
        return asdict(self)

    def show(self, console: Console) -> None:
        """Print the verdict and the fields that differ."""
        console.print(f"[bold]{self.stage}[/]: {self.verdict}")
        if self.differences:
            table = Table("field", "wanted", f"in {self.nearest}", box=None, header_style="bold")
            for row in self.differences:
                table.add_row(row["field"], escape(json.dumps(row["wanted"])), escape(json.dumps(row["stored"])))
            console.print(table)


@dataclass(frozen=True)
class StageLogs(Displayed):
    """Why the last attempt at a stage ended, and what its ranks wrote last.

    Attributes:
        log: `stage`, `status`, `ending` (how the last attempt ended), `attempts` (of which there is output), `ranks`.
    """

    log: StageLog

    def to_json(self) -> dict[str, Any]:
        """Everything in plain JSON types."""
        return self.log.to_json()

    def show(self, console: Console) -> None:
        """Print the state, the reason and traceback of the last failure, and the last lines of each rank."""
        show_log(self.log, console)


@dataclass(frozen=True)
class Submission(Displayed):
    """A prediction folder in XTREME's layout.

    Attributes:
        out: the folder; its zip lies beside it.
        manifest: what was chosen for each target and why, what is missing, and the files.
    """

    out: Path
    manifest: dict[str, Any] = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether every target and language of the benchmark is there."""
        return bool(self.manifest["complete"])

    def to_json(self) -> dict[str, Any]:
        """The manifest."""
        return self.manifest

    def show(self, console: Console) -> None:
        """Print a line per target, and what is missing."""
        from stilts.show.submission import show_submission

        show_submission(self.manifest, self.out, console)


@dataclass(frozen=True)
class Scores(Displayed):
    """Scores of a prediction folder, as XTREME's evaluate.py computes them.

    Attributes:
        scores: per task its averages and languages; then averages over tasks, and what is missing.
    """

    scores: dict[str, Any]

    @property
    def problems(self) -> list[str]:
        """What is wrong with files that were not scored."""
        return list(self.scores["problems"])

    def raise_if_incomplete(self) -> None:
        """Raise an error if a file could not be scored.

        Raises:
            Problems: what is wrong with each of them.
        """
        if self.problems:
            raise Problems(self.problems)

    @property
    def table(self) -> "pd.DataFrame":
        """A row per task, language and metric: task, language, metric, score (0 to 100)."""
        import pandas as pd

        rows = [
            (task, language, metric, value)
            for task, found in self.scores.items()
            if isinstance(found, Mapping) and "languages" in found
            for language, values in found["languages"].items()
            for metric, value in values.items()
        ]
        return pd.DataFrame(rows, columns=["task", "language", "metric", "score"])

    def __getitem__(self, task: str) -> Any:
        if task not in self.scores:
            raise StiltsError(f"no scores of {task!r}; {nearest(task, self.scores)}")
        return self.scores[task]

    def to_json(self) -> dict[str, Any]:
        """Everything in plain JSON types."""
        return self.scores

    def show(self, console: Console) -> None:
        """Print a table per task, then the averages."""
        from stilts.show.score import show_scores

        show_scores(self.scores, console)
