"""One suite over every task of the library."""

from dataclasses import replace
from pathlib import Path

import pytest

from stilts.data.sources.files import FORMATS
from stilts.data.sources.layouts import LAYOUTS
from stilts.data.sources.pins import PINS
from stilts.errors import StiltsError
from stilts.experiment.recipe import Recipe
from stilts.tasks import library
from stilts.tasks.base import (
    Task,
    _load_library,
    all_tasks,
    check_language,
    check_union,
    get_task,
    private_language,
    register,
)
from stilts.tasks.benchmarks import XTREME, XTREME_R

TASKS = all_tasks()
TARGETS = {name for name in TASKS if name in XTREME.languages or name in XTREME_R.languages}


@pytest.fixture(params=sorted(TASKS))
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param]


def test_every_task_of_xtreme_is_in_the_library_in_its_languages() -> None:
    assert set(XTREME.languages) | set(XTREME_R.languages) == TARGETS
    assert {name: TASKS[name].languages for name in XTREME.languages} == XTREME.languages


def test_xtreme_r_adds_its_languages() -> None:
    for name in TARGETS & set(XTREME_R.languages):
        assert TASKS[name].all_languages == XTREME_R.languages[name]


def test_languages_and_labels_are_distinct(task: Task) -> None:
    assert len(set(task.languages)) == len(task.languages)
    assert len(set(task.labels)) == len(task.labels)


def test_what_trains_has_a_complete_recipe(task: Task) -> None:
    if task.train_on == task.name:
        longest = Recipe(**task.recipe).max_length
        assert task.settings.get("max_length") == longest, (
            f'settings of {task.name}: add "max_length": {longest}, as in its recipe'
        )
    elif task.train_on is not None:
        assert get_task(task.train_on).family == task.family


def test_tasks_that_share_a_head_share_its_labels(task: Task) -> None:
    if task.train_on is not None:
        assert get_task(task.train_on).labels == task.labels


def test_labels_are_declared_where_the_head_needs_them(task: Task) -> None:
    if task.family in ("classification", "parsing", "srl"):
        assert len(task.labels) > 1
    elif task.family != "tagging":  # a tagging task without labels takes those of its training data
        assert not task.labels


def test_files_and_folder_name_readers(task: Task) -> None:
    assert task.files in FORMATS, f"files of {task.name}: one of {', '.join(sorted(FORMATS))}"
    assert task.folder is None or task.folder in LAYOUTS


def test_hub_sources_are_pinned_to_a_commit(task: Task) -> None:
    if task.hub is not None:
        assert len(task.hub.revision) == 40
        assert int(task.hub.revision, 16)
        assert set(task.hub.splits) <= {"train", "dev", "test", "translated"}
        assert set(task.hub.names) <= set(task.languages)


def check_sources(task: Task) -> None:
    """Pass where each evaluated split is on the hub or in XTREME's folder, or where only a person can give it."""
    if task.parts or task.licence or (task.hub is None and task.folder is None):
        return
    for split in task.splits:
        in_hub = task.hub is not None and split in task.hub.splits
        in_folder = task.folder is not None and split in LAYOUTS[task.folder].files
        assert in_hub or in_folder, (
            f"{task.name} has no {split} data: add {split} to hub.splits, or take it out of splits="
        )


def test_every_evaluated_split_has_a_source(task: Task) -> None:
    check_sources(task)


def test_a_task_of_its_own_files_alone_needs_no_licence() -> None:
    check_sources(replace(get_task("csqa"), hub=None))
    with pytest.raises(AssertionError, match=r"csqa has no test data: add test to hub\.splits"):
        check_sources(replace(get_task("csqa"), splits=("dev", "test")))


def test_the_main_number_is_one_of_its_numbers_or_their_mean(task: Task) -> None:
    known = (*task.metrics, "metric") if len(task.metrics) > 1 else task.metrics
    assert task.metric in known, f"metric of {task.name}: one of {', '.join(known)}"


def test_sizes_name_languages_of_the_task(task: Task) -> None:
    for split in task.sizes.values():
        assert isinstance(split, int) or set(split) <= set(task.all_languages)


def test_what_trains_declares_its_english_sizes(task: Task) -> None:
    if task.train_on == task.name and task.family != "mlm":
        for split in {"train", "dev"} & {"train", *task.splits}:
            assert task.rows(split, "en"), (
                f'sizes of {task.name}: add "{split}", its number of examples, by which it is planned'
            )


def test_a_union_is_as_large_as_its_parts() -> None:
    for task in TASKS.values():
        for split in ("train", "dev") if task.parts else ():
            assert task.rows(split, "en") == sum(get_task(part).rows(split, "en") or 0 for part in task.parts)


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


def test_a_union_of_other_labels_or_of_nothing_is_refused() -> None:
    union = get_task("anli_plus")
    with pytest.raises(StiltsError, match="part qqp differs"):
        check_union(replace(union, parts=("snli", "qqp")), TASKS)
    with pytest.raises(StiltsError, match="no part 'snlii'; did you mean 'snli'"):
        check_union(replace(union, parts=("snlii",)), TASKS)


def test_a_taken_name_is_refused(task: Task) -> None:
    with pytest.raises(StiltsError, match=f"two tasks are called '{task.name}'; give"):
        register(task)


def test_a_field_that_no_task_has_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mytask.py").write_text("from stilts.tasks.base import Task\nTask(name='mytask', metrik='f1')\n")
    monkeypatch.setattr(library, "__path__", [*library.__path__, str(tmp_path)])
    with pytest.raises(StiltsError, match=r"tasks/library/mytask\.py: .* 'metrik'; the fields of a task are in"):
        _load_library.__wrapped__()


def test_an_unknown_family_names_the_nearest() -> None:
    with pytest.raises(StiltsError, match="task csqa: no family 'multiple_choices'; did you mean 'multiple_choice'"):
        replace(get_task("csqa"), family="multiple_choices")


def test_an_unknown_language_names_the_nearest() -> None:
    with pytest.raises(StiltsError, match="task xnli has no language 'enn'; did you mean 'en'"):
        check_language(get_task("xnli"), "enn")


def test_private_codes_are_languages_of_every_task(task: Task) -> None:
    check_language(task, "qab")
    assert not private_language("qua")
    assert not private_language("en")


def test_hub_sources_are_known_to_load(task: Task) -> None:
    """A revision is added to `data/sources/pins.py` when its files have been seen."""
    if task.hub is not None:
        assert (task.hub.id, task.hub.revision) in PINS
