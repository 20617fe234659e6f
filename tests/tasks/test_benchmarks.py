"""The benchmarks' definitions and averages."""

import pytest

from stilts.errors import StiltsError
from stilts.tasks.averages import group_averages, task_average
from stilts.tasks.base import all_tasks, get_task
from stilts.tasks.benchmarks import BENCHMARKS, XTREME, XTREME_R, Benchmark, get_benchmark

MAIN = {"pawsx": 1, "xnli": 2, "panx": 3, "udpos": 4, "bucc2018": 5, "tatoeba": 6, "xquad": 7, "mlqa": 8, "tydiqa": 9}


def test_xtreme_has_nine_tasks_and_its_languages() -> None:
    sizes = {task: len(languages) for task, languages in XTREME.languages.items()}
    assert sizes == {
        "pawsx": 7,
        "xnli": 15,
        "panx": 40,
        "udpos": 33,
        "bucc2018": 4,
        "tatoeba": 36,
        "xquad": 11,
        "mlqa": 7,
        "tydiqa": 9,
    }
    assert len(set().union(*XTREME.languages.values())) == 40


def test_xtreme_r_changes_tasks_and_adds_languages() -> None:
    assert set(XTREME.languages) - set(XTREME_R.languages) == {"pawsx", "bucc2018"}
    assert set(XTREME_R.languages) - set(XTREME.languages) == {"xcopa", "lareqa", "mewslix"}
    added = {
        task: set(XTREME_R.languages[task]) - set(XTREME.languages[task]) for task in MAIN if task in XTREME_R.languages
    }
    assert added["panx"] == {"qu", "pl", "uk", "az", "lt", "pa", "gu", "ro"}
    assert added["udpos"] == {"lt", "pl", "uk", "wo", "ro"}
    assert added["tatoeba"] == {"az", "lt", "pl", "uk", "ro"}
    assert added["xquad"] == {"ro"}
    assert added["xnli"] == added["mlqa"] == added["tydiqa"] == set()


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=BENCHMARKS)
def test_definitions_are_consistent(benchmark: object) -> None:
    for task, languages in benchmark.languages.items():
        assert len(set(languages)) == len(languages), task
    assert set().union(*benchmark.groups.values()) <= set(benchmark.languages)


@pytest.mark.parametrize("task", XTREME.languages)
def test_library_knows_the_languages(task: str) -> None:
    assert set(XTREME.languages[task]) <= set(all_tasks()[task].languages)


def test_averages_are_plain_means_under_the_official_names() -> None:
    scores = {
        "en": {"f1": 80.0, "precision": 90.0, "recall": 70.0},
        "de": {"f1": 60.0, "precision": 50.0, "recall": 80.0},
    }
    assert task_average("panx", scores) == {
        "avg_f1": 70.0,
        "avg_precision": 70.0,
        "avg_recall": 75.0,
        "avg_metric": 70.0,
    }


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=BENCHMARKS)
def test_pretraining_can_go_on_in_every_language(benchmark: Benchmark) -> None:
    assert set().union(*benchmark.languages.values()) <= set(all_tasks()["mlm"].languages)


def test_question_answering_averages_languages_first_then_em_and_f1() -> None:
    scores = {"en": {"exact_match": 50.0, "f1": 70.0}, "zh": {"exact_match": 10.0, "f1": 20.0}}
    assert task_average("mlqa", scores) == {"avg_exact_match": 30.0, "avg_f1": 45.0, "avg_metric": 37.5}


def test_average_does_not_depend_on_the_order_given() -> None:
    values = {language: {"accuracy": 0.1 * i} for i, language in enumerate(XTREME.languages["xnli"], start=1)}
    backwards = dict(reversed(values.items()))
    assert task_average("xnli", values) == task_average("xnli", backwards)


def test_languages_outside_the_benchmark_are_averaged_too() -> None:
    assert task_average("xnli", {"qaa": {"accuracy": 1.0}, "en": {"accuracy": 2.0}})["avg_accuracy"] == 1.5
    assert XTREME.missing("mlqa", ["en", "de"]) == ["es", "ar", "hi", "vi", "zh"]


def test_groups_and_all_task() -> None:
    assert group_averages(MAIN) == {
        "all_task": 5.0,
        "classification": 1.5,
        "tagging": 3.5,
        "qa": 8.0,
        "retrieval": 5.5,
    }


def test_incomplete_groups_are_left_out() -> None:
    without = {task: value for task, value in MAIN.items() if task != "mlqa"}
    assert set(group_averages(without)) == {"classification", "tagging", "retrieval"}
    assert group_averages({"xnli": 1.0, "squad": 2.0}) == {}


def test_xtreme_r_needs_its_own_ten_tasks() -> None:
    assert "all_task" not in group_averages(MAIN, XTREME_R)
    averages = group_averages({**MAIN, "xcopa": 4}, XTREME_R)
    assert averages == {"classification": 3.0, "tagging": 3.5, "qa": 8.0, "multi_choice": 4.0}
    whole = group_averages({task: float(i) for i, task in enumerate(XTREME_R.languages)}, XTREME_R)
    assert whole["ten_task_average"] == 4.5
    assert "all_task" not in whole  # evaluate.py has no LAReQA


def test_unknown_benchmark_names_the_nearest() -> None:
    with pytest.raises(StiltsError, match="did you mean 'xtreme-r'"):
        get_benchmark("xtreme_r")


def test_a_new_benchmark_is_one_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its languages are those of its tasks, in experiments and score folders alike."""
    mine = Benchmark("mine", {"xnli": ("de", "pl")}, {"nli": ("xnli",)}, overall="mine_average")
    monkeypatch.setitem(BENCHMARKS, "mine", mine)
    assert get_task("xnli").all_languages[-1] == "pl"
    assert get_benchmark("mine").averages() == {"mine_average": ("xnli",), "nli": ("xnli",)}
    assert group_averages({"xnli": 7.0}, mine) == {"mine_average": 7.0, "nli": 7.0}
