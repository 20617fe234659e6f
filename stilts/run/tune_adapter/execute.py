"""Run stages on Ray, each as one trial of a Tune experiment, parents before children.

The store is the only state. Every launch creates a new Tuner for the stages that the store lacks, so that an
interrupted run is continued by launching it again.
"""

import inspect
import logging
import os
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError
from ray.tune import TuneError

from stilts.errors import StiltsError
from stilts.experiment.runtime import Runtime
from stilts.plan.job import StageJob
from stilts.run.cluster.cluster import capacity, check_store, rank_bundle, use_gpu
from stilts.run.cluster.connect import connected
from stilts.run.cluster.drain import STOP_SECONDS, Brake, Drain
from stilts.run.cluster.head_watch import HeadWatch
from stilts.run.display import Display
from stilts.run.gang.losses import brief, cause_of
from stilts.run.leases import Leases
from stilts.run.ray_private import kill_local, losses_end_trials, waits_for_stages_are_short
from stilts.run.recorder import Recorder
from stilts.run.temporary import temporary_folder
from stilts.run.tune_adapter.searcher import GangScheduler, StageSearcher, StageSource
from stilts.run.tune_adapter.trial import StageTrial, resources
from stilts.schedule.agenda import Agenda, StageOutcome
from stilts.schedule.causes import CAUSES
from stilts.schedule.progress import ended
from stilts.storage.open import open_store
from stilts.waiting import become_patient

STAGE_FUNCTION = "stilts.run.stage.stage:run_stage"

_FAILED = "the Ray cluster of this run failed"
_SAFE = "What is stored is safe: when the cluster is back, the same command continues"

_TUNE_ENVIRONMENT = {
    # The searcher limits the number of trials. Tune's own limit would allow a single pending one.
    "TUNE_MAX_PENDING_TRIALS_PG": "100000",
    # Tune's own state is never read.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    # Our own display and messages replace Tune's.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # On SIGINT, the trials first write their resume state.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the outcome of every stage, by name, and the reason if the run was stopped before its end."""

    stages: dict[str, StageOutcome]
    stopped: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every stage is done."""
        return all(stage.status == "done" for stage in self.stages.values())


def execute(
    jobs: Sequence[StageJob],
    *,
    runtime: Runtime,
    name: str = "stilts",
    seconds: Mapping[str, float] | None = None,
    callbacks: Sequence[tune.Callback] = (),
    display: Callable[[Agenda], Display] = Display,
    brake: Brake | None = None,
    stage_function: str = STAGE_FUNCTION,
    source: StageSource | None = None,
    diverged: Mapping[str, str] | None = None,
    memory: Callable[[bool], float] = lambda gpu: 0.0,
) -> Outcome:
    """Run stages, and return when none is running and none can start.

    On SIGINT or SIGTERM, the trials write their resume state before the run ends. A second signal kills them.

    Args:
        jobs: the stages to run. A parent that is not among them must be done already.
        seconds: estimated seconds by stage; stages with the longest remaining chain start first.
        callbacks: further Tune callbacks, such as trackers.
        display: class of the terminal display; called with the agenda.
        brake: stops the run cleanly when its `stop` is called.
        stage_function: `package.module:function`, called in every rank with the job, its `Ranks` and a function that
            reports a dict (step, steps, loss, tokens_per_second, eta).
        source: offers more stages during the run.
        diverged: why stages diverged in an earlier run, by name. They and their descendants are not run.
        memory: bytes of memory that one rank needs; called with whether it has a GPU.

    Raises:
        StiltsError: the cluster cannot be reached or can never run a trial, or its nodes do not see the same store.
        KeyboardInterrupt: a signal arrived; the trials have been stopped.
    """
    brake = brake or Brake()
    if not jobs and source is None:
        return Outcome({})
    agenda = _agenda(jobs, seconds, runtime.max_retries, diverged or {})
    agenda.open = source is not None
    if agenda.exhausted and source is None:
        return Outcome(agenda.outcomes)
    uri = jobs[0].store if source is None else source.uri
    store = open_store(uri)
    with (
        told(),
        connected(),
        temporary_folder() as temporary,
        Recorder(store, runtime.max_retries) as record,
        Leases(store, jobs) as leases,
    ):
        gpu = use_gpu(runtime)
        check_store(uri)
        shown = display(agenda)
        bundle = rank_bundle(runtime, gpu, memory(gpu), shown.note)
        searcher = StageSearcher(agenda, capacity(runtime, gpu, bundle), source, record, leases)
        scheduler = GangScheduler(searcher, Drain(agenda, brake, shown.note), runtime.idle_seconds, source)
        tuner = tune.Tuner(
            _trainable(jobs, runtime, gpu, bundle, stage_function),
            tune_config=_tune_config(searcher, scheduler),
            run_config=_run_config(name, temporary, [shown, *callbacks]),
        )
        end = partial(_end_process, shown, agenda, temporary)
        with (
            _quiet_tune(),
            _interruptible(brake, agenda),
            shown.showing(),
            losses_end_trials(),
            waits_for_stages_are_short(),
            HeadWatch(end),
        ):
            become_patient()
            tuner.fit()
    return Outcome(agenda.outcomes, brake.reason)


def _agenda(
    jobs: Sequence[StageJob], seconds: Mapping[str, float] | None, max_retries: int, diverged: Mapping[str, str]
) -> Agenda:
    """The agenda of the jobs, on which the stages that diverged in an earlier run have ended."""
    agenda = Agenda({job.name: job.parent for job in jobs}, seconds, max_retries)
    for stage, reason in diverged.items():
        agenda.conclude(stage, "diverged", reason)
    return agenda


@contextmanager
def told() -> Iterator[None]:
    """Context in which an error of Ray's becomes one line that says what to do.

    When nodes disappear at a bad moment, Tune's own loop can also fail with an error of Python, such as an IndexError.

    Raises:
        StiltsError: Ray failed.
    """
    try:
        yield
    except (RayError, TuneError) as error:
        raise StiltsError(f"{_FAILED}: {brief(error)}; {CAUSES[cause_of(error)].remedy}. {_SAFE}") from error
    except Exception as error:
        if isinstance(error, StiltsError) or (place := _place_in_ray(error)) is None:
            raise
        raise StiltsError(f"{_FAILED}: {brief(error)} ({place}). {_SAFE}") from error


def _place_in_ray(error: Exception) -> str | None:
    """The line that raised an error, if that is one of Ray's: `ray/tune/execution/tune_controller.py:700`."""
    package = Path(inspect.getfile(ray)).parent
    frames = traceback.extract_tb(error.__traceback__)
    path = Path(frames[-1].filename) if frames else Path()
    return (
        f"{path.relative_to(package.parent).as_posix()}:{frames[-1].lineno}" if path.is_relative_to(package) else None
    )


def _end_process(shown: Display, agenda: Agenda, temporary: Path, reason: str) -> None:
    """End this process, whose cluster is lost: calls to Ray may never return."""
    try:
        shown.fail(f"{_FAILED}: {reason}; {ended(agenda)}. {_SAFE}")
        kill_local()
        shutil.rmtree(temporary, ignore_errors=True)
    finally:
        os._exit(1)


def _trainable(
    jobs: Sequence[StageJob], runtime: Runtime, gpu: bool, bundle: dict[str, float], stage_function: str
) -> Any:
    """The Trainable of all trials, with its parameters and its resources."""
    trainable = tune.with_parameters(
        StageTrial,
        jobs={job.name: job for job in jobs},
        runtime=runtime,
        gpu=gpu,
        stage_function=stage_function,
    )
    return tune.with_resources(trainable, resources(bundle, runtime.ranks))


def _tune_config(searcher: StageSearcher, scheduler: GangScheduler) -> tune.TuneConfig:
    return tune.TuneConfig(
        search_alg=searcher,
        scheduler=scheduler,
        num_samples=-1,
        reuse_actors=True,
        trial_name_creator=_trial_name,
        trial_dirname_creator=_trial_name,
    )


def _run_config(name: str, folder: Path, callbacks: list[tune.Callback]) -> tune.RunConfig:
    """Configuration of a run whose files in `folder` nobody reads: stages keep all state in the store."""
    return tune.RunConfig(
        name=f"{name}-{time.strftime('%Y%m%d-%H%M%S')}",
        storage_path=str(folder.resolve()),
        failure_config=tune.FailureConfig(max_failures=0),
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        callbacks=callbacks,
        verbose=0,
    )


def _trial_name(trial: Any) -> str:
    return f"{trial.config['stage']}-{trial.trial_id}"


@contextmanager
def _interruptible(brake: Brake, agenda: Agenda) -> Iterator[None]:
    """Stop the run on SIGINT or SIGTERM: at the first signal cleanly, at the second by killing the trials.

    Raises:
        KeyboardInterrupt: a signal arrived; raised at the end of the run, or immediately at the third signal. Its text
            says how the stages ended.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can handle signals
        return
    signals = 0

    def interrupt(number: int, frame: Any) -> None:
        nonlocal signals
        signals += 1
        if signals > 2:
            raise KeyboardInterrupt(ended(agenda))
        brake.stop("interrupted", 0.0 if brake.reason else STOP_SECONDS)

    # `ray job stop` and batch systems send SIGTERM. Ray's own handler for it would end the process immediately.
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if signals:
        raise KeyboardInterrupt(ended(agenda))


def _restore(variable: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(variable, None)
    else:
        os.environ[variable] = value


@contextmanager
def _quiet_tune() -> Iterator[None]:
    """Set Tune's environment variables and silence its console output; restore both at the end."""
    before = {key: os.environ.get(key) for key in _TUNE_ENVIRONMENT}
    logger = logging.getLogger("ray.tune")
    level = logger.level
    os.environ.update(_TUNE_ENVIRONMENT)
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        for key, value in before.items():
            _restore(key, value)
