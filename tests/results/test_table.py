"""The table of results: what is measured, and a row for what is not."""

import pyarrow as pa
import pyarrow.parquet as pq

from stilts.identity.stage import Condition
from stilts.results.table import SCHEMA, benchmark_of, build_table, independent, main_value, parquet
from stilts.tasks.base import get_task
from stilts.tasks.benchmarks import XTREME, XTREME_R


def rows(grid):
    return grid.table().to_pylist()


def test_of_crossed_cells_those_count_that_share_nothing() -> None:
    cells = [("m", "mnli", "xnli", seed, first) for seed in (1, 2) for first in (1, 2)]
    shared = [("m", "squad", "xnli", seed, 1) for seed in (1, 2)]
    baseline = [("m", "none", "xnli", seed, None) for seed in (1, 2)]
    kept = independent([*cells, *shared, *baseline], lambda cell: cell)
    # squad's seed 2 does not meet itself: the design shares one intermediate seed
    assert kept == [cells[0], cells[3], *shared, *baseline]


def test_every_metric_has_a_row_and_the_main_one_is_marked(grid):
    grid.add("squad", "panx", 3, {"de": {"f1": 61.25, "precision": 60.0, "recall": 62.5}})
    assert [(r["metric"], r["value"], r["main"]) for r in rows(grid)] == [
        ("f1", 61.25, True),
        ("precision", 60.0, False),
        ("recall", 62.5, False),
    ]
    first = rows(grid)[0]
    assert first == {
        "experiment": "study",
        "model": "base",
        "intermediate": "squad",
        "target": "panx",
        "task": "panx",
        "setting": "zero-shot",
        "seed": 3,
        "intermediate_seed": None,
        "split": "test",
        "language": "de",
        "condition": "clean",
        "noise": None,
        "rate": None,
        "changed_share": None,
        "metric": "f1",
        "value": 61.25,
        "status": "ok",
        "main": True,
        "examples": 10,
        "stage": "base-squad-panx-s3",
        "error": None,
    }


def test_question_answering_gains_its_main_number(grid):
    grid.add("none", "xquad", 1, {"en": {"exact_match": 60.0, "f1": 71.0}})
    assert [(r["metric"], r["value"], r["main"]) for r in rows(grid)] == [
        ("metric", 65.5, True),
        ("exact_match", 60.0, False),
        ("f1", 71.0, False),
    ]


def test_what_is_not_there_has_a_row_without_a_number(grid):
    grid.add("none", "xnli", 1, {"en": {"accuracy": 80.0}, "de": "missing", "fr": "unlabelled"})
    assert [(r["language"], r["value"], r["status"], r["examples"]) for r in rows(grid)] == [
        ("en", 80.0, "ok", 10),
        ("de", None, "missing", None),
        ("fr", None, "unlabelled", 10),
    ]


def test_an_ended_stage_says_why(grid):
    grid.add("a", "xnli", 1, {"en": "missing"}, status="failed", error="out of memory\nTraceback ...")
    grid.add("b", "xnli", 1, {"en": "missing"}, status="diverged", error="loss is NaN at step 7")
    grid.add("c", "xnli", 1, {"en": "missing"}, status="not run")
    assert [(r["status"], r["error"]) for r in rows(grid)] == [
        ("failed", "out of memory"),
        ("diverged", "loss is NaN at step 7"),
        ("not run", None),
    ]


def test_a_cell_behind_a_failed_stage_was_not_run(grid):
    grid.add("a", "xnli", 1, {"en": "missing"}, status="missing")
    grid.statuses["base"] = {"status": "failed", "error": "no such file"}
    assert [(r["status"], r["error"]) for r in rows(grid)] == [("not run", "base failed: no such file")]


def test_a_record_counts_although_a_later_attempt_failed(grid):
    grid.add("a", "xnli", 1, {"en": {"accuracy": 70.0}}, status="failed", error="x")
    assert [(r["status"], r["value"]) for r in rows(grid)] == [("ok", 70.0)]


def test_a_zero_is_a_number(grid):
    grid.add("a", "xnli", 1, {"en": {"accuracy": 0.0}})
    assert [(r["status"], r["value"]) for r in rows(grid)] == [("ok", 0.0)]


def test_a_shared_evaluation_is_read_once(grid):
    for seed in (1, 2, 3):
        grid.add("none", "tatoeba", seed, {"de": {"accuracy": 64.0}}, stage="base")
    assert [r["seed"] for r in rows(grid)] == [1, 2, 3]
    assert len(grid.reads) == 1


def test_nothing_planned_is_an_empty_table():
    assert build_table("study", [], {}, lambda name, spec: None).equals(SCHEMA.empty_table())


def test_parquet_keeps_the_table(grid, tmp_path):
    grid.add("none", "xquad", 1, {"en": {"exact_match": 60.0, "f1": 71.0}, "de": "missing"})
    (tmp_path / "results.parquet").write_bytes(parquet(grid.table()))
    read = pq.read_table(tmp_path / "results.parquet")
    assert read.equals(grid.table())
    assert pa.schema(read.schema).metadata[b"stilts.results"] == b"3"


def test_main_value_of_an_unlabelled_record_is_none():
    assert main_value(get_task("xnli"), {"metrics": None}) is None


def test_a_condition_has_rows_of_its_own(grid):
    noise = {Condition("swap", 0.1): {"en": {"accuracy": 70.0}}}
    grid.add("none", "xnli", 1, {"en": {"accuracy": 80.0}}, noise=noise)
    columns = ("condition", "noise", "rate", "changed_share", "value")
    assert [tuple(row[name] for name in columns) for row in rows(grid)] == [
        ("clean", None, None, None, 80.0),
        ("swap@0.1", "swap", 0.1, 0.05, 70.0),
    ]


def test_the_branches_of_a_cell_are_rows_of_their_own_stages(grid):
    branch = {"task": "panx", "setting": "in-language"}
    for language in ("de", "fr"):
        grid.add("none", "panx-il", 1, {language: {"f1": 60.0}}, stage=f"stage-{language}", **branch)
    found = [(r["target"], r["task"], r["setting"], r["language"], r["stage"], r["metric"]) for r in rows(grid)]
    assert found == [("panx-il", "panx", "in-language", lang, f"stage-{lang}", "f1") for lang in ("de", "fr")]


def test_the_table_knows_its_benchmark(grid, tmp_path):
    grid.add("none", "xnli", 1, {"en": {"accuracy": 80.0}})
    assert benchmark_of(grid.table()) is XTREME
    (tmp_path / "results.parquet").write_bytes(parquet(grid.table(XTREME_R)))
    assert benchmark_of(pq.read_table(tmp_path / "results.parquet")) is XTREME_R
