"""Launch: run the stages that a store lacks."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from rich.console import Console
from rich.markup import escape
from rich.progress import track

from stilts.encoders.hub import hub_problems
from stilts.encoders.pins import is_commit, moving_name
from stilts.errors import LimitReached, Problems, StiltsError, counted
from stilts.identity.stage import SHORT, BaseSpec
from stilts.ledger.base_checkpoint import publish_checkpoint
from stilts.ledger.mark import mark_of
from stilts.ledger.record import clear_failure, read_failure
from stilts.ledger.settle import Settled, settle
from stilts.ledger.spending import Spending
from stilts.ledger.status import spending_of
from stilts.plan.cost.estimate import SIZE_UNKNOWN
from stilts.plan.cost.memory import rank_bytes
from stilts.plan.cost.price import Expected, price
from stilts.plan.job import StageJob
from stilts.plan.summary import Plan
from stilts.run.cluster.cluster import trials_at_once
from stilts.run.cluster.drain import Brake
from stilts.run.cluster.ray_job import check_job
from stilts.run.display import Display
from stilts.run.meter import NO_LIMITS, Limits, Meter
from stilts.run.publisher import Publisher
from stilts.run.result import CONTINUE, RunResult
from stilts.run.settler import Settler
from stilts.run.trackers.callback import Trackers, tracked_stages
from stilts.run.trackers.open import open_trackers
from stilts.run.tune_adapter.execute import execute
from stilts.session import Session
from stilts.show.plan import show_notes
from stilts.storage.parallel import parallel_each, parallel_map
from stilts.storage.protocol import Store

DIVERGED = "diverged"


def launch(
    session: Session,
    *,
    console: Console,
    limits: Limits = NO_LIMITS,
    trackers: Sequence[str] = (),
    retry: Sequence[str] = (),
) -> RunResult:
    """Train and evaluate the stages that the store lacks.

    Failed and diverged stages are part of the result and raise nothing.

    Args:
        console: where progress is displayed.
        limits: of what all launches of the experiment may use together.
        trackers: in addition to those of the experiment, as in `Runtime.trackers`.
        retry: `diverged` trains stages again that diverged in an earlier run.

    Raises:
        StiltsError: before anything trains: too little disk, unreadable data, a cluster that cannot run one trial, a
            tracker that cannot log, a limit of cost without prices.
        LimitReached: a limit is reached already.
        KeyboardInterrupt: the run was interrupted. What is in the store stays, and the next run continues from there.
    """
    if unknown := [status for status in retry if status != DIVERGED]:
        raise StiltsError(
            f"cannot retry {unknown[0]!r}: retry takes {DIVERGED!r}; failed stages are always tried again"
        )
    check_job(session.store.uri)
    waiting = tell_waiting(console, "which cleans the store or begins another run")
    store, name = session.store, session.experiment.name
    with session.running(waiting) as run, Publisher(store, run) as publish:
        before = settle(store, name, waiting=waiting)
        result = _launch(session, console, limits, publish, trackers, retry)
        after = settle(store, name, waiting=waiting)
        return replace(result, weights=tell_weights(session, [before, after], result, console))


def tell_weights(
    session: Session, settled: Sequence[Settled | None], result: RunResult, console: Console
) -> dict[str, str]:
    """Print which weights were dropped and which are kept, and for whom where this experiment does not keep them.

    Args:
        settled: what was done at the start and at the end of the run.

    Returns:
        `kept` or `dropped` by the name of each stage of the experiment that has, or had, weights.
    """
    found = [one for one in settled if one is not None]
    gone = {*result.dropped, *(name for one in found for name in one.dropped)}
    nodes = {node.key[:SHORT]: node for node in session.expansion.graph}
    kept = {name: ids for one in found[-1:] for name, ids in one.kept_for.items() if name[-SHORT:] in nodes}
    keep = session.experiment.runtime.keep
    if gone:
        console.print(
            f"weights dropped of {counted(len(gone), 'stage')}, kept of {len(kept)} (runtime.keep: {keep}); to get "
            "them back, set keep: all and run again: these stages are then trained again",
            soft_wrap=True,
        )
    strange = {} if keep in ("all", "best") or not result.complete else kept
    strange = {name: ids for name, ids in strange.items() if keep == "none" or not nodes[name[-SHORT:]].children}
    others = sorted({id_ for ids in strange.values() for id_ in ids} - {session.declaration})
    if others:
        console.print(
            f"weights of {counted(len(strange), 'stage')} that runtime.keep: {keep} would drop are kept, because other "
            f"declarations in the store need them: {', '.join(others)}; `stilts clean --forget` drops one",
            soft_wrap=True,
        )
    for reason in {one.kept_because for one in found if one.kept_because is not None}:
        console.print(f"[yellow]no weights were dropped: {escape(reason)}[/]", soft_wrap=True)
    return {**dict.fromkeys(sorted(gone), "dropped"), **dict.fromkeys(sorted(kept), "kept")}


def tell_waiting(console: Console, why: str) -> Callable[[str], None]:
    """A function that prints once for each process that it is called with: `waiting for WHO, WHY`."""
    told: set[str] = set()

    def waiting(who: str) -> None:
        if who not in told:
            console.print(f"waiting for {who}, {why}")
            told.add(who)

    return waiting


def _launch(
    session: Session,
    console: Console,
    limits: Limits,
    publish: Publisher,
    more_trackers: Sequence[str],
    retry: Sequence[str],
) -> RunResult:
    plan = session.plan(verify=True)
    if not plan.jobs:
        console.print(f"[green]nothing to train[/]: all {len(plan.expansion.graph.stages())} stages are done")
        return RunResult({}, spending_of(session.experiment, session.store))
    experiment, brake = session.experiment, Brake()
    meter = Meter(session.store, experiment.name, experiment.runtime, experiment.cluster, limits, brake)
    check_limits(plan, meter, limits, console)
    session.check_disk(plan, trials_at_once(experiment))
    check_hub_models(plan.jobs.values())
    names = (*experiment.runtime.trackers, *more_trackers)
    trackers = Trackers(
        open_trackers(names, experiment.name, session.results),
        tracked_stages(plan.expansion, plan.jobs),
        session.store,
        lambda text: console.print(f"[yellow]{escape(text)}[/]", soft_wrap=True),
    )
    prepare(session, plan.jobs.values(), console)
    figures = plan.figures
    console.print(
        f"{figures['cells']} cells, {figures['stages']} stages: {figures['done']} done, "
        f"{figures['to_train']} to train, {figures['evaluations_missing']} evaluations missing"
    )
    show_notes(figures["notes"], console)
    diverged = diverged_before(session.store, plan.jobs.values(), retry)
    _say_diverged(diverged, console)
    seconds = {plan.jobs[key].name: value for key, value in plan.seconds.items()}
    mark = mark_of(session.store)
    jobs = [replace(job, mark=mark) for job in plan.jobs.values()]
    with meter, trackers, Settler(session.store) as settler:
        outcome = execute(
            jobs,
            runtime=experiment.runtime,
            name=experiment.name,
            seconds=seconds,
            callbacks=[meter, trackers, settler],
            display=partial(Display, console=console, spent=meter.describe, publish=publish, store=session.store.uri),
            brake=brake,
            diverged=diverged,
            memory=lambda gpu: rank_bytes(plan.expansion.graph, plan.jobs, experiment.runtime, gpu=gpu),
        )
    return RunResult(
        outcome.stages, meter.spent, outcome.stopped, dropped=tuple(settler.dropped), store=session.store.uri
    )


def check_limits(plan: Plan, meter: Meter, limits: Limits, console: Console) -> None:
    """Compare the plan with the limits before anything is prepared; print a warning if the run will reach one.

    Raises:
        StiltsError: a limit of cost without prices.
        LimitReached: nothing is left to spend.
    """
    cluster = plan.expansion.experiment.cluster
    if limits.cost is not None and cluster is None:
        raise StiltsError(
            "--max-cost needs prices: give the experiment a cluster: section (nodes: {NAME: {gpus: 8, price_per_hour: "
            "9.8}}), or take --max-gpu-hours"
        )
    limited = limits.cost is not None or limits.gpu_hours is not None
    if limited and SIZE_UNKNOWN in plan.figures["unknown"]:
        raise StiltsError(
            "--max-cost and --max-gpu-hours need a price, and the size of a base model is not known: give `shape:` in "
            "its declaration (model_type, hidden_size, num_hidden_layers, intermediate_size, vocab_size), or download "
            "its config.json into the Hugging Face cache"
        )
    if reached := meter.reached():
        raise LimitReached(f"{reached}. {CONTINUE}")
    expected = Expected(plan.figures["gpu_hours"]) if cluster is None else price(plan, cluster)[0]
    passed = limits.passed(meter.spent + Spending(expected.gpu_hours, expected.cost), meter.currency, meter.unit)
    if passed:
        console.print(f"[yellow]by the plan it takes {passed}: the run will stop there, and keep what is done[/]")


def check_hub_models(jobs: Iterable[StageJob]) -> None:
    """Check the hub models that are not in the store yet, before anything is prepared or trained.

    Raises:
        Problems: what keeps them from being loaded and trained on, all at once.
    """
    problems: list[str] = []
    for job in jobs:
        if isinstance(job.spec, BaseSpec) and "hub" in job.spec.identity and not job.trained:
            hub, revision = job.spec.identity["hub"], job.spec.identity["revision"]
            moving = [] if is_commit(revision) else [moving_name(hub, revision)]
            problems += moving or hub_problems(hub, revision, job.spec.shape)
    if problems:
        raise Problems(problems)


def prepare(session: Session, jobs: Iterable[StageJob], console: Console) -> None:
    """Write all data and local checkpoints to the store before the first trial, so that no trial calls the hub."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    session.prepare(lambda refs: track(refs, "preparing data", console=console, transient=True))
    for job in jobs:
        if isinstance(job.spec, BaseSpec) and not job.trained:
            publish_checkpoint(session.store, job.spec)


def diverged_before(store: Store, jobs: Iterable[StageJob], retry: Sequence[str] = ()) -> dict[str, str]:
    """Stages that diverged in an earlier run, and why. They are not trained again: they would diverge again.

    Args:
        retry: if it contains `diverged`, the records of these failures are removed, so that the stages train again.
    """
    known = set(store.list("stages"))
    names = [job.name for job in jobs if not job.trained and job.name in known]
    endings = zip(names, parallel_map(store, lambda name: read_failure(store, name), names), strict=True)
    found = {name: end["error"] for name, end in endings if end is not None and end["status"] == "diverged"}
    if DIVERGED not in retry:
        return found
    parallel_each(store, lambda name: clear_failure(store, name), found)
    return {}


def _say_diverged(diverged: Mapping[str, str], console: Console) -> None:
    for name, reason in diverged.items():
        console.print(f"[yellow]{name} diverged in an earlier run: {escape(reason)}[/]", soft_wrap=True)
    if diverged:
        console.print(
            f"[yellow]{counted(len(diverged), 'stage')} and what starts from there will not be trained again with the "
            "same recipe and seed; --retry diverged tries again[/]",
            soft_wrap=True,
        )
