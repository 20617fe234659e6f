"""The grid into which faults are injected, and a search on the same store: stages of some seconds on generated data.

Outcomes are compared exactly: the scores, the digests of all weights and predictions in the records, the best recipe of
the search, and the names of the files in the store.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from stilts.storage.open import open_store
from stilts.storage.protocol import Store
from tests.tiny import TINY

NAME, SEARCH = "grid", "search"

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
runtime:
  accelerator: cpu
  ranks: {ranks}
  max_parallel: 2
  checkpoint_seconds: 0.5
  max_retries: 100
  stall_seconds: 15
"""
)

_SEARCH = """\
experiment: {experiment}
name: {name}
search:
  target: udpos
  trials: 4
  space: {{learning_rate: {{low: 5e-4, high: 5e-3, log: true}}}}
"""


@dataclass(frozen=True)
class Size:
    """Size of the grid; `stages` is the number of trained stages."""

    steps: int
    intermediates: str
    targets: str
    stages: int


FULL = Size(240, "[none, mnli, squad]", "[xnli, udpos, xquad, tatoeba]", 12)
SMALL = Size(120, "[none, mnli]", "[xnli, udpos, xquad, tatoeba]", 8)


def write(folder: Path, size: Size, store: str, ranks: int, study: str | None = None) -> Path:
    """Write the YAML of the grid and that of its search to a folder; return the path of the first.

    Args:
        study: URL of the database of the search's study, unless it is the default one.
    """
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
    own = "" if study is None else f"  study: {study}\n"
    search_of(path).write_text(_SEARCH.format(experiment=path.name, name=SEARCH) + own)
    return path


def search_of(experiment: Path) -> Path:
    """The YAML of the search that belongs to a grid."""
    return experiment.with_name(f"{SEARCH}.yaml")


@dataclass(frozen=True)
class Result:
    """The outcome of a finished grid and search, without the parts that differ from run to run, such as times.

    Attributes:
        table: rows of the final table.
        best: the best recipe of the search, as YAML.
        stages: stage -> digests of its weights, losses and dev scores.
        predictions: path in the store -> digest.
        kept: the stages whose weights are still stored.
        files: the paths of the files in the store; see `usual`.
    """

    table: list[dict[str, Any]]
    best: str
    stages: dict[str, Any]
    predictions: dict[str, str]
    kept: list[str]
    files: list[str]


def usual(paths: Iterable[str]) -> list[str]:
    """Paths of a store without the files that every run, lease and machine has of its own, the same for every backend.

    A bucket keeps a folder or large file X as an object X that names a tree, and the files of the tree as X.tree-ID/.
    A file of a second tree of the same X remains as another entry.
    """
    own = re.compile(r"(^|/)(claims|runs|spent|study)/|^data/(generated-|index/)|/\.verified-")
    names = [path for path in paths if not own.search(path)]
    trees = {path.partition(".tree-")[0] for path in names if ".tree-" in path}
    found = []
    for path in names:
        root, tree, rest = path.partition(".tree-")
        file = rest.partition("/")[2]
        if tree:
            found.append(root if file == root.rpartition("/")[2] else f"{root}/{file}")
        elif path not in trees:
            found.append(re.sub(r"^(experiments/\w+)/[0-9a-f]{12}\.", r"\1/*.", path))
    return sorted(found)


def result(experiment: Path, uri: str, paths: Iterable[str]) -> Result:
    """Read the final table, the best recipe, and every record.

    Args:
        paths: of all files in the store.
    """
    columns = ["intermediate", "target", "seed", "language", "split", "metric", "value", "status"]
    results = experiment.parent / "results"
    table = pq.read_table(results / NAME / "results.parquet").select(columns).to_pylist()
    best = re.sub("(?m)^#.*\n", "", (results / SEARCH / "best.yaml").read_text())
    store = open_store(uri)
    stages, predictions = {}, {}
    for name in store.list("stages"):
        if store.read(f"stages/{name}/record.json") is None:
            continue
        record = _json(store, f"stages/{name}/record.json")
        trained = record.get("train", {})
        steps = {key: value for key, value in trained.items() if key != "seconds"}
        stages[name] = {"weights": record["weights"], "train": steps, "dev": record.get("dev")}
        for path in evaluations(store, name):
            predictions[path] = _json(store, path)["predictions"]["sha256"]
    kept = [name for name in stages if list(store.list(f"stages/{name}/weights"))]
    return Result(table, best, stages, predictions, kept, usual(paths))


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
