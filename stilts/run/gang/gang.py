"""Gang: the rank processes of one trial, connected once and reused from stage to stage.

Invariants: all ranks run the same stage, or none runs any. An error of one rank ends the gang, because the others may
wait for it for ever. Reuse is for speed only: no stage may rely on what an earlier one left in the processes.
"""

import importlib
import os
import platform
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from stilts.experiment.runtime import Runtime
from stilts.plan.job import StageJob
from stilts.run.cluster.cpus import threads_of_rank
from stilts.run.gang.gpu import combine, gpu_facts
from stilts.run.gang.losses import brief, cause_of
from stilts.run.gang.lost_output import Place, save_output
from stilts.run.stage.ending import DONE, LEASED, LOST, PREEMPTED, STOPPED, describe
from stilts.run.stage.output import begin_stage, output_files
from stilts.schedule.causes import Cause

CONNECT_SECONDS = 600.0
PING_SECONDS = 60.0
ANSWER_SECONDS = 2.0
"""How long one call of `wait` waits for the progress of the ranks."""
ROOT_SECONDS = 10.0
"""After a rank lost its connection to the others, how long the gang waits to learn whether another rank ended first."""
RUNNING = "running"


class LostRank(Exception):
    """An attempt ended for a reason that another attempt can mend: not an error of the program.

    Attributes:
        cause: why.
        rank: the rank that was lost, if it is known.
        detail: the whole text of Ray's error.
    """

    def __init__(self, reason: str, cause: Cause = "process", rank: int | None = None, detail: str = "") -> None:
        super().__init__(reason, cause)  # both, so that the exception can be pickled
        self.reason, self.cause, self.rank, self.detail = reason, cause, rank, detail

    def __str__(self) -> str:
        return self.reason


class Rank:
    """One process of a gang. `run` and `connect` share one thread; the `control` methods answer during a stage.

    Args:
        stage_function: function that `run` will be called with. Its module is imported at once, while the other ranks
            are being placed, because torch and transformers take seconds.
    """

    def __init__(self, rank: int, runtime: Runtime, device: str, stage_function: str) -> None:
        # OpenMP reads it when torch is first imported.
        os.environ["OMP_NUM_THREADS"] = str(threads_of_rank(runtime.cpus_per_rank, gpu=device != "cpu"))
        self._rank, self._world, self._device = rank, runtime.ranks, device
        self._latest: dict[str, Any] = {}
        self._listener: socket.socket | None = None
        self._gpu: str | None = None
        self._stage = ""
        with suppress(Exception):  # `run` raises it again, as the error of the stage
            resolve(stage_function)

    def address(self) -> tuple[str, int]:
        """Listen for the other ranks on the address by which Ray knows this node; return it and the port."""
        self._listener = socket.create_server((ray.util.get_node_ip_address(), 0))
        address, port = self._listener.getsockname()
        return address, port

    def connect(self, address: str, port: int) -> None:
        """Join the gang's process group, with rank 0 listening at the address."""
        import torch

        from stilts.train.ranks import connect

        device = torch.device(self._device)
        self._ranks = connect(self._rank, self._world, address, port, device, self._listener)
        if device.type == "cuda":
            self._gpu = f"GPU-{torch.cuda.get_device_properties(device).uuid}"

    def run(self, job: StageJob, stage_function: str) -> dict[str, Any]:
        """Run a stage; return `{"status": "done"}`, or another status (see `describe`) with `error` and `traceback`."""
        self._latest = {}
        self._ranks.halt.clear()
        self._stage = job.name
        begin_stage(job.name, self._facts())
        try:
            resolve(stage_function)(job, self._ranks, self._report)
        except (Exception, SystemExit) as error:
            return describe(error)
        return {"status": "done"}

    def _report(self, progress: dict[str, Any]) -> None:
        self._latest = dict(progress)

    @ray.method(concurrency_group="control")
    def place(self) -> Place:
        """Return where this rank runs, and where its output is."""
        return Place(self._facts(), output_files())

    def _facts(self) -> dict[str, Any]:
        node = ray.get_runtime_context().get_node_id()
        return {"rank": self._rank, "pid": os.getpid(), "node": platform.node(), "ray_node": node}

    @ray.method(concurrency_group="control")
    def progress(self) -> dict[str, Any]:
        """Return the latest report of the stage, with the number of this rank's heartbeats as `beats`."""
        return {**self._latest, "beats": self._ranks.heartbeat.count}

    @ray.method(concurrency_group="control")
    def gpu(self) -> dict[str, Any]:
        """Use and memory of this rank's GPU (see `gpu_facts`); empty if it has none."""
        return {} if self._gpu is None else gpu_facts(self._gpu)

    @ray.method(concurrency_group="control")
    def drain(self) -> None:
        """Ask the stage to end as soon as no work is lost by it."""
        self._ranks.drain.set()

    @ray.method(concurrency_group="control")
    def halt(self, stage: str) -> None:
        """Ask a stage to end before its last step. Does nothing if another stage has begun."""
        if stage == self._stage:
            self._ranks.halt.set()

    @ray.method(concurrency_group="control")
    def ping(self) -> int:
        """Return the process id."""
        return os.getpid()


def resolve(dotted: str) -> Callable[..., None]:
    """Import the function that `package.module:name` names."""
    module, _, name = dotted.partition(":")
    function: Callable[..., None] = getattr(importlib.import_module(module), name)
    return function


class Gang:
    """The ranks of one trial, one in each bundle of its placement group.

    Raises:
        LostRank: from any method, if a rank is gone. The gang must then be killed.
    """

    def __init__(self, group: PlacementGroup, runtime: Runtime, gpu: bool, stage_function: str) -> None:
        actor = ray.remote(concurrency_groups={"control": 1})(Rank)  # type: ignore[call-overload]
        self._ranks = [
            actor.options(
                num_cpus=runtime.cpus_per_rank,
                num_gpus=int(gpu),
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank),
            ).remote(rank, runtime, "cuda:0" if gpu else "cpu", stage_function)
            for rank in range(runtime.ranks)
        ]
        self._on_gpus = gpu
        self._running: dict[ray.ObjectRef, int] = {}
        self._asked: list[ray.ObjectRef] = []
        self._ended: dict[str, Any] = {"status": "done"}
        self._places: list[Place] = []

    def connect(self) -> None:
        """Start the ranks and connect them with each other."""
        try:
            self._places = ray.get([rank.place.remote() for rank in self._ranks], timeout=CONNECT_SECONDS)
            address, port = ray.get(self._ranks[0].address.remote(), timeout=CONNECT_SECONDS)
            ray.get([rank.connect.remote(address, port) for rank in self._ranks], timeout=CONNECT_SECONDS)
        except RayError as error:
            raise _lost("the ranks could not be started", error, 0) from error

    def start(self, job: StageJob, stage_function: str) -> None:
        """Start a stage on every rank."""
        self._ended, self._asked = {"status": "done"}, []
        self._running = {actor.run.remote(job, stage_function): rank for rank, actor in enumerate(self._ranks)}

    @property
    def busy(self) -> bool:
        """Whether a stage has been started and has not ended."""
        return bool(self._running)

    def wait(self, seconds: float) -> dict[str, Any]:
        """Wait for the result of the stage; after some seconds return `running` with the latest report of rank 0."""
        ended, _ = ray.wait(list(self._running), num_returns=1, timeout=seconds)
        for ref in ended:
            result = self._result(ref)
            if result["status"] in (PREEMPTED, STOPPED, LEASED):
                self._ended = result  # every rank ends so; the leader may still be writing to the store
            elif result["status"] != DONE:
                return self._root(result)
        if not self._running:
            return self._ended
        return {**self._progress(), "status": RUNNING}

    def _root(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return the first failure of a gang, of which `result` may be a consequence.

        If a rank fails or dies, the others may lose their connection to it, and learn of that before anybody else.

        Raises:
            LostRank: the failure is one that another attempt can mend.
        """
        until = time.monotonic() + ROOT_SECONDS
        while result.get("cause") == "network" and self._running and time.monotonic() < until:
            self._check_alive()
            for ref in ray.wait(list(self._running), num_returns=1, timeout=1.0)[0]:
                other = self._result(ref)
                result = result if other["status"] == DONE else other
        self._running = {}
        self._check_alive()
        if result["status"] == LOST:
            raise LostRank(result["error"], result["cause"])
        return result

    def _result(self, ref: ray.ObjectRef) -> dict[str, Any]:
        rank = self._running.pop(ref)
        try:
            result: dict[str, Any] = ray.get(ref)
        except RayError as error:
            raise _lost(f"rank {rank} was lost", error, rank) from error
        return result

    def _progress(self) -> dict[str, Any]:
        """The latest report; empty if a rank does not answer: it holds the interpreter's lock, is frozen, or is dead.

        The question stays open until it is answered, so that nothing waits for a rank.
        """
        if not self._asked:
            ranks = self._ranks if self._on_gpus else []
            self._asked = [self._ranks[0].progress.remote(), *(rank.gpu.remote() for rank in ranks)]
        _, waiting = ray.wait(self._asked, num_returns=len(self._asked), timeout=ANSWER_SECONDS)
        if waiting:
            return {}
        asked, self._asked = self._asked, []
        try:
            latest, *gpus = ray.get(asked)
        except RayError:  # the next `wait` will notice it
            return {}
        return {**latest, **combine(gpus)}

    def _check_alive(self) -> None:
        """Raise if a rank is gone: the errors that this causes in the others are not errors of the program."""
        pings = [actor.ping.remote() for actor in self._ranks]
        ray.wait(pings, num_returns=len(pings), timeout=PING_SECONDS)
        for rank, ping in enumerate(pings):
            try:
                ray.get(ping, timeout=0)
            except RayError as error:
                raise _lost(f"rank {rank} was lost", error, rank) from error

    def drain(self) -> None:
        """Ask the stage to end as soon as no work is lost by it. It then ends as `preempted`, or as `done`."""
        for rank in self._ranks:
            rank.drain.remote()

    def halt(self, stage: str) -> None:
        """Ask a stage to end before its last step. It then ends as `stopped`, or as `done`."""
        for rank in self._ranks:
            rank.halt.remote(stage)

    def save_output(self, job: StageJob, lost: LostRank | None = None) -> None:
        """Copy the last lines that the ranks wrote in a stage to the store, also those of ranks that are gone."""
        if lost is None:
            save_output(job, self._places)
        else:
            save_output(job, self._places, lost.rank, lost.detail)

    def kill(self) -> None:
        """Kill every rank."""
        for rank in self._ranks:
            ray.kill(rank)
        self._ranks, self._running = [], {}


def _lost(what: str, error: RayError, rank: int) -> LostRank:
    return LostRank(f"{what}: {brief(error)}", cause_of(error), rank, str(error))
