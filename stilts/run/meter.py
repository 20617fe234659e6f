"""Meter: measures what a run uses, and stops the run at its limits.

It counts what trials reserve according to Ray's table of placement groups, from the placement of a gang to its end,
with idle warm gangs: GPU-hours per GPU, and cost per node. A node counts in full while a trial of this run reserves any
part of it. The boot of nodes, and idle nodes before their removal, are on the cloud's bill but are not measured.

A limit holds over all launches of an experiment in its store, so that restarting a driver cannot exceed it. Concurrent
drivers see each other's spending up to `WRITE_SECONDS` late. Up to that much of a killed driver's spending is not
counted, but never more than half of its time.
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
from stilts.plan.cost.estimate import hours_unit
from stilts.run.cluster.drain import Brake
from stilts.run.ray_private import belongs_to_job
from stilts.storage.protocol import Store

SAMPLE_SECONDS = 1.0
MAX_FRACTION = 0.02
"""Largest fraction of the driver's time for measuring: Ray's table grows during the run."""
WRITE_SECONDS = 30.0
REST_SECONDS = 3600.0
"""Seconds between two writes while no trial reserves anything. Nodes that are always there may still cost something."""
NODE_TYPE = "ray.io/node-group"
"""Label of a Ray node that has the name of its type in `available_node_types`."""


@dataclass(frozen=True)
class Limits:
    """What all launches of an experiment may use together; None for no limit."""

    gpu_hours: float | None = None
    cost: float | None = None

    def passed(self, spent: Spending, currency: str, unit: str = "GPU-hours") -> str | None:
        """Return `10.2 of 10 GPU-hours (--max-gpu-hours)` if that limit is reached; None if none is."""
        if self.gpu_hours is not None and spent.gpu_hours >= self.gpu_hours:
            return f"{spent.gpu_hours:.4g} of {self.gpu_hours:.4g} {unit} (--max-gpu-hours)"
        if self.cost is not None and spent.cost >= self.cost:
            return f"{spent.cost:,.2f} of {self.cost:,.2f} {currency} (--max-cost)"
        return None


NO_LIMITS = Limits()


class Meter(tune.Callback):
    """Tune callback that measures what one launch uses, writes it to the store, and stops the run at its limits.

    Use it as the context of the run.

    Args:
        brake: of the run; called when a limit is reached.
    """

    def __init__(
        self, store: Store, experiment: str, runtime: Runtime, cluster: Cluster | None, limits: Limits, brake: Brake
    ) -> None:
        self._store, self._experiment, self.limits, self._brake = store, experiment, limits, brake
        self._runtime, self._cluster = runtime, cluster
        self.currency = cluster.currency if cluster is not None else ""
        self.unit = hours_unit(runtime, cluster)
        self._launch = f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"
        self._mine = Spending(launches=1)
        self._stored: Spending | None = None
        self._held = True
        self._others = read_spending(store, experiment, self.currency)
        self._prices: dict[str, float] = {}
        self._sampled: float | None = None
        self._every = SAMPLE_SECONDS
        self._began = self._written = time.monotonic()
        self._writer: threading.Thread | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks to restore them later, which stilts never does.
        return {}

    @property
    def spent(self) -> Spending:
        """What this launch and all others have used."""
        return self._mine + self._others

    def reached(self) -> str | None:
        """Which limit is reached, in words; None if none is."""
        passed = self.limits.passed(self.spent, self.currency, self.unit)
        return f"the limit is reached: {passed} are spent" if passed else None

    def describe(self) -> str:
        """What has been used so far, in a few words; empty if there are neither limits nor prices."""
        parts = []
        if self._cluster is not None or self.limits != NO_LIMITS:
            parts.append(f"{self.spent.gpu_hours:,.2f} {self.unit}")
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
        """Write what the run has used."""
        if self._writer is not None:
            self._writer.join()
        if self._sampled is not None:
            self._write()

    def _sample(self, now: float) -> None:
        """Add the time since the last sample for what is reserved now."""
        assert self._sampled is not None
        held = held_by(placement_group_table(), ray.get_runtime_context().get_job_id())
        hours = (now - self._sampled) / 3600
        cost = hours * (sum(self._price(node) for node in held) + self._beside())
        self._mine += Spending(hours * sum(held.values()), cost)
        self._sampled = now
        self._every = max(SAMPLE_SECONDS, (time.monotonic() - now) / MAX_FRACTION)
        reason = self.reached()
        if reason is not None:
            self._brake.stop(reason)
        due = now - self._written >= (min(WRITE_SECONDS, (now - self._began) / 2) if self._held else REST_SECONDS)
        self._held = bool(held)
        changed = self._mine != self._stored
        if due and changed and (self._writer is None or not self._writer.is_alive()):
            self._written = now
            # In a thread, because the store may be slow or out of reach and Tune's loop must not wait for it.
            self._writer = threading.Thread(target=self._write, daemon=True, name="spending")
            self._writer.start()

    def _write(self) -> None:
        # A failure must not stop the run; it will be written again.
        with contextlib.suppress(StiltsError, OSError):
            mine = self._mine
            write_spending(self._store, self._experiment, self._launch, mine, self.currency)
            self._stored = mine
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
        """Price per hour of the nodes that do not train and are always there."""
        if self._cluster is None:
            return 0.0
        places = self._cluster.places(self._runtime)
        types = self._cluster.nodes.items()
        return sum(node.min_nodes * node.price_per_hour for name, node in types if not places[name])


def held_by(table: Mapping[str, dict[str, Any]], job: str) -> Counter[str]:
    """Number of ranks in the placement groups of a job, by node."""
    held: Counter[str] = Counter()
    for name, group in table.items():
        if belongs_to_job(name, job) and group["state"] == "CREATED":
            held.update(group["bundles_to_node_id"].values())
    return held


def price_of(cluster: Cluster, runtime: Runtime, labels: Mapping[str, str], resources: Mapping[str, float]) -> float:
    """Price per hour of a Ray node.

    The label of the node names its type. If it does not, the most expensive type with as many GPUs (or CPUs) is
    assumed, so that no limit is exceeded. If there is no such type, every GPU (or CPU) costs the highest price of one.
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
