"""Comparisons to the baseline: intervals, families, power, and what is underpowered."""

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import stats

from stilts.results.seed_statistics import LANGUAGES, SUMMARY, SeedStatistics, points_of, statistics_of
from stilts.statistics.compare import holm
from stilts.tasks.benchmarks import XTREME


def acc(*values):
    return {lang: {"accuracy": v} for lang, v in zip(("en", "de", "fr"), values, strict=False)}


@pytest.fixture
def compared(grid):
    """Three regimes x two targets x five seeds, two models."""
    random = np.random.default_rng(4)
    for model in ("base", "other"):
        for seed in range(5):
            for shift, regime in enumerate(("none", "mnli", "squad")):
                for target in ("xnli", "pawsx"):
                    languages = XTREME.languages[target]
                    values = 50 + 2 * seed + shift + random.normal(size=len(languages))
                    scores = {code: {"accuracy": value} for code, value in zip(languages, values, strict=True)}
                    grid.add(regime, target, seed, scores, model=model)
    return grid


def rows(table, **where):
    return [row for row in table.to_pylist() if all(row[name] == value for name, value in where.items())]


def test_the_tables_have_a_column_for_every_number_of_an_entry(compared):
    names = [field.name for field in fields(SeedStatistics)]
    assert SUMMARY.names[-len(names) :] == LANGUAGES.names[-len(names) :] == names
    for row in compared.tables()["summary"].to_pylist():
        assert {name: row[name] for name in names} == vars(statistics_of(row))


def test_numbers_are_those_of_scipys_paired_test(compared):
    [row] = rows(compared.tables()["summary"], model="base", intermediate="squad", column="xnli")
    results = compared.table().to_pylist()
    means = {
        regime: [
            np.mean([r["value"] for r in results if r["stage"] == f"base-{regime}-xnli-s{seed}"]) for seed in range(5)
        ]
        for regime in ("none", "squad")
    }
    expected = stats.ttest_rel(means["squad"], means["none"])
    assert row["p"] == pytest.approx(expected.pvalue)
    assert (row["difference_low"], row["difference_high"]) == pytest.approx(tuple(expected.confidence_interval()))
    assert (row["min"], row["max"]) == (pytest.approx(min(means["squad"])), pytest.approx(max(means["squad"])))
    assert (row["low"] + row["high"]) / 2 == pytest.approx(row["mean"])


def test_a_family_is_a_model_s_regimes_and_columns_of_one_kind(compared):
    table = compared.tables()["summary"]
    for model in ("base", "other"):
        for kind, size in (("target", 4), ("average", 2)):
            family = [row for row in rows(table, model=model, kind=kind) if row["p"] is not None]
            assert [row["comparisons"] for row in family] == [size] * size
            assert [row["p_holm"] for row in family] == pytest.approx(holm([row["p"] for row in family]))


def test_a_family_of_languages_is_one_targets_and_its_mean_is_the_summarys(compared):
    tables = compared.tables()
    of_target = rows(tables["languages"], model="base", target="xnli")
    family = [row for row in of_target if row["p"] is not None and row["language"] != "mean"]
    assert [row["comparisons"] for row in family] == [30] * 30
    assert [row["p_holm"] for row in family] == pytest.approx(holm([row["p"] for row in family]))
    for row in of_target:
        if row["language"] == "mean":
            [same] = rows(tables["summary"], model="base", intermediate=row["intermediate"], column="xnli")
            assert statistics_of(row) == statistics_of(same)


def test_another_baseline(compared):
    table = compared.tables(baseline="mnli")["summary"]
    regimes = [row["intermediate"] for row in rows(table, model="base", column="xnli")]
    assert regimes == ["mnli", "none", "squad"]
    for row in table.to_pylist():
        assert row["baseline"] == (None if row["intermediate"] == "mnli" else "mnli")
        assert (row["difference"] is None) == (row["underpowered"] is None) == (row["intermediate"] == "mnli")


def test_the_number_of_seeds_is_for_the_difference_that_was_asked_about(compared):
    one, five = compared.tables()["summary"], compared.tables(difference=5.0)["summary"]
    assert (points_of(one), points_of(five)) == (1.0, 5.0)
    pairs = [(a, b) for a, b in zip(one.to_pylist(), five.to_pylist(), strict=True) if a["seeds_needed"]]
    assert pairs
    for small, great in pairs:
        assert small["seeds_needed"] > great["seeds_needed"]
        assert small["underpowered"] == (small["seeds_needed"] > 5)


def test_what_is_there_of_one_seed_and_of_none(grid):
    grid.add("none", "xnli", 1, acc(50))
    grid.add("mnli", "xnli", 1, acc(51))
    grid.add("squad", "xnli", 1, {"en": "missing"}, status="diverged")
    found = {row["intermediate"]: row for row in rows(grid.tables()["summary"], column="xnli")}
    one, no = found["mnli"], found["squad"]
    assert (one["n"], one["mean"], one["difference"], one["difference_n"]) == (1, 51, 1, 1)
    assert [one[name] for name in ("sd", "low", "difference_low", "p", "p_holm", "comparisons")] == [None] * 6
    assert (no["planned"], no["n"], no["diverged"], no["mean"], no["difference_n"]) == (1, 0, 1, None, 0)
    assert (one["underpowered"], no["underpowered"]) == (True, True)


def test_equal_scores_make_no_test(grid):
    for seed in (1, 2, 3):
        grid.add("none", "xnli", seed, acc(0.0))
        grid.add("mnli", "xnli", seed, acc(0.0))
    [row] = rows(grid.tables()["summary"], intermediate="mnli", column="xnli")
    assert (row["sd"], row["low"], row["difference"], row["difference_sd"]) == (0, None, 0, 0)
    assert (row["p"], row["p_holm"], row["seeds_needed"]) == (None, None, None)


def test_crossed_seeds_are_independent_observations_in_a_summary(grid):
    for first in (1, 2, 3):
        for second in (1, 2, 3):
            cell = grid.add("mnli", "xnli", second, acc(10 * first + second), stage=f"{first}-{second}")
            grid.cells[-1] = replace(cell, intermediate_seed=first)
    [row] = rows(grid.tables()["summary"], column="xnli")
    assert (row["planned"], row["n"], row["mean"], row["min"]) == (3, 3, 22, 11)
