"""The table `published`: published results on XTREME next to the run's own results.

The run's score is given only if it is comparable: both scores are zero-shot from English and means over the same
languages and test examples. Otherwise the table says what differs.
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
from stilts.results.scores import (
    Score,
    average_scores,
    distinct,
    official_targets,
    rows_of,
    spread_of,
    task_scores,
    worst,
)
from stilts.results.table import CLEAN, benchmark_of
from stilts.statistics.intervals import t_interval
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
"""Schema of the table `published`: one row per published score and base model of the run.

- column: a target or `xtreme` (the average over tasks); metric: accuracy, f1, exact_match or mean.
- model, source, value: the published model, where the score was published, and the score in percent.
- method: `fine-tuning`, compared with the run's baseline, or `best intermediate`, compared with the regime that was
  chosen on dev.
- ours_intermediate: the run's regime; null in `xtreme`, where targets may have different ones.
- ours, ours_low, ours_high, ours_n: the run's mean over seeds, its 95 % interval and the number of seeds. Null if the
  scores are not comparable; `note` then says what differs.
- extraction, ours_extraction: how the text of answers is extracted in question answering: `official`, as run_squad.py
  does and all published rows did, or `ours`. In Chinese the two differ by tens of points (see docs/differences.md).
  Null for other tasks."""

_FILE = Path(__file__).with_name("published.yaml")

_WITH_ANSWERS = (*XTREME.groups["qa"], XTREME.name)
"""Columns whose scores depend on how answers are extracted."""

Rows = Sequence[Mapping[str, Any]]


@cache
def published_results() -> tuple[dict[str, Any], ...]:
    """The published scores as dicts with the first seven columns of SCHEMA, in the benchmark's order of tasks."""
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
    """Compute the table `published`.

    Args:
        results: the table of this name.
        best: the table of this name, with the intermediate that was chosen for each target.
        baseline: the regime that is compared with published models that were only fine-tuned.
        extraction: the setting `extraction` of the evaluations of each target; `ours` for targets that are not given.
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
    """The results of one base model of the run, to be compared with published scores."""

    def __init__(self, results: pa.Table, best: pa.Table, model: str, baseline: str) -> None:
        self.model, self.baseline = model, baseline
        self.benchmark = benchmark_of(results)
        rows = rows_of(results, SPLIT, CLEAN)
        official = official_targets(rows)
        self.rows = {
            target: [row for row in rows if row["target"] == target and target in official]
            for target in XTREME.languages
        }
        self.chosen = {
            row["target"]: row["intermediate"]
            for row in best.to_pylist()
            if (row["rule"], row["model"]) == (PER_TARGET, model)
        }

    def beside(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """The columns `ours*` and `note` for one published score."""
        column, targets = found["column"], [found["column"]]
        if column == XTREME.name:
            targets = list(XTREME.languages)
        regimes = {target: self._regime(target, found["method"]) for target in targets}
        shown = regimes.get(column)
        ours = {"ours_model": self.model, "ours_intermediate": shown}
        if reason := self._difference(regimes):
            return {**ours, "note": reason}
        parts = {target: self._rows_of(target, regime) for target, regime in regimes.items() if regime}
        if column == XTREME.name:
            by_seed = self._average(parts)
        else:
            by_seed = self._metric(parts[column], column, found["metric"])
        spread = spread_of(distinct(by_seed))
        if spread is None:
            return {**ours, "note": f"test {worst(score.status for score in by_seed.values())}"}
        low, high = t_interval(spread) or (None, None)
        return {**ours, "ours": spread.mean, "ours_low": low, "ours_high": high, "ours_n": spread.n}

    def _regime(self, target: str, method: str) -> str | None:
        """The regime to compare with a published method: the one chosen on dev, or the baseline."""
        return self.chosen.get(target) if method == BEST else self.baseline

    def _rows_of(self, target: str, regime: str | None) -> Rows:
        return [row for row in self.rows[target] if row["intermediate"] == regime]

    def _difference(self, regimes: Mapping[str, str | None]) -> str:
        """How the run's setting differs from that of the published score; empty if they are comparable."""
        if self.benchmark is not XTREME:
            return f"the run's benchmark is {self.benchmark.name}"
        found = {target: self._difference_of(target, regime) for target, regime in regimes.items()}
        other = [target for target, reason in found.items() if reason]
        return f"{len(other)} of {len(found)} targets differ" if other and len(found) > 1 else "".join(found.values())

    def _difference_of(self, target: str, regime: str | None) -> str:
        """How one target differs from the published setting; empty if it does not."""
        if not self.rows[target]:
            return "not a zero-shot target of the run"
        if regime is None:
            return "no intermediate was chosen"
        rows = self._rows_of(target, regime)
        if not rows:
            return f"no regime {regime}"
        if missing := XTREME.missing(target, (row["language"] for row in rows)):
            official = len(XTREME.languages[target])
            return f"{official - len(missing)} of {official} languages"
        return next(_other_examples(target, rows), "")

    def _metric(self, rows: Rows, target: str, metric: str) -> Mapping[int, Score]:
        """The mean of one metric over languages, by seed."""
        official = [row for row in rows if row["language"] in XTREME.languages[target]]
        (by_seed,) = task_scores(official, XTREME, metric).values()
        return by_seed

    def _average(self, parts: Mapping[str, Rows]) -> Mapping[int, Score]:
        """The average over tasks by seed, each task with its own regime (hence the empty name of the regime)."""
        scores = task_scores((row for rows in parts.values() for row in rows), XTREME)
        together = {((self.model, ""), target): by_seed for (_, target), by_seed in scores.items()}
        return average_scores(together, XTREME)[(self.model, ""), XTREME.name]


def _other_examples(target: str, rows: Rows) -> Iterator[str]:
    """A message for each language whose test set has another number of examples than the official one, if known."""
    for row in rows:
        official = get_task(target).rows(SPLIT, row["language"])
        if row["main"] and None not in (official, row["examples"]) and official != row["examples"]:
            yield f"{row['examples']:,} of {official:,} test examples ({row['language']})"
