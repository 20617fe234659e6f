"""Run one stage in this process, for debugging: `breakpoint()`, `print` and a debugger work, and no Ray is started.

The stage runs as in a trial of one rank, with the same lease and the same result in the store. A stage that diverged is
trained again. What the stage uses is not counted against limits, and no tracker logs it.
"""

import os
import sys
import time
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.markup import escape

from stilts.errors import StiltsError
from stilts.experiment.runtime import Runtime
from stilts.ledger.logs import match_stage
from stilts.ledger.mark import mark_of
from stilts.plan.job import StageJob
from stilts.plan.summary import Plan, stage_rows
from stilts.run.cluster.cpus import threads_of_rank
from stilts.run.cluster.ray_job import check_job
from stilts.run.launch import DIVERGED, check_hub_models, diverged_before, prepare, tell_waiting
from stilts.schedule.progress import facts
from stilts.session import Session

REPORT_SECONDS = 5.0
"""Seconds between two lines about the same phase."""


def run_in_foreground(session: Session, wanted: str, console: Console) -> str | None:
    """Train and evaluate one stage of an experiment in this process, as far as the store lacks it.

    Args:
        wanted: name of the stage, or an unambiguous beginning of its name or key.
        console: where progress is displayed.

    Returns:
        Name of the stage; None if there was nothing to do.

    Raises:
        StiltsError: there is no such stage; its parent is not done; or the runtime asks for several ranks.
        Exception: whatever the stage raises, with its own traceback.
    """
    runtime = session.experiment.runtime
    if runtime.ranks > 1:
        raise StiltsError(
            f"one process can run only one rank, and runtime.ranks is {runtime.ranks}: add --set runtime.ranks=1, "
            "which changes no key"
        )
    check_job(session.store.uri)
    with session.running(tell_waiting(console, "which cleans the store or begins another run")):
        plan = session.plan(verify=True)
        job = _job(plan, wanted)
        if job is None:
            return None
        diverged_before(session.store, [job], [DIVERGED])  # it is asked for by name, so it is tried again
        check_hub_models([job])
        prepare(session, [job], console)
        _run(replace(job, mark=mark_of(session.store)), runtime, console)
        return job.name


def _job(plan: Plan, wanted: str) -> StageJob | None:
    """The job of a stage whose parent is done; None if nothing of it is missing."""
    jobs = {job.name: job for job in plan.jobs.values()}
    name = match_stage([row["name"] for row in stage_rows(plan)], wanted)
    job = jobs.get(name)
    if job is None:
        return None
    parent = None if job.parent is None else jobs.get(job.parent)
    if parent is not None and not parent.trained and not job.trained:
        raise StiltsError(
            f"{name} starts from {parent.name}, which is not in the store yet: run that first, with the same command "
            f"and --debug {parent.name}, or the whole experiment without --debug"
        )
    return job


def _run(job: StageJob, runtime: Runtime, console: Console) -> None:
    if "torch" not in sys.modules:
        os.environ["OMP_NUM_THREADS"] = str(threads_of_rank(runtime.cpus_per_rank, gpu=False))
    import torch
    import torch.distributed as dist

    from stilts.run.stage.stage import run_stage
    from stilts.train.ranks import Ranks, connect

    device = torch.device("cuda:0" if _on_gpu(runtime) else "cpu")
    torch.set_num_threads(threads_of_rank(runtime.cpus_per_rank, gpu=device.type == "cuda"))
    ranks = Ranks(0, 1, device) if dist.is_initialized() else connect(0, 1, "127.0.0.1", 0, device)
    console.print(f"{job.name} on {device}, process {os.getpid()}", highlight=False, soft_wrap=True)
    run_stage(job, ranks, _Reporter(console), wait=True)


def _on_gpu(runtime: Runtime) -> bool:
    """Whether the stage runs on a GPU.

    Raises:
        StiltsError: the runtime asks for a GPU, and torch finds none.
    """
    import torch

    there = torch.cuda.is_available()
    if runtime.accelerator == "gpu" and not there:
        raise StiltsError("runtime.accelerator is gpu, and torch finds no GPU here; add --set runtime.accelerator=cpu")
    return there and runtime.accelerator != "cpu"


class _Reporter:
    """Callable that prints the reports of a stage: each new phase at once, steps at most every `REPORT_SECONDS`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase: str | None = None
        self._said = 0.0

    def __call__(self, progress: dict[str, Any]) -> None:
        phase = progress.get("phase")
        if phase == self._phase and time.monotonic() - self._said < REPORT_SECONDS:
            return
        self._phase, self._said = phase, time.monotonic()
        self._console.print(escape(", ".join(facts(progress))), highlight=False, soft_wrap=True)
