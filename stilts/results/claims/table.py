"""The table `claims`: every claim of an experiment with its verdict."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa

from stilts.experiment.claims import Correlation, Difference, Kind, Order, Ratio, Share, Statement
from stilts.plan.claims import Claim
from stilts.results.aggregate import languages_table, summary_table
from stilts.results.claims.judge import Finding, judge
from stilts.results.claims.scores import ClaimScores
from stilts.results.scores import official_targets
from stilts.results.seed_statistics import Options
from stilts.results.similarity.pretraining import Pretraining
from stilts.results.similarity.similarity import similarity
from stilts.statistics.verdict import simultaneous_level

CLAIMS = pa.schema(
    [
        *((name, pa.string()) for name in ("claim", "kind", "text", "source", "differs", "tested", "verdict")),
        *((name, pa.float64()) for name in ("estimate", "low", "high", "level")),
        *((name, pa.string()) for name in ("unit", "of")),
        *((name, pa.int64()) for name in ("n", "planned", "claims", "seeds_needed")),
        ("note", pa.string()),
        *((name, pa.int64()) for name in ("results", "results_planned")),
        ("stages", pa.list_(pa.string())),
        ("declared", pa.string()),
        ("results_then", pa.int64()),
    ],
    metadata={"stilts.claims": "1"},
)
"""Schema of the table `claims`: one row per claim, in the order of the experiment.

- text, source, differs: as declared. tested: the statement that is tested, in words.
- verdict: supported if the interval lies within what the claim says, contradicted if it lies outside, else undecided.
- estimate, low, high: the number that the claim is about and its simultaneous interval, in `unit` (points, share, r,
  ratio). level: of the interval, such that all intervals of the `claims` claims hold together with 95 %.
- n, planned: number of observations with a score, and of all; `of` names them (seeds, regimes, languages).
- seeds_needed: seeds with which an undecided claim would be decided with a power of 80 %; null where seeds alone do not
  decide it.
- results, results_planned: evaluations behind the claim that the store has, and all. stages: NAMEs of their stages.
- declared: when the statement was first declared in this store (UTC); results_then: evaluations that existed then."""


def claims_table(
    results: pa.Table,
    claims: Sequence[Claim],
    pretraining: Mapping[str, Pretraining],
    declared: Mapping[str, Mapping[str, Any]],
) -> pa.Table:
    """Compute the table `claims`.

    Args:
        results: the table of this name.
        pretraining: the pretraining of each model.
        declared: claim -> `declared` and `results_then`, where this is known.
    """
    level = simultaneous_level(max(len(claims), 1))

    @cache
    def points(regime: str, baseline: str) -> Sequence[Mapping[str, Any]]:
        options = Options(baseline=baseline)
        languages = languages_table(results, summary_table(results, options), options)
        official = official_targets(results.select(["target", "task", "setting"]).to_pylist())
        found = similarity(languages, official, pretraining)[0].to_pylist()
        return [point for point in found if point["intermediate"] == regime]

    rows = []
    for claim in claims:
        scores = ClaimScores(results, claim)
        row = _row(claim, judge(scores, points, level)) | _behind(scores) | dict(declared.get(claim.name, {}))
        rows.append({**row, "level": level, "claims": len(claims)})
    return pa.Table.from_pylist(rows, schema=CLAIMS)


def _row(claim: Claim, found: Finding) -> dict[str, Any]:
    low, high = found.interval or (None, None)
    return {
        "claim": claim.name,
        "kind": claim.decl.kind,
        "text": claim.decl.text,
        "source": claim.decl.source,
        "differs": claim.decl.differs,
        "tested": tested(claim),
        "verdict": found.verdict.value,
        "estimate": found.estimate,
        "low": low,
        "high": high,
        "unit": found.unit,
        "of": found.of,
        "n": found.n,
        "planned": found.planned,
        "seeds_needed": found.seeds_needed,
        "note": found.note,
    }


def _behind(scores: ClaimScores) -> dict[str, Any]:
    rows = [row for row in scores.rows() if row["main"]]
    done = [row for row in rows if row["status"] == "ok"]
    evaluations = {(row["stage"], row["split"], row["target"], row["language"], row["condition"]) for row in done}
    planned = {(row["stage"], row["split"], row["target"], row["language"], row["condition"]) for row in rows}
    return {
        "results": len(evaluations),
        "results_planned": len(planned),
        "stages": sorted({row["stage"] for row in done}),
    }


def tested(claim: Claim) -> str:
    """What is tested, in words: `squad less none on tydiqa, test: above 0`."""
    statement = claim.statement
    says = f": {statement.words}" if isinstance(statement, Statement) else ""
    return f"{_number(statement)} {_place(claim)}{says}"


def _number(statement: Kind) -> str:
    if isinstance(statement, Difference):
        return f"{statement.regime} less {statement.against}"
    if isinstance(statement, Order):
        if statement.ranked:
            return f"{' > '.join(statement.ranked)}"
        return f"{statement.best} the best of {', '.join(statement.among) if statement.among else 'all regimes'}"
    if isinstance(statement, Share):
        return f"share of {_counted(statement)} more than {statement.gain_above:g} points above {statement.against}"
    if isinstance(statement, Correlation):
        models = f", {statement.model} less {statement.minus_model}" if statement.minus_model else ""
        return (
            f"correlation of {statement.regime} less {statement.against} with distance in {statement.distance}{models}"
        )
    assert isinstance(statement, Ratio)
    divisor = "its clean score" if statement.against is None else f"the loss of {statement.against}"
    return f"loss of {statement.regime} over {divisor}"


def _counted(statement: Share) -> str:
    if statement.of == "regimes":
        return f"regimes ({', '.join(statement.regimes)})" if statement.regimes else "regimes"
    return f"{statement.of} of {statement.regime}"


def _place(claim: Claim) -> str:
    statement = claim.statement
    languages = statement.languages if isinstance(statement.languages, str) else " ".join(statement.languages)
    parts = [
        f"on {claim.average or ' + '.join(statement.names)}",
        *([] if languages == "all" else [f"languages {languages}"]),
        *([] if statement.condition == "clean" else [statement.condition]),
        *([] if statement.metric is None else [statement.metric]),
        claim.split,
        *([] if statement.model is None else [statement.model]),
    ]
    return ", ".join(parts)
