"""The Python API: functions that take an experiment and return objects. Nothing is printed.

An experiment is an `Experiment`, or the path of its YAML file. Bad input raises `StiltsError` before anything trains.
Modules are imported inside the functions, so that importing stilts stays cheap.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from stilts.api.objects import (
        Claims,
        Explanation,
        PlanResult,
        Report,
        Results,
        Scores,
        StageLogs,
        Status,
        Submission,
        Verified,
    )
    from stilts.experiment.experiment import Experiment
    from stilts.experiment.search import Tuning
    from stilts.results.analyse import Tables
    from stilts.results.seed_statistics import Options
    from stilts.run.result import RunResult
    from stilts.search.result import TuneResult
    from stilts.session import Session


def load(
    path: "str | os.PathLike[str]", *, overrides: Sequence[str] = (), patches: "Sequence[str | os.PathLike[str]]" = ()
) -> "Experiment":
    """Read an experiment from a YAML file.

    Args:
        path: the YAML file.
        overrides: settings such as `"recipe.epochs=2"`; the value is read as YAML. As `--set` on the command line.
        patches: YAML files whose fields override those of the experiment, in order. As `--with` on the command line.

    Raises:
        Problems: every mistake, with file, line and field.
        StiltsError: the file cannot be read, or is not YAML.

    Example:
        >>> import stilts
        >>> stilts.load("ray_jobs/quickstart.yaml", overrides=["seeds=[1, 2, 3]"]).seeds
        (1, 2, 3)
    """
    from stilts.experiment.load import load_experiment

    return load_experiment(Path(path), overrides, patches=[Path(patch) for patch in patches])


def plan(
    experiment: "Experiment | str | os.PathLike[str]",
    *,
    simulate: bool = False,
    beside: "Mapping[str, Experiment | str | os.PathLike[str]] | None" = None,
) -> "PlanResult":
    """Compare an experiment with its store: cells, stages, what is done, and what the rest costs. Starts nothing.

    Args:
        simulate: also simulate the run on the machines of the experiment's `cluster`.
        beside: by name, variants of the experiment whose hours and prices are compared with its own.

    Raises:
        StiltsError: every mistake in what the experiment names; or `simulate` without a `cluster`.

    Example:
        >>> import stilts
        >>> plan = stilts.plan("ray_jobs/quickstart.yaml")
        >>> plan.figures["cells"], plan.figures["stages"]
        (27, 34)
        >>> list(plan.table.columns)
        ['name', 'state', 'cells', 'evaluations', 'examples', 'tokens', 'gpu_hours']
    """
    from stilts.api.objects import PlanResult
    from stilts.plan.cost.compare import compared
    from stilts.plan.cost.price import priced
    from stilts.plan.cost.simulate import simulation

    session = _session(experiment)
    session.complete_declarations()
    found = session.plan()
    simulated = simulation(found) if simulate else None
    plans = {"as declared": found, **{name: _session(other).plan() for name, other in (beside or {}).items()}}
    rows = compared(plans, simulate=simulate) if beside else []
    return PlanResult(found, priced(found), simulated, session.absent(), rows)


def run(
    experiment: "Experiment | str | os.PathLike[str]",
    *,
    max_gpu_hours: float | None = None,
    max_cost: float | None = None,
    trackers: Sequence[str] = (),
    retry: Sequence[str] = (),
    console: "Console | None" = None,
) -> "RunResult":
    """Train and evaluate what the store lacks, on the Ray cluster of RAY_ADDRESS or on this machine.

    A run that was interrupted continues where it was when it is started again. Failed stages are part of the result;
    `RunResult.raise_if_incomplete` turns them into an error.

    Args:
        max_gpu_hours: stop when all runs of the experiment together have used so many GPU-hours.
        max_cost: stop when they have cost so much, by the prices of the experiment's `cluster`.
        trackers: `wandb` or `mlflow`, in addition to `runtime.trackers`.
        retry: `["diverged"]` trains stages again whose loss became NaN or infinite in an earlier run. Without it, they
            and the stages that start from them are not run. Failed stages are always tried again.
        console: displays progress on this `rich.console.Console`; by default, nothing is displayed.

    Raises:
        LimitReached: a limit was reached before this run.
        StiltsError: the run cannot start: mistakes in the experiment or its data, too little disk, no cluster.

    Example:
        result = stilts.run("first.yaml", console=rich.console.Console())
        result.failed  # {} if all went well
    """
    from stilts.run.launch import launch
    from stilts.run.meter import Limits
    from stilts.show.display import quiet_console

    limits = Limits(max_gpu_hours, max_cost)
    shown = console or quiet_console()
    return launch(_session(experiment), console=shown, limits=limits, trackers=trackers, retry=retry)


def debug(
    experiment: "Experiment | str | os.PathLike[str]", stage: str, *, console: "Console | None" = None
) -> str | None:
    """Run one stage in this process, without Ray, so that `breakpoint()`, `print` and a debugger work.

    The lease and the result in the store are those of a run. What the stage raises is raised here.

    Args:
        stage: name of a stage whose parent is done, or an unambiguous beginning of its name or key.
        console: displays progress; by default, nothing is displayed.

    Returns:
        Name of the stage; None if it was done already.

    Raises:
        StiltsError: there is no such stage, its parent is not done, or `runtime.ranks` is not 1.
    """
    from stilts.run.foreground import run_in_foreground
    from stilts.show.display import quiet_console

    return run_in_foreground(_session(experiment), stage, console or quiet_console())


def tune(
    search: "Tuning | str | os.PathLike[str]",
    *,
    overrides: Sequence[str] = (),
    patches: "Sequence[str | os.PathLike[str]]" = (),
    max_gpu_hours: float | None = None,
    max_cost: float | None = None,
    console: "Console | None" = None,
) -> "TuneResult":
    """Search for the best recipe of a stage, and write it with a table and plots to the results folder.

    Args:
        search: a `Tuning`, or the YAML file of one; `overrides` and `patches` are for a file, as in `load`.
        max_gpu_hours, max_cost, console: as in `run`.

    Raises:
        LimitReached, StiltsError: as in `run`.

    Example:
        stilts.tune("ray_jobs/tune_udpos.yaml").best  # {"recipes": {"udpos": {"learning_rate": 3e-05}}}
    """
    from stilts.experiment.search import Tuning
    from stilts.run.meter import Limits
    from stilts.search.launch import tune as run_search
    from stilts.search.session import SearchSession
    from stilts.show.display import quiet_console

    if isinstance(search, Tuning):
        found = SearchSession.of_search(search)
    else:
        found = SearchSession.open(Path(search), overrides, [Path(patch) for patch in patches])
    return run_search(found, console=console or quiet_console(), limits=Limits(max_gpu_hours, max_cost))


def collect(
    experiment: "Experiment | str | os.PathLike[str]",
    *,
    baseline: str = "none",
    difference: float = 1.0,
    console: "Console | None" = None,
) -> "Results":
    """The results of an experiment: scores, and what seeds and test items say about differences.

    Cells that are missing or failed are in the tables, with their state. Counts of predictions are cached in the
    folder `counts` of the results.

    Args:
        baseline: the regime to which the others are compared.
        difference: points; the tables say how many seeds would show a difference of this size.
        console: displays progress; by default, nothing is displayed.

    Raises:
        StiltsError: mistakes in the experiment; `baseline` is none of its regimes.

    Example:
        results = stilts.collect("first.yaml")
        results["summary"]            # a pyarrow.Table
        results.to_pandas("summary")  # a data frame
        results.write()               # the files of `stilts collect`
    """
    from stilts.api.objects import Results
    from stilts.results.seed_statistics import Options

    session, options = _session(experiment), Options(baseline, difference)
    return Results(_tables(session, options, console), session.results)


def claims(
    experiment: "Experiment | str | os.PathLike[str]", *, command: str = "stilts.claims(experiment)"
) -> "Claims":
    """The claims of an experiment with their verdicts, from what its store holds now.

    Args:
        command: stored in claims.json as the way to compute them again.

    Raises:
        StiltsError: mistakes in the experiment, or it declares no claims.

    Example:
        stilts.claims("laptop.yaml").table[["claim", "verdict", "estimate", "low", "high"]]
    """
    from stilts.api.objects import Claims
    from stilts.errors import StiltsError
    from stilts.results.analyse import claims_of_store
    from stilts.results.gather import gather

    session = _session(experiment)
    if not session.claims:
        raise StiltsError("the experiment declares no claims: add claims: to its file (docs/claims.md)")
    _note_claims(session)
    table = claims_of_store(session.expansion, session.store, gather(session.expansion, session.store))
    return Claims(table, session.experiment.name, session.results, command)


def verify(experiment: "Experiment | str | os.PathLike[str]", *, console: "Console | None" = None) -> "Verified":
    """Recompute the verdicts of all claims from the stored predictions, and compare them with claims.json.

    Args:
        console: displays progress; by default, nothing is displayed.

    Raises:
        StiltsError: mistakes in the experiment, or it declares no claims.

    Example:
        stilts.verify("laptop.yaml").raise_if_altered()
    """
    from functools import partial

    from rich.progress import track

    from stilts.api.objects import Verified
    from stilts.results.claims.verify import verify_claims

    session = _session(experiment)
    shown = iter if console is None else partial(track, description="predictions", console=console, transient=True)
    return Verified(verify_claims(session.expansion, session.store, session.results, shown))


def report(
    experiment: "Experiment | str | os.PathLike[str]",
    *,
    out: "str | os.PathLike[str] | None" = None,
    baseline: str = "none",
    difference: float = 1.0,
    command: str = "stilts.report(experiment)",
    console: "Console | None" = None,
) -> "Report":
    """Write one HTML page with all results of an experiment, and the figures of a paper beside its tables.

    Args:
        out: file of the page; default: `report.html` in the results folder.
        baseline, difference, console: as in `collect`.
        command: printed in the page as the way to make it again.

    Raises:
        StiltsError: as in `collect`; or a file cannot be written.

    Example:
        stilts.report("first.yaml").path  # results/first/report.html
    """
    from stilts.api.objects import Claims, Report
    from stilts.results.seed_statistics import Options
    from stilts.show.figures.write import write_figures
    from stilts.show.html.facts import gather_facts
    from stilts.show.html.page import write_report

    session, options = _session(experiment), Options(baseline, difference)
    tables = _tables(session, options, console)
    path = Path(out) if out is not None else session.results / "report.html"
    write_report(path, session.results, tables, gather_facts(session, command), options)
    if session.claims:
        Claims(tables["claims"], session.experiment.name, session.results, command).write()
    return Report(path, write_figures(session.results, tables))


def status(experiment: "Experiment | str | os.PathLike[str]") -> "Status":
    """The state of every stage, what all runs have spent, and the runs under way; read from the store alone.

    Raises:
        StiltsError: mistakes in the experiment, or the store cannot be read.

    Example:
        >>> import stilts
        >>> stilts.status("ray_jobs/quickstart.yaml").table["state"].unique().tolist()
        ['waiting']
    """
    from stilts.api.objects import Status
    from stilts.ledger.status import spending_of, stage_states
    from stilts.monitor.live import live_runs

    session = _session(experiment)
    states = stage_states(session.plan(), session.store)
    spent = spending_of(session.experiment, session.store)
    return Status(session, states, spent, live_runs(session.store, session.experiment.name))


def explain(experiment: "Experiment | str | os.PathLike[str]", stage: str) -> "Explanation":
    """Why a stage is not reused: the fields in which it differs from the nearest stage of the store.

    Args:
        stage: its name, or the beginning of its key.

    Raises:
        StiltsError: the experiment has no such stage, or several.
    """
    from stilts.api.objects import Explanation
    from stilts.ledger.explain import explain_stage

    session = _session(experiment)
    return Explanation(**explain_stage(session.expansion, session.plan().inventory, session.store, stage))


def logs(
    stage: str,
    *,
    experiment: "Experiment | str | os.PathLike[str] | None" = None,
    store: str = "stilts-store",
    attempt: int | None = None,
    rank: int | None = None,
) -> "StageLogs":
    """Why the last attempt at a stage ended, and the last lines that its ranks wrote; read from the store alone.

    Output is copied to the store while a stage runs, and when an attempt ends that does not finish it, so that it can
    be read when the machine is gone. It is removed when the stage is done.

    Args:
        stage: name of a stage, or an unambiguous beginning of its name or key.
        experiment: look among its stages, in its store.
        store: where to look if no experiment is given.
        attempt: number of the attempt; the last one by default.
        rank: all ranks by default.

    Raises:
        StiltsError: there is no such stage, or several; or no output of that attempt and rank, but of others.
    """
    from stilts.api.objects import StageLogs
    from stilts.errors import StiltsError
    from stilts.ledger.logs import match_stage, stage_log
    from stilts.plan.summary import stage_rows
    from stilts.storage.open import open_store

    if experiment is None:
        opened = open_store(store)
        names = list(opened.list("stages"))
        if not names:
            raise StiltsError(f"the store {opened.uri} has no stages; name another store, or the experiment (-e)")
        name = match_stage(names, stage)
    else:
        session = _session(experiment)
        opened, plan = session.store, session.plan()
        name = match_stage([row["name"] for row in stage_rows(plan)], stage)
    return StageLogs(stage_log(opened, name, attempt, rank))


def submission(
    experiment: "Experiment | str | os.PathLike[str]",
    out: "str | os.PathLike[str]",
    *,
    intermediates: Iterable[str] = (),
    model: str | None = None,
) -> "Submission":
    """Write XTREME's prediction folder and its zip, with the best intermediate per target on dev.

    Args:
        out: folder to write.
        intermediates: `REGIME` for every target, or `TARGET=REGIME` for one, in place of the best on dev.
        model: base model; required if the experiment has several.

    Raises:
        StiltsError: there is nothing to submit, a name is unknown, or `out` holds something else.
    """
    from stilts.api.objects import Submission
    from stilts.results.gather import gather_submission

    session, out = _session(experiment), Path(out)
    manifest = gather_submission(session.expansion, session.store, out, model, list(intermediates))
    return Submission(out, manifest)


def score(
    predictions: "str | os.PathLike[str]", labels: "str | os.PathLike[str]", *, benchmark: str = "xtreme"
) -> "Scores":
    """Score a prediction folder in XTREME's layout as its evaluate.py does.

    Averages over tasks are there only if all of their tasks are scored in all languages. A file that cannot be scored
    is named in `Scores.problems`.

    Args:
        predictions: folder with files TASK/test-LANGUAGE.
        labels: folder with the gold labels in the same layout.
        benchmark: `xtreme` or `xtreme-r`.

    Raises:
        Problems: no file can be scored; what is wrong with each.
        StiltsError: the folders have no task in common.

    Example:
        stilts.score("predictions", "labels").table  # a row per task, language and metric
    """
    from stilts.api.objects import Scores
    from stilts.evaluate.score import score_folder

    return Scores(score_folder(Path(predictions), Path(labels), benchmark))


def _session(experiment: "Experiment | str | os.PathLike[str]") -> "Session":
    from stilts.session import Session

    return Session.open(Path(experiment)) if isinstance(experiment, str | os.PathLike) else Session.of(experiment)


def _note_claims(session: "Session") -> None:
    """Note in the store when each claim was declared. A store that cannot be written stays as it is."""
    from contextlib import suppress

    from stilts.os_errors import DiskFull, NotWritable

    with suppress(DiskFull, NotWritable):
        session.declare_claims()


def _tables(session: "Session", options: "Options", console: "Console | None") -> "Tables":
    from functools import partial

    from rich.progress import track

    from stilts.results.analyse import analyse
    from stilts.results.items.kept import Kept

    shown = iter if console is None else partial(track, description="test items", console=console, transient=True)
    _note_claims(session)
    return analyse(session.expansion, session.store, options, shown, Kept(session.results))
