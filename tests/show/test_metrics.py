"""All metrics of an own task beside its main one."""

from collections.abc import Iterator

import pyarrow as pa
import pytest

from stilts.experiment.tasks import TaskFile
from stilts.results.table import SCHEMA
from stilts.show.metrics import metric_grids
from stilts.tasks.own import use

TASK = "topics: {family: text_classification, labels: [a, b], languages: [bar, gsw], metrics: [macro_f1]}"
VALUES = {("bar", 1): (60.0, 50.0), ("gsw", 1): (40.0, 30.0), ("bar", 2): (80.0, 70.0), ("gsw", 2): (60.0, 50.0)}


@pytest.fixture(autouse=True)
def task() -> Iterator[None]:
    use([TaskFile(file="my.yaml", text=TASK)])
    yield
    use([])


def results(target: str, task: str, names: tuple[str, str]) -> pa.Table:
    rows = []
    for (language, seed), values in VALUES.items():
        for name, value in zip(names, values, strict=True):
            rows.append({
                "experiment": "e", "model": "m", "intermediate": "none", "target": target, "task": task, "seed": seed,
                "setting": "zero-shot", "split": "test", "language": language, "condition": "clean", "metric": name,
                "value": value, "status": "ok", "main": name == "accuracy", "stage": f"s{seed}",
            })  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def test_every_metric_is_shown_as_a_mean_over_languages_and_seeds() -> None:
    (grid,) = metric_grids(results("topics", "topics", ("accuracy", "macro_f1")))
    assert grid.title == "topics test: all metrics"
    assert grid.header == ("model", "intermediate", "accuracy", "macro_f1")
    assert grid.rows == (("m", "none", "60.0", "50.0"),)


def test_tasks_of_the_library_have_no_such_table() -> None:
    assert list(metric_grids(results("xnli", "xnli", ("accuracy", "macro_f1")))) == []
