"""The grid into which faults are injected: it trains stages of some seconds each on the generated corpus.

Outcomes of grids are compared exactly: the scores, and the digests of all weights and predictions in the records.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from stilts.storage.open import open_store
from stilts.storage.protocol import Store
from tests.tiny import TINY

NAME = "grid"

_EXPERIMENT = (
    """\
name: {name}
store: {store}
seeds: [1]
"""
    + TINY
    + """\
    pretrain: [{{task: mlm, recipe: {{max_steps: {steps}, batch_size: 16, max_length: 64}}}}]
intermediates: {intermediates}
targets: {targets}
recipe:
  precision: fp32
  learning_rate: 1e-3
  max_steps: {steps}
  batch_size: 8
  max_length: 96
  evaluate_every: {steps_between_evaluations}
recipes: {{squad: {{stride: 32}}}}
settings: {{squad: {{max_length: 96}}, xquad: {{max_length: 96}}, tatoeba: {{max_length: 96}}}}
data: {{generate: {{languages: 2, sentences: 60}}}}
runtime: {{accelerator: cpu, ranks: {ranks}, max_parallel: 2, checkpoint_seconds: 0.5, max_retries: 100}}
"""
)


@dataclass(frozen=True)
class Size:
    """Size of the grid; `stages` is the number of trained stages."""

    steps: int
    intermediates: str
    targets: str
    stages: int


FULL = Size(240, "[none, mnli, squad]", "[xnli, udpos, xquad, tatoeba]", 12)
SMALL = Size(120, "[none, mnli]", "[xnli, udpos, xquad, tatoeba]", 8)


def write(folder: Path, size: Size, store: str, ranks: int) -> Path:
    """Write the experiment's YAML to a folder; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}.yaml"
    text = _EXPERIMENT.format(
        name=NAME,
        store=store,
        steps=size.steps,
        intermediates=size.intermediates,
        targets=size.targets,
        steps_between_evaluations=size.steps // 4,
        ranks=ranks,
    )
    path.write_text(text)
    return path


def command(experiment: Path) -> list[str]:
    """The command `stilts run` with traced stages (see `trace`)."""
    return [sys.executable, "-m", "tests.chaos.driver", "run", str(experiment)]


@dataclass(frozen=True)
class Result:
    """The outcome of a finished grid, without the parts that differ from run to run, such as times.

    Attributes:
        table: rows of the final table.
        stages: stage -> digests of its weights, losses and dev scores.
        predictions: path in the store -> digest.
        kept: the stages whose weights are still stored.
    """

    table: list[dict[str, Any]]
    stages: dict[str, Any]
    predictions: dict[str, str]
    kept: list[str]


def result(experiment: Path, uri: str) -> Result:
    """Read the final table and every record."""
    columns = ["intermediate", "target", "seed", "language", "split", "metric", "value", "status"]
    table = pq.read_table(experiment.parent / "results" / NAME / "results.parquet").select(columns).to_pylist()
    store = open_store(uri)
    stages, predictions = {}, {}
    for name in store.list("stages"):
        record = _json(store, f"stages/{name}/record.json")
        trained = record.get("train", {})
        steps = {key: value for key, value in trained.items() if key != "seconds"}
        stages[name] = {"weights": record["weights"], "train": steps, "dev": record.get("dev")}
        for path in evaluations(store, name):
            predictions[path] = _json(store, path)["predictions"]["sha256"]
    kept = [name for name in stages if list(store.list(f"stages/{name}/weights"))]
    return Result(table, stages, predictions, kept)


def evaluations(store: Store, name: str) -> list[str]:
    """Paths of a stage's evaluation records."""
    root = f"stages/{name}/evaluations"
    return [
        f"{root}/{task}/{file}"
        for task in store.list(root)
        for file in store.list(f"{root}/{task}")
        if file.endswith(".record.json")
    ]


def _json(store: Store, path: str) -> dict[str, Any]:
    content = store.read(path)
    assert content is not None, path
    return json.loads(content)
