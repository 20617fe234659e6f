"""Simulate: the events of a run on the experiment's `cluster:`, by the code that schedules real ones.

Stages are offered by the run's own agenda and capacity, and take what the cost model says. Nodes of the described types
come when trials wait and go when they idle; they are lost at random, at their type's rate. A trial whose state can be
written within the notice goes on where it was; another one falls back to its last resume state. Gangs start cold or
warm; the driver starts one trial after the other.

Left out: reading and writing of data and weights beside training, failures that are no loss of a node, and other users.

Invariants: a place is free, or held by one gang; a gang runs one stage or is warm; time never goes back.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from stilts.errors import StiltsError
from stilts.experiment.machines import Cluster, NodeType
from stilts.identity.stage import StageSpec
from stilts.plan.cost.price import (
    COLD_SECONDS,
    STEP_SECONDS,
    WARM_SECONDS,
    least_seconds,
    rank_flops,
    save_seconds,
    suffices,
)
from stilts.plan.summary import Plan
from stilts.schedule.agenda import Agenda
from stilts.schedule.capacity import at_once

SEEDS = 5
"""Simulations of a cluster whose nodes may be lost."""
DISPATCH_SECONDS = 0.03
"""Of the driver, for each trial that it starts: Tune was measured at 25 to 36 ms."""
DETECT_SECONDS = 15.0
"""From the loss of a node without notice until Ray declares it dead."""


@dataclass(frozen=True)
class Simulated:
    """What one simulated run came to.

    Attributes:
        hours: from the start to the end of the last stage.
        cost: of all nodes, from the request to their end; in the cluster's currency.
        utilisation: share of the places' time paid for that went into work that counts.
        gpu_hours: of trials, from their start to their end.
        lost_gpu_hours: of these, the time of interrupted trials of which nothing is left, and starts after them.
        interruptions: nodes lost.
        not_done: stages that failed because their nodes were lost too often, and what hangs on them.
        nodes: at most at once.
    """

    hours: float
    cost: float
    utilisation: float
    gpu_hours: float
    lost_gpu_hours: float
    interruptions: int
    not_done: int
    nodes: int


@dataclass(eq=False, slots=True)
class _Node:
    """A machine that has been asked for.

    Attributes:
        places: ranks that it has room for; `free`: those that no gang holds.
        asked: when it was asked for.
        idle: when the last gang left; None while there is one.
        leaving: the cloud has given notice.
    """

    kind: str
    type: NodeType
    places: int
    flops: float
    asked: float
    free: int = 0
    idle: float | None = None
    leaving: bool = False
    gone: bool = False
    attempts: dict["_Attempt", None] = field(default_factory=dict)  # ordered, so that a seed repeats a run


@dataclass(eq=False, slots=True)
class _Gang:
    """Places held together, and since when they have been warm."""

    held: list[tuple[_Node, int]]
    warm: float = 0.0


@dataclass(eq=False, slots=True)
class _Attempt:
    """One trial of a stage. `began`: the work, after the start; `flops`: operations per second of the gang."""

    name: str
    gang: _Gang
    started: float
    began: float
    flops: float
    over: bool = False

    def work(self, now: float) -> float:
        """Seconds of work until now."""
        return max(0.0, now - self.began)


def simulation(plan: Plan) -> dict[str, Any]:
    """Simulate a plan, several times where chance has a part; the figures in plain JSON types.

    `hours_at_least` is the larger of the longest chain and the work over all places; every other figure has `mean`,
    `least` and `most` over the seeds.

    Raises:
        StiltsError: the experiment describes no cluster.
    """
    cluster = plan.expansion.experiment.cluster
    if cluster is None:
        raise StiltsError(
            "nothing to simulate on: describe the machines, as in "
            "cluster: {nodes: {gpu-spot: {gpus: 8, max_nodes: 4, price_per_hour: 9.8, losses_per_hour: 0.05}}}"
        )
    chance = any(node.losses_per_hour for node in cluster.nodes.values())
    runs = [asdict(simulate(plan, cluster, seed)) for seed in range(SEEDS if chance else 1)]
    found = {name: [run[name] for run in runs] for name in runs[0]}
    return {
        "currency": cluster.currency,
        "seeds": len(runs),
        "hours_at_least": round(least_seconds(plan, cluster) / 3600, 4),
        **{
            name: {"mean": round(fmean(values), 4), "least": round(min(values), 4), "most": round(max(values), 4)}
            for name, values in found.items()
        },
    }


def simulate(plan: Plan, cluster: Cluster, seed: int) -> Simulated:
    """One run of the plan's jobs; the seed decides when nodes are lost."""
    return _Run(plan, cluster, seed).run()


class _Run:
    def __init__(self, plan: Plan, cluster: Cluster, seed: int) -> None:
        self.runtime, self.cluster, self.random = plan.expansion.experiment.runtime, cluster, random.Random(seed)
        self.ranks = self.runtime.ranks
        self.costs = {job.name: plan.costs[key] for key, job in plan.jobs.items()}
        seconds = {plan.jobs[key].name: value for key, value in plan.seconds().items()}
        parents = {job.name: job.parent for job in plan.jobs.values()}
        self.agenda = Agenda(parents, seconds, self.runtime.max_retries)
        zero3 = self.runtime.zero_stage == 3
        self.recycled = {job.name for job in plan.jobs.values() if zero3 and isinstance(job.spec, StageSpec)}
        places = cluster.places(self.runtime)
        self.places = {name: room for name, room in places.items() if room}
        self.flops = {name: rank_flops(plan, node) for name, node in cluster.nodes.items()}
        # The autoscaler is taken to start the nodes that work cheapest.
        self.kinds = sorted(
            self.places, key=lambda name: cluster.nodes[name].price_per_hour / self.places[name] / self.flops[name]
        )
        self.growing = any(cluster.nodes[name].max_nodes > cluster.nodes[name].min_nodes for name in self.places)
        self.now = self.driver = 0.0
        self.events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self.number = 0
        self.nodes: dict[str, dict[_Node, None]] = {name: {} for name in cluster.nodes}
        self.open: dict[_Node, None] = {}  # with free places, in the order in which they came
        self.free = self.room = self.booting = self.most = 0
        self.pending: deque[str] = deque()
        self.warm: list[_Gang] = []
        self.saved: dict[str, float] = {}  # operations that need not be done again
        self.cost = self.paid = self.useful = self.held = self.lost = 0.0
        self.interruptions = 0

    def run(self) -> Simulated:
        for name, node in self.cluster.nodes.items():
            for _ in range(node.min_nodes):
                self._come(self._ask(name))
        self._fill()
        while not self.agenda.exhausted:
            self.now, _, act, what = heapq.heappop(self.events)
            act(what)
            self._fill()
        self._end()
        done = sum(outcome.status == "done" for outcome in self.agenda.outcomes.values())
        return Simulated(
            hours=self.now / 3600,
            cost=self.cost,
            utilisation=self.useful / self.paid if self.paid else 0.0,
            gpu_hours=self.held / 3600,
            lost_gpu_hours=self.lost / 3600,
            interruptions=self.interruptions,
            not_done=len(self.agenda.outcomes) - done,
            nodes=self.most,
        )

    def _at(self, time: float, act: Callable[[Any], None], what: Any) -> None:
        self.number += 1
        heapq.heappush(self.events, (time, self.number, act, what))

    # --- trials --------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Start what can be started, and ask for nodes for the rest; as the searcher and the autoscaler do."""
        limit = at_once(self.room // self.ranks, self.runtime.max_parallel, growing=self.growing)
        while len(self.agenda.running) < limit and (name := self.agenda.take()) is not None:
            self.pending.append(name)
        while self.pending and (self.warm or self.free >= self.ranks):
            self._start(self.pending.popleft())
        while len(self.warm) > 1:  # Tune keeps one process without work
            self._release(self.warm.pop(0))
        if self.growing and self.pending:
            self._grow()

    def _start(self, name: str) -> None:
        self.driver = max(self.driver, self.now) + DISPATCH_SECONDS
        if self.warm:
            gang, start = self.warm.pop(), WARM_SECONDS
        else:
            gang, start = self._gang(), COLD_SECONDS
        flops = self.ranks * min(node.flops for node, _ in gang.held)
        attempt = _Attempt(name, gang, self.driver, self.driver + start, flops)
        for node, _ in gang.held:
            node.attempts[attempt] = None
        left = self.costs[name].flops - self.saved.get(name, 0.0)
        self._at(attempt.began + left / flops, self._finish, attempt)

    def _gang(self) -> _Gang:
        """Places for a new gang: on one node where one has enough of them, else on as few as come first."""
        fit = next((node for node in self.open if node.free >= self.ranks), None)
        wanted, held = self.ranks, []
        for node in [fit] if fit is not None else list(self.open):
            taken = min(wanted, node.free)
            node.free -= taken
            node.idle = None
            if not node.free:
                del self.open[node]
            held.append((node, taken))
            wanted -= taken
            if not wanted:
                break
        self.free -= self.ranks
        return _Gang(held)

    def _release(self, gang: _Gang) -> None:
        for node, taken in gang.held:
            node.free += taken
            if node.gone or node.leaving:
                continue
            self.free += taken
            self.open[node] = None
            if node.free == node.places:
                self._rest(node)

    def _finish(self, attempt: _Attempt) -> None:
        if attempt.over:
            return
        self._close(attempt, attempt.work(self.now))
        if self.saved.pop(attempt.name, None) is not None:  # no start but the first was needed
            self.lost += (attempt.began - attempt.started) * self.ranks
        self.agenda.finish(attempt.name, "done", seconds=self.now - attempt.started)
        gang = attempt.gang
        if attempt.name in self.recycled or any(node.leaving for node, _ in gang.held):
            self._release(gang)
            return
        gang.warm = self.now
        self.warm.append(gang)
        self._at(self.now + self.runtime.idle_seconds, self._cool, (gang, self.now))

    def _cool(self, what: tuple[_Gang, float]) -> None:
        gang, since = what
        if gang in self.warm and gang.warm == since:
            self.warm.remove(gang)
            self._release(gang)

    def _close(self, attempt: _Attempt, worked: float) -> None:
        """End an attempt of which so many seconds of work remain."""
        attempt.over = True
        for node, _ in attempt.gang.held:
            node.attempts.pop(attempt, None)
        self.useful += worked * self.ranks
        self.held += (self.now - attempt.started) * self.ranks

    def _interrupt(self, attempt: _Attempt, worked: float) -> None:
        """End an attempt before its stage is done."""
        self.saved[attempt.name] = self.saved.get(attempt.name, 0.0) + worked * attempt.flops
        self.lost += max(0.0, self.now - attempt.started - worked) * self.ranks
        self._close(attempt, worked)

    # --- nodes ---------------------------------------------------------------------------------------------

    def _grow(self) -> None:
        """Ask for nodes for the trials that wait."""
        wanted = len(self.pending) * self.ranks - self.free - self.booting
        for name in self.kinds:
            while wanted > 0 and len(self.nodes[name]) < self.cluster.nodes[name].max_nodes:
                self._order(name)
                wanted -= self.places[name]

    def _order(self, name: str) -> None:
        node = self._ask(name)
        self.booting += node.places
        self._at(self.now + node.type.boot_seconds, self._boot, node)

    def _ask(self, name: str) -> _Node:
        node = _Node(name, self.cluster.nodes[name], self.places.get(name, 0), self.flops[name], self.now)
        self.nodes[name][node] = None
        self.most = max(self.most, sum(map(len, self.nodes.values())))
        return node

    def _boot(self, node: _Node) -> None:
        self.booting -= node.places
        self._come(node)

    def _come(self, node: _Node) -> None:
        if not node.places:
            return
        node.free = node.places
        self.free += node.places
        self.room += node.places
        self.open[node] = None
        self._rest(node)
        if node.type.losses_per_hour:
            self._at(self.now + self.random.expovariate(node.type.losses_per_hour / 3600), self._notice, node)

    def _rest(self, node: _Node) -> None:
        """A node has nothing to do from now on, and may go."""
        node.idle = self.now
        self._at(self.now + self.cluster.idle_timeout_minutes * 60, self._idle, (node, self.now))

    def _idle(self, what: tuple[_Node, float]) -> None:
        node, since = what
        if node.idle == since and not node.leaving and len(self.nodes[node.kind]) > node.type.min_nodes:
            self._leave(node)
            self._gone(node)

    def _notice(self, node: _Node) -> None:
        """The cloud takes a node back: what can write its state in time does so, and no trial starts there."""
        if node.gone:
            return
        self.interruptions += 1
        self._leave(node)
        for gang in [gang for gang in self.warm if any(held is node for held, _ in gang.held)]:
            self.warm.remove(gang)
            self._release(gang)
        for attempt in node.attempts:
            cost = self.costs[attempt.name]
            if suffices(cost, node.type):
                self._at(self.now + save_seconds(cost), self._drained, (attempt, self.now + STEP_SECONDS))
        self._at(self.now + node.type.notice_seconds, self._lose, node)

    def _leave(self, node: _Node) -> None:
        node.leaving = True
        self.room -= node.places
        self.free -= node.free
        self.open.pop(node, None)

    def _drained(self, what: tuple[_Attempt, float]) -> None:
        attempt, stepped = what
        if not attempt.over:
            self._interrupt(attempt, attempt.work(stepped))
            self._offer((attempt, "preemption"))

    def _lose(self, node: _Node) -> None:
        self._gone(node)
        if len(self.nodes[node.kind]) < node.type.min_nodes:
            self._order(node.kind)
        for attempt in list(node.attempts):
            every = self.runtime.checkpoint_seconds
            self._interrupt(attempt, attempt.work(self.now) // every * every)
            told = node.type.notice_seconds > 0
            self._at(
                self.now + (0.0 if told else DETECT_SECONDS), self._offer, (attempt, "preemption" if told else "node")
            )

    def _offer(self, what: tuple[_Attempt, Any]) -> None:
        attempt, cause = what
        self._release(attempt.gang)
        self.agenda.lose(attempt.name, "its node was lost", cause)

    def _gone(self, node: _Node, more: float = 0.0) -> None:
        """Pay for a node, from the request until now or some seconds more."""
        node.gone = True
        del self.nodes[node.kind][node]
        hours = (self.now + more - node.asked) / 3600
        self.cost += hours * node.type.price_per_hour
        self.paid += hours * 3600 * node.places

    def _end(self) -> None:
        """All is done: the nodes beyond the least number go when they have idled."""
        for nodes in self.nodes.values():
            for number, node in enumerate(list(nodes)):
                more = number >= node.type.min_nodes
                self._gone(node, self.cluster.idle_timeout_minutes * 60 if more else 0.0)
