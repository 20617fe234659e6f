"""StageTrial: a Tune trial that runs one stage. It owns a gang and keeps it for the next stage."""

from typing import Any

import ray
from ray import tune
from ray.util.placement_group import PlacementGroup

from stilts.experiment.runtime import Runtime
from stilts.plan.job import StageJob
from stilts.run.gang.gang import RUNNING, Gang, LostRank
from stilts.run.gang.watchdog import Watchdog
from stilts.run.stage.ending import DIVERGED, DONE, FAILED, LEASED, PREEMPTED, STOPPED

REPORT_SECONDS = 2.0


class Drained(Exception):
    """The trial was asked to drain, and has ended. Not an error of the program."""


def resources(bundle: dict[str, float], ranks: int) -> tune.PlacementGroupFactory:
    """Resources that one trial reserves: one bundle per rank, and nothing for the trial's own process."""
    return tune.PlacementGroupFactory([{}, *([bundle] * ranks)], strategy="PACK")


class StageTrial(tune.Trainable):
    """Runs the stage that its configuration names, `{"stage": NAME}`.

    The configuration also has the stage's `job` if that was not known when the run began.

    Each result has a `status`: `running`, with the latest report of the stage, or in the last result `done`, `stopped`
    (on request), `leased` (another driver trains the stage; `error` says who), or `failed` or `diverged` with `error`
    and `traceback`. It also has `nodes`, the ids of the nodes on
    which the trial runs, with spaces between them. A lost rank raises an exception instead, because another attempt may
    succeed. So does a trial that was drained, because Tune must not reuse its process and its resources.

    Tune calls `reset_config` to reuse the process, and with it the warm gang, for the next stage.
    """

    def setup(  # type: ignore[override]  # `tune.with_parameters` passes the others
        self,
        config: dict[str, Any],
        jobs: dict[str, StageJob],
        runtime: Runtime,
        gpu: bool,
        stage_function: str,
    ) -> None:
        self._jobs, self._runtime, self._gpu, self._stage_function = jobs, runtime, gpu, stage_function
        self._gang: Gang | None = None
        self._nodes = ""
        self._drain_reason: str | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        # If this raises, Tune fails the trial for good. So everything that can go wrong is done in `step`.
        self._job: StageJob = new_config.get("job") or self._jobs[new_config["stage"]]
        return True

    def drain(self, reason: str) -> None:
        """End this trial as soon as no work is lost by it. It accepts no further stage."""
        self._drain_reason = reason
        if self._gang is not None:
            self._gang.drain()

    def halt(self, stage: str) -> None:
        """End a stage before its last step, if this trial still runs it. The gang stays warm."""
        if self._gang is not None and self._job.name == stage:
            self._gang.halt(stage)

    def step(self) -> dict[str, Any]:
        if not self._nodes:
            # Reported before the gang is made: that takes seconds, in which a node may begin to drain.
            self._nodes = " ".join(_nodes(_group()))
            return {"status": RUNNING, "nodes": self._nodes}
        if self._drain_reason is not None and (self._gang is None or not self._gang.busy):
            raise Drained(self._drain_reason)
        try:
            result = self._advance()
        except LostRank as lost:
            if self._gang is not None:
                self._gang.save_output(self._job, lost)
            self.cleanup()
            raise
        if result["status"] == PREEMPTED:
            raise Drained(f"{self._drain_reason}; {result['error']}")
        ended = result["status"] != RUNNING
        if ended and not self._stays_warm(result):
            self.cleanup()
        return {**result, "done": ended, "nodes": self._nodes}

    def _advance(self) -> dict[str, Any]:
        """Start what is not running yet, and wait for the stage for some seconds.

        Raises:
            LostRank: a rank was lost, or the gang makes no progress.
        """
        if self._gang is None:
            self._gang = Gang(_group(), self._runtime, self._gpu, self._stage_function)
            self._gang.connect()
        if not self._gang.busy:
            self._gang.start(self._job, self._stage_function)
            self._watchdog = Watchdog(self._runtime.stall_seconds)
        result = self._gang.wait(REPORT_SECONDS)
        if result["status"] in (FAILED, DIVERGED) and self._runtime.ranks > 1:
            self._gang.save_output(self._job)  # the other ranks are about to be killed and cannot copy theirs
        stalled = self._watchdog.see(result) if result["status"] == RUNNING else None
        if stalled is not None:
            raise LostRank(stalled, "stalled")
        return result

    def _stays_warm(self, result: dict[str, Any]) -> bool:
        """Whether to keep the gang. Each engine of ZeRO 3, which only training uses, leaks the size of the model."""
        leaks = self._runtime.zero_stage == 3 and not self._job.trained
        return result["status"] in (DONE, STOPPED, LEASED) and not leaks

    def cleanup(self) -> None:
        if self._gang is not None:
            self._gang.kill()
            self._gang = None


def _group() -> PlacementGroup:
    group = ray.util.get_current_placement_group()
    assert group is not None, "Tune starts trials in placement groups"
    return group


def _nodes(group: PlacementGroup) -> list[str]:
    """Ids of the nodes on which the trial's own process and its ranks run."""
    bundles = ray.util.placement_group_table(group)["bundles_to_node_id"]
    return sorted({ray.get_runtime_context().get_node_id(), *bundles.values()})
