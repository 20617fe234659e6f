"""Launch: run what a session's plan lacks, and note in the store how each stage ended."""

import os
import time
from dataclasses import replace

from rich.console import Console
from rich.progress import track

from stilts.execute.run import Outcome, execute
from stilts.plan.agenda import StageOutcome
from stilts.plan.summary import Plan, summarize
from stilts.session import Session
from stilts.spec.stage import BaseSpec
from stilts.store.checkpoint import publish_checkpoint
from stilts.store.many import tell_many
from stilts.store.mark import mark_of
from stilts.store.record import clear_failure, stage_path, write_failure


def launch(session: Session, console: Console) -> str | None:
    """Run the missing stages. Returns what did not end well, in words; None where all is done.

    Raises:
        StiltsError: before anything trains: too little disk, unreadable data, a cluster that cannot run one trial.
        KeyboardInterrupt: the run was interrupted; what was stored stays.
    """
    told: set[str] = set()

    def waiting(who: str) -> None:
        if who not in told:
            console.print(f"waiting for {who}, which cleans the store or begins another run")
            told.add(who)

    with session.running(waiting):
        return _launch(session, console)


def _launch(session: Session, console: Console) -> str | None:
    plan = session.plan(verify=True)
    if not plan.jobs:
        console.print(f"[green]nothing to train[/]: all {len(plan.expansion.graph.stages())} stages are done")
        return None
    session.check_disk(plan)
    _prepare(session, plan, console)
    figures = summarize(plan)
    console.print(
        f"{figures['cells']} cells, {figures['stages']} stages: {figures['done']} done, "
        f"{figures['to_train']} to train, {figures['evaluations_missing']} evaluations missing"
    )
    seconds = {plan.jobs[key].name: value for key, value in plan.seconds().items()}
    mark = mark_of(session.store)
    jobs = [replace(job, mark=mark) for job in plan.jobs.values()]
    outcome = execute(jobs, runtime=session.experiment.runtime, name=session.experiment.name, seconds=seconds)
    _note(session, outcome)
    if outcome.complete and session.experiment.runtime.keep == "none":
        _drop_weights(session, plan)
    return _unfinished(outcome)


def _prepare(session: Session, plan: Plan, console: Console) -> None:
    """All data and local checkpoints into the store before the first trial: a training process never calls the hub."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    session.prepare(lambda refs: track(refs, "preparing data", console=console, transient=True))
    for job in plan.jobs.values():
        if isinstance(job.spec, BaseSpec) and not job.trained:
            publish_checkpoint(session.store, job.spec)


def _note(session: Session, outcome: Outcome) -> None:
    def note(item: tuple[str, StageOutcome]) -> None:
        name, stage = item
        if stage.status in ("failed", "diverged"):
            failure = {"status": stage.status, "error": stage.message, "traceback": stage.traceback}
            write_failure(session.store, name, {**failure, "time": time.time()})
        elif stage.status == "done":
            clear_failure(session.store, name)

    tell_many(session.store, note, outcome.stages.items())


def _drop_weights(session: Session, plan: Plan) -> None:
    new = [job.name for job in plan.jobs.values() if not job.trained]  # others' weights are older than this run
    tell_many(session.store, lambda name: session.store.remove(f"{stage_path(name)}/weights"), new)


def _unfinished(outcome: Outcome) -> str | None:
    ended = {name: stage for name, stage in outcome.stages.items() if stage.status != "done"}
    if not ended:
        return None
    lines = [f"{name}: {stage.status}{': ' if stage.message else ''}{stage.message}" for name, stage in ended.items()]
    return "\n".join([f"{len(ended)} of {len(outcome.stages)} stages did not end well:", *(f"  - {x}" for x in lines)])
