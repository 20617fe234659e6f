"""StageTrial: the Tune trial of one stage, which owns a gang and hands it from stage to stage."""

from typing import Any

import ray
from ray import tune
from ray.util.placement_group import PlacementGroup

from stilts.experiment.runtime import Runtime
from stilts.plan.job import StageJob
from stilts.run.gang.gang import PREEMPTED, RUNNING, STOPPED, Gang

REPORT_SECONDS = 2.0


class Drained(Exception):
    """The trial was asked to give up, and has: no fault of the program."""


def resources(runtime: Runtime, gpu: bool) -> tune.PlacementGroupFactory:
    """What one trial reserves: nothing for the trial's own process, one bundle for each rank."""
    bundle = {"CPU": runtime.cpus_per_rank} | ({"GPU": 1.0} if gpu else {})
    return tune.PlacementGroupFactory([{}, *([bundle] * runtime.ranks)], strategy="PACK")


class StageTrial(tune.Trainable):
    """Runs the stage that its configuration names, `{"stage": NAME}`; it brings its `job` along where that was not
    known when the run began.

    Results carry `status`: `running` with the stage's reports, at last `done`, `stopped` where that was asked for, or
    `failed` or `diverged` with `error` and `traceback`; and `nodes`: the ids of the nodes that it lives on, with spaces
    between. A lost rank raises instead, for only then another attempt can end otherwise; so does a trial that gave way,
    for Tune must not reuse its process and its place.

    Tune calls `reset_config` to reuse the process, and with it a warm gang, for the next stage.
    """

    def setup(  # type: ignore[override]  # `tune.with_parameters` gives the rest
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
        self._asked: str | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        # Tune gives a trial up when this fails: all that can go wrong is left to `step`.
        self._job: StageJob = new_config.get("job") or self._jobs[new_config["stage"]]
        return True

    def drain(self, reason: str) -> None:
        """Give this trial's place up as soon as nothing is lost by it; holds for every later stage, too."""
        self._asked = reason
        if self._gang is not None:
            self._gang.drain()

    def halt(self, stage: str) -> None:
        """End a stage before its last step, if this trial still runs it; the gang stays warm."""
        if self._gang is not None and self._job.name == stage:
            self._gang.halt(stage)

    def step(self) -> dict[str, Any]:
        if not self._nodes:
            # RunReport before the gang is made, which takes seconds in which its nodes may go.
            self._nodes = " ".join(_nodes(_group()))
            return {"status": RUNNING, "nodes": self._nodes}
        if self._asked is not None and (self._gang is None or not self._gang.busy):
            raise Drained(self._asked)
        if self._gang is None:
            self._gang = Gang(_group(), self._runtime, self._gpu)
        if not self._gang.busy:
            self._gang.start(self._job, self._stage_function)
        result = self._gang.wait(REPORT_SECONDS)
        if result["status"] == PREEMPTED:
            raise Drained(f"{self._asked}; {result['error']}")
        ended = result["status"] != RUNNING
        if ended and not self._stays_warm(result):
            self.cleanup()
        return {**result, "done": ended, "nodes": self._nodes}

    def _stays_warm(self, result: dict[str, Any]) -> bool:
        """ZeRO-3 leaks about the model in every engine, and it takes part in nothing but training."""
        leaks = self._runtime.zero_stage == 3 and not self._job.trained
        return result["status"] in ("done", STOPPED) and not leaks

    def cleanup(self) -> None:
        if self._gang is not None:
            self._gang.kill()
            self._gang = None


def _group() -> PlacementGroup:
    group = ray.util.get_current_placement_group()
    assert group is not None, "Tune starts trials in placement groups"
    return group


def _nodes(group: PlacementGroup) -> list[str]:
    """Ids of the nodes on which the trial's own process and its ranks are."""
    bundles = ray.util.placement_group_table(group)["bundles_to_node_id"]
    return sorted({ray.get_runtime_context().get_node_id(), *bundles.values()})
