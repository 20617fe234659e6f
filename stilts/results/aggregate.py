"""The tables over seeds: `summary`, of targets and averages, and `languages`.

Invariants: a summary counts what was trained; failed and diverged runs are counted, and never left out in silence.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.experiment.experiment import NONE
from stilts.results.entry import (
    AVERAGE,
    LANGUAGES,
    SUMMARY,
    TARGET,
    Entry,
    adjust_family,
    compare,
    describe,
    entry_of,
    entry_table,
)
from stilts.results.options import Options
from stilts.results.scores import (
    MEAN,
    Row,
    Scores,
    average_scores,
    averaged_targets,
    averages_of,
    language_scores,
    rows_of,
    task_scores,
)
from stilts.results.table import CLEAN, ZERO_SHOT, benchmark_of
from stilts.tasks.base import get_task
from stilts.tasks.benchmarks import Benchmark

_METRICS = {"metric": "mean of exact match and F1"}


def summary_table(results: pa.Table, options: Options) -> pa.Table:
    """SUMMARY of a table of results: every target, and the averages over targets that the benchmark defines.

    An average is over targets that are trained on English alone and bear their task's name; others, which are the same
    tasks in other settings, have their columns and no part in it.
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
            entries = _entries(found, options)
            for model, intermediate in row_order(rows, options.baseline):
                where = {"split": split, "model": model, "intermediate": intermediate, "kind": kind}
                for column in columns:
                    entry = entries.get(((model, intermediate), column))
                    if entry is not None:
                        records.append({**where, "column": column, **vars(entry)})
    return entry_table(records, SUMMARY, options)


def languages_table(results: pa.Table, summary: pa.Table, options: Options) -> pa.Table:
    """LANGUAGES of a table of results.

    Args:
        summary: `summary_table` of the same, which has the means over languages.
    """
    means = {
        (row["split"], row["column"], (row["model"], row["intermediate"])): entry_of(row)
        for row in summary.to_pylist()
        if row["kind"] == TARGET
    }
    records: list[dict[str, Any]] = []
    for split in splits(results):
        for target in targets(results, split):
            rows = rows_of(results.filter(pc.field("target") == target), split, CLEAN)
            scores = language_scores(rows, benchmark_of(results))
            entries = _entries({key: found for key, found in scores.items() if key[1] != MEAN}, options)
            for row in row_order(rows, options.baseline):
                where = {"split": split, "model": row[0], "intermediate": row[1], "target": target}
                found = {language: entries.get((row, language)) for language in language_order(rows)}
                for language, entry in {**found, MEAN: means[split, target, row]}.items():
                    if entry is not None:
                        records.append({**where, "language": language, **vars(entry)})
    return entry_table(records, LANGUAGES, options)


def splits(table: pa.Table) -> list[str]:
    """The splits that were evaluated, test first."""
    found = pc.unique(table["split"]).to_pylist()
    return sorted(found, key=lambda split: (split != "test", split))


def official_order(benchmark: Benchmark) -> tuple[str, ...]:
    """The benchmark's tasks, group by group."""
    return tuple(
        dict.fromkeys([*(task for group in benchmark.groups.values() for task in group), *benchmark.languages])
    )


def targets(table: pa.Table, split: str) -> list[str]:
    """The targets evaluated on a split, in the benchmark's order, others after them in the experiment's."""
    found = pc.unique(table.filter(pc.field("split") == split)["target"]).to_pylist()
    order = official_order(benchmark_of(table))
    return sorted(found, key=lambda name: order.index(name) if name in order else len(order))


def ended(table: pa.Table) -> list[tuple[str, str, str]]:
    """(status, stage NAME, error) of every stage that failed or diverged."""
    bad = table.filter(pc.field("status").isin(["failed", "diverged"])).select(["status", "stage", "error"])
    return list(dict.fromkeys((row["status"], row["stage"], row["error"] or "") for row in bad.to_pylist()))


def title(rows: Sequence[Mapping[str, Any]], target: str, split: str) -> str:
    """What the numbers of one target are: its name, with its task and setting where they are not the usual."""
    metric = get_task(next(row["task"] for row in rows if row["target"] == target)).metric
    kind = kind_of(rows, target)
    return f"{target}{'' if kind == target else f' ({kind})'} {split}: {_METRICS.get(metric, metric)}"


def kind_of(rows: Sequence[Mapping[str, Any]], target: str) -> str:
    """A target's task, with the setting where it is not the usual one."""
    first = next(row for row in rows if row["target"] == target)
    return first["task"] if first["setting"] == ZERO_SHOT else f"{first['task']}, {first['setting']}"


def language_order(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The languages of one target's rows, in the task's order, others after them by name."""
    found = {row["language"]: get_task(row["task"]) for row in rows}
    known = [language for task in found.values() for language in task.all_languages]
    official = dict.fromkeys(language for language in known if language in found)
    return (*official, *sorted(found.keys() - official.keys()))


def row_order(rows: Iterable[Mapping[str, Any]], baseline: str = NONE) -> tuple[Row, ...]:
    """Models as they come; within a model the baseline first."""
    found = dict.fromkeys((row["model"], row["intermediate"]) for row in rows)
    models = list(dict.fromkeys(model for model, _ in found))
    return tuple(sorted(found, key=lambda row: (models.index(row[0]), row[1] != baseline)))


def _entries(scores: Scores, options: Options) -> dict[tuple[Row, str], Entry]:
    """Entries with their comparisons, those of one model being a family."""
    entries = {}
    for (row, column), by_seed in scores.items():
        model, intermediate = row
        entry, baseline = describe(by_seed), scores.get(((model, options.baseline), column))
        if intermediate != options.baseline and baseline is not None:
            entry = compare(entry, by_seed, baseline, options)
        entries[row, column] = entry
    adjusted: dict[tuple[Row, str], Entry] = {}
    for model in dict.fromkeys(row[0] for row, _ in entries):
        adjusted |= adjust_family({key: entry for key, entry in entries.items() if key[0][0] == model})
    return adjusted
