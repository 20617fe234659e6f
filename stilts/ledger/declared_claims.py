"""When each claim of an experiment was first declared in a store, and how many of its results existed then.

A claim that is declared after its results have been seen tests nothing. The store therefore notes each statement once,
in `experiments/NAME/claims/KEY.json`; a statement that is changed has another key and is noted anew.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from stilts.identity.canonical import digest
from stilts.identity.stage import SHORT
from stilts.ledger.plain_json import read_object
from stilts.plan.claims import Claim
from stilts.storage.protocol import Store

SCHEMA = 1


def declare_claims(store: Store, experiment: str, claims: Sequence[Claim], existing: Callable[[Claim], int]) -> None:
    """Note every claim that the store does not have yet. Of several drivers that note the same claim, the first wins.

    Args:
        existing: the number of results of a claim that the store has now.
    """
    noted = set(store.list(_folder(experiment))) if claims else set()
    for claim in claims:
        path = _path(experiment, claim)
        if path.rpartition("/")[2] in noted:
            continue
        note = {
            "schema": SCHEMA,
            "claim": claim.name,
            "tested": _statement(claim),
            "declared": datetime.now(UTC).isoformat(timespec="seconds"),
            "results_then": existing(claim),
        }
        store.create(path, json.dumps(note, indent=1, ensure_ascii=False).encode() + b"\n")


def declared_claims(store: Store, experiment: str, claims: Sequence[Claim]) -> dict[str, Mapping[str, Any]]:
    """Claim -> `declared` (ISO time) and `results_then`, for the claims that the store has noted."""
    found: dict[str, Mapping[str, Any]] = {}
    for claim in claims:
        note = read_object(store, _path(experiment, claim), "when the claim was declared is not known")
        if note and isinstance(note.get("declared"), str) and isinstance(note.get("results_then"), int):
            found[claim.name] = {name: note[name] for name in ("declared", "results_then")}
    return found


def _statement(claim: Claim) -> dict[str, Any]:
    statement = claim.statement.model_dump(mode="json", exclude_none=True)
    return {"kind": claim.decl.kind, **statement, "regimes": list(claim.regimes), "targets": list(claim.targets)}


def _folder(experiment: str) -> str:
    return f"experiments/{experiment}/claims"


def _path(experiment: str, claim: Claim) -> str:
    return f"{_folder(experiment)}/{digest(_statement(claim))[:SHORT]}.json"
