"""Averages over languages, tasks and seeds, against numbers worked out by hand."""

import pytest

from stilts.experiment.experiment import AVERAGES, NONE
from stilts.identity.stage import Condition
from stilts.results.aggregate import failed_stages, splits, targets
from stilts.results.summary import Summary, language_summaries, summaries
from stilts.statistics.spread import Spread
from stilts.tasks.base import get_task
from stilts.tasks.benchmarks import BENCHMARKS, XTREME, XTREME_R


def acc(*values):
    return {lang: {"accuracy": v} for lang, v in zip(("en", "de", "fr"), values, strict=False)}


def everywhere(task, scores):
    """The same scores in every language of a task in XTREME."""
    return dict.fromkeys(XTREME.languages[task], scores)


def summarise(grid, split="test", benchmark=XTREME, **options) -> Summary:
    tables = grid.tables(benchmark, **options)
    return next(found for found in summaries(tables["results"], tables["summary"]) if found.split == split)


def summarise_languages(grid, target, benchmark=XTREME) -> Summary:
    tables = grid.tables(benchmark)
    (found,) = language_summaries(tables["results"], tables["languages"], target)
    return found


def entry(grid, intermediate, column, **options):
    return summarise(grid, **options).statistics[("base", intermediate), column]


def test_a_task_average_is_the_mean_over_languages_then_over_seeds(grid):
    grid.add("mnli", "xnli", 1, acc(80, 70))
    grid.add("mnli", "xnli", 2, acc(90, 80))
    found = entry(grid, "mnli", "xnli")
    assert found.score == Spread(mean=80.0, sd=pytest.approx(50**0.5), n=2)
    assert (found.planned, found.lacking, found.gain) == (2, {}, None)


def test_question_answering_averages_both_metrics(grid):
    grid.add("mnli", "mlqa", 1, {"en": {"exact_match": 60, "f1": 80}, "de": {"exact_match": 40, "f1": 50}})
    assert entry(grid, "mnli", "mlqa").score.mean == (50 + 65) / 2


def test_one_seed_has_no_standard_deviation(grid):
    grid.add("mnli", "xnli", 1, acc(80))
    assert entry(grid, "mnli", "xnli").score == Spread(80.0, None, 1)


@pytest.mark.parametrize(("other", "status"), [("missing", "missing"), ("unlabelled", "unlabelled")])
def test_one_language_short_is_no_number(grid, other, status):
    grid.add("mnli", "xnli", 1, acc(80, 70))
    grid.add("mnli", "xnli", 2, {**acc(90), "de": other})
    found = entry(grid, "mnli", "xnli")
    assert (found.score, found.planned, found.lacking) == (Spread(75.0, None, 1), 2, {status: 1})


def test_every_end_is_counted_worst_first(grid):
    for seed, status in enumerate(("missing", "not run", "diverged", "failed", "failed")):
        grid.add("mnli", "xnli", seed, {"en": "missing"}, status=status)
    found = entry(grid, "mnli", "xnli")
    assert found.score is None
    assert list(found.lacking.items()) == [("failed", 2), ("diverged", 1), ("not run", 1), ("missing", 1)]


def test_differences_are_paired_by_seed(grid):
    for seed, value in ((1, 70), (2, 60), (3, 59)):
        grid.add(NONE, "xnli", seed, acc(value))
    grid.add("mnli", "xnli", 1, acc(71))
    grid.add("mnli", "xnli", 2, {"en": "missing"}, status="failed")
    grid.add("mnli", "xnli", 3, acc(63))
    found = entry(grid, "mnli", "xnli")
    assert found.score == Spread(67.0, pytest.approx(8 / 2**0.5), 2)
    # Seeds 1 and 3: +1 and +4. The means, over different seeds, differ by 4.
    assert found.gain == Spread(2.5, pytest.approx(3 / 2**0.5), 2)
    assert entry(grid, NONE, "xnli").gain is None


def test_a_failed_baseline_seed_is_left_out_of_the_pairs(grid):
    grid.add(NONE, "xnli", 1, {"en": "missing"}, status="diverged")
    grid.add(NONE, "xnli", 2, acc(60))
    grid.add("mnli", "xnli", 1, acc(90))
    grid.add("mnli", "xnli", 2, acc(61))
    assert entry(grid, "mnli", "xnli").gain == Spread(1.0, None, 1)


def test_nothing_to_pair_is_no_difference(grid):
    grid.add(NONE, "xnli", 1, acc(60))
    grid.add("mnli", "xnli", 2, acc(61))
    grid.add("mnli", "xnli", 1, acc(61), model="another")
    summary = summarise(grid)
    assert all(e.gain is None for e in summary.statistics.values())
    assert summary.compared == ()


def test_seeds_that_share_an_artifact_are_one_observation(grid):
    for seed in (1, 2, 3):
        grid.add(NONE, "tatoeba", seed, acc(30), stage="base")
        grid.add("squad", "tatoeba", seed, acc(30 + seed))
    shared, own = entry(grid, NONE, "tatoeba"), entry(grid, "squad", "tatoeba")
    assert (shared.score, shared.planned) == (Spread(30.0, None, 1), 1)
    assert own.score.n == 3
    assert own.gain == Spread(2.0, 1.0, 3)


def test_all_nine_give_the_groups_and_the_average(grid):
    grid.add_nine(NONE, 1, 50)
    grid.add_nine("mnli", 1, 60, tatoeba={})
    grid.cells[-1:] = []
    languages = [spec.language for spec in grid.cells[8].evaluations]
    grid.add("mnli", "tatoeba", 1, {lang: {"accuracy": 96.0} for lang in languages})
    summary = summarise(grid)
    assert summary.columns == (
        "pawsx", "xnli", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba",
        "classification", "tagging", "qa", "retrieval", "xtreme",
    )  # fmt: skip
    means = {c: summary.statistics[("base", "mnli"), c].score.mean for c in summary.averages}
    assert means == {"classification": 60, "tagging": 60, "qa": 60, "retrieval": 78, "xtreme": (8 * 60 + 96) / 9}
    assert summary.statistics[("base", "mnli"), "xtreme"].difference == 14.0
    assert summary.notes == ()


def test_one_task_short_is_no_average_over_tasks(grid):
    grid.add_nine("mnli", 1, 60)
    grid.add_nine("mnli", 2, 60, bucc2018={"de": {"f1": 60.0}, "fr": "missing"})
    summary = summarise(grid)
    for column in ("retrieval", "xtreme"):
        found = summary.statistics[("base", "mnli"), column]
        assert (found.score.n, found.planned, found.lacking) == (1, 2, {"missing": 1})
    assert summary.statistics[("base", "mnli"), "qa"].score.n == 2


def test_unplanned_tasks_leave_only_whole_groups(grid):
    grid.add("mnli", "xnli", 1, everywhere("xnli", {"accuracy": 60.0}))
    grid.add("mnli", "pawsx", 1, everywhere("pawsx", {"accuracy": 70.0}))
    grid.add("mnli", "panx", 1, everywhere("panx", {"f1": 40.0, "precision": 40.0, "recall": 40.0}))
    summary = summarise(grid)
    assert summary.columns == ("pawsx", "xnli", "panx", "classification")
    assert summary.statistics[("base", "mnli"), "classification"].score.mean == 65


def test_a_target_in_some_of_its_languages_is_in_no_average(grid):
    grid.add("mnli", "xnli", 1, everywhere("xnli", {"accuracy": 60.0}))
    grid.add("mnli", "pawsx", 1, acc(70, 70))
    summary = summarise(grid)
    assert (summary.columns, summary.notes) == (("pawsx", "xnli"), ("pawsx 2 of 7 languages",))
    grid.add("mnli", "pawsx-all", 1, everywhere("pawsx", {"accuracy": 70.0}), task="pawsx")
    assert summarise(grid).averages == ()


def test_fewer_languages_than_xtreme_are_said(grid):
    grid.add("mnli", "xnli", 1, {**acc(60, 70), "qaa": {"accuracy": 33.0}})
    assert summarise(grid).notes == ("xnli 2 of 15 languages and 1 of others",)


def test_rows_and_splits_are_in_order(grid):
    for regime in ("squad", NONE, "mnli"):
        grid.add(regime, "xnli", 1, acc(60), split="dev")
    grid.add("squad", "tatoeba", 1, acc(60))
    grid.add("squad", "pawsx", 1, acc(60), model="other")
    table = grid.table()
    assert splits(table) == ["test", "dev"]
    assert targets(table, "test") == ["pawsx", "tatoeba"]
    assert summarise(grid, "dev").rows == (("base", NONE), ("base", "squad"), ("base", "mnli"))
    assert summarise(grid).rows == (("base", "squad"), ("other", "squad"))


def test_languages_of_a_target(grid):
    grid.add("mnli", "xnli", 1, {"fr": {"accuracy": 50.0}, "en": {"accuracy": 80.0}, "qaa": "missing"})
    grid.add("mnli", "xnli", 2, {"fr": {"accuracy": 52.0}, "en": {"accuracy": 80.0}, "qaa": {"accuracy": 1.0}})
    summary = summarise_languages(grid, "xnli")
    assert summary.columns == ("en", "fr", "qaa", "mean")
    found = {column: summary.statistics[("base", "mnli"), column] for column in summary.columns}
    assert found["fr"].score == Spread(51.0, pytest.approx(2**0.5), 2)
    assert found["qaa"].lacking == {"missing": 1}
    assert found["mean"].score == Spread(133 / 3, None, 1)


def test_what_failed_is_listed_once(grid):
    grid.add("mnli", "xnli", 1, {"en": "missing", "de": "missing"}, status="failed", error="out of memory")
    grid.add("none", "xnli", 1, {"en": "missing"})
    assert failed_stages(grid.table()) == [("failed", "base-mnli-xnli-s1", "out of memory")]


def test_noise_is_in_no_average(grid):
    noise = {Condition("swap", 0.1): {"en": {"accuracy": 0.0}, "de": {"accuracy": 0.0}}}
    grid.add("mnli", "xnli", 1, acc(80, 70), noise=noise)
    assert entry(grid, "mnli", "xnli").score == Spread(75.0, None, 1)
    assert summarise_languages(grid, "xnli").statistics[("base", "mnli"), "de"].score.mean == 70


def test_a_task_in_another_setting_has_its_column_and_no_part_in_averages(grid):
    tags = {"f1": 40.0, "precision": 40.0, "recall": 40.0}
    grid.add("mnli", "panx", 1, everywhere("panx", tags))
    grid.add("mnli", "udpos", 1, everywhere("udpos", {name: 60.0 for name in tags}))
    grid.add("mnli", "panx-il", 1, {"en": {name: 90.0 for name in tags}}, task="panx", setting="in-language")
    summary = summarise(grid)
    assert summary.columns == ("udpos", "panx", "panx-il", "tagging")
    assert summary.statistics[("base", "mnli"), "tagging"].score.mean == 50
    assert summary.statistics[("base", "mnli"), "panx-il"].score.mean == 90
    assert summary.outside == ("panx-il (panx, in-language)",)
    assert summary.notes == ()
    assert summarise_languages(grid, "panx-il").title == "panx-il (panx, in-language) test: f1"


def test_a_task_trained_otherwise_under_its_own_name_is_in_no_average(grid):
    grid.add("mnli", "xnli", 1, acc(60), setting="translate-train-all")
    grid.add("mnli", "pawsx", 1, acc(70))
    summary = summarise(grid)
    assert summary.averages == ()
    assert summary.outside == ("xnli (xnli, translate-train-all)",)


def test_the_branches_of_a_cell_are_one_observation(grid):
    for seed in (1, 2):
        for language, value in (("de", 60.0), ("fr", 70.0 + seed)):
            grid.add(
                "none", "xnli-tt", seed, {language: {"accuracy": value}},
                task="xnli", setting="translate-train", stage=f"{language}-{seed}",
            )  # fmt: skip
    found = entry(grid, "none", "xnli-tt")
    assert (found.score, found.planned) == (Spread(65.75, pytest.approx(0.5**0.5 / 2), 2), 2)


def test_a_branch_that_failed_is_a_language_short(grid):
    grid.add("none", "xnli-tt", 1, {"de": {"accuracy": 60.0}}, task="xnli", setting="translate-train", stage="de")
    grid.add(
        "none", "xnli-tt", 1, {"fr": "missing"}, task="xnli", setting="translate-train", stage="fr", status="diverged"
    )
    found = entry(grid, "none", "xnli-tt")
    assert (found.score, found.lacking) == (None, {"diverged": 1})


def test_the_benchmark_of_the_experiment_gives_the_averages(grid):
    for task, languages in XTREME_R.languages.items():
        metrics = dict.fromkeys(get_task(task).metrics, 50.0)
        grid.add("mnli", task, 1, dict.fromkeys(languages, metrics))
    summary = summarise(grid, benchmark=XTREME_R)
    assert summary.averages == ("classification", "tagging", "qa", "retrieval", "multi_choice", "xtreme-r")
    assert summary.statistics[("base", "mnli"), "xtreme-r"].score.mean == 50
    assert (summary.notes, summary.benchmark) == ((), "xtreme-r")
    assert set(summary.parts) == set(XTREME_R.languages)
    xtreme = summarise(grid)
    assert xtreme.averages == ()
    assert "panx 40 of 40 languages and 8 of others" in xtreme.notes
    order = summarise_languages(grid, "panx", XTREME_R).columns
    assert order == (*XTREME_R.languages["panx"], "mean")


def test_no_target_can_be_called_like_an_average() -> None:
    """The names are refused when an experiment is loaded, before its benchmark is known."""
    names = {name for benchmark in BENCHMARKS.values() for name in (benchmark.name, *benchmark.groups)}
    assert names == set(AVERAGES)
