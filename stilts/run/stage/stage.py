"""run_stage: the work of every rank of a gang on one stage. It uses the store and the model, and knows nothing of Ray.

The leader alone writes, through an uploader thread and only while it holds the stage's lease. The order of the writes
ensures that a kill at any moment loses at most the work since the last resume state:

1. resume states, during training;
2. the weights, then the stage's record;
3. for each evaluation, the predictions, then the record;
4. the model card if the experiment keeps the weights;
5. the removal of what earlier attempts wrote about their failure, and of the logs of the stage.

A stage is done when the first four are in the store. If the stage fails, the rank that sees it writes why, at once. In
the meantime, every rank copies its last lines of output to the store.
Weights that no declaration needs then are removed by the driver (`run/settler.py`), because only the lists of all
declarations tell which those are.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

from stilts.errors import StiltsError
from stilts.ledger.lacking import lacking
from stilts.ledger.logs import clear_logs
from stilts.ledger.mark import check_mark
from stilts.ledger.record import clear_failure, read_failure, stage_path
from stilts.plan.job import StageJob
from stilts.run.stage.attempt import Attempt, Report
from stilts.run.stage.ending import FailureRecord
from stilts.run.stage.output import OutputCopies
from stilts.run.stage.publish import publish_model_card
from stilts.run.stage.scoring import evaluate_stage
from stilts.run.stage.training import stage_model
from stilts.run.stage.uploader import Uploader
from stilts.run.temporary import temporary_folder
from stilts.storage.lease import WAIT_SECONDS, Lease
from stilts.storage.open import open_store
from stilts.storage.protocol import Store
from stilts.tasks.own import use
from stilts.train.loop import Diverged
from stilts.train.ranks import Ranks


class Leased(StiltsError):
    """Another driver trains the stage. The text says who."""


def run_stage(job: StageJob, ranks: Ranks, report: Report, *, wait: bool = False) -> None:
    """Train the stage if the store lacks it, and run its missing evaluations (collective).

    A lease keeps other drivers from working on the stage at the same time. Work that another driver finished after the
    plan was made is not repeated.

    Args:
        wait: wait while another driver holds the lease. A trial does not wait: its driver has other stages for its
            GPUs, or releases them, and watches the lease for less than a trial would.

    Raises:
        Leased: another driver holds the lease.
        StiltsError: the parent's weights or the data are missing or have changed since the plan was made.
        Diverged: the loss became NaN or infinite.
        Preempted: a rank was preempted; all finished work is in the store.
        Stopped: the stage was cancelled; its training left nothing in the store.
    """
    use(job.tasks)
    store = open_store(job.store)
    if job.mark is not None:
        check_mark(store, job.mark)
    lease = Lease(store, stage_path(job.name), lambda who: report({"phase": f"waiting for {who}"}))
    failure = FailureRecord(store, job.name, ranks.rank)
    with _held(lease, ranks, wait), temporary_folder() as scratch:
        missing, diverged = ranks.broadcast(_missing_work(store, job) if ranks.leader else None)
        if diverged is not None:
            raise Diverged(diverged)
        if ranks.leader and (missing is None or missing.trained):
            _remove_orphans(store, job, done=missing is None)
        if missing is None:
            return
        failure.attempt = ranks.broadcast(lease.attempt)
        output = OutputCopies(store, job.name, failure.attempt)
        with failure, Uploader(lease.check) if ranks.leader else nullcontext() as uploader, output, failure:
            attempt = Attempt(missing, store, ranks, report, lease, uploader)
            model = stage_model(attempt, scratch)
            evaluate_stage(attempt, model)
            publish_model_card(attempt)
            attempt.submit(lambda: clear_failure(store, job.name))
            output.stop()
            attempt.flush()
            attempt.submit(lambda: clear_logs(store, job.name))


@contextmanager
def _held(lease: Lease, ranks: Ranks, wait: bool) -> Iterator[None]:
    """Hold the lease on the leader (collective).

    While they wait, the ranks communicate every WAIT_SECONDS, so that no collective runs into its timeout. The leader
    looks at the lease less often where requests cost money.

    Raises:
        Leased: another driver holds the lease, and `wait` is False.
        Preempted: a rank is draining.
    """
    with ExitStack() as stack:
        due = 0.0
        while True:
            held = None
            if ranks.leader and time.monotonic() >= due:
                held = lease.acquire()
                due = time.monotonic() + lease.periods.look
            held, who = ranks.broadcast((held, lease.held_by) if ranks.leader else None)
            if held:
                break
            if not wait and who is not None:
                raise Leased(who)
            ranks.raise_if_draining()
            time.sleep(WAIT_SECONDS)
        if ranks.leader:
            stack.push(lease)
        yield


def _missing_work(store: Store, job: StageJob) -> tuple[StageJob | None, str | None]:
    """What is left to do now that the lease is held.

    Returns:
        the part of the job that the store lacks, None if another driver has done it all; and if another driver has
        trained the stage since the plan was made and it diverged, the reason, otherwise None.
    """
    missing = lacking(store, job, verify=True)
    ended = None if missing is None or missing.trained else read_failure(store, job.name)
    return missing, ended["error"] if ended is not None and ended["status"] == "diverged" else None


def _remove_orphans(store: Store, job: StageJob, done: bool) -> None:
    """Remove files that an attempt left behind if it was killed after it had written the stage's record.

    These are resume states, and the failure of an earlier attempt.

    Args:
        done: whether all evaluations are stored too.
    """
    store.remove(f"{stage_path(job.name)}/resume")
    for folder in store.scratch(stage_path(job.name)).glob("resume*"):
        shutil.rmtree(folder, ignore_errors=True)
    if done:
        clear_failure(store, job.name)
        clear_logs(store, job.name)
