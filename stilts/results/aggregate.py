"""Computes the tables over seeds: `summary` (targets and averages over targets) and `languages`.

Every planned seed is counted: seeds that failed or diverged appear under their status and are never left out silently.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.experiment.experiment import NONE
from stilts.results.scores import (
    MEAN,
    ModelRegime,
    Scores,
    average_scores,
    averaged_targets,
    averages_of,
    language_scores,
    rows_of,
    task_scores,
)
from stilts.results.seed_statistics import (
    AVERAGE,
    LANGUAGES,
    SUMMARY,
    TARGET,
    Options,
    SeedStatistics,
    adjust_family,
    compare,
    describe,
    statistics_of,
    statistics_table,
)
from stilts.results.table import CLEAN, ZERO_SHOT, benchmark_of
from stilts.tasks.base import get_task
from stilts.tasks.benchmarks import Benchmark

_METRICS = {"metric": "mean of exact match and F1"}


def summary_table(results: pa.Table, options: Options) -> pa.Table:
    """Compute the table `summary` (schema SUMMARY) from the table `results`.

    It has a column for every target and for every average over tasks that the benchmark defines. Only targets that
    have their task's name and are trained on English alone enter an average. Targets with another setting of the same
    task have a column of their own only.
    """
    records: list[dict[str, Any]] = []
    for split in splits(results):
        rows, benchmark = rows_of(results, split, CLEAN), benchmark_of(results)
        scores, official = task_scores(rows, benchmark), averaged_targets(rows, benchmark)
        averages = average_scores({key: found for key, found in scores.items() if key[1] in official}, benchmark)
        for kind, found, columns in (
            (TARGET, scores, targets(results, split)),
            (AVERAGE, averages, list(averages_of(benchmark))),
        ):
            statistics = _statistics(found, options)
            for model, intermediate in row_order(rows, options.baseline):
                where = {"split": split, "model": model, "intermediate": intermediate, "kind": kind}
                for column in columns:
                    stats = statistics.get(((model, intermediate), column))
                    if stats is not None:
                        records.append({**where, "column": column, **vars(stats)})
    return statistics_table(records, SUMMARY, options)


def languages_table(results: pa.Table, summary: pa.Table, options: Options) -> pa.Table:
    """Compute the table `languages` (schema LANGUAGES) from the table `results`.

    Args:
        summary: `summary_table` of the same results; its rows are repeated as the means over languages.
    """
    means = {
        (row["split"], row["column"], (row["model"], row["intermediate"])): statistics_of(row)
        for row in summary.to_pylist()
        if row["kind"] == TARGET
    }
    records: list[dict[str, Any]] = []
    for split in splits(results):
        for target in targets(results, split):
            rows = rows_of(results.filter(pc.field("target") == target), split, CLEAN)
            scores = language_scores(rows, benchmark_of(results))
            statistics = _statistics({key: found for key, found in scores.items() if key[1] != MEAN}, options)
            for row in row_order(rows, options.baseline):
                where = {"split": split, "model": row[0], "intermediate": row[1], "target": target}
                found = {language: statistics.get((row, language)) for language in language_order(rows)}
                for language, stats in {**found, MEAN: means[split, target, row]}.items():
                    if stats is not None:
                        records.append({**where, "language": language, **vars(stats)})
    return statistics_table(records, LANGUAGES, options)


def splits(table: pa.Table) -> list[str]:
    """The splits in a table, `test` first, then in alphabetical order."""
    found = pc.unique(table["split"]).to_pylist()
    return sorted(found, key=lambda split: (split != "test", split))


def official_order(benchmark: Benchmark) -> tuple[str, ...]:
    """The tasks of a benchmark, group by group."""
    return tuple(
        dict.fromkeys([*(task for group in benchmark.groups.values() for task in group), *benchmark.languages])
    )


def targets(table: pa.Table, split: str) -> list[str]:
    """The targets evaluated on a split: the benchmark's tasks in its order, then others in the experiment's order."""
    found = pc.unique(table.filter(pc.field("split") == split)["target"]).to_pylist()
    order = official_order(benchmark_of(table))
    return sorted(found, key=lambda name: order.index(name) if name in order else len(order))


def failed_stages(table: pa.Table) -> list[tuple[str, str, str]]:
    """(status, stage NAME, error) of every stage that failed or diverged."""
    bad = table.filter(pc.field("status").isin(["failed", "diverged"])).select(["status", "stage", "error"])
    return list(dict.fromkeys((row["status"], row["stage"], row["error"] or "") for row in bad.to_pylist()))


def title(rows: Sequence[Mapping[str, Any]], target: str, split: str) -> str:
    """Title of a target's numbers, such as `xnli test: accuracy`, with task and setting unless they are the usual."""
    metric = get_task(next(row["task"] for row in rows if row["target"] == target)).metric
    kind = kind_of(rows, target)
    return f"{target}{'' if kind == target else f' ({kind})'} {split}: {_METRICS.get(metric, metric)}"


def kind_of(rows: Sequence[Mapping[str, Any]], target: str) -> str:
    """The target's task, followed by its setting unless that is zero-shot: `xnli` or `xnli, translate-train`."""
    first = next(row for row in rows if row["target"] == target)
    return first["task"] if first["setting"] == ZERO_SHOT else f"{first['task']}, {first['setting']}"


def language_order(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The languages in the rows of one target: those of the task in its order, then others in alphabetical order."""
    found = {row["language"]: get_task(row["task"]) for row in rows}
    known = [language for task in found.values() for language in task.all_languages]
    official = dict.fromkeys(language for language in known if language in found)
    return (*official, *sorted(found.keys() - official.keys()))


def row_order(rows: Iterable[Mapping[str, Any]], baseline: str = NONE) -> tuple[ModelRegime, ...]:
    """The (model, regime) pairs of the rows: models in order of appearance, within a model the baseline first."""
    found = dict.fromkeys((row["model"], row["intermediate"]) for row in rows)
    models = list(dict.fromkeys(model for model, _ in found))
    return tuple(sorted(found, key=lambda row: (models.index(row[0]), row[1] != baseline)))


def _statistics(scores: Scores, options: Options) -> dict[tuple[ModelRegime, str], SeedStatistics]:
    """Statistics by (row, column), compared with the baseline. Each model's p values are adjusted as one family."""
    statistics = {}
    for (row, column), by_seed in scores.items():
        model, intermediate = row
        stats, baseline = describe(by_seed), scores.get(((model, options.baseline), column))
        if intermediate != options.baseline and baseline is not None:
            stats = compare(stats, by_seed, baseline, options)
        statistics[row, column] = stats
    adjusted: dict[tuple[ModelRegime, str], SeedStatistics] = {}
    for model in dict.fromkeys(row[0] for row, _ in statistics):
        adjusted |= adjust_family({key: stats for key, stats in statistics.items() if key[0][0] == model})
    return adjusted
