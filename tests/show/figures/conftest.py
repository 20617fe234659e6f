"""Analysis tables of invented studies, of any number of regimes, targets, languages and seeds."""

import itertools
import math
import random
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pytest

from stilts.results.seed_statistics import LANGUAGES, SUMMARY
from stilts.tasks.benchmarks import XTREME

TARGETS = tuple(XTREME.languages)
SPOKEN = XTREME.languages["panx"]
REGIMES = ("none", "anli_plus", "mnli", "qqp", "squad2", "squad", "hellaswag", "ccg", "cosmosqa", "csqa", "multi-task")
SEEDS = (1, 2, 3, 4, 5)
T = 2.776
"""Student's t at 97.5 %, four degrees of freedom."""

Tables = dict[str, pa.Table]


def compared(scores: Mapping[int, float], baseline: Mapping[int, float] | None) -> dict[str, Any]:
    """The common columns of `summary` and `languages`, computed from scores by seed."""
    values = list(scores.values())
    half = T * statistics.stdev(values) / math.sqrt(len(values))
    row: dict[str, Any] = {
        "planned": len(SEEDS),
        "n": len(values),
        **dict.fromkeys(("failed", "diverged", "not_run", "missing", "unlabelled"), 0),
        "mean": statistics.fmean(values),
        "sd": statistics.stdev(values),
        "low": statistics.fmean(values) - half,
        "high": statistics.fmean(values) + half,
        "min": min(values),
        "max": max(values),
        "difference_n": 0,
    }
    if baseline is None:
        return row
    differences = [scores[seed] - baseline[seed] for seed in scores]
    mean, half = statistics.fmean(differences), T * statistics.stdev(differences) / math.sqrt(len(differences))
    row |= {"baseline": "none", "difference_n": len(differences), "difference": mean, "comparisons": 90}
    p_holm = 0.01 if abs(mean) > 2 * half else 0.4
    return row | {"difference_low": mean - half, "difference_high": mean + half, "p_holm": p_holm}


def without(row: Mapping[str, Any], status: str, n: int = 5) -> dict[str, Any]:
    """The row as it would be if `n` of its seeds had this status."""
    changed = {**row, status: n, "n": row["n"] - n, "difference_n": max(row["difference_n"] - n, 0)}
    if changed["n"] < 2:
        changed |= dict.fromkeys(("sd", "low", "high", "difference_low", "difference_high", "p_holm"))
    if changed["n"] == 0:
        changed |= dict.fromkeys(("mean", "difference"))
    return changed


@pytest.fixture
def study(grid) -> Callable[..., Tables]:
    """A function that makes the tables of a study with the given number of regimes, languages and targets."""

    def make(regimes: int = 4, languages: int = 5, targets: int = 9, model: str = "xlmr-large") -> Tables:
        rng = random.Random(7)
        names, columns = REGIMES[:regimes], TARGETS[:targets]
        level = {column: rng.uniform(40, 80) for column in columns}
        gain = {key: rng.gauss(0.5, 2) * (key[0] != "none") for key in itertools.product(names, columns)}
        seeds = {key: {s: level[key[1]] + gain[key] + rng.gauss(0, 0.8) for s in SEEDS} for key in gain}
        for (regime, target), scores in seeds.items():
            for seed, value in scores.items():
                grid.add_even(regime, target, seed, value, model)
        whole = {(r, "xtreme"): {s: statistics.fmean(seeds[r, c][s] for c in columns) for s in SEEDS} for r in names}
        tables: dict[str, list[dict[str, Any]]] = {"summary": [], "languages": []}
        for (regime, column), scores in (seeds | whole).items():
            kind = "average" if column == "xtreme" else "target"
            who = {"split": "test", "model": model, "intermediate": regime}
            baseline = None if regime == "none" else (seeds | whole)["none", column]
            tables["summary"].append({**who, "column": column, "kind": kind, **compared(scores, baseline)})
            for language in [*SPOKEN[:languages], "mean"] if kind == "target" else []:
                far = 0 if language == "mean" else rng.gauss(0, 8)
                theirs = None if baseline is None else {s: v + far + rng.gauss(0, 1) for s, v in baseline.items()}
                spoken = compared({s: v + far for s, v in scores.items()}, theirs)
                tables["languages"].append({**who, "target": column, "language": language, **spoken})
        schemas = {"summary": SUMMARY, "languages": LANGUAGES}
        made = {name: pa.Table.from_pylist(rows, schema=schemas[name]) for name, rows in tables.items()}
        return {**made, "results": grid.table()}

    return make
