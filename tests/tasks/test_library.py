"""One suite over every task of the library."""

from pathlib import Path

import pytest

from stilts.data.sources.files import FORMATS
from stilts.data.sources.xtreme import LAYOUTS
from stilts.errors import StiltsError
from stilts.spec.recipe import Recipe
from stilts.tasks import library
from stilts.tasks.base import Task, all_tasks, check_language, get_task, private_language, register

TASKS = all_tasks()
TARGETS = {"xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba"}
LANGUAGES = {
    "xnli": 15, "pawsx": 7, "udpos": 33, "panx": 40, "xquad": 11, "mlqa": 7, "tydiqa": 9, "bucc2018": 4, "tatoeba": 36,
}  # fmt: skip


@pytest.fixture(params=sorted(TASKS))
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param]


def test_the_targets_are_xtremes_nine_in_their_groups() -> None:
    assert {name for name, task in TASKS.items() if task.group} == TARGETS
    assert {name: len(TASKS[name].languages) for name in TARGETS} == LANGUAGES


def test_languages_are_distinct(task: Task) -> None:
    assert len(set(task.languages)) == len(task.languages)


def test_what_trains_has_a_complete_recipe(task: Task) -> None:
    if task.train_on == task.name:
        assert Recipe(**task.recipe).max_length == task.settings["max_length"]
    elif task.train_on is not None:
        assert get_task(task.train_on).family == task.family


def test_tasks_that_share_a_head_share_its_labels(task: Task) -> None:
    if task.train_on is not None:
        assert get_task(task.train_on).labels == task.labels


def test_labels_are_declared_where_the_head_needs_them(task: Task) -> None:
    assert bool(task.labels) == (task.family in ("classification", "tagging"))


def test_files_and_folder_name_readers(task: Task) -> None:
    assert task.files in FORMATS
    assert task.folder is None or task.folder in LAYOUTS


def test_hub_sources_are_pinned_to_a_commit(task: Task) -> None:
    if task.hub is not None:
        assert len(task.hub.revision) == 40
        assert int(task.hub.revision, 16)
        assert set(task.hub.splits) <= {"train", "dev", "test"}
        assert set(task.hub.names) <= set(task.languages)


def test_every_evaluated_split_has_a_source(task: Task) -> None:
    for split in task.splits:
        in_hub = task.hub is not None and split in task.hub.splits
        in_folder = task.folder is not None and split in LAYOUTS[task.folder].files
        assert in_hub or in_folder


def test_sizes_name_languages_of_the_task(task: Task) -> None:
    for split in task.sizes.values():
        assert isinstance(split, int) or set(split) <= set(task.languages)


def test_declared_sizes() -> None:
    assert get_task("xnli").rows("train", "en") == 392_702
    assert get_task("mlqa").rows("test", "de") == 4_517
    assert get_task("tatoeba").rows("test", "jv") == 2 * 205
    assert get_task("udpos").rows("dev", "yo") is None


def test_a_task_file_is_short() -> None:
    for path in Path(library.__path__[0]).glob("*.py"):
        assert len(path.read_text().splitlines()) < 150, path


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(StiltsError, match="did you mean 'tatoeba'"):
        get_task("tatoba")


def test_a_taken_name_is_refused(task: Task) -> None:
    with pytest.raises(ValueError, match="two tasks"):
        register(task)


def test_an_unknown_language_names_the_nearest() -> None:
    with pytest.raises(StiltsError, match="task xnli has no language 'enn'; did you mean 'en'"):
        check_language(get_task("xnli"), "enn")


def test_private_codes_are_languages_of_every_task(task: Task) -> None:
    check_language(task, "qab")
    assert not private_language("qua")
    assert not private_language("en")
