"""Published numbers, and when a number of a run may stand beside them."""

import pyarrow as pa
import pytest

from stilts.results.best import PER_TARGET
from stilts.results.best import SCHEMA as BEST
from stilts.results.published import SCHEMA, beside_published, published_results
from stilts.show.published import comparable, published_grids
from stilts.tasks.base import get_task
from stilts.tasks.benchmarks import XTREME, XTREME_R

LANGUAGES = XTREME.languages["xnli"]


def table(grid, chosen=None, benchmark=XTREME):
    best = [{"rule": PER_TARGET, "model": "base", "target": t, "intermediate": i} for t, i in (chosen or {}).items()]
    found = beside_published(grid.table(benchmark), pa.Table.from_pylist(best, schema=BEST), "none")
    assert found.schema == SCHEMA
    return {(row["model"], row["column"], row["metric"]): row for row in found.to_pylist()}


def official_sizes(grid):
    """Give every record the number of examples of the official test set."""
    for record in grid.evaluations.values():
        record["examples"] = get_task(record["task"]).rows("test", record["language"]) or record["examples"]


def add_xnli(grid, regime, seed, score, languages=LANGUAGES):
    grid.add(regime, "xnli", seed, {lang: {"accuracy": score + i} for i, lang in enumerate(languages)})
    official_sizes(grid)


def test_every_number_has_a_source_and_is_a_metric_of_its_task():
    found = published_results()
    assert len({(row["model"], row["column"], row["metric"]) for row in found}) == len(found)
    for row in found:
        assert "arXiv:" in row["source"]
        assert 0 < row["value"] < 100
        if row["column"] != "xtreme":
            assert row["metric"] in get_task(row["column"]).metrics


def test_the_published_average_is_that_of_the_published_tasks():
    # POS was 72.6 in the results that the average is of.
    values = {
        (row["column"], row["metric"]): row["value"] for row in published_results() if row["model"] == "XLM-R Large"
    }
    values["udpos", "f1"] = 72.6
    tasks = {}
    for (column, _), value in values.items():
        tasks.setdefault(column, []).append(value)
    average = tasks.pop("xtreme")[0]
    assert len(tasks) == 9
    assert sum(sum(both) / len(both) for both in tasks.values()) / 9 == pytest.approx(average, abs=0.05)


def test_the_baseline_stands_beside_fine_tuning_and_the_choice_beside_x_stilts(grid):
    for seed in (1, 2):
        add_xnli(grid, "none", seed, 60 + seed)
        add_xnli(grid, "mnli", seed, 64 + seed)
    found = table(grid, {"xnli": "mnli"})
    theirs, ours = found["XLM-R Large", "xnli", "accuracy"], found["X-STILTs", "xnli", "accuracy"]
    assert (theirs["value"], theirs["ours_intermediate"], theirs["note"]) == (79.2, "none", None)
    assert (theirs["ours"], theirs["ours_n"]) == (pytest.approx(61.5 + 7), 2)
    assert theirs["ours_low"] < theirs["ours"] < theirs["ours_high"]
    assert (ours["ours_intermediate"], ours["ours"]) == ("mnli", pytest.approx(65.5 + 7))
    assert found["XLM-R Large", "pawsx", "accuracy"]["note"] == "not a zero-shot target of the run"


@pytest.mark.parametrize(
    ("languages", "note"), [(("de", "en", "fr"), "3 of 15 languages"), (LANGUAGES, "10 of 5,010 test examples (ar)")]
)
def test_another_test_set_is_not_compared(grid, languages, note):
    add_xnli(grid, "none", 1, 60, languages)
    for record in grid.evaluations.values():
        record["examples"] = 10
    row = table(grid)["XLM-R Large", "xnli", "accuracy"]
    assert (row["ours"], row["ours_n"], row["note"]) == (None, None, note)


def test_what_is_not_measured_is_not_compared(grid):
    grid.add("none", "xnli", 1, dict.fromkeys(LANGUAGES, "unlabelled"))
    grid.add("none", "xnli", 2, dict.fromkeys(LANGUAGES, "missing"))
    official_sizes(grid)
    assert table(grid)["mBERT", "xnli", "accuracy"]["note"] == "test missing"
    assert table(grid)["X-STILTs", "xnli", "accuracy"]["note"] == "no intermediate was chosen"


def test_both_numbers_of_question_answering(grid):
    grid.add("none", "xquad", 1, {lang: {"exact_match": 50.0, "f1": 70.0} for lang in XTREME.languages["xquad"]})
    official_sizes(grid)
    found = table(grid)
    assert [found["XLM-R Large", "xquad", metric]["ours"] for metric in ("exact_match", "f1")] == [50, 70]
    assert ("mBERT", "xquad", "exact_match") not in found


def test_the_average_needs_all_nine_targets(grid):
    grid.add_nine("none", 1, 60.0)
    official_sizes(grid)
    row = table(grid)["XLM-R Large", "xtreme", "mean"]
    assert (row["value"], row["ours"], row["ours_n"]) == (68.1, pytest.approx(60), 1)
    grid.cells = [cell for cell in grid.cells if cell.target != "tatoeba"]
    row = table(grid)["XLM-R Large", "xtreme", "mean"]
    assert (row["ours"], row["note"]) == (None, "1 of 9 targets differ")


def test_another_benchmark_is_not_compared(grid):
    add_xnli(grid, "none", 1, 60)
    notes = {row["note"] for row in table(grid, benchmark=XTREME_R).values()}
    assert notes == {"the run's benchmark is xtreme-r"}


def test_rows_say_how_the_text_of_an_answer_was_taken(grid):
    grid.add_nine("none", 1, 60)
    official_sizes(grid)
    assert {row["column"] for row in published_results() if row["extraction"]} == {"xquad", "mlqa", "tydiqa", "xtreme"}
    found = table(grid)
    kinds = {row["column"]: (row["extraction"], row["ours_extraction"]) for row in found.values()}
    assert kinds["xquad"] == kinds["xtreme"] == ("official", "ours")
    assert kinds["xnli"] == (None, None)
    mixed = beside_published(grid.table(), pa.Table.from_pylist([], schema=BEST), "none", {"xquad": "official"})
    kinds = {row["column"]: row["ours_extraction"] for row in mixed.to_pylist()}
    assert (kinds["xquad"], kinds["mlqa"], kinds["xtreme"]) == ("official", "ours", "ours")
    (shown,) = published_grids(comparable(mixed))
    marked = {line[0] for line in shown.rows if "*" in str(line[-1])}
    assert {"mlqa", "tydiqa"} <= marked
    assert not marked & {"xquad", "xnli"}
    assert any("13.4 and 27.4" in note for note in shown.legend)
