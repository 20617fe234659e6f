"""Run a search: first the stages before the tuned one, then the trials that the study proposes.

A search that was stopped continues when it is started again: finished trials are in the study, finished stages are in
the store, and stages that were running continue from their resume states. A lease makes sure that only one driver runs
a search at a time.
"""

from dataclasses import dataclass, replace
from functools import partial

import optuna
from rich.console import Console

from stilts.identity.stage import SHORT
from stilts.ledger.mark import mark_of
from stilts.ledger.needs import declarations
from stilts.ledger.record import take_inventory
from stilts.plan.todo import missing_jobs
from stilts.run.cluster.connect import connected
from stilts.run.cluster.drain import Brake
from stilts.run.cluster.ray_job import check_job
from stilts.run.display import Display
from stilts.run.launch import check_hub_models, check_limits, diverged_before, prepare, tell_waiting
from stilts.run.meter import NO_LIMITS, Limits, Meter
from stilts.run.result import CONTINUE, RunResult
from stilts.run.tune_adapter.execute import execute
from stilts.search.figures import save_search
from stilts.search.result import TuneResult
from stilts.search.session import SearchSession
from stilts.search.study import Proposals, best_of, drop_worse_weights, is_over, open_study, study_subject
from stilts.search.trials import best_recipe, trials_table, write_trials
from stilts.storage.lease import Lease


@dataclass(frozen=True)
class _End:
    """How a search ended: the reason if trials are left, and whether a limit of cost or GPU-hours was reached."""

    reason: str | None = None
    limited: bool = False


def tune(found: SearchSession, *, console: Console, limits: Limits = NO_LIMITS) -> TuneResult:
    """Run the trials that are left, and write the table, the plots and the best recipe to the results folder.

    Args:
        console: where progress is displayed.
        limits: limits of cost and GPU-hours for all launches of the search together.

    Raises:
        StiltsError: the study's database cannot be used or has another search under this name, or something that is
            checked before training is wrong (see `run.launch.launch`).
        KeyboardInterrupt: the search was interrupted. The artifacts in the store stay.
    """
    session = found.session
    name = session.experiment.name
    study = open_study(name, found.study, found.search, study_subject(found.subject))
    check_job(session.store.uri)
    waiting = tell_waiting(console, "which cleans the store, or runs this search")
    with session.running(waiting), Lease(session.store, f"experiments/{name}/search", waiting):
        end = _tune(found, study, console, limits)
    return _result(found, study, end)


def _result(found: SearchSession, study: optuna.Study, end: _End) -> TuneResult:
    table = trials_table(study, list(found.search.space.dimensions()))
    trial = best_of(study)
    patch = None if trial is None else found.subject.patch(trial.params)
    best = None if patch is None else best_recipe(table, patch, study.study_name, found.subject.metric)
    results, title = found.session.results, found.subject.title
    files = [*write_trials(results, table, title, best), *save_search(study, results)]
    return TuneResult(title, table, patch, results, files, end.reason, end.limited)


def _tune(found: SearchSession, study: optuna.Study, console: Console, limits: Limits) -> _End:
    if is_over(study, found.search):
        console.print(f"[green]nothing to search[/]: all {found.search.trials} trials are over")
        return _End()
    session, brake = found.session, Brake()
    runtime, store = session.experiment.runtime, session.store
    meter = Meter(store, session.experiment.name, runtime, session.experiment.cluster, limits, brake)
    check_limits(session.plan(), meter, limits, console)
    inventory = take_inventory(store, {key[:SHORT] for key in session.expansion.graph.nodes}, verify=True)
    parents = {spec.parent for spec in found.subject.default.specs}
    missing = missing_jobs(session.expansion.graph, inventory, store.uri, runtime, parents)
    jobs = [replace(job, mark=mark_of(store)) for job in missing.values()]
    check_hub_models(jobs)
    prepare(session, jobs, console)
    with connected(), meter:
        if jobs:
            console.print(f"{len(jobs)} stages before the one that is tuned")
            run = partial(execute, runtime=runtime, name=session.experiment.name, callbacks=[meter], brake=brake)
            shown = partial(Display, console=console, spent=meter.describe)
            outcome = run(jobs, display=shown, diverged=diverged_before(store, jobs))
            if not outcome.complete:
                result = RunResult(outcome.stages, meter.spent, outcome.stopped)
                return _End(result.reason, limited=outcome.stopped is not None)
        return _search(found, study, console, brake, meter)


def _search(found: SearchSession, study: optuna.Study, console: Console, brake: Brake, meter: Meter) -> _End:
    experiment = found.session.experiment
    proposals = Proposals(study, found.subject, found.session.store, partial(console.print, soft_wrap=True))

    def progress() -> str:
        return "; ".join(filter(None, (proposals.progress(), meter.describe())))

    execute(
        (),
        runtime=experiment.runtime,
        name=experiment.name,
        callbacks=[meter],
        display=partial(Display, console=console, spent=progress),
        brake=brake,
        source=proposals,
    )
    if proposals.broken is not None:
        return _End(proposals.broken)
    if brake.reason is not None:
        return _End(f"{brake.reason}; {proposals.progress()}. {CONTINUE}", limited=True)
    _tidy(found, study)
    return _End()


def _tidy(found: SearchSession, study: optuna.Study) -> None:
    """Declare the best recipe in the store, and remove the weights of all other trials that no experiment needs."""
    store = found.session.store
    best = best_of(study)
    if best is None:
        return
    found.of(found.subject.configure(best.params)).declare()
    if found.session.experiment.runtime.keep == "all":
        return
    needs = [declared.needs for declared in declarations(store) if declared.needs is not None]
    drop_worse_weights(
        study, store, {key for n in needs for key, stage in n.stages.items() if stage.keeps or stage.feeds}
    )
