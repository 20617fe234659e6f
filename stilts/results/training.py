"""The table `training`: whether each stage learned its tasks, by its losses and its dev score compared with chance.

An intermediate task that was not learned cannot help a target. A difference of zero to the baseline then says nothing
about transfer.
"""

import math
from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

import pyarrow as pa

from stilts.experiment.recipe import Recipe
from stilts.identity.stage import SHORT, StageSpec
from stilts.ledger.record import read_stage, take_inventory
from stilts.plan.expand import Expansion
from stilts.plan.graph import Node
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Store

TRAINING = pa.schema(
    [
        *((name, pa.string()) for name in ("stage", "phase", "task")),
        ("seed", pa.int64()),
        *((f"{part}_seed", pa.int64()) for part in ("order", "head", "dropout", "data")),
        ("steps", pa.int64()),
        ("own_steps", pa.int64()),
        *((name, pa.float64()) for name in ("warmup_share", "first_loss", "last_loss", "dev", "chance", "margin")),
        ("learned", pa.bool_()),
        ("note", pa.string()),
    ],
    metadata={"stilts.training": "1"},
)
"""Schema of the table `training`: one row per trained stage and task of its mixture.

- phase: `target` for the last stage of a chain that trains on the target's data, otherwise `intermediate`.
- steps: optimizer steps of the stage; own_steps: those of them that trained this task.
- warmup_share: fraction of the steps that the warm-up takes; at 1 the full learning rate was never reached.
- first_loss, last_loss: mean loss over the first and the last ten steps of the task.
- dev: dev score, in percent, of the weights that the stage saved.
- chance: dev score of always predicting the most frequent label, for accuracies; margin: two standard errors of it.
- learned: whether dev exceeds chance by more than the margin, or, if chance is not known, whether the loss fell; null
  if neither is known.
"""

FELL = 0.98
"""The loss counts as fallen if the last loss is less than this fraction of the first."""


def training_table(expansion: Expansion, store: Store) -> pa.Table:
    """Compute the table `training` (schema TRAINING) for those stages of an experiment that are in the store."""
    inventory = take_inventory(store, {key[:SHORT] for key in expansion.graph.nodes})
    nodes = [node for node in expansion.graph.stages() if node.key[:SHORT] in inventory]
    records = parallel_map(store, lambda node: read_stage(store, inventory[node.key[:SHORT]].name), nodes)
    targets = {branch.chain[-1] for cell in expansion.cells for branch in cell.branches if branch.selection is not None}
    rows = [
        row
        for node, record in zip(nodes, records, strict=True)
        if record is not None and "train" in record
        for row in _rows(node, record, "target" if node.key in targets and not node.children else "intermediate")
    ]
    return pa.Table.from_pylist(rows, TRAINING)


def _rows(node: Node, record: Mapping[str, Any], phase: str) -> Iterator[dict[str, Any]]:
    assert isinstance(node.spec, StageSpec)
    train, dev, recipe = record["train"], record["dev"], node.spec.recipe
    share = min(1.0, recipe.warmup_steps(train["steps"]) / train["steps"])
    for task, part in train["parts"].items():
        first, last = part.get("first") or [], part["losses"]
        score, found = dev["parts"].get(task), dev.get("chance", {}).get(task) or {}
        row = {
            "stage": record["name"],
            "phase": phase,
            "task": task,
            **_seeds(recipe),
            "steps": train["steps"],
            "own_steps": part["steps"],
            "warmup_share": share,
            "first_loss": fmean(first) if first else None,
            "last_loss": fmean(last) if last else None,
            "dev": score,
            "chance": found.get("score"),
            "margin": _margin(found),
        }
        yield {**row, "learned": _learned(row), "note": _note(row)}


def _seeds(recipe: Recipe) -> dict[str, int]:
    parts = {f"{part}_seed": recipe.seed_of(part) for part in ("order", "head", "dropout", "data")}
    return {"seed": recipe.seed, **parts}


def _margin(chance: Mapping[str, Any]) -> float | None:
    """Two standard errors, in percent, of the accuracy at chance on the dev examples."""
    if not chance.get("examples"):
        return None
    share = chance["score"] / 100
    return 200 * math.sqrt(share * (1 - share) / chance["examples"])


def _learned(row: Mapping[str, Any]) -> bool | None:
    if row["dev"] is not None and row["chance"] is not None:
        return bool(row["dev"] > row["chance"] + row["margin"])
    if row["first_loss"] is None or row["last_loss"] is None or row["own_steps"] < 2:
        return None
    return bool(row["last_loss"] < FELL * row["first_loss"])


def _note(row: Mapping[str, Any]) -> str | None:
    found = []
    if row["warmup_share"] >= 1:
        found.append("its warm-up was not over at the end")
    if _learned(row) is False:
        found.append("dev is not above chance" if row["chance"] is not None else "its loss did not fall")
    return "; ".join(found) or None
