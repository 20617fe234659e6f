"""Explain why a stage is reused or not: what the store has of it, and how the most similar stored stage differs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from stilts.identity.stage import SHORT
from stilts.ledger.logs import match_stage
from stilts.ledger.record import read_stage
from stilts.plan.expand import Expansion
from stilts.plan.graph import Node
from stilts.plan.keep import kept_best
from stilts.plan.todo import Artifact, Inventory, artifact_name
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Store


def explain_stage(expansion: Expansion, inventory: Inventory, store: Store, wanted: str) -> dict[str, Any]:
    """Explain why a stage is reused or not.

    Args:
        wanted: name of the stage, or an unambiguous beginning of its name or key.

    Returns:
        `{"stage", "verdict", "nearest": NAME or None, "differences": [{"field", "wanted", "stored"}]}`. Where the
        parents differ, the field is `parent`; explain the parent to see how.

    Raises:
        StiltsError: no stage matches, or several.
    """
    node = _find(expansion, inventory, wanted)
    name = artifact_name(node, inventory)
    keep = expansion.experiment.runtime.keep
    wanted_now = keep == "all" or kept_best(expansion, inventory).get(node.key[:SHORT], False)
    verdict = _verdict(node, inventory.get(node.key[:SHORT]), keep if wanted_now else "")
    if node.key[:SHORT] in inventory and inventory[node.key[:SHORT]].trained:
        return {"stage": name, "verdict": verdict, "nearest": None, "differences": []}
    found = nearest_stage(node.spec.payload(), _stored_payloads(store))
    if found is None:
        return {"stage": name, "verdict": f"{verdict}; nothing comparable either", "nearest": None, "differences": []}
    other, fields = found
    return {"stage": name, "verdict": verdict, "nearest": other, "differences": [asdict(field) for field in fields]}


def _find(expansion: Expansion, inventory: Inventory, wanted: str) -> Node:
    names = {artifact_name(node, inventory): node for node in expansion.graph}
    return names[match_stage(names, wanted)]


def _verdict(node: Node, artifact: Artifact | None, keep: str) -> str:
    """Args: keep: the policy that keeps the weights of the stage; empty if none does."""
    if artifact is None or not artifact.trained:
        return "not in the store"
    missing = [path for path in node.evaluations if path not in artifact.evaluations]
    if not missing and keep and not artifact.weights:
        return f"trained, but its weights were not kept, so it trains again for runtime.keep: {keep}"
    if not missing:
        return "done: it is reused"
    if artifact.weights:
        return f"trained; {len(missing)} evaluations are missing, its weights are there, so it is only evaluated"
    return (
        f"trained, but {len(missing)} evaluations are missing and its weights were not kept, so it trains again "
        "(runtime.keep: all keeps them)"
    )


def _stored_payloads(store: Store) -> dict[str, dict[str, Any]]:
    names = list(store.list("stages"))
    records = parallel_map(store, lambda name: read_stage(store, name), names)
    return {name: record["payload"] for name, record in zip(names, records, strict=True) if record is not None}


@dataclass(frozen=True)
class Difference:
    """One field in which the hashed payloads of two stages differ.

    Attributes:
        field: dotted path of the field, such as `recipe.batch_size`.
        wanted: its value in the experiment's stage.
        stored: its value in the stored stage.
    """

    field: str
    wanted: Any
    stored: Any


def differences(wanted: Any, stored: Any, field: str = "") -> list[Difference]:
    """All fields in which two payloads differ; a field that one side lacks counts as None there."""
    if isinstance(wanted, dict) and isinstance(stored, dict):
        found = []
        for name in dict.fromkeys([*wanted, *stored]):
            path = f"{field}.{name}" if field else str(name)
            found += differences(wanted.get(name), stored.get(name), path)
        return found
    if isinstance(wanted, list) and isinstance(stored, list) and len(wanted) == len(stored):
        return [
            d for i, pair in enumerate(zip(wanted, stored, strict=True)) for d in differences(*pair, f"{field}.{i}")
        ]
    return [] if wanted == stored else [Difference(field, wanted, stored)]


def nearest_stage(
    payload: Mapping[str, Any], stored: Mapping[str, Mapping[str, Any]]
) -> tuple[str, list[Difference]] | None:
    """The name of the stored stage of the same tasks that differs in the fewest fields, with those fields.

    Args:
        stored: hashed payloads by stage name.

    Returns:
        None if the store has no stage of these tasks.
    """
    tasks = _tasks(payload)
    candidates = [
        (name, differences(dict(payload), dict(other))) for name, other in stored.items() if _tasks(other) == tasks
    ]
    return min(candidates, key=lambda pair: (len(pair[1]), pair[0]), default=None)


def _tasks(payload: Mapping[str, Any]) -> list[str]:
    return [part["task"]["name"] for part in payload.get("parts", ())]
