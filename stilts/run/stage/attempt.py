"""One attempt at a stage: what every step of the work shares on one rank."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stilts.ledger.record import stage_path
from stilts.plan.job import StageJob
from stilts.run.stage.uploader import Uploader
from stilts.storage.lease import Lease
from stilts.storage.protocol import Store
from stilts.train.ranks import Ranks

Report = Callable[[dict[str, Any]], None]
"""Function that reports the progress of a stage to the driver (see `execute`)."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at a stage, as one rank sees it.

    Attributes:
        job: the work that is still missing in the store.
        lease: the stage's lease, which the leader holds.
        uploader: writes to the store in the background; None on the other ranks, which write nothing.
        began: when it began, as `time.monotonic` tells.
    """

    job: StageJob
    store: Store
    ranks: Ranks
    report: Report
    lease: Lease
    uploader: Uploader | None
    began: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        """Path of the stage in the store."""
        return stage_path(self.job.name)

    def submit(self, write: Callable[[], object]) -> None:
        """Queue a write to the store. Ranks other than the leader ignore it."""
        if self.uploader is not None:
            self.uploader.submit(write)

    def flush(self) -> None:
        """Wait, on every rank, until all queued writes are in the store (collective)."""
        if self.uploader is not None:
            self.report({"phase": "uploading"})
            self.uploader.flush()
        self.ranks.barrier()

    def report_while_held(self, progress: dict[str, Any]) -> None:
        """Report progress. If the lease may have run out, confirm first that no other attempt has taken it over.

        Raises:
            LeaseLost: another attempt holds the lease.
        """
        if self.lease.lapsed:
            self.report({"phase": "confirming the lease"})
            self.lease.confirm()
        self.report(progress)
