"""What holds of every task of the library, on examples that `examples.py` makes for its family.

A new task needs no test of its own: it is found here. A new family or file format says in `examples.py` what a small
valid set of its examples is, and which scores it has by hand.
"""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from stilts.data.labels import with_labels
from stilts.data.sources.files import get_format
from stilts.evaluate.predict import forward
from stilts.evaluate.predictions import read_predictions, write_predictions
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.tasks.base import Task, all_tasks
from stilts.tasks.families import Lengths, get_family
from stilts.tasks.score import main_number, score
from stilts.train.heads import HeadSpec
from stilts.train.loop import train
from stilts.train.model import Model
from stilts.train.ranks import Ranks
from stilts.train.step_schedule import TrainPart
from tests.tasks.examples import (
    COMPOSED,
    EXAMPLES,
    HEADED,
    WORDS,
    WRITERS,
    Examples,
    examples_of,
    write_files,
    write_headed,
)
from tests.train.toys import NO_DROPOUT, make_base

TASKS = {name: task for name, task in all_tasks().items() if task.family in EXAMPLES}
WRITTEN = sorted(name for name, task in TASKS.items() if task.files in WRITERS)
PREDICTING = sorted(name for name, task in TASKS.items() if task.family != "mlm")
TRAINING = sorted(name for name, task in TASKS.items() if task.train_on == name)
ALONE = Ranks(0, 1, torch.device("cpu"))
LENGTHS = Lengths(max_length=48, stride=16, max_query_length=12)


@pytest.fixture(scope="module")
def words_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer XLM-R that knows the words of the examples."""
    text = tmp_path_factory.mktemp("text") / "text.txt"
    lines = [f"{a} {b} {c}? Kemo? What was the cause?" for a in WORDS for b in WORDS for c in WORDS[:2]]
    text.write_text("\n".join(lines) + "\n")
    return make_base(tmp_path_factory.mktemp("base"), text, **NO_DROPOUT)


def complete(name: str) -> tuple[Task, Examples]:
    """A task with its labels, and its examples."""
    examples = examples_of(TASKS[name])
    return with_labels(TASKS[name], [examples.table]), examples


@pytest.mark.parametrize("name", sorted(all_tasks()))
def test_its_family_and_its_file_format_have_examples(name: str) -> None:
    task = all_tasks()[name]
    assert task.family in EXAMPLES, (
        f"{name}: add a function for the family {task.family} to EXAMPLES in tests/tasks/examples.py"
    )
    assert task.files in {*WRITERS, *COMPOSED}, (
        f"{name}: add a function for files={task.files!r} to WRITERS in tests/tasks/examples.py"
    )


@pytest.mark.parametrize("name", sorted(TASKS))
def test_examples_are_of_the_schema_and_valid(name: str) -> None:
    task, examples = complete(name)
    assert examples.table.schema.equals(get_family(task.family).schema)
    assert get_family(task.family).validate(examples.table, task) == []


@pytest.mark.parametrize("name", PREDICTING)
def test_every_label_is_used_and_is_gold(name: str) -> None:
    task, examples = complete(name)
    if task.family == "classification":
        assert set(examples.gold) == set(task.labels)
    elif task.family == "tagging":
        assert {tag for tags in examples.gold for tag in tags} == set(task.labels)
    if task.family != "retrieval":
        gold = get_family(task.family).gold(examples.table, task)
        assert gold == (list(examples.gold.values()) if isinstance(examples.gold, dict) else examples.gold)


@pytest.mark.parametrize("name", PREDICTING)
def test_predictions_without_a_mistake_score_100(name: str) -> None:
    task, examples = complete(name)
    scores = score(name, "en", examples.perfect, examples.gold)
    assert scores == dict.fromkeys(task.metrics, 100.0)
    assert main_number(name, scores) == 100.0


@pytest.mark.parametrize("name", PREDICTING)
def test_constant_predictions_score_what_they_score_by_hand(name: str) -> None:
    _, examples = complete(name)
    assert score(name, "en", examples.constant, examples.gold) == pytest.approx(examples.scores)


TAGS = ("B-A", "B-B", "I-A", "I-B", "O")


@pytest.mark.parametrize(
    ("labels", "metrics"),
    [
        (TAGS, ("accuracy",)),
        (TAGS, ("f1", "precision", "recall")),
        (("I-C", "O", "B-B", "I-B"), ("f1", "precision", "recall")),
        ((), ("f1", "precision", "recall")),
        ((), ("accuracy",)),
        (("x", "y"), ("accuracy",)),
    ],
)
def test_a_tagging_task_may_have_any_labels(labels: tuple[str, ...], metrics: tuple[str, ...]) -> None:
    task = replace(TASKS["panx"], labels=labels, answers=None, metric=metrics[0], metrics=metrics)
    examples = examples_of(task)
    assert {tag for tags in examples.gold for tag in tags} == set(with_labels(task, [examples.table]).labels)
    assert score(task, "en", examples.perfect, examples.gold) == dict.fromkeys(metrics, 100.0)
    assert score(task, "en", examples.constant, examples.gold) == pytest.approx(examples.scores)


@pytest.mark.parametrize("name", PREDICTING)
def test_predictions_survive_their_file(name: str) -> None:
    _, examples = complete(name)
    for predictions, scores in ((examples.perfect, None), (examples.constant, examples.scores)):
        read = read_predictions(name, write_predictions(name, predictions))
        found = score(name, "en", read, examples.gold)
        assert found == pytest.approx(scores or dict.fromkeys(found, 100.0))


@pytest.mark.parametrize("name", WRITTEN)
def test_examples_survive_a_file_of_the_tasks_format(name: str, tmp_path: Path) -> None:
    task, examples = complete(name)
    table = get_format(task).read(write_files(task, examples.table, tmp_path), TASKS[name], "en")
    assert table.schema.equals(examples.table.schema)
    # Tatoeba's files hold no gold: it is in the labels folder.
    kept = [c for c in table.column_names if not (c == "gold" and task.metric == "accuracy")]
    assert table.select(kept).to_pylist() == examples.table.select(kept).to_pylist()


@pytest.mark.parametrize("name", sorted(name for name in WRITTEN if TASKS[name].files in HEADED))
def test_examples_survive_a_file_with_a_header(name: str, tmp_path: Path) -> None:
    task, examples = complete(name)
    table = get_format(task).read(write_headed(task, examples.table, tmp_path), task, "en")
    columns = ["text_a", "text_b", "label"]
    assert table.select(columns).to_pylist() == examples.table.select(columns).to_pylist()


@pytest.mark.parametrize("name", sorted({*WRITTEN} & {*TRAINING}))
def test_several_files_are_read_in_order(name: str, tmp_path: Path) -> None:
    task, examples = complete(name)
    paths = [path for i in range(2) for path in write_files(task, examples.table, _folder(tmp_path, i))]
    both = get_format(task).read(paths, TASKS[name], "en")
    columns = [column for column in both.column_names if column != "id"]
    assert both.select(columns).to_pylist() == 2 * examples.table.select(columns).to_pylist()


def _folder(path: Path, number: int) -> Path:
    (path / str(number)).mkdir()
    return path / str(number)


@pytest.mark.parametrize("name", TRAINING)
def test_a_head_has_an_output_for_each_label_and_its_outputs_decode(name: str, words_base: Path) -> None:
    task, examples = complete(name)
    model = Model.load(words_base, [HeadSpec.of(task)], 0)
    family = get_family(task.family)
    features = family.encode(examples.table, model.tokenizer, task, LENGTHS, training=False)
    if task.family in ("mlm", "dual_encoder"):  # nothing to decode: a search follows, or nothing
        return
    outputs = forward(model, features, {}, ALONE, head=task.head_name)
    if examples.width is not None:
        assert {output.shape[-1] for output in outputs} == {examples.width}
    predictions = family.decode(examples.table, features, outputs, task, LENGTHS)
    if task.family == "span_qa":
        predictions = dict(zip(examples.table["id"].to_pylist(), predictions, strict=True))
    assert len(predictions) == examples.table.num_rows
    read = read_predictions(name, write_predictions(name, predictions))
    assert 0 <= main_number(name, score(name, "en", read, examples.gold)) <= 100


@pytest.mark.parametrize("name", TRAINING)
def test_its_recipe_loads_and_a_few_steps_lower_the_loss(name: str, words_base: Path, ranks: Ranks) -> None:
    task, examples = complete(name)
    recipe = Recipe(**task.recipe)
    few = {"learning_rate": 1e-2, "max_steps": 15, "epochs": None, "batch_size": 64, "warmup": 0, "precision": "fp32"}
    recipe = Recipe(**{**task.recipe, **few, "selection": "last"})
    model = Model.load(words_base, [HeadSpec.of(task)], 0)
    lengths = Lengths.of(recipe)
    features = get_family(task.family).encode(examples.table, model.tokenizer, task, lengths, training=True)
    features = features.append_column("language", pa.array(["en"] * features.num_rows))
    result = train(model, [TrainPart(name, task.head_name, features, recipe)], recipe, Runtime(), ranks)
    losses = [loss for _, loss in result.losses]
    assert len(losses) == 15
    assert losses[-1] < 0.9 * losses[0], losses
