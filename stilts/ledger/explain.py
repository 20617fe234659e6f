"""Explain why a stage is reused or not: what the store has of it, and how the most similar stored stage differs."""

from dataclasses import asdict
from typing import Any

from stilts.errors import StiltsError, nearest
from stilts.identity.stage import SHORT
from stilts.ledger.record import read_stage
from stilts.plan.expand import Expansion
from stilts.plan.explain import nearest_stage
from stilts.plan.graph import Node
from stilts.plan.todo import Artifact, Inventory, artifact_name
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Store


def explain_stage(expansion: Expansion, inventory: Inventory, store: Store, wanted: str) -> dict[str, Any]:
    """Explain why a stage is reused or not.

    Args:
        wanted: name of the stage, or the beginning of its key.

    Returns:
        `{"stage", "verdict", "nearest": NAME or None, "differences": [{"field", "wanted", "stored"}]}`. Where the
        parents differ, the field is `parent`; explain the parent to see how.

    Raises:
        StiltsError: no stage matches, or several.
    """
    node = _find(expansion, inventory, wanted)
    name = artifact_name(node, inventory)
    verdict = _verdict(node, inventory.get(node.key[:SHORT]))
    if node.key[:SHORT] in inventory and inventory[node.key[:SHORT]].trained:
        return {"stage": name, "verdict": verdict, "nearest": None, "differences": []}
    found = nearest_stage(node.spec.payload(), _stored_payloads(store))
    if found is None:
        return {"stage": name, "verdict": f"{verdict}; nothing comparable either", "nearest": None, "differences": []}
    other, fields = found
    return {"stage": name, "verdict": verdict, "nearest": other, "differences": [asdict(field) for field in fields]}


def _find(expansion: Expansion, inventory: Inventory, wanted: str) -> Node:
    names = {artifact_name(node, inventory): node for node in expansion.graph}
    if wanted in names:
        return names[wanted]
    matches = [node for node in expansion.graph if node.key.startswith(wanted)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise StiltsError(f"{len(matches)} stages have keys that begin with {wanted!r}; give more of it")
    raise StiltsError(f"the experiment has no stage {wanted!r}; {nearest(wanted, names)}")


def _verdict(node: Node, artifact: Artifact | None) -> str:
    if artifact is None or not artifact.trained:
        return "not in the store"
    missing = [path for path in node.evaluations if path not in artifact.evaluations]
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
