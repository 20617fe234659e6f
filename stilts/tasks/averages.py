"""Averages over languages and over tasks, as evaluate.py takes them: plain means, summed in the benchmark's order."""

from collections.abc import Mapping

from stilts.tasks.benchmarks import XTREME, Benchmark
from stilts.tasks.score import main_number


def task_average(
    task: str, scores: Mapping[str, Mapping[str, float]], benchmark: Benchmark = XTREME
) -> dict[str, float]:
    """Plain means over the given languages: `avg_METRIC` of each metric, and `avg_metric`, the task's main number.

    It is the benchmark's average only where every language is given (`Benchmark.missing`).

    Args:
        scores: language -> metric -> value; at least one language. Summed in the benchmark's order (floating-point
            sums depend on it), then any others by name.
    """
    order = benchmark.languages.get(task, ())
    known = [language for language in order if language in scores]
    rows = [scores[language] for language in [*known, *sorted(set(scores) - set(known))]]
    means = {metric: sum(row[metric] for row in rows) / len(rows) for metric in rows[0]}
    return {**{f"avg_{metric}": value for metric, value in means.items()}, "avg_metric": main_number(task, means)}


def group_averages(main: Mapping[str, float], benchmark: Benchmark = XTREME) -> dict[str, float]:
    """Plain means over tasks: `benchmark.overall` if every task is there, and each group that is complete.

    Args:
        main: task -> its `avg_metric` over all of its languages; a task that lacks a language must not be among them.
            Tasks outside the benchmark are ignored.
    """
    return {
        name: sum(main[task] for task in tasks) / len(tasks)
        for name, tasks in benchmark.averages().items()
        if all(task in main for task in tasks)
    }
