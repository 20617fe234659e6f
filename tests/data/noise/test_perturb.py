"""Tables under conditions: what moves along, what stays, and what nothing depends on."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stilts.data.noise import KINDS, noise_problems, perturb
from stilts.data.sources.squad import read_squad
from stilts.data.sources.tags import read_tags
from stilts.errors import Problems
from stilts.identity.stage import Condition
from stilts.tasks.base import all_tasks, get_task
from stilts.tasks.families import get_family
from tests.data.noise.sentences import SENTENCES, UNTOUCHED


def table_of(task: str, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=get_family(get_task(task).family).schema)


def questions(language: str) -> pa.Table:
    """One answer at each word of the sentence, and the whole sentence."""
    text = SENTENCES[language]
    starts = [0, *(i + 1 for i, character in enumerate(text) if character == " ")]
    answers = [{"text": text[start:].split(" ")[0], "start": start} for start in starts] + [{"text": text, "start": 0}]
    rows = [{"id": f"{i}", "context": text, "question": text, "answers": [a]} for i, a in enumerate(answers)]
    return table_of("xquad", rows)


GRID = [(kind, language) for kind in KINDS for language in SENTENCES]


@pytest.mark.parametrize(("kind", "language"), GRID)
def test_answers_move_along(kind: str, language: str) -> None:
    clean, task = questions(language), get_task("xquad")
    noisy = perturb(clean, task, Condition(kind, 0.4), language)
    assert get_family("span_qa").validate(noisy.table, task) == []
    assert (noisy.changed_share == 0) == (language in UNTOUCHED[kind])
    for old, new in zip(clean.to_pylist(), noisy.table.to_pylist(), strict=True):
        assert [bool(a["text"].strip()) for a in new["answers"]] == [True] * len(old["answers"])
        if old["answers"][0]["text"] == old["context"]:
            assert new["answers"][0]["text"] == new["context"]


@pytest.mark.parametrize(("kind", "language"), GRID)
def test_rate_zero_is_the_identity(kind: str, language: str) -> None:
    clean = questions(language)
    noisy = perturb(clean, get_task("xquad"), Condition(kind, 0.0), language)
    assert noisy.table.equals(clean)
    assert noisy.changed_share == 0


def test_questions_alone() -> None:
    clean = questions("en")
    noisy = perturb(clean, get_task("xquad"), Condition("swap", 0.3, 0, "question"), "en").table
    assert noisy["question"] != clean["question"]
    for column in ("context", "answers", "id"):
        assert noisy[column] == clean[column]


def test_an_answer_never_vanishes() -> None:
    rows = [
        {"id": str(i), "context": "ab cde", "question": "q", "answers": [{"text": "b", "start": 1}]} for i in range(9)
    ]
    noisy = perturb(table_of("xquad", rows), get_task("xquad"), Condition("drop", 1.0), "en").table.to_pylist()
    assert {(row["context"], row["answers"][0]["text"]) for row in noisy} == {("ab c", "b")}


def test_no_gold_stays_no_gold() -> None:
    rows = [{"id": "1", "context": "some text", "question": "what text", "answers": []}]
    assert (
        perturb(table_of("xquad", rows), get_task("xquad"), Condition("drop", 0.5), "en").table["answers"][0].as_py()
        == []
    )


@pytest.mark.parametrize("kind", KINDS)
def test_noise_depends_on_the_row_and_nothing_around_it(kind: str) -> None:
    clean, task, condition = questions("en"), get_task("xquad"), Condition(kind, 0.3)
    noisy = perturb(clean, task, condition, "en").table
    order = list(reversed(range(clean.num_rows)))
    assert perturb(clean.take(order), task, condition, "en").table.equals(noisy.take(order))
    chunked = pa.concat_tables([clean.slice(0, 3), clean.slice(3)])
    assert perturb(chunked, task, condition, "en").table.equals(noisy)
    halves = [perturb(part, task, condition, "en").table for part in (clean.slice(0, 3), clean.slice(3))]
    assert pa.concat_tables(halves).equals(noisy)


def test_noise_depends_on_everything_that_it_names() -> None:
    clean, task = questions("en"), get_task("xquad")
    tables = [
        perturb(clean, task, condition, language).table
        for condition, language in (
            (Condition("swap", 0.3), "en"),
            (Condition("swap", 0.3, seed=1), "en"),
            (Condition("swap", 0.3), "de"),
            (Condition("drop", 0.3), "en"),
            (Condition("swap", 0.4), "en"),
        )
    ]
    assert all(not a.equals(b) for i, a in enumerate(tables) for b in tables[:i])
    row = tables[0].to_pylist()
    assert len({r["context"] for r in row}) > 1, "each row its own noise"
    assert row[0]["context"] != row[0]["question"], "each column its own noise"


def test_noise_is_the_same_everywhere() -> None:
    rows = [{"id": "a", "text_a": "The weather is fine today", "text_b": "It rains", "label": 0}]
    noisy = perturb(table_of("xnli", rows), get_task("xnli"), Condition("keyboard", 0.2, seed=7), "en").table
    assert noisy.to_pylist() == [{"id": "a", "text_a": "The wrqrjer is fine tpday", "text_b": "It raujs", "label": 0}]


@pytest.mark.parametrize(("kind", "language"), GRID)
def test_tagging_keeps_its_tokens(kind: str, language: str) -> None:
    tokens = [*SENTENCES[language].split(), ".", "...", "?", "(", "x"]
    clean = table_of("udpos", [{"id": str(i), "tokens": tokens, "tags": ["X"] * len(tokens)} for i in range(20)])
    noisy = perturb(clean, get_task("udpos"), Condition(kind, 0.8), language).table
    assert get_family("tagging").validate(noisy, get_task("udpos")) == []
    assert noisy["tags"] == clean["tags"]
    for row in noisy["tokens"].to_pylist():
        assert len(row) == len(tokens)
        assert all(token and not any(map(str.isspace, token)) for token in row)


def test_retrieval_perturbs_the_foreign_side() -> None:
    sides = [("foreign", "der schöne Morgen"), ("en", "the beautiful morning")]
    clean = table_of("tatoeba", [{"side": s, "id": "0", "text": t, "gold": []} for s, t in sides])
    noisy = perturb(clean, get_task("tatoeba"), Condition("swap", 0.5), "de").table.to_pylist()
    assert noisy[0]["text"] != sides[0][1]
    assert noisy[1]["text"] == sides[1][1]


def test_every_choice_is_noisy_and_none_is_lost() -> None:
    rows = [{"id": "1", "text_a": "premise and context", "choices": ["first choice", "first choice"], "label": 1}]
    noisy = perturb(table_of("xcopa", rows), get_task("xcopa"), Condition("swap", 0.5), "et").table.to_pylist()[0]
    assert noisy["text_a"] != rows[0]["text_a"]
    assert len({"first choice", *noisy["choices"]}) == 3, "each choice its own noise"
    assert noisy["label"] == 1


def test_the_share_counts_what_changed() -> None:
    rows = [{"id": str(i), "text_a": "abcdefghij klmnopqrst", "text_b": "。。", "label": 0} for i in range(50)]
    noisy = perturb(table_of("xnli", rows), get_task("xnli"), Condition("drop", 0.25), "en")
    # 18 letters of 22 characters can be dropped: 4.5 on average.
    assert noisy.changed_share == pytest.approx(4.5 / 22, rel=0.05)


@pytest.mark.parametrize("task", [name for name, task in all_tasks().items() if task.family != "mlm"])
def test_every_task_has_fields_of_its_schema(task: str) -> None:
    family = get_family(get_task(task).family)
    assert all(column in family.schema.names for columns in family.noise.values() for column in columns)
    assert noise_problems(get_task(task), Condition("swap", 0.1)) == []


@pytest.mark.parametrize(
    ("task", "condition", "problem"),
    [
        ("xnli", Condition("swapp", 0.1), "unknown kind of noise 'swapp'; did you mean 'swap'?"),
        ("xnli", Condition("swap", 1.5), "a rate of noise is a share from 0 to 1, not 1.5"),
        ("xnli", Condition("swap", 0.1, 0, "al"), "unknown scope of noise 'al'; did you mean 'all'?"),
        ("xnli", Condition("swap", 0.1, 0, "question"), "xnli: the family classification has no question"),
        ("mlm", Condition("swap", 0.1), "mlm: the family mlm has no noise; leave it out of noise.targets"),
    ],
)
def test_what_makes_no_sense_is_said(task: str, condition: Condition, problem: str) -> None:
    found = noise_problems(get_task(task), condition)
    assert len(found) == 1
    assert found[0].startswith(problem)
    with pytest.raises(Problems, match="problem"):
        perturb(table_of("xnli", []), get_task(task), condition, "en")


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_of_real_files_moves_along(kind: str, xtreme_mini: Path) -> None:
    files = [path for name in ("xquad", "mlqa", "tydiqa") for path in sorted((xtreme_mini / "labels" / name).glob("*"))]
    assert files
    for path in files:
        task, language = get_task(path.parent.name), path.stem.split("-")[-1]
        clean = read_squad([path], task, language).slice(0, 20)
        noisy = perturb(clean, task, Condition(kind, 0.3), language).table
        assert get_family("span_qa").validate(noisy, task) == []
        for old, new in zip(clean.to_pylist(), noisy.to_pylist(), strict=True):
            assert len(old["answers"]) == len(new["answers"])
            assert all(answer["text"].strip() for answer in new["answers"])


@pytest.mark.parametrize("kind", KINDS)
def test_real_sentences_keep_their_tokens(kind: str, xtreme_mini: Path) -> None:
    for path in sorted((xtreme_mini / "xtreme" / "udpos").glob("dev-*.tsv")):
        task, language = get_task("udpos"), path.stem.split("-")[-1]
        clean = read_tags([path], task, language).slice(0, 20)
        noisy = perturb(clean, task, Condition(kind, 0.5), language).table
        assert get_family("tagging").validate(noisy, task) == []
        assert all(
            len(a) == len(b) for a, b in zip(clean["tokens"].to_pylist(), noisy["tokens"].to_pylist(), strict=True)
        )
        assert all(token for row in noisy["tokens"].to_pylist() for token in row)
