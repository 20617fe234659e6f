"""Run a search: first the stages before the tuned one, then the trials that the study proposes.

A search that was stopped continues when it is started again: finished trials are in the study, finished stages are in
the store, and stages that were running continue from their resume states. A lease makes sure that only one driver runs
a search at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import optuna
from rich.console import Console
from rich.markup import escape

from stilts.errors import StiltsError, counted
from stilts.identity.stage import SHORT
from stilts.ledger.mark import mark_of
from stilts.ledger.needs import CLEANING
from stilts.ledger.record import take_inventory
from stilts.ledger.settle import settle
from stilts.plan.cost.memory import rank_bytes
from stilts.plan.job import StageJob
from stilts.plan.todo import missing_jobs
from stilts.run.cluster.cluster import trials_at_once
from stilts.run.cluster.connect import connected
from stilts.run.cluster.drain import Brake
from stilts.run.cluster.ray_job import check_job
from stilts.run.display import Display
from stilts.run.launch import check_hub_models, check_limits, diverged_before, prepare, tell_waiting
from stilts.run.meter import NO_LIMITS, Limits, Meter
from stilts.run.result import CONTINUE, RunResult
from stilts.run.settler import Settler
from stilts.run.tune_adapter.execute import execute
from stilts.search.database import RetryingStorage
from stilts.search.declared import Declarations
from stilts.search.figures import save_search
from stilts.search.proposals import Proposals
from stilts.search.result import TuneResult
from stilts.search.session import SearchSession
from stilts.search.study import best_of, is_over, open_study
from stilts.search.subject import Configuration
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
    store, name = found.session.store, found.session.experiment.name
    check_job(store.uri)
    waiting = tell_waiting(console, "which cleans the store, or runs this search")
    with found.running(waiting), Lease(store, f"experiments/{name}/search", waiting):
        study = open_study(found, lambda text: console.print(escape(text), soft_wrap=True))
        declared = Declarations(found)
        settle_search(found, study, declared, waiting)
        end = _tune(found, study, declared, console, limits)
        settle_search(found, study, declared, waiting)
        return _result(found, study, end)


def settle_search(
    found: SearchSession, study: optuna.Study, declared: Declarations, waiting: Callable[[str], None] | None = None
) -> None:
    """Make the store agree with the study: what is declared, and whose weights are kept.

    It can be done at any time, and again: a search that was killed after its last trial is finished by it. The best
    trial is declared with its weights; what no declaration needs goes (`ledger/settle.py`).
    """
    store, best = found.session.store, best_of(study)
    if best is not None:
        configuration = found.subject.configure(best.params)
        if not declared.holds(best.number, configuration):
            with Lease(store, CLEANING, waiting):
                declared.declare(best.number, configuration)
    declared.reconcile(study)
    if is_over(study, found.search):
        with Lease(store, CLEANING, waiting):
            found.write_declaration(over=True)
    ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    stages = {name[-SHORT:] for trial in ended for name in trial.user_attrs.get("stages", ())}
    settle(store, found.session.experiment.name, stages, waiting)


def _result(found: SearchSession, study: optuna.Study, end: _End) -> TuneResult:
    table = trials_table(study, list(found.search.space.dimensions()))
    trial = best_of(study)
    patch = None if trial is None else found.subject.patch(trial.params)
    best = None if patch is None else best_recipe(table, patch, study.study_name, found.subject.metric)
    results, title = found.session.results, found.subject.title
    files = [*write_trials(results, table, title, best), *save_search(study, results)]
    return TuneResult(title, table, patch, results, files, end.reason, end.limited)


def _tune(found: SearchSession, study: optuna.Study, declared: Declarations, console: Console, limits: Limits) -> _End:
    over = is_over(study, found.search)
    jobs = _lost_best(found, study) if over else _before(found)
    if over and not jobs:
        console.print(f"[green]nothing to search[/]: all {found.search.trials} trials are over")
        return _End()
    session, brake = found.session, Brake()
    runtime, store = session.experiment.runtime, session.store
    meter = Meter(store, session.experiment.name, runtime, session.experiment.cluster, limits, brake)
    plan = session.plan()
    check_limits(plan, meter, limits, console)
    session.check_disk(plan, trials_at_once(session.experiment), search=True)
    check_hub_models(jobs)
    prepare(session, jobs, console)
    with connected(), meter:
        if jobs:
            what = "of the best trial, which the store has lost" if over else "before the one that is tuned"
            console.print(f"{counted(len(jobs), 'stage')} {what}")
            run = partial(
                execute,
                runtime=runtime,
                name=session.experiment.name,
                callbacks=[meter],
                brake=brake,
                memory=partial(_memory, found),
            )
            shown = partial(Display, console=console, spent=meter.describe, store=store.uri)
            outcome = run(jobs, display=shown, diverged=diverged_before(store, jobs))
            if not outcome.complete:
                result = RunResult(outcome.stages, meter.spent, outcome.stopped, store=store.uri)
                return _End(result.reason, limited=outcome.stopped is not None)
        if over:
            return _End()
        return _search(found, study, declared, console, brake, meter)


def _memory(found: SearchSession, gpu: bool) -> float:
    """Bytes that one rank of a trial needs with the default configuration."""
    graph = found.subject.default.expansion.graph
    return rank_bytes(graph, graph.nodes, found.session.experiment.runtime, gpu=gpu)


def _before(found: SearchSession) -> list[StageJob]:
    """The jobs of the stages before the tuned one that the store lacks."""
    subject = found.subject
    jobs = _missing(found, subject.default, {spec.parent for spec in subject.default.specs})
    return [job for key, job in jobs.items() if key not in subject.default.stages]


def _lost_best(found: SearchSession, study: optuna.Study) -> list[StageJob]:
    """The jobs that bring back the stages of the best trial of a search that is over; none if they are stored."""
    best = best_of(study)
    if best is None:
        return []
    configuration = found.subject.configure(best.params)
    return list(_missing(found, configuration, set(configuration.stages)).values())


def _missing(found: SearchSession, configuration: Configuration, wanted: set[str]) -> dict[str, StageJob]:
    """The jobs of a configuration that the store lacks, by key.

    Args:
        wanted: keys of the stages whose weights are needed.
    """
    store, graph, experiment = found.session.store, configuration.expansion.graph, found.session.experiment
    inventory = take_inventory(store, {key[:SHORT] for key in graph.nodes}, verify=True)
    missing = missing_jobs(graph, inventory, store.uri, experiment.runtime, wanted, tasks=experiment.tasks)
    mark = mark_of(store) if missing else None
    return {key: replace(job, mark=mark) for key, job in missing.items()}


def _search(
    found: SearchSession, study: optuna.Study, declared: Declarations, console: Console, brake: Brake, meter: Meter
) -> _End:
    """Run the trials that are left.

    Raises:
        StiltsError: the study or the store could not be used any more. What ran has written its resume state.
    """
    experiment, settler = found.session.experiment, Settler(found.session.store)
    if isinstance(study._storage, RetryingStorage):
        study._storage.stopping = lambda: brake.reason is not None
    proposals = Proposals(
        found,
        study,
        declared,
        tell=partial(console.print, soft_wrap=True),
        stop=brake.stop,
        let_go=lambda keys: settler.add(*keys),
    )

    def progress() -> str:
        return "; ".join(filter(None, (proposals.progress(), meter.describe())))

    with settler:
        execute(
            (),
            runtime=experiment.runtime,
            name=experiment.name,
            callbacks=[meter, settler],
            display=partial(Display, console=console, spent=progress, store=found.session.store.uri),
            brake=brake,
            source=proposals,
            memory=partial(_memory, found),
        )
    if proposals.away:
        raise StiltsError(
            f"the search stopped before its end: {proposals.broken}. Its running trials have written their resume "
            "states; then the same command continues"
        )
    if proposals.broken is not None:
        return _End(proposals.broken)
    if brake.reason is not None:
        return _End(f"{brake.reason}; {proposals.progress()}. {CONTINUE}", limited=True)
    return _End()
