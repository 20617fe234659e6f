"""Tune: run a search. The stages before the tuned one first, then the trials that the study proposes.

The same command goes on after a stop of any kind: finished trials are in the study, finished stages in the store, and
those that were under way are taken up from their resume states. One driver at a time runs a search, by a lease.
"""

from dataclasses import replace
from functools import partial

import optuna
from rich.console import Console

from stilts.errors import LimitReached, StiltsError
from stilts.identity.stage import SHORT
from stilts.ledger.mark import mark_of
from stilts.ledger.needs import declarations
from stilts.ledger.record import take_inventory
from stilts.plan.todo import missing_jobs
from stilts.run.cluster.drain import Brake
from stilts.run.cluster.ray_job import check_job
from stilts.run.display import Display
from stilts.run.launch import check_limits, note, prepare, unfinished
from stilts.run.meter import NO_LIMITS, Limits, Meter
from stilts.run.tune_adapter.execute import connected, execute
from stilts.search.session import SearchSession
from stilts.search.study import Proposals, best_of, drop_worse_weights, is_over, open_study, subject_of
from stilts.storage.lease import Lease


def tune(found: SearchSession, study: optuna.Study, console: Console, limits: Limits = NO_LIMITS) -> StiltsError | None:
    """Run what is left of a search. Returns what did not end well; None where every trial is over.

    Args:
        study: from `open_search`.
        limits: of what all launches of the search may use.

    Raises:
        StiltsError: before anything trains, as `launch`.
        KeyboardInterrupt: the search was interrupted; what was stored stays.
    """
    session = found.session
    check_job(session.store.uri)
    told: set[str] = set()

    def waiting(who: str) -> None:
        if who not in told:
            console.print(f"waiting for {who}, which cleans the store, or runs this search")
            told.add(who)

    name = session.experiment.name
    with session.running(waiting), Lease(session.store, f"experiments/{name}/search", waiting):
        return _tune(found, study, console, limits)


def open_search(found: SearchSession) -> optuna.Study:
    """The study of a search.

    Raises:
        StiltsError: the database cannot be used, or has another search's study under its name.
    """
    return open_study(found.session.experiment.name, found.study, found.search, subject_of(found.subject))


def _tune(found: SearchSession, study: optuna.Study, console: Console, limits: Limits) -> StiltsError | None:
    if is_over(study, found.search):
        console.print(f"[green]nothing to search[/]: all {found.search.trials} trials are over")
        return None
    session, brake = found.session, Brake()
    runtime, store = session.experiment.runtime, session.store
    meter = Meter(store, session.experiment.name, runtime, session.experiment.cluster, limits, brake)
    check_limits(session.plan(), meter, limits, console)
    inventory = take_inventory(store, {key[:SHORT] for key in session.expansion.graph.nodes}, verify=True)
    parents = {spec.parent for spec in found.subject.default.specs}
    missing = missing_jobs(session.expansion.graph, inventory, store.uri, runtime, parents)
    jobs = [replace(job, mark=mark_of(store)) for job in missing.values()]
    prepare(session, jobs, console)
    with connected(), meter:
        if jobs:
            console.print(f"{len(jobs)} stages before the one that is tuned")
            run = partial(execute, runtime=runtime, name=session.experiment.name, callbacks=[meter], brake=brake)
            outcome = run(jobs, display=partial(Display, console=console, spent=meter.told))
            note(session, outcome)
            if not outcome.complete:
                return unfinished(outcome)
        return _search(found, study, console, brake, meter)


def _search(
    found: SearchSession, study: optuna.Study, console: Console, brake: Brake, meter: Meter
) -> StiltsError | None:
    experiment = found.session.experiment
    proposals = Proposals(study, found.subject, found.session.store, partial(console.print, soft_wrap=True))

    def told() -> str:
        return "; ".join(filter(None, (proposals.told(), meter.told())))

    execute(
        (),
        runtime=experiment.runtime,
        name=experiment.name,
        callbacks=[meter],
        display=partial(Display, console=console, spent=told),
        brake=brake,
        source=proposals,
    )
    if proposals.broken is not None:
        return StiltsError(proposals.broken)
    if brake.reason is not None:
        return LimitReached(f"{brake.reason}; {proposals.told()}. The same command with a higher limit goes on.")
    _tidy(found, study)
    return None


def _tidy(found: SearchSession, study: optuna.Study) -> None:
    """The best recipe becomes part of the declaration; weights go that nothing starts from."""
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
