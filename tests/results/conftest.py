"""A grid of invented results: records as a store holds them, without a store."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from stilts.identity.stage import Condition, DataRef, EvaluationSpec
from stilts.results import best, published
from stilts.results.analyse import Tables, over_seeds
from stilts.results.items import table as items
from stilts.results.learning import curves, selection
from stilts.results.seed_statistics import Options
from stilts.results.similarity import similarity
from stilts.results.table import CellSource, build_table
from stilts.tasks.base import get_task
from stilts.tasks.benchmarks import XTREME, Benchmark

Metrics = dict[str, float]
Noise = dict[Condition, dict[str, Metrics | str]]


@dataclass
class Grid:
    """Cells with their records and statuses. `reads` lists every record that was read."""

    cells: list[CellSource] = field(default_factory=list)
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    evaluations: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    predictions: dict[tuple[str, str], bytes] = field(default_factory=dict)
    examples: dict[str, pa.Table] = field(default_factory=dict)
    reads: list[tuple[str, str]] = field(default_factory=list)

    def add(
        self,
        intermediate: str,
        target: str,
        seed: int,
        scores: dict[str, Metrics | str],
        *,
        model: str = "base",
        split: str = "test",
        stage: str | None = None,
        status: str | None = None,
        error: str | None = None,
        dev: float | None = None,
        extra: dict[str, float] | None = None,
        task: str | None = None,
        setting: str = "zero-shot",
        noise: Noise | None = None,
    ) -> CellSource:
        """A cell; `scores` gives metrics by language, or `missing`, or `unlabelled`; `noise` the same by condition."""
        name = stage or f"{model}-{intermediate}-{target}-s{seed}"
        specs = []
        task = task or target
        conditions: Any = {None: scores, **(noise or {})}
        wanted = [(c, language, metrics) for c, found in conditions.items() for language, metrics in found.items()]
        for condition, language, metrics in wanted:
            data = DataRef(task, split, language, f"sha256:{task}{split}{language}")
            tune = DataRef(task, "dev", language, f"sha256:{task}{language}") if task == "bucc2018" else None
            spec = EvaluationSpec(task, 1, split, language, data, tune, condition=condition)
            specs.append(spec)
            if metrics != "missing":
                labelled = metrics != "unlabelled"
                self.evaluations[name, spec.key] = {
                    "schema": 1,
                    "stage": name,
                    "task": task,
                    "split": split,
                    "language": language,
                    "key": spec.key,
                    "examples": 10,
                    "labelled": labelled,
                    "metrics": metrics if labelled else None,
                    "extra": extra or changed(condition, language),
                }
        selection = None
        if dev is not None:
            selection = EvaluationSpec(task, 1, "dev", "en", DataRef(task, "dev", "en", f"sha256:{task}dev"))
            metrics = metrics_of(task, dev)
            self.evaluations[name, selection.key] = {"examples": 10, "metrics": metrics, "extra": {}}
        chain = (model, name)
        cell = CellSource(model, intermediate, target, seed, name, chain, tuple(specs), selection, task, setting)
        self.cells.append(cell)
        self.statuses[name] = {"status": status or "done", "error": error}
        return cell

    def add_nine(self, intermediate: str, seed: int, value: float, **changes: dict[str, Metrics | str]) -> None:
        """All of XTREME, every language at `value`; `changes` replaces the scores of a target."""
        for target in ("pawsx", "xnli", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba"):
            scores = changes.get(target) or dict.fromkeys(get_task(target).languages, metrics_of(target, value))
            self.add(intermediate, target, seed, scores)

    def add_even(self, intermediate: str, target: str, seed: int, value: float, model: str = "base") -> None:
        """A cell with the same value in every language."""
        self.add(
            intermediate,
            target,
            seed,
            dict.fromkeys(get_task(target).languages, metrics_of(target, value)),
            model=model,
        )

    def read_evaluation(self, stage: str, spec: EvaluationSpec) -> dict[str, Any] | None:
        self.reads.append((stage, spec.key))
        return self.evaluations.get((stage, spec.key))

    def read_predictions(self, stage: str, spec: EvaluationSpec) -> bytes | None:
        return self.predictions.get((stage, spec.language))

    def read_examples(self, spec: EvaluationSpec) -> pa.Table:
        return self.examples[f"{spec.task}-{spec.language}"]

    def table(self, benchmark: Benchmark = XTREME) -> pa.Table:
        return build_table("study", self.cells, self.statuses, self.read_evaluation, benchmark)

    def tables(self, benchmark: Benchmark = XTREME, **options: Any) -> Tables:
        return {**of_a_store(), **over_seeds(self.table(benchmark), Options(**options))}


def of_a_store() -> Tables:
    """Empty tables for those that need a store's records."""
    schemas = {
        "items": items.SCHEMA, "best": best.SCHEMA, "published": published.SCHEMA, "curves": curves.SCHEMA,
        "similarity": similarity.CORRELATIONS, "similarity_points": similarity.POINTS, "selection": selection.SCHEMA,
    }  # fmt: skip
    return {name: schema.empty_table() for name, schema in schemas.items()}


def changed(condition: Condition | None, language: str) -> dict[str, float]:
    """`extra` of a record under noise: casing changes almost nothing in Chinese; otherwise half of the rate changes."""
    if condition is None:
        return {}
    return {"changed_share": condition.rate / (100 if (condition.kind, language) == ("casing", "zh") else 2)}


def metrics_of(target: str, value: float) -> Metrics:
    """Metrics of an evaluation of the target, whose main metric is `value`."""
    names = get_task(target).metrics
    if set(names) == {"exact_match", "f1"}:
        return {"exact_match": value - 10, "f1": value + 10}
    return dict.fromkeys(names, value)


@pytest.fixture
def grid() -> Grid:
    return Grid()


@pytest.fixture
def xtreme_grid() -> Grid:
    """Four regimes x nine targets x two seeds in all languages; one stage failed, and one test set is unlabelled."""
    grid = Grid()
    for i, regime in enumerate(("none", "hellaswag", "mnli", "squad_100%")):
        for seed in (0, 1):
            grid.add_nine(regime, seed, 50.04 + 3.3 * i + 1.7 * seed * (i + 1))
    languages = get_task("panx").languages
    grid.cells = [c for c in grid.cells if (c.intermediate, c.target, c.seed) != ("mnli", "panx", 1)]
    grid.add(
        "mnli", "panx", 1, dict.fromkeys(languages, "missing"), stage="bad", status="failed", error="out of memory"
    )
    grid.cells = [c for c in grid.cells if (c.intermediate, c.target) != ("squad_100%", "udpos")]
    for seed in (0, 1):
        grid.add("squad_100%", "udpos", seed, dict.fromkeys(get_task("udpos").languages, "unlabelled"))
    return grid


SWAP, CASING = Condition("swap", 0.1), Condition("casing", 0.2)


def acc(en: float, zh: float) -> dict[str, Metrics]:
    """Accuracies in two languages."""
    return {"en": {"accuracy": en}, "zh": {"accuracy": zh}}


@pytest.fixture
def noisy_grid(grid: Grid) -> Grid:
    """Two regimes, two seeds, two languages, two conditions."""
    for regime, seed, clean, swapped, cased in (
        ("none", 1, (80, 60), (70, 60), (80, 60)),
        ("none", 2, (84, 60), (70, 62), (80, 60)),
        ("mnli", 1, (90, 70), (81, 71), (88, 70)),
        ("mnli", 2, (90, 70), (85, 67), (86, 70)),
    ):
        grid.add(regime, "xnli", seed, acc(*clean), noise={SWAP: acc(*swapped), CASING: acc(*cased)})
    return grid
