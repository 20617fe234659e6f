"""Recomputes the verdicts of claims from the stored predictions, and compares them with what was reported.

Every prediction file behind a claim is checked against the digest in its record, and scored again with the gold in the
store. Changed predictions, changed scores and verdicts that do not follow from them are told apart.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stilts.errors import StiltsError
from stilts.evaluate.candidates import Pool
from stilts.evaluate.gold import gold_of
from stilts.evaluate.predictions import read_predictions as parse_predictions
from stilts.identity.stage import SHORT, EvaluationSpec
from stilts.ledger.data import read_examples
from stilts.ledger.record import read_evaluation, read_predictions, stage_path, take_inventory
from stilts.plan.claims import claims_of
from stilts.plan.evidence import evidence
from stilts.plan.expand import Expansion
from stilts.plan.todo import artifact_name
from stilts.results.analyse import claims_of_store
from stilts.results.gather import gather
from stilts.storage.protocol import Store, Unreachable
from stilts.tasks.base import get_task
from stilts.tasks.score import Scores, score

Where = tuple[str, str]
"""NAME of a stage, path of one of its evaluations."""

Shown = Callable[[Sequence[Where]], Iterable[Where]]
"""Wraps the loop over the evaluations, to show progress."""

_TOLERANCE = 1e-9
"""Percent: scores that differ by less are equal but for rounding."""


@dataclass(frozen=True)
class Verification:
    """What a verification found.

    Attributes:
        claims: a row per claim: `claim`, `reported`, `recomputed` (verdicts), `reported_estimate`,
            `recomputed_estimate`, `agrees`.
        problems: evaluations whose predictions or scores are not what was written, and why.
        evaluations: number of evaluations that were scored again.
        source: what the recomputed verdicts were compared with.
    """

    claims: list[dict[str, Any]]
    problems: list[str]
    evaluations: int
    source: str

    @property
    def agrees(self) -> bool:
        """Whether all verdicts and estimates agree, and no prediction or score was altered."""
        return not self.problems and all(row["agrees"] for row in self.claims)


@dataclass
class _Rescored:
    metrics: dict[Where, Mapping[str, float] | None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def verify_claims(expansion: Expansion, store: Store, folder: Path, shown: Shown = iter) -> Verification:
    """Verify all claims of an experiment.

    Args:
        folder: results folder; its `claims.json` has the reported verdicts. Without it, those of the records count.
        shown: see `Shown`.

    Raises:
        StiltsError: the experiment declares no claims, or `claims.json` cannot be read.
        Unreachable: the store cannot be read now.
    """
    if not expansion.experiment.claims:
        raise StiltsError("the experiment declares no claims: add claims: to its file (docs/claims.md)")
    reported, source = _reported(expansion, store, folder)
    rescored = _rescore(expansion, store, shown)
    table = claims_of_store(expansion, store, gather(expansion, store, rescored.metrics))
    rows = [_compare(row, reported.get(row["claim"])) for row in table.to_pylist()]
    return Verification(rows, rescored.problems, len(rescored.metrics), source)


def _reported(expansion: Expansion, store: Store, folder: Path) -> tuple[dict[str, Mapping[str, Any]], str]:
    """Claim -> its reported row, and where it was reported."""
    path = folder / "claims.json"
    if not path.exists():
        rows = claims_of_store(expansion, store, gather(expansion, store)).to_pylist()
        return {row["claim"]: row for row in rows}, "the records in the store (there is no claims.json)"
    try:
        found = json.loads(path.read_text())
        return {row["claim"]: row for row in found["claims"]}, str(path)
    except (OSError, ValueError, KeyError, TypeError):
        raise StiltsError(f"{path} is no list of claims; remove it, then `stilts claims` writes it again") from None


def _rescore(expansion: Expansion, store: Store, shown: Shown) -> _Rescored:
    """Score all predictions again that claims rest on. Those that were altered are left out."""
    inventory = take_inventory(store, {key[:SHORT] for key in expansion.graph.nodes})
    wanted: dict[Where, EvaluationSpec] = {}
    for claim in claims_of(expansion.experiment):
        for (key, path), spec in evidence(expansion, claim).items():
            artifact = inventory.get(key[:SHORT])
            if artifact is not None and path in artifact.evaluations:
                wanted[artifact_name(expansion.graph.nodes[key], inventory), path] = spec
    order = sorted(wanted, key=lambda where: (wanted[where].data.path, where))
    golds, found = _Golds(store), _Rescored()
    for where in shown(order):
        try:
            metrics = _metrics(store, where[0], wanted[where], golds)
        except Unreachable:
            raise
        except (StiltsError, ValueError) as error:
            found.problems.append(f"{stage_path(where[0])}/{where[1]}: {error}")
            continue
        record = read_evaluation(store, where[0], wanted[where]) or {}
        if _differ(record.get("metrics"), metrics):
            found.problems.append(
                f"{stage_path(where[0])}/{where[1]}: its predictions score {_shown(metrics)}, and the record says "
                f"{_shown(record.get('metrics'))}"
            )
        found.metrics[where] = metrics
    return found


class _Golds:
    """The gold of evaluations. That of the last one is kept, as evaluations are ordered by their data."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: tuple[Any, Any] | None = None

    def of(self, spec: EvaluationSpec) -> Any:
        key = spec.task, spec.data.path, spec.pool and spec.pool.path
        if self._last is None or self._last[0] != key:
            pool = None if spec.pool is None else Pool(read_examples(self._store, spec.pool))
            self._last = key, gold_of(get_task(spec.task), read_examples(self._store, spec.data), pool)
        return self._last[1]


def _metrics(store: Store, name: str, spec: EvaluationSpec, golds: _Golds) -> Scores | None:
    content = read_predictions(store, name, spec)
    if content is None:
        raise StiltsError("its predictions are missing")
    gold = golds.of(spec)
    return None if gold is None else score(spec.task, spec.language, parse_predictions(spec.task, content), gold)


def _differ(stored: Mapping[str, float] | None, computed: Mapping[str, float] | None) -> bool:
    if stored is None or computed is None:
        return stored is not computed
    return stored.keys() != computed.keys() or any(abs(stored[m] - computed[m]) > _TOLERANCE for m in stored)


def _shown(metrics: Mapping[str, float] | None) -> str:
    return "nothing" if metrics is None else ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def _compare(row: Mapping[str, Any], reported: Mapping[str, Any] | None) -> dict[str, Any]:
    before = reported or {"verdict": "not reported", "estimate": None}
    same = before["verdict"] == row["verdict"] and _same(before["estimate"], row["estimate"])
    return {
        "claim": row["claim"],
        "reported": before["verdict"],
        "recomputed": row["verdict"],
        "reported_estimate": before["estimate"],
        "recomputed_estimate": row["estimate"],
        "agrees": same,
    }


def _same(one: float | None, other: float | None) -> bool:
    return one is other if one is None or other is None else math.isclose(one, other, abs_tol=_TOLERANCE)
