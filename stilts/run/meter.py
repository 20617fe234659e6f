"""Meter: what a run uses while it runs, and the limits at which it stops.

What counts is what trials hold, from the placement of a gang to its end, idle warm gangs included, as Ray's table of
placement groups tells it: GPU-hours by the GPU; cost by the node, which counts in whole while a trial of this run holds
any part of it. The boot of nodes, and nodes that idle before they go, are on the cloud's bill and not on the meter's.

A limit holds over all launches of an experiment in its store, so that what restarts a driver cannot overspend. Two
drivers at a time learn of each other's use with `WRITE_SECONDS` delay; of a killed one as much may be missing, but
never more than half of its time.
"""

import contextlib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune
from ray.util import placement_group_table

from stilts.errors import StiltsError
from stilts.experiment.machines import Cluster
from stilts.experiment.runtime import Runtime
from stilts.ledger.spending import Spending, read_spending, write_spending
from stilts.run.cluster.drain import Brake
from stilts.run.ray_private import belongs_to_job
from stilts.storage.protocol import Store

SAMPLE_SECONDS = 1.0
SAMPLE_SHARE = 0.02
"""Of the driver's time, at most, goes into looking: Ray's table grows with the run."""
WRITE_SECONDS = 30.0
NODE_TYPE = "ray.io/node-group"
"""Ray's label of a node with the name of its type in `available_node_types`."""


@dataclass(frozen=True)
class Limits:
    """What all launches of an experiment may use together; None: no limit."""

    gpu_hours: float | None = None
    cost: float | None = None

    def passed(self, spent: Spending, currency: str) -> str | None:
        """`10.2 of 10 GPU-hours (--max-gpu-hours)` where that limit is reached; None where none is."""
        if self.gpu_hours is not None and spent.gpu_hours >= self.gpu_hours:
            return f"{spent.gpu_hours:.4g} of {self.gpu_hours:.4g} GPU-hours (--max-gpu-hours)"
        if self.cost is not None and spent.cost >= self.cost:
            return f"{spent.cost:,.2f} of {self.cost:,.2f} {currency} (--max-cost)"
        return None


NO_LIMITS = Limits()


class Meter(tune.Callback):
    """Counts what one launch uses, writes it to the store, and stops the run at its limits. The context of the run.

    Args:
        brake: of the run; stopped when a limit is reached.
    """

    def __init__(
        self, store: Store, experiment: str, runtime: Runtime, cluster: Cluster | None, limits: Limits, brake: Brake
    ) -> None:
        self._store, self._experiment, self.limits, self._brake = store, experiment, limits, brake
        self._runtime, self._cluster = runtime, cluster
        self.currency = cluster.currency if cluster is not None else ""
        self._launch = f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"
        self._mine = Spending(launches=1)
        self._others = read_spending(store, experiment, self.currency)
        self._prices: dict[str, float] = {}
        self._sampled: float | None = None
        self._every = SAMPLE_SECONDS
        self._began = self._written = time.monotonic()
        self._writer: threading.Thread | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks, for a restore that never comes.
        return {}

    @property
    def spent(self) -> Spending:
        """By this launch and all others."""
        return self._mine + self._others

    def reached(self) -> str | None:
        """Which limit is reached, in words; None while none is."""
        passed = self.limits.passed(self.spent, self.currency)
        return f"the limit is reached: {passed} are spent" if passed else None

    def told(self) -> str:
        """What is spent so far, in a few words; empty where nobody asked for limits or gave prices."""
        parts = []
        if self._cluster is not None or self.limits != NO_LIMITS:
            parts.append(f"{self.spent.gpu_hours:,.2f} GPU-hours")
        if self._cluster is not None:
            parts.append(f"{self.spent.cost:,.2f} {self.currency}")
        return ", ".join(parts)

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        now = time.monotonic()
        if self._sampled is None:
            self._sampled = now
        if now - self._sampled >= self._every:
            self._sample(now)

    def on_experiment_end(self, trials: list, **info: Any) -> None:
        if self._sampled is not None:
            self._sample(time.monotonic())

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *error: object) -> None:
        """The run has ended: write down what it used."""
        if self._writer is not None:
            self._writer.join()
        if self._sampled is not None:
            self._write()

    def _sample(self, now: float) -> None:
        """Count the time since the last sample for what is held now."""
        assert self._sampled is not None
        held = held_by(placement_group_table(), ray.get_runtime_context().get_job_id())
        hours = (now - self._sampled) / 3600
        cost = hours * (sum(self._price(node) for node in held) + self._beside())
        self._mine += Spending(hours * sum(held.values()), cost)
        self._sampled = now
        self._every = max(SAMPLE_SECONDS, (time.monotonic() - now) / SAMPLE_SHARE)
        reason = self.reached()
        if reason is not None:
            self._brake.stop(reason)
        due = now - self._written >= min(WRITE_SECONDS, (now - self._began) / 2)
        if due and (self._writer is None or not self._writer.is_alive()):
            self._written = now
            # The store may be slow, or out of reach for a while, and Tune's loop must go on.
            self._writer = threading.Thread(target=self._write, daemon=True, name="spending")
            self._writer.start()

    def _write(self) -> None:
        # A run is not stopped because what it used could not be written down; the next time will do.
        with contextlib.suppress(StiltsError, OSError):
            write_spending(self._store, self._experiment, self._launch, self._mine, self.currency)
            self._others = read_spending(self._store, self._experiment, self.currency, besides=self._launch)

    def _price(self, node: str) -> float:
        if self._cluster is None:
            return 0.0
        if node not in self._prices:
            nodes = {found["NodeID"]: found for found in ray.nodes()}
            found = nodes.get(node, {"Labels": {}, "Resources": {}})
            self._prices[node] = price_of(self._cluster, self._runtime, found["Labels"], found["Resources"])
        return self._prices[node]

    def _beside(self) -> float:
        """Price of an hour of the nodes that train nothing, and run all the time."""
        if self._cluster is None:
            return 0.0
        places = self._cluster.places(self._runtime)
        types = self._cluster.nodes.items()
        return sum(node.min_nodes * node.price_per_hour for name, node in types if not places[name])


def held_by(table: Mapping[str, dict[str, Any]], job: str) -> Counter[str]:
    """Ranks that the placement groups of a job hold, by node."""
    held: Counter[str] = Counter()
    for name, group in table.items():
        if belongs_to_job(name, job) and group["state"] == "CREATED":
            held.update(group["bundles_to_node_id"].values())
    return held


def price_of(cluster: Cluster, runtime: Runtime, labels: Mapping[str, str], resources: Mapping[str, float]) -> float:
    """Price of an hour of one of Ray's nodes.

    Its label names the type. Where it does not, the dearest type with as many GPUs (or CPUs) counts, so that a limit
    is not passed; where there is none, each GPU (or CPU) at the highest price of one.
    """
    named = cluster.nodes.get(labels.get(NODE_TYPE, ""))
    if named is not None:
        return named.price_per_hour
    gpu = cluster.use_gpu(runtime)
    has = resources.get("GPU" if gpu else "CPU", 0.0)
    types = [(node.price_per_hour, (node.gpus if gpu else node.cpus) or 0) for node in cluster.nodes.values()]
    training = [(price, size) for price, size in types if size]
    alike = [price for price, size in training if size == has]
    return max(alike) if alike else has * max(price / size for price, size in training)
