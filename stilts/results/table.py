"""The one table of results: a row per cell, split, language, condition and metric.

Invariants: every planned evaluation has at least one row, that of its task's main metric; a number that is not there is
null and `status` says why. Everything that is shown or published is computed from this table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from stilts.identity.stage import EvaluationSpec
from stilts.tasks.base import Task, get_task
from stilts.tasks.benchmarks import XTREME, Benchmark, get_benchmark
from stilts.tasks.score import main_number

STATUSES = ("failed", "diverged", "not run", "missing", "unlabelled", "ok")
"""Worst first. failed, diverged: the stage ended so. not run: a stage before it did. missing: not done yet.
unlabelled: predicted, but the data has no gold."""

CLEAN = "clean"
"""Condition of the data as they are."""

ZERO_SHOT = "zero-shot"
"""Setting of a target that is trained on English alone."""

_BENCHMARK = b"stilts.benchmark"
"""Key of the schema's metadata: the experiment's benchmark, whose averages are taken."""

SCHEMA = pa.schema(
    [
        ("experiment", pa.string()),
        ("model", pa.string()),
        ("intermediate", pa.string()),
        ("target", pa.string()),
        ("task", pa.string()),
        ("setting", pa.string()),
        ("seed", pa.int64()),
        ("intermediate_seed", pa.int64()),
        ("split", pa.string()),
        ("language", pa.string()),
        ("condition", pa.string()),
        ("noise", pa.string()),
        ("rate", pa.float64()),
        ("changed_share", pa.float64()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("status", pa.string()),
        ("main", pa.bool_()),
        ("examples", pa.int64()),
        ("stage", pa.string()),
        ("error", pa.string()),
    ],
    metadata={"stilts.results": "3", _BENCHMARK: XTREME.name},
)
"""`target` is a name of the experiment, `task` what was evaluated. `seed` is the target stage's,
`intermediate_seed` that of the stages before it (null: there are none that take a cell's). `condition` is `clean` or
like `swap@0.1`, of which `noise` and `rate` are the parts, and `changed_share` is what it changed of the characters
(see `data.noise`)."""

T = TypeVar("T")

Cell = tuple[str, str, str, int, int | None]
"""(model, intermediate, target, seed, intermediate seed)"""

ReadEvaluation = Callable[[str, EvaluationSpec], dict[str, Any] | None]
"""(stage NAME, evaluation) -> its record, None where there is none."""


@dataclass(frozen=True)
class CellSource:
    """One branch of a cell, and where its numbers lie. A target that is trained language by language has several.

    Attributes:
        intermediate: name of the regime; `none` is the baseline.
        target: its name in the experiment.
        task: what is evaluated; the target's name if that is empty.
        setting: on what the target is trained, as in `TargetDecl`.
        stage: NAME of the artifact that is evaluated: the target stage, or for retrieval the last stage before it.
        chain: NAMEs from the base to `stage`, both included.
        evaluations: those wanted.
        selection: the training task's dev set on the same stage (English, or of the one language that the stage was
            trained in), by which regimes and seeds are chosen; None where there is none (retrieval, and tasks whose
            dev set serves as the test).
        intermediate_seed: of the stages before the target's; None where there are none that take a cell's.
    """

    model: str
    intermediate: str
    target: str
    seed: int
    stage: str
    chain: tuple[str, ...]
    evaluations: tuple[EvaluationSpec, ...]
    selection: EvaluationSpec | None = None
    task: str = ""
    setting: str = ZERO_SHOT
    intermediate_seed: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", self.task or self.target)

    @property
    def cell(self) -> "Cell":
        """Which cell it is of."""
        return self.model, self.intermediate, self.target, self.seed, self.intermediate_seed

    @property
    def official(self) -> bool:
        """Whether it is what XTREME's tables are of: a task under its own name, trained on English."""
        return self.target == self.task and self.setting == ZERO_SHOT


def build_table(
    experiment: str,
    cells: Sequence[CellSource],
    statuses: Mapping[str, Mapping[str, Any]],
    read_evaluation: ReadEvaluation,
    benchmark: Benchmark = XTREME,
) -> pa.Table:
    """The results of an experiment, in the order of the cells.

    Args:
        statuses: stage NAME -> `{"status": done | failed | diverged | not run | missing, "error": text or None}`.
        read_evaluation: asked once per stage and evaluation, however many cells share it.
        benchmark: whose averages are wanted of the table; noted in it.

    Returns:
        A table of `SCHEMA`; values as in the records (percent).
    """
    records: dict[tuple[str, str], dict[str, Any] | None] = {}
    rows = []
    for cell in cells:
        task = get_task(cell.task)
        for spec in cell.evaluations:
            where = (cell.stage, spec.key)
            if where not in records:
                records[where] = read_evaluation(cell.stage, spec)
            shared = {
                "experiment": experiment,
                "model": cell.model,
                "intermediate": cell.intermediate,
                "target": cell.target,
                "task": cell.task,
                "setting": cell.setting,
                "seed": cell.seed,
                "intermediate_seed": cell.intermediate_seed,
                "split": spec.split,
                "language": spec.language,
                "stage": cell.stage,
                **_condition(spec, records[where]),
            }
            rows += [shared | row for row in _measured(task, records[where], cell, statuses)]
    metadata = {**(SCHEMA.metadata or {}), _BENCHMARK: benchmark.name.encode()}
    return pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata(metadata))


def independent(found: Sequence[T], cell: Callable[[T], Cell]) -> list[T]:
    """Of cells in which every seed of one phase meets every seed of the other, those of which both are the same.

    They share nothing, so that intervals and tests over them hold; the others are for the decomposition of variance.
    Where a target's seed never meets itself (`intermediate_seeds: shared`), all stay.

    Args:
        cell: to which cell something belongs.
    """
    own = {cell(item)[:-1] for item in found if _meets_itself(*cell(item))}
    return [item for item in found if _meets_itself(*cell(item)) or cell(item)[:-1] not in own]


def cell_of(row: Mapping[str, Any]) -> Cell:
    """The cell of a row of the table."""
    return row["model"], row["intermediate"], row["target"], row["seed"], row["intermediate_seed"]


def _meets_itself(model: str, intermediate: str, target: str, seed: int, intermediate_seed: int | None) -> bool:
    return intermediate_seed is None or intermediate_seed == seed


def benchmark_of(table: pa.Table) -> Benchmark:
    """The benchmark that a table of results was made for."""
    return get_benchmark(table.schema.metadata[_BENCHMARK].decode())


def main_value(task: Task, record: Mapping[str, Any]) -> float | None:
    """The main number of an evaluation's record, in percent; None where it is unlabelled."""
    return main_number(task, record["metrics"]) if record["metrics"] else None


def parquet(table: pa.Table) -> bytes:
    """The table as a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def _condition(spec: EvaluationSpec, record: Mapping[str, Any] | None) -> dict[str, Any]:
    if spec.condition is None:
        return {"condition": CLEAN}
    changed = None if record is None else record["extra"].get("changed_share")
    kind, rate = spec.condition.kind, spec.condition.rate
    return {"condition": spec.condition.name, "noise": kind, "rate": rate, "changed_share": changed}


def _measured(
    task: Task, record: Mapping[str, Any] | None, cell: CellSource, statuses: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    if record is None:
        status, error = _absence(cell, statuses)
        return [_row(task.metric, None, status, main=True, error=error)]
    metrics = record["metrics"] or {}
    value = main_value(task, record)
    main = _row(task.metric, value, "unlabelled" if value is None else "ok", main=True, examples=record["examples"])
    others = [name for name in metrics if name != task.metric]
    return [main, *(_row(name, metrics[name], "ok", main=False, examples=record["examples"]) for name in others)]


def _row(
    metric: str, value: float | None, status: str, main: bool, examples: int | None = None, error: str | None = None
) -> dict[str, Any]:
    return {
        "metric": metric, "value": value, "status": status, "main": main, "examples": examples, "error": error
    }  # fmt: skip


def _absence(cell: CellSource, statuses: Mapping[str, Mapping[str, Any]]) -> tuple[str, str | None]:
    """Why there is no record: (status, error)."""
    for name in cell.chain:
        entry = statuses.get(name, {})
        ended = entry.get("status")
        if ended in ("failed", "diverged"):
            error = _short(entry.get("error"))
            return (ended, error) if name == cell.stage else ("not run", _short(f"{name} {ended}: {error or ''}"))
    own = statuses.get(cell.stage, {})
    return ("not run" if own.get("status") == "not run" else "missing"), _short(own.get("error"))


def _short(error: Any) -> str | None:
    lines = str(error or "").strip().splitlines()
    return lines[0].strip()[:200] if lines else None
