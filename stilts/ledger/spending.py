"""Spending: the resources that the launches of an experiment have used, so that a limit holds over all launches.

There is one file per launch, `experiments/NAME/spent/LAUNCH.json`, which is replaced during the launch. A file that
cannot be read counts as zero, because it must not keep a run from starting.
"""

import json
from dataclasses import asdict, dataclass

from stilts.storage.protocol import Store

SCHEMA = 1


@dataclass(frozen=True)
class Spending:
    """What one or several launches have used.

    Attributes:
        gpu_hours: hours of GPUs (of CPU ranks in training without GPUs) that were reserved by trials.
        cost: of the nodes during that time; 0 if the experiment has no prices.
        launches: number of launches.
    """

    gpu_hours: float = 0.0
    cost: float = 0.0
    launches: int = 0

    def __add__(self, other: "Spending") -> "Spending":
        return Spending(self.gpu_hours + other.gpu_hours, self.cost + other.cost, self.launches + other.launches)


def write_spending(store: Store, experiment: str, launch: str, spending: Spending, currency: str) -> None:
    """Write what a launch has used so far."""
    content = json.dumps({"schema": SCHEMA, **asdict(spending), "currency": currency}, indent=1) + "\n"
    store.write(f"{_folder(experiment)}/{launch}.json", content.encode())


def read_spending(store: Store, experiment: str, currency: str, besides: str | None = None) -> Spending:
    """Return what all launches of an experiment have used together.

    Args:
        currency: costs in another currency are not counted.
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
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return Spending()
