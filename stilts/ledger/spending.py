"""Spending: what the launches of an experiment have used, written down so that a limit holds over all of them.

`experiments/NAME/spent/LAUNCH.json`, one for each launch, replaced as it goes on. Files that cannot be read count
nothing: they are no record of work, and must not keep a run from starting.
"""

import json
from dataclasses import asdict, dataclass

from stilts.storage.protocol import Store

SCHEMA = 1


@dataclass(frozen=True)
class Spending:
    """What one launch, or several, have used.

    Attributes:
        gpu_hours: of GPUs (of CPU ranks, where no GPUs train) while trials held them.
        cost: of the nodes that they were on, while they were; 0 where the experiment names no prices.
        launches: number of launches.
    """

    gpu_hours: float = 0.0
    cost: float = 0.0
    launches: int = 0

    def __add__(self, other: "Spending") -> "Spending":
        return Spending(self.gpu_hours + other.gpu_hours, self.cost + other.cost, self.launches + other.launches)


def write_spending(store: Store, experiment: str, launch: str, spending: Spending, currency: str) -> None:
    """Note what a launch has used so far."""
    content = json.dumps({"schema": SCHEMA, **asdict(spending), "currency": currency}, indent=1) + "\n"
    store.write(f"{_folder(experiment)}/{launch}.json", content.encode())


def read_spending(store: Store, experiment: str, currency: str, besides: str | None = None) -> Spending:
    """What all launches of an experiment have used together.

    Args:
        currency: costs in another one are left out.
        besides: a launch that is not counted.
    """
    total = Spending()
    for name in store.list(_folder(experiment)):
        if name.endswith(".json") and name != f"{besides}.json":
            total += _parse(store.read(f"{_folder(experiment)}/{name}"), currency)
    return total


def _folder(experiment: str) -> str:
    return f"experiments/{experiment}/spent"


def _parse(content: bytes | None, currency: str) -> Spending:
    try:
        found = json.loads(content or b"")
        cost = float(found["cost"]) if found["currency"] == currency else 0.0
        return Spending(float(found["gpu_hours"]), cost, int(found["launches"]))
    except (ValueError, KeyError, TypeError):
        return Spending()
