"""Light stage functions that the tests run through the real machinery; the job's store is a folder for traces."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stilts.errors import StiltsError
from stilts.plan.job import StageJob


class Diverged(StiltsError):
    """As the training loop raises it."""


class LeaseLost(StiltsError):
    """As the store raises it."""


class Stopped(StiltsError):
    """As the training loop raises it."""


class Unreachable(StiltsError):
    """As the store raises it."""


def behave(job: StageJob, ranks: Any, report: Callable[[dict], None]) -> None:
    """Do what the first word of the stage's name says, and leave `NAME.RANK.PID.ATTEMPT` with start and end times."""
    folder = Path(job.store)
    attempt = len(list(folder.glob(f"{job.name}.{ranks.rank}.*")))
    trace = folder / f"{job.name}.{ranks.rank}.{os.getpid()}.{attempt}"
    begin = time.time()
    trace.write_text(f"{begin}")
    report({"step": 1, "steps": 2, "loss": 0.5})
    _BEHAVIOURS[job.name.split("-")[0]](job, ranks, attempt)
    trace.write_text(f"{begin} {time.time()}")


def _die_once(job: StageJob, ranks: Any, attempt: int) -> None:
    if attempt == 0 and ranks.rank == ranks.world - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    reduce(job, ranks, attempt)


def _slow_once(job: StageJob, ranks: Any, attempt: int) -> None:
    if attempt == 0:
        time.sleep(60)


def _claim_lost_once(job: StageJob, ranks: Any, attempt: int) -> None:
    if attempt == 0:
        raise LeaseLost("another one took over")


def _store_away_twice(job: StageJob, ranks: Any, attempt: int) -> None:
    if attempt < 2:
        raise Unreachable("the store has not answered for 300 s")


def _witness(job: StageJob, ranks: Any, attempt: int) -> None:
    """Fail unless this stage's trial is in the end the only one that holds resources."""
    from ray.util import placement_group_table

    deadline = time.time() + 20
    while time.time() < deadline:
        held = [group for group in placement_group_table().values() if group["state"] == "CREATED"]
        if len(held) == 1:
            return
        time.sleep(0.2)
    raise StiltsError(f"{len(held)} placement groups are held")


def _walk(job: StageJob, ranks: Any, attempt: int) -> None:
    """Steps of a tenth of a second until it is asked to give way, and ten more from there in the next attempt."""
    state = Path(job.store) / f"{job.name}.step"
    done = int(state.read_text()) if state.exists() else 0
    walked = Path(job.store) / f"{job.name}.walked"
    for step in range(done + 1, done + (11 if done else 600)):
        time.sleep(0.1)
        if ranks.leader:
            with walked.open("a") as file:
                file.write(f"{step} {attempt}\n")
        try:
            ranks.give_way()
        except StiltsError:
            if ranks.leader:
                time.sleep(0.5)  # others have left by then
                state.write_text(str(step))
            raise


def _until_halted(job: StageJob, ranks: Any, attempt: int) -> None:
    if not ranks.halt.wait(30):
        raise StiltsError("nobody asked it to stop")
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
    "fenced": _claim_lost_once,
    "away": _store_away_twice,
    "witness": _witness,
    "walk": _walk,
    "endless": _until_halted,
    "always": lambda job, ranks, attempt: os.kill(os.getpid(), signal.SIGKILL),
}
