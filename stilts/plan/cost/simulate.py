"""Simulate: a discrete-event simulation of a run on the experiment's `cluster:`, with the scheduler of real runs.

`schedule.agenda` and `schedule.capacity`, which real runs use, decide which stage starts when; the cost model says how
long it takes. Nodes are added while trials wait, removed when they are idle, and preempted at random at the rate of
their type. A trial that can write its resume state within the notice continues from there; any other trial falls back
to its last resume state. A gang starts cold or warm, and the driver starts one trial at a time.

The simulation ignores input and output beside training, failures other than the loss of a node, and other users.

A *place* is the room for one rank on a node. Invariants: a place is free or held by exactly one gang; a gang runs one
stage or is warm; time never decreases.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from stilts.errors import StiltsError
from stilts.experiment.machines import Cluster
from stilts.identity.stage import StageSpec
from stilts.plan.cost.price import (
    COLD_SECONDS,
    STEP_SECONDS,
    WARM_SECONDS,
    least_seconds,
    save_seconds,
    suffices,
)
from stilts.plan.cost.simulated import Gang, Node, Trial
from stilts.plan.summary import Plan
from stilts.schedule.agenda import Agenda
from stilts.schedule.capacity import at_once

SEEDS = 5
"""Number of simulations, with different seeds, of a cluster whose nodes may be preempted."""
DISPATCH_SECONDS = 0.03
"""Seconds that the driver needs to start one trial; Tune was measured at 25 to 36 ms."""
DETECT_SECONDS = 15.0
"""Seconds until Ray declares a node dead that was lost without notice."""


@dataclass(frozen=True)
class Simulated:
    """The figures of one simulated run.

    Attributes:
        hours: duration from the start of the run to the end of its last stage.
        cost: price of all nodes from their request to their end, in the cluster's currency.
        utilisation: fraction of the paid rank time that was spent on work that was not lost.
        gpu_hours: GPU-hours of all trials, from their start to their end.
        lost_gpu_hours: the part of `gpu_hours` that preemptions cause: work that was lost, and the additional starts.
        interruptions: number of lost nodes.
        not_done: number of stages that failed because their nodes were lost too often, and of their descendants.
        nodes: largest number of nodes at the same time.
    """

    hours: float
    cost: float
    utilisation: float
    gpu_hours: float
    lost_gpu_hours: float
    interruptions: int
    not_done: int
    nodes: int


def simulation(plan: Plan) -> dict[str, Any]:
    """Simulate a plan and return the figures in plain JSON types.

    If nodes can be preempted, the plan is simulated with `SEEDS` different seeds, otherwise once. Every figure of
    `Simulated` is given as `mean`, `least` and `most` over the seeds; `hours_at_least` is the lower bound
    `least_seconds`.

    Raises:
        StiltsError: the experiment has no `cluster:` section.
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
    """Simulate one run of a plan's jobs; the seed determines when nodes are preempted."""
    return _Run(plan, cluster, seed).run()


class _Run:
    """The state of one simulated run: a queue of events, the nodes, and the sums that become its `Simulated`."""

    def __init__(self, plan: Plan, cluster: Cluster, seed: int) -> None:
        self.runtime, self.cluster, self.random = plan.expansion.experiment.runtime, cluster, random.Random(seed)
        self.ranks = self.runtime.ranks
        self.costs = {job.name: plan.costs[key] for key, job in plan.jobs.items()}
        seconds = {plan.jobs[key].name: value for key, value in plan.seconds.items()}
        parents = {job.name: job.parent for job in plan.jobs.values()}
        self.agenda = Agenda(parents, seconds, self.runtime.max_retries)
        zero3 = self.runtime.zero_stage == 3
        self.recycled = {job.name for job in plan.jobs.values() if zero3 and isinstance(job.spec, StageSpec)}
        places = cluster.places(self.runtime)
        self.places = {name: room for name, room in places.items() if room}
        names = {key: job.name for key, job in plan.jobs.items()}
        self.seconds = {
            kind: {names[key]: took for key, took in found.items()} for kind, found in plan.node_seconds.items()
        }
        # Assumption: the autoscaler prefers the node type on which the plan costs least.
        self.kinds = sorted(
            self.places,
            key=lambda kind: cluster.nodes[kind].price_per_hour / self.places[kind] * sum(self.seconds[kind].values()),
        )
        self.growing = any(cluster.nodes[name].max_nodes > cluster.nodes[name].min_nodes for name in self.places)
        self.now = self.driver = 0.0
        self.events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self.number = 0
        self.nodes: dict[str, dict[Node, None]] = {name: {} for name in cluster.nodes}
        self.open: dict[Node, None] = {}  # nodes with free places, in order of arrival
        self.free = self.room = self.booting = self.most = 0
        self.pending: deque[str] = deque()
        self.warm: list[Gang] = []
        self.saved: dict[str, float] = {}  # the fraction of interrupted stages that their resume states preserve
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
        """Schedule the event `act(what)`."""
        self.number += 1
        heapq.heappush(self.events, (time, self.number, act, what))

    # --- trials --------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Start the trials that fit and request nodes for the others, as Tune's searcher and the autoscaler do."""
        limit = at_once(self.room // self.ranks, self.runtime.max_parallel, growing=self.growing)
        while len(self.agenda.running) < limit and (name := self.agenda.take()) is not None:
            self.pending.append(name)
        while self.pending and (self.warm or self.free >= self.ranks):
            self._start(self.pending.popleft())
        while len(self.warm) > 1:  # Tune keeps at most one idle gang for reuse
            self._release(self.warm.pop(0))
        if self.growing and self.pending:
            self._grow()

    def _start(self, name: str) -> None:
        self.driver = max(self.driver, self.now) + DISPATCH_SECONDS
        if self.warm:
            gang, start = self.warm.pop(), WARM_SECONDS
        else:
            gang, start = self._gang(), COLD_SECONDS
        seconds = max(self.seconds[node.kind][name] for node, _ in gang.held)
        trial = Trial(name, gang, self.driver, self.driver + start, seconds)
        for node, _ in gang.held:
            node.trials[trial] = None
        left = 1.0 - self.saved.get(name, 0.0)
        self._at(trial.began + left * seconds, self._finish, trial)

    def _gang(self) -> Gang:
        """Take places for a new gang: on the first node with enough free places, otherwise on several, oldest first."""
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
        return Gang(held)

    def _release(self, gang: Gang) -> None:
        for node, taken in gang.held:
            node.free += taken
            if node.gone or node.leaving:
                continue
            self.free += taken
            self.open[node] = None
            if node.free == node.places:
                self._rest(node)

    def _finish(self, trial: Trial) -> None:
        if trial.over:
            return
        self._close(trial, trial.work(self.now))
        if self.saved.pop(trial.name, None) is not None:  # this start was only needed because of a preemption
            self.lost += (trial.began - trial.started) * self.ranks
        self.agenda.finish(trial.name, "done", seconds=self.now - trial.started)
        gang = trial.gang
        if trial.name in self.recycled or any(node.leaving for node, _ in gang.held):
            self._release(gang)
            return
        gang.warm = self.now
        self.warm.append(gang)
        self._at(self.now + self.runtime.idle_seconds, self._cool, (gang, self.now))

    def _cool(self, what: tuple[Gang, float]) -> None:
        """Release a gang that has been warm for `idle_seconds` and was not used again."""
        gang, since = what
        if gang in self.warm and gang.warm == since:
            self.warm.remove(gang)
            self._release(gang)

    def _close(self, trial: Trial, worked: float) -> None:
        """End a trial of which `worked` seconds of training are preserved."""
        trial.over = True
        for node, _ in trial.gang.held:
            node.trials.pop(trial, None)
        self.useful += worked * self.ranks
        self.held += (self.now - trial.started) * self.ranks

    def _interrupt(self, trial: Trial, worked: float) -> None:
        """End a trial before its stage is done; `worked` seconds of training are preserved in its resume state."""
        self.saved[trial.name] = self.saved.get(trial.name, 0.0) + worked / max(trial.seconds, 1e-9)
        self.lost += max(0.0, self.now - trial.started - worked) * self.ranks
        self._close(trial, worked)

    # --- nodes ---------------------------------------------------------------------------------------------

    def _grow(self) -> None:
        """Request nodes for the trials that wait."""
        wanted = len(self.pending) * self.ranks - self.free - self.booting
        for name in self.kinds:
            while wanted > 0 and len(self.nodes[name]) < self.cluster.nodes[name].max_nodes:
                self._order(name)
                wanted -= self.places[name]

    def _order(self, name: str) -> None:
        node = self._ask(name)
        self.booting += node.places
        self._at(self.now + node.type.boot_seconds, self._boot, node)

    def _ask(self, name: str) -> Node:
        node = Node(name, self.cluster.nodes[name], self.places.get(name, 0), self.now)
        self.nodes[name][node] = None
        self.most = max(self.most, sum(map(len, self.nodes.values())))
        return node

    def _boot(self, node: Node) -> None:
        self.booting -= node.places
        self._come(node)

    def _come(self, node: Node) -> None:
        if not node.places:
            return
        node.free = node.places
        self.free += node.places
        self.room += node.places
        self.open[node] = None
        self._rest(node)
        if node.type.losses_per_hour:
            self._at(self.now + self.random.expovariate(node.type.losses_per_hour / 3600), self._notice, node)

    def _rest(self, node: Node) -> None:
        """Mark a node as idle; it is removed after the idle timeout if it is still idle then."""
        node.idle = self.now
        self._at(self.now + self.cluster.idle_timeout_minutes * 60, self._idle, (node, self.now))

    def _idle(self, what: tuple[Node, float]) -> None:
        node, since = what
        if node.idle == since and not node.leaving and len(self.nodes[node.kind]) > node.type.min_nodes:
            self._leave(node)
            self._gone(node)

    def _notice(self, node: Node) -> None:
        """Give a node notice of its preemption. Trials that can write their resume state in time do so, and no new
        trial starts on the node."""
        if node.gone:
            return
        self.interruptions += 1
        self._leave(node)
        for gang in [gang for gang in self.warm if any(held is node for held, _ in gang.held)]:
            self.warm.remove(gang)
            self._release(gang)
        for trial in node.trials:
            cost = self.costs[trial.name]
            if suffices(cost, node.type):
                self._at(self.now + save_seconds(cost), self._drained, (trial, self.now + STEP_SECONDS))
        self._at(self.now + node.type.notice_seconds, self._lose, node)

    def _leave(self, node: Node) -> None:
        node.leaving = True
        self.room -= node.places
        self.free -= node.free
        self.open.pop(node, None)

    def _drained(self, what: tuple[Trial, float]) -> None:
        """End a trial that has written its resume state after a notice."""
        trial, stepped = what
        if not trial.over:
            self._interrupt(trial, trial.work(stepped))
            self._offer((trial, "preemption"))

    def _lose(self, node: Node) -> None:
        """End a preempted node; trials on it that did not drain fall back to their last periodic resume state."""
        self._gone(node)
        if len(self.nodes[node.kind]) < node.type.min_nodes:
            self._order(node.kind)
        for trial in list(node.trials):
            every = self.runtime.checkpoint_seconds
            self._interrupt(trial, trial.work(self.now) // every * every)
            has_notice = node.type.notice_seconds > 0
            self._at(
                self.now + (0.0 if has_notice else DETECT_SECONDS),
                self._offer,
                (trial, "preemption" if has_notice else "node"),
            )

    def _offer(self, what: tuple[Trial, Any]) -> None:
        """Put the stage of an interrupted trial back on the agenda."""
        trial, cause = what
        self._release(trial.gang)
        self.agenda.lose(trial.name, "its node was lost", cause)

    def _gone(self, node: Node, more: float = 0.0) -> None:
        """End a node and pay for it from its request until `more` seconds from now."""
        node.gone = True
        del self.nodes[node.kind][node]
        hours = (self.now + more - node.asked) / 3600
        self.cost += hours * node.type.price_per_hour
        self.paid += hours * 3600 * node.places

    def _end(self) -> None:
        """End the run. Nodes beyond `min_nodes` are paid for until their idle timeout."""
        for nodes in self.nodes.values():
            for number, node in enumerate(list(nodes)):
                more = number >= node.type.min_nodes
                self._gone(node, self.cluster.idle_timeout_minutes * 60 if more else 0.0)
