"""Tasks of a user's own: made of YAML and Python, put in force and taken out again."""

from collections.abc import Iterator

import pytest

from stilts.errors import Problems, StiltsError
from stilts.experiment.tasks import TaskFile
from stilts.tasks.base import all_tasks, get_task
from stilts.tasks.metrics.base import metrics_of
from stilts.tasks.own import use

PYTHON = """
import numpy as np
from stilts.tasks.base import Task, register
from stilts.tasks.metrics.base import Metric
from stilts.tasks.metrics.base import register as register_metric

def count(predictions, gold, facts):
    return np.array([[str(p)[:1] == str(g)[:1]] for p, g in zip(predictions, gold)], np.uint16)

register_metric(Metric("first_letter", "labels", count, lambda sums, items: 100 * sums[..., 0] / items))
register(Task("mine", 1, "classification", ("en", "bar"), "first_letter", ("first_letter",), "mine",
              labels=("yes", "no"), settings={"max_length": 64}, files="pairs"))
"""


@pytest.fixture(autouse=True)
def nothing_in_force() -> Iterator[None]:
    yield
    use([])


def declared(text: str) -> TaskFile:
    return TaskFile(file="my.yaml", text=text)


def test_a_declared_task_is_in_force_until_others_are() -> None:
    use([declared("mine: {family: tagging, metric: f1, metrics: [recall], languages: [de-ba, gsw], labels: [O, B-A]}")])
    task = get_task("mine")
    assert (task.family, task.languages, task.labels) == ("tagging", ("de-ba", "gsw"), ("O", "B-A"))
    assert (task.metric, task.metrics, task.train_on, task.files) == ("f1", ("f1", "recall"), "mine", "tags")
    use([declared("other: {family: multiple_choice}")])
    assert "mine" not in all_tasks()
    assert get_task("other").metrics == ("accuracy",)


def test_a_task_takes_over_what_the_task_has_that_it_trains_on() -> None:
    use([declared("dialects: {train_on: xnli, languages: [bar]}")])
    task, base = get_task("dialects"), get_task("xnli")
    assert (task.family, task.labels, task.head_name) == (base.family, base.labels, base.head_name)
    assert task.settings == base.settings


def test_the_lengths_of_the_recipe_are_those_of_the_evaluation() -> None:
    use([declared("mine: {family: span_qa, recipe: {max_length: 256, epochs: 1}, settings: {n_best: 5}}")])
    task = get_task("mine")
    assert task.settings["max_length"] == 256
    assert task.settings["n_best"] == 5
    assert task.recipe["stride"] == 128
    assert (task.metric, task.metrics) == ("metric", ("exact_match", "f1"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mine: {family: tagging}", "metric is missing: name the main one; the family tagging has accuracy, f1"),
        ("mine: {famly: tagging}", "my.yaml:1: mine.famly: unknown key; did you mean 'family'?"),
        ("mine: {languages: [de]}", "family is missing; valid: classification"),
        ("mine: {family: taging}", "unknown family 'taging'; did you mean 'tagging'?"),
        ("mine: {family: classification}", "labels is missing"),
        ("mine: {family: classification, labels: [a]}", "'a' alone leaves nothing to tell apart"),
        ("mine: {family: span_qa, labels: [a, b]}", "the family span_qa has none"),
        ("mine: {family: classification, labels: [a, b], metric: las}", "no metric 'las' of labels"),
        ("mine: {family: classification, labels: [a, b, c], metric: f1}", "use macro_f1 or weighted_f1"),
        ("mine: {family: classification, labels: [a, b], columns: {txt: x}}", "has no such column"),
        ("mine: {family: classification, labels: [a, b], columns: {text_a: x}}", "text_b, label of the family"),
        ("mine: {family: mlm, hub: {id: a/b}, columns: {text: t}}", "hub.revision is missing: pin a commit of a/b"),
        ("mine: {train_on: xnly}", "train_on: unknown task 'xnly'; did you mean 'xnli'?"),
        ("mine: {train_on: xnli, labels: [a, b]}", "another family or other labels"),
        ("xnli: {family: mlm}", "two tasks are called 'xnli'"),
        ("mine: {family: mlm, languages: [de, de]}", "'de' is given twice"),
        ("mine: tagging", "a task is a mapping of its fields"),
        ("- mine", "a file of tasks is a mapping"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(StiltsError) as caught:
        use([declared(text)])
    assert message in str(caught.value)
    assert "my.yaml" in str(caught.value) or "task mine" in str(caught.value)
    assert "mine" not in all_tasks()


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(Problems) as caught:
        use([declared("a: {family: taging}\nb: {family: classification}")])
    assert len(caught.value.messages) == 2


def test_a_python_file_registers_tasks_and_metrics_of_its_own() -> None:
    file = TaskFile(file="my.py", text=PYTHON)
    for _ in range(2):  # the second time it is not executed again
        use([file])
        task = get_task("mine")
        assert task.metric == "first_letter"
        assert len(task.origin or "") == 64
        use([])
        assert "mine" not in all_tasks()
        assert "first_letter" not in metrics_of(["labels"])


def test_another_content_of_a_python_file_replaces_the_first() -> None:
    use([TaskFile(file="my.py", text=PYTHON)])
    first = get_task("mine")
    use([TaskFile(file="my.py", text=PYTHON.replace('"bar"', '"gsw"'))])
    assert get_task("mine").languages == ("en", "gsw")
    assert get_task("mine").definition != first.definition


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nraise ValueError('no')", "my.py:2: ValueError: no"),
        ("def f(:", "my.py:1: SyntaxError"),
        ("x = 1", "my.py registers no task"),
        (PYTHON.replace("first_letter", "accuracy"), "two metrics of labels are called 'accuracy'"),
    ],
)
def test_a_broken_python_file_leaves_nothing_behind(text: str, message: str) -> None:
    before = dict(all_tasks())
    with pytest.raises(StiltsError, match=r"my\.py") as caught:
        use([TaskFile(file="my.py", text=text)])
    assert message in str(caught.value)
    assert all_tasks() == before


def test_keys_hold_what_changes_the_weights_or_the_scores() -> None:
    def task(**changed: str) -> tuple[object, object, object]:
        fields = {"family": "classification", "labels": "[a, b]", "languages": "[en]", **changed}
        use([declared(f"mine: {{{', '.join(f'{name}: {value}' for name, value in fields.items())}}}")])
        found = get_task("mine")
        return found.definition, found.selecting_definition, found.scored_definition

    plain = task()
    assert task(languages="[en, de]", tokens_per_row="9", sizes="{train: 4}") == plain
    trained, selected, scored = task(metrics="[macro_f1]")
    assert (trained, selected) == plain[:2]
    assert scored != plain[2]
    trained, selected, scored = task(metric="macro_f1")
    assert trained == plain[0]
    assert selected != plain[1]
    assert scored != plain[2]
    assert task(labels="[b, a]")[0] != plain[0]
    assert get_task("xnli").definition is get_task("xnli").scored_definition is None
