"""Published results of the benchmark, beside those of a run in the same setting.

Invariants: a number of the run stands beside a published one only where both are means over the same languages and the
same test examples, zero-shot from English; where they are not, the table says what differs.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from stilts.results.aggregate import official_order
from stilts.results.best import PER_TARGET, SPLIT
from stilts.results.scores import Score, average_scores, distinct, rows_of, spread_of, task_scores, worst
from stilts.results.table import CLEAN, ZERO_SHOT, benchmark_of
from stilts.statistics.intervals import t_interval
from stilts.tasks.averages import task_average
from stilts.tasks.base import get_task
from stilts.tasks.benchmarks import XTREME

FINE_TUNING, BEST = "fine-tuning", "best intermediate"

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("column", "metric", "model", "method", "source")),
        ("value", pa.float64()),
        pa.field("extraction", pa.string()),
        *((name, pa.string()) for name in ("ours_model", "ours_intermediate", "ours_extraction")),
        *((name, pa.float64()) for name in ("ours", "ours_low", "ours_high")),
        ("ours_n", pa.int64()),
        ("note", pa.string()),
    ]
)
"""A row per published number and model of the run.

`column`: a target or `xtreme`; `metric`: accuracy, f1, exact_match or `mean`; `method`: `fine-tuning` or `best
intermediate`, beside which stand the run's baseline and its choice per target (`ours_intermediate`; null in `xtreme`,
where it may be several). `ours` is null unless the setting is the same; `note` says what is not.

`extraction` and `ours_extraction` say how the text of an answer was taken in question answering, `official`
(run_squad.py, as in every published row) or `ours`; null where no question is answered. In Chinese the two differ by
tens of points (docs/differences.md)."""

_FILE = Path(__file__).with_name("published.yaml")

_WITH_ANSWERS = (*XTREME.groups["qa"], XTREME.name)
"""Columns that depend on how the text of an answer is taken."""

Rows = Sequence[Mapping[str, Any]]


@cache
def published_results() -> tuple[dict[str, Any], ...]:
    """`{column, metric, model, method, source, value, extraction}` of each published number, in official order."""
    found = [
        {"column": column, "metric": metric, "model": entry["model"], "method": entry["method"],
         "source": entry["source"], "value": value,
         "extraction": entry.get("extraction", "official") if column in _WITH_ANSWERS else None}
        for entry in yaml.safe_load(_FILE.read_text())
        for column, values in entry["values"].items()
        for metric, value in values.items()
    ]  # fmt: skip
    order = [*official_order(XTREME), XTREME.name]
    return tuple(sorted(found, key=lambda row: order.index(row["column"])))


def beside_published(
    results: pa.Table, best: pa.Table, baseline: str, extraction: Mapping[str, str] | None = None
) -> pa.Table:
    """The table `published`.

    Args:
        results: the table of results.
        best: the table of that name: which intermediate was chosen for each target.
        baseline: the regime that stands beside models which were only fine-tuned.
        extraction: target -> the setting of this name of its evaluations; `ours` where it is not given.
    """
    models = pc.unique(results["model"]).to_pylist()
    runs = {model: _Run(results.filter(pc.field("model") == model), best, model, baseline) for model in models}
    kinds = {target: (extraction or {}).get(target, "ours") for target in XTREME.groups["qa"]}
    kinds[XTREME.name] = "official" if set(kinds.values()) == {"official"} else "ours"
    rows = [
        {**found, **run.beside(found), "ours_extraction": kinds.get(found["column"])}
        for found in published_results()
        for run in runs.values()
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


class _Run:
    """What one model of a run has to put beside published numbers."""

    def __init__(self, results: pa.Table, best: pa.Table, model: str, baseline: str) -> None:
        self.model, self.baseline = model, baseline
        self.benchmark = benchmark_of(results)
        official = [
            row
            for row in rows_of(results, SPLIT, CLEAN)
            if row["target"] == row["task"] and row["setting"] == ZERO_SHOT
        ]
        self.rows = {target: [row for row in official if row["target"] == target] for target in XTREME.languages}
        self.chosen = {
            row["target"]: row["intermediate"]
            for row in best.to_pylist()
            if (row["rule"], row["model"]) == (PER_TARGET, model)
        }

    def beside(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """The columns `ours*` and `note` for one published number."""
        column, targets = found["column"], [found["column"]]
        if column == XTREME.name:
            targets = list(XTREME.languages)
        regimes = {target: self._regime(target, found["method"]) for target in targets}
        shown = regimes.get(column)
        ours = {"ours_model": self.model, "ours_intermediate": shown}
        if reason := self._difference(regimes):
            return {**ours, "note": reason}
        parts = {target: self._of(target, regime) for target, regime in regimes.items() if regime}
        by_seed = self._average(parts) if column == XTREME.name else _metric(parts[column], column, found["metric"])
        spread = spread_of(distinct(by_seed))
        if spread is None:
            return {**ours, "note": f"test {worst(score.status for score in by_seed.values())}"}
        low, high = t_interval(spread) or (None, None)
        return {**ours, "ours": spread.mean, "ours_low": low, "ours_high": high, "ours_n": spread.n}

    def _regime(self, target: str, method: str) -> str | None:
        return self.chosen.get(target) if method == BEST else self.baseline

    def _of(self, target: str, regime: str | None) -> Rows:
        return [row for row in self.rows[target] if row["intermediate"] == regime]

    def _difference(self, regimes: Mapping[str, str | None]) -> str:
        """How the run's setting differs from the published one; empty where it does not."""
        if self.benchmark is not XTREME:
            return f"the run's benchmark is {self.benchmark.name}"
        found = {target: self._of_target(target, regime) for target, regime in regimes.items()}
        other = [target for target, reason in found.items() if reason]
        return f"{len(other)} of {len(found)} targets differ" if other and len(found) > 1 else "".join(found.values())

    def _of_target(self, target: str, regime: str | None) -> str:
        if not self.rows[target]:
            return "not a zero-shot target of the run"
        if regime is None:
            return "no intermediate was chosen"
        rows = self._of(target, regime)
        if not rows:
            return f"no regime {regime}"
        if missing := XTREME.missing(target, (row["language"] for row in rows)):
            official = len(XTREME.languages[target])
            return f"{official - len(missing)} of {official} languages"
        return next(_other_examples(target, rows), "")

    def _average(self, parts: Mapping[str, Rows]) -> Mapping[int, Score]:
        scores = task_scores((row for rows in parts.values() for row in rows), XTREME)
        together = {((self.model, ""), target): by_seed for (_, target), by_seed in scores.items()}
        return average_scores(together, XTREME)[(self.model, ""), XTREME.name]


def _other_examples(target: str, rows: Rows) -> Iterator[str]:
    """Languages whose test set has another number of examples than the official one, as far as that is known."""
    for row in rows:
        official = get_task(target).rows(SPLIT, row["language"])
        if row["main"] and None not in (official, row["examples"]) and official != row["examples"]:
            yield f"{row['examples']:,} of {official:,} test examples ({row['language']})"


def _metric(rows: Rows, target: str, metric: str) -> dict[int, Score]:
    """One metric's mean over languages, by seed."""
    seeds: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["language"] in XTREME.languages[target]:
            seeds.setdefault(row["seed"], []).append(row)
    return {seed: _mean(of_seed, target, metric) for seed, of_seed in seeds.items()}


def _mean(rows: Rows, target: str, metric: str) -> Score:
    stages = frozenset(row["stage"] for row in rows)
    status = worst(row["status"] for row in rows if row["main"])
    if status != "ok":
        return Score(None, status, stages)
    scores: dict[str, dict[str, float]] = {}
    for row in rows:
        scores.setdefault(row["language"], {})[row["metric"]] = row["value"]
    return Score(task_average(target, scores, XTREME)[f"avg_{metric}"], status, stages)
