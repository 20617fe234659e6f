"""The table `results`: one row per cell, split, language, condition and metric.

Every planned evaluation has at least the row of its task's main metric. Where there is no score, `value` is null and
`status` gives the reason. All other tables, reports and figures of an experiment are computed from this table.
"""

import json
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
"""Values of the column `status`, the worst first.

failed, diverged: the evaluated stage ended this way. not run: a stage before it in the chain failed or diverged.
missing: the evaluation is not done yet. unlabelled: predictions exist, but the data has no gold labels. ok: there is a
score."""

CLEAN = "clean"
"""Value of the column `condition` for data without noise."""

ZERO_SHOT = "zero-shot"
"""Value of the column `setting` for a target that is trained on English data only."""

_BENCHMARK = b"stilts.benchmark"
"""Metadata key under which the table stores the experiment's benchmark: its name, or its definition as JSON."""

_SEED_PARTS = b"stilts.seed_parts"
"""Metadata key under which the table stores `SeedsOfParts` as JSON; absent if the experiment has no `seed_parts`."""

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
"""Schema of the table `results`.

- target: name of the target in the experiment; task: name of the evaluated task.
- seed: seed of the target stage; intermediate_seed: seed of the stages before it, null if none of them depends on a
  seed of the cell.
- condition: `clean`, or the kind and rate of the noise, such as `swap@0.1`; noise, rate: the two parts, null for clean
  data; changed_share: fraction of the characters that the noise changed (see `stilts.data.noise`).
- value: in percent; main: whether the metric is the task's main metric.
- stage: NAME of the evaluated stage; error: first line of the reason why there is no score."""

T = TypeVar("T")

Cell = tuple[str, str, str, int, int | None]
"""(model, intermediate, target, seed, intermediate seed)"""

SeedsOfParts = Mapping[int, Mapping[str, int]]
"""Seed of a cell -> the seed of each source of randomness (`SEED_PARTS`) in the stages that take the cell's seed."""

ReadEvaluation = Callable[[str, EvaluationSpec], dict[str, Any] | None]
"""Function that reads the record of an evaluation, given the stage's NAME; returns None if there is no record."""


@dataclass(frozen=True)
class CellSource:
    """One branch of a cell: the chain of stages and the evaluations of its last stage.

    A cell has one branch, except a target that trains one stage per language, which has one branch per language.

    Attributes:
        intermediate: name of the regime, such as `none` for the baseline.
        target: name of the target in the experiment.
        task: name of the evaluated task; equals `target` if empty.
        setting: what the target is trained on, as in `TargetDecl`.
        stage: NAME of the evaluated stage: the target stage, or for retrieval the last stage before it.
        chain: NAMEs of all stages from the base model to `stage`, including both.
        evaluations: the planned evaluations of `stage`.
        selection: evaluation on the dev set of the training task (in English, or in the one language that the stage is
            trained in), by which regimes and seeds are chosen. None for retrieval, and for tasks whose dev set serves
            as the test set.
        intermediate_seed: seed of the stages before the target stage; None if none of them depends on a cell's seed.
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
        """The cell that this branch belongs to."""
        return self.model, self.intermediate, self.target, self.seed, self.intermediate_seed

    @property
    def official(self) -> bool:
        """Whether the target has its task's name and is trained on English only, as in XTREME's tables."""
        return self.target == self.task and self.setting == ZERO_SHOT


def build_table(
    experiment: str,
    cells: Sequence[CellSource],
    statuses: Mapping[str, Mapping[str, Any]],
    read_evaluation: ReadEvaluation,
    benchmark: Benchmark = XTREME,
    seed_parts: SeedsOfParts | None = None,
) -> pa.Table:
    """Build the table `results` of an experiment, in the order of the cells.

    Args:
        statuses: stage NAME -> `{"status": done | failed | diverged | not run | missing, "error": text or None}`.
        read_evaluation: called once per stage and evaluation, even if several cells share them.
        benchmark: defines the averages over languages and tasks; its name is stored in the table's metadata.
        seed_parts: seeds of single sources of randomness; stored in the table's metadata.

    Returns:
        A table with the schema `SCHEMA`.
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
    metadata = {**(SCHEMA.metadata or {}), _BENCHMARK: _encoded(benchmark)}
    if seed_parts:
        metadata[_SEED_PARTS] = json.dumps(seed_parts).encode()
    return pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata(metadata))


def independent(found: Sequence[T], cell: Callable[[T], Cell]) -> list[T]:
    """Select the items whose cells are statistically independent of each other.

    With `intermediate_seeds: crossed`, every intermediate seed is combined with every target seed, and cells that have
    a seed in common are not independent. Only the cells whose two seeds are equal are then kept: they share no stage
    that depends on a seed, so that intervals and tests over them hold. (The decomposition of the variance uses all.)
    With `intermediate_seeds: shared`, the two seeds are never equal, and all cells are kept.

    Args:
        found: rows, cells or anything else that belongs to a cell.
        cell: returns the cell of an item.
    """
    own = {cell(item)[:-1] for item in found if _meets_itself(*cell(item))}
    return [item for item in found if _meets_itself(*cell(item)) or cell(item)[:-1] not in own]


def cell_of(row: Mapping[str, Any]) -> Cell:
    """The cell that a row of the table `results` belongs to."""
    return row["model"], row["intermediate"], row["target"], row["seed"], row["intermediate_seed"]


def _meets_itself(model: str, intermediate: str, target: str, seed: int, intermediate_seed: int | None) -> bool:
    return intermediate_seed is None or intermediate_seed == seed


def benchmark_of(table: pa.Table) -> Benchmark:
    """The benchmark that the table `results` was made for."""
    stored = table.schema.metadata[_BENCHMARK].decode()
    return get_benchmark(json.loads(stored) if stored.startswith("{") else stored)


def _encoded(benchmark: Benchmark) -> bytes:
    """The name of a known benchmark, or the definition of a user's own as JSON."""
    stands = benchmark.reference
    return (stands if isinstance(stands, str) else json.dumps(stands)).encode()


def seed_parts_of(table: pa.Table) -> SeedsOfParts:
    """The seeds of the sources of randomness that the table was made with; empty if all follow the cell's seed."""
    found = json.loads(table.schema.metadata.get(_SEED_PARTS, b"{}"))
    return {int(seed): parts for seed, parts in found.items()}


def main_value(task: Task, record: Mapping[str, Any]) -> float | None:
    """The main metric in the record of an evaluation, in percent; None if the data is unlabelled."""
    metrics = record.get("metrics")
    return main_number(task, metrics) if metrics else None


def parquet(table: pa.Table) -> bytes:
    """Serialize a table as the content of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def _condition(spec: EvaluationSpec, record: Mapping[str, Any] | None) -> dict[str, Any]:
    if spec.condition is None:
        return {"condition": CLEAN}
    changed = None if record is None else record.get("extra", {}).get("changed_share")
    kind, rate = spec.condition.kind, spec.condition.rate
    return {"condition": spec.condition.name, "noise": kind, "rate": rate, "changed_share": changed}


def _measured(
    task: Task, record: Mapping[str, Any] | None, cell: CellSource, statuses: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    if record is None:
        status, error = _absence(cell, statuses)
        return [_row(task.metric, None, status, main=True, error=error)]
    metrics = record.get("metrics") or {}
    value = main_value(task, record)
    main = _row(task.metric, value, "unlabelled" if value is None else "ok", main=True, examples=record.get("examples"))
    others = [name for name in metrics if name != task.metric]
    return [main, *(_row(name, metrics[name], "ok", main=False, examples=record.get("examples")) for name in others)]


def _row(
    metric: str, value: float | None, status: str, main: bool, examples: int | None = None, error: str | None = None
) -> dict[str, Any]:
    return {
        "metric": metric, "value": value, "status": status, "main": main, "examples": examples, "error": error
    }  # fmt: skip


def _absence(cell: CellSource, statuses: Mapping[str, Mapping[str, Any]]) -> tuple[str, str | None]:
    """(status, error) that explain why an evaluation has no record."""
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
