"""Stage functions without training, which tests run in real gangs under Ray Tune.

The first word of a stage's name selects the function, for example `die` in `die-1`. The job's store is a folder in
which each attempt leaves a trace file.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stilts.errors import StiltsError
from stilts.plan.job import StageJob


class Diverged(StiltsError):
    """Has the name of the error that the training loop raises: gangs recognise errors by the name of their class."""


class LeaseLost(StiltsError):
    """Has the name of the error that a lost lease raises."""


class Stopped(StiltsError):
    """Has the name of the error that the training loop raises."""


class Unreachable(StiltsError):
    """Has the name of the error that the store raises."""


def behave(job: StageJob, ranks: Any, report: Callable[[dict], None]) -> None:
    """Run the function that the first word of the stage's name selects.

    Each rank writes its start time, and at the end also its end time, to the trace file `NAME.RANK.PID.ATTEMPT`.
    """
    folder = Path(job.store)
    attempt = len(list(folder.glob(f"{job.name}.{ranks.rank}.*")))
    trace = folder / f"{job.name}.{ranks.rank}.{os.getpid()}.{attempt}"
    begin = time.time()
    trace.write_text(f"{begin}")
    report({"step": 1, "steps": 2, "loss": 0.5})
    print(f"{job.name} says this on attempt {attempt}")
    os.write(2, f"a library says this of {job.name}\n".encode())
    _BEHAVIOURS[job.name.split("-")[0]](job, ranks, attempt)
    trace.write_text(f"{begin} {time.time()}")


def leased(job: StageJob, ranks: Any, report: Callable[[dict], None]) -> None:
    """As `behave`, under the stage's lease as in a run, and with a record at the end."""
    from stilts.ledger.lacking import lacking
    from stilts.ledger.record import stage_path, write_stage
    from stilts.run.stage.stage import _held
    from stilts.storage.lease import Lease
    from stilts.storage.local import LocalStore

    store = LocalStore(Path(job.store))
    with _held(Lease(store, stage_path(job.name)), ranks, wait=False):
        if lacking(store, job, verify=False) is not None:
            behave(job, ranks, report)
            write_stage(store, job.name, {"weights": None})


def _die_once(job: StageJob, ranks: Any, attempt: int) -> None:
    if attempt == 0 and ranks.rank == ranks.world - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    reduce(job, ranks, attempt)


def _slow_once(job: StageJob, ranks: Any, attempt: int) -> None:
    if attempt == 0:
        time.sleep(60)


def _lease_lost_once(job: StageJob, ranks: Any, attempt: int) -> None:
    if attempt == 0:
        raise LeaseLost("another attempt took over")


def _store_unreachable_twice(job: StageJob, ranks: Any, attempt: int) -> None:
    if attempt < 2:
        raise Unreachable("the store has not answered for 300 s")


def _freeze_once(job: StageJob, ranks: Any, attempt: int) -> None:
    """The last rank is frozen while it works; the others wait for it in a collective operation."""
    ranks.barrier()
    if attempt == 0 and ranks.rank == ranks.world - 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    reduce(job, ranks, attempt)


def _hang_once(job: StageJob, ranks: Any, attempt: int) -> None:
    """Every rank answers and none does anything."""
    if attempt == 0:
        time.sleep(300)


def _beat(job: StageJob, ranks: Any, attempt: int) -> None:
    """Work for 6 s without a step, but with heartbeats."""
    for _ in range(60):
        time.sleep(0.1)
        ranks.heartbeat.beat()


def _witness(job: StageJob, ranks: Any, attempt: int) -> None:
    """Wait up to 20 s until this stage's trial is the only one that holds a placement group, and fail otherwise."""
    from ray.util import placement_group_table

    deadline = time.time() + 20
    while time.time() < deadline:
        held = [group for group in placement_group_table().values() if group["state"] == "CREATED"]
        if len(held) == 1:
            return
        time.sleep(0.2)
    raise StiltsError(f"{len(held)} placement groups are held")


def _walk(job: StageJob, ranks: Any, attempt: int) -> None:
    """Take steps of 0.1 s until the rank is preempted; the next attempt takes the ten steps that follow.

    The leader appends `STEP ATTEMPT` for each step to `NAME.walked`.
    """
    state = Path(job.store) / f"{job.name}.step"
    done = int(state.read_text()) if state.exists() else 0
    walked = Path(job.store) / f"{job.name}.walked"
    for step in range(done + 1, done + (11 if done else 600)):
        time.sleep(0.1)
        if ranks.leader:
            with walked.open("a") as file:
                file.write(f"{step} {attempt}\n")
        try:
            ranks.raise_if_draining()
        except StiltsError:
            if ranks.leader:
                time.sleep(0.5)  # the other ranks have ended by then
                state.write_text(str(step))
            raise


def _until_halted(job: StageJob, ranks: Any, attempt: int) -> None:
    if not ranks.halt.wait(30):
        raise StiltsError("the stage was not cancelled within 30 s")
    raise Stopped("stopped after step 1 of 2")


def reduce(job: StageJob, ranks: Any, attempt: int) -> None:
    import torch

    total = torch.tensor([float(ranks.rank + 1)])
    if ranks.world > 1:
        torch.distributed.all_reduce(total)
    assert total.item() == ranks.world * (ranks.world + 1) / 2


def _fail(job: StageJob, ranks: Any, attempt: int) -> None:
    if ranks.rank == ranks.world - 1:
        raise ValueError("bad data in line 7")
    time.sleep(60)


def _diverge(job: StageJob, ranks: Any, attempt: int) -> None:
    raise Diverged("loss is NaN at step 3")


def _nothing(job: StageJob, ranks: Any, attempt: int) -> None:
    time.sleep(0.2)


def _sleep(job: StageJob, ranks: Any, attempt: int) -> None:
    time.sleep(float(job.name.split("-")[1]))


_BEHAVIOURS = {
    "ok": _nothing,
    "sleep": _sleep,
    "reduce": reduce,
    "fail": _fail,
    "diverge": _diverge,
    "die": _die_once,
    "slow": _slow_once,
    "fenced": _lease_lost_once,
    "away": _store_unreachable_twice,
    "freeze": _freeze_once,
    "hang": _hang_once,
    "beat": _beat,
    "witness": _witness,
    "walk": _walk,
    "endless": _until_halted,
    "always": lambda job, ranks, attempt: os.kill(os.getpid(), signal.SIGKILL),
}
