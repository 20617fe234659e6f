"""Summaries: rows and columns in order, and the notes about languages and averages."""

from stilts.results.scores import MEAN
from stilts.results.summary import language_summaries, summaries
from stilts.tasks.base import get_task


def acc(languages):
    return {language: {"accuracy": 50.0} for language in languages}


def summary_of(grid):
    tables = grid.tables()
    (found,) = summaries(tables["results"], tables["summary"])
    return found


def test_rows_have_the_baseline_first_and_columns_the_benchmarks_order(xtreme_grid):
    found = summary_of(xtreme_grid)
    assert [regime for _, regime in found.rows] == ["none", "hellaswag", "mnli", "squad_100%"]
    assert found.parts[:4] == ("pawsx", "xnli", "udpos", "panx")
    assert found.averages == ("classification", "tagging", "qa", "retrieval", "xtreme")
    assert (found.baseline, found.compared) == ("none", found.rows[1:])
    assert (found.notes, found.outside, found.without) == ((), (), ())


def test_other_languages_than_the_benchmarks_are_noted(grid):
    official = get_task("xnli").languages
    grid.add("none", "xnli", 1, acc([*official[:2], "xx"]))
    found = summary_of(grid)
    assert found.notes == ("xnli 2 of 15 languages and 1 of others",)
    assert found.without == (f"xnli ({' '.join(official[2:14])} and 1 more)",)


def test_a_generated_corpus_is_not_expected_to_have_real_languages(grid):
    grid.add("none", "xnli", 1, acc(["en", "qaa", "qab"]))
    assert summary_of(grid).without == ()


def test_a_target_in_another_setting_is_in_no_average(grid):
    languages = get_task("xnli").languages
    grid.add("none", "xnli", 1, acc(languages))
    grid.add("none", "mine", 1, acc(languages), task="xnli", setting="in-language")
    found = summary_of(grid)
    assert (found.parts, found.outside, found.averages) == (("xnli", "mine"), ("mine (xnli, in-language)",), ())


def test_without_a_pair_there_is_no_baseline(grid):
    grid.add("none", "xnli", 1, acc(["en"]))
    grid.add("mnli", "xnli", 2, acc(["en"]))
    found = summary_of(grid)
    assert (found.baseline, found.compared) == (None, ())


def test_languages_of_a_target_have_a_summary_for_each_split(grid):
    grid.add("none", "xnli", 1, acc(["de", "en"]), split="dev", stage="dev")
    grid.add("none", "xnli", 1, acc(["de", "en"]))
    tables = grid.tables(difference=2.0)
    test, dev = language_summaries(tables["results"], tables["languages"], "xnli")
    assert (test.split, dev.split) == ("test", "dev")
    assert (test.parts, test.averages, test.columns) == (("de", "en"), (MEAN,), ("de", "en", MEAN))
    assert test.points == 2
    assert test.title == "xnli test: accuracy"
