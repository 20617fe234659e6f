"""Multiple choice in every shape that it is published in."""

import json
from pathlib import Path
from typing import Any

import pytest

from stilts.data.sources import choices
from stilts.errors import Problems, StiltsError
from stilts.tasks.base import get_task
from stilts.tasks.families import get_family

HELLASWAG, COSMOSQA, CSQA, SIQA, COPA, XCOPA = (
    get_task(name) for name in ("hellaswag", "cosmosqa", "csqa", "siqa", "copa", "xcopa")
)


def write(folder: Path, text: str, name: str = "f.jsonl") -> list[Path]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return [path]


def jsonl(folder: Path, *rows: Any, name: str = "f.jsonl") -> list[Path]:
    return write(folder, "\n".join(json.dumps(row) for row in rows), name)


def test_hellaswag_choices_continue_the_begun_sentence(tmp_path: Path) -> None:
    official = {
        "ind": 4,
        "ctx": "A man sits. he",
        "ctx_a": "A man sits.",
        "ctx_b": "he",
        "endings": ["x", "y"],
        "label": 1,
    }
    cut = {"ctx": "How to sit.", "endings": ["x", "y"], "label": "0"}
    rows = choices.read_hellaswag(jsonl(tmp_path, official, cut), HELLASWAG, "en").to_pylist()
    assert rows[0] == {"id": "4", "text_a": "A man sits.", "choices": ["he x", "he y"], "label": 1}
    assert rows[1] == {"id": "1", "text_a": "How to sit.", "choices": ["x", "y"], "label": 0}


def test_hellaswag_without_labels_and_with_wrong_ones(tmp_path: Path) -> None:
    row = {"ctx": "c", "endings": ["x", "y"]}
    unlabelled = choices.read_hellaswag(jsonl(tmp_path, {**row, "label": ""}, row), HELLASWAG, "en")
    assert unlabelled["label"].to_pylist() == [-1, -1]
    with pytest.raises(Problems, match="label 2 is not a choice from 0 to 1"):
        choices.read_hellaswag(jsonl(tmp_path, {**row, "label": 2}), HELLASWAG, "en")


# Cosmos QA

COSMOS = {"id": "q1", "context": "He left.", "question": "Why?", **{f"answer{i}": f"a{i}" for i in range(4)}}


def test_cosmosqa_is_the_same_from_csv_and_jsonl(tmp_path: Path) -> None:
    header = "id,context,question,answer0,answer1,answer2,answer3,label\n"
    text = header + 'q1,He left.,Why?,a0,a1,a2,a3,2\nq2,"She said, ""no""\nand left.",Why?,"a, b",a1,a2,a3,0\n'
    csv = choices.read_cosmosqa(write(tmp_path, text, "train.csv"), COSMOSQA, "en").to_pylist()
    first = {"id": "q1", "text_a": "He left. Why?", "choices": ["a0", "a1", "a2", "a3"], "label": 2}
    assert csv[0] == first
    assert csv[1]["text_a"] == 'She said, "no"\nand left. Why?'
    assert csv[1]["choices"][0] == "a, b"
    assert choices.read_cosmosqa(jsonl(tmp_path, {**COSMOS, "label": 2}), COSMOSQA, "en").to_pylist() == [first]


def test_cosmosqas_test_file_has_no_labels(tmp_path: Path) -> None:
    assert choices.read_cosmosqa(jsonl(tmp_path, COSMOS), COSMOSQA, "en")["label"].to_pylist() == [-1]


def test_csv_mistakes_are_told_by_line(tmp_path: Path) -> None:
    with pytest.raises(Problems, match=r"t\.csv:1: no column question, answer3; the header has id, context"):
        choices.read_cosmosqa(write(tmp_path, "id,context,answer0,answer1,answer2\n", "t.csv"), COSMOSQA, "en")
    text = "id,context,question,answer0,answer1,answer2,answer3,label\nq,c,q,0,1,2,3,4\nq,c\n"
    with pytest.raises(Problems) as caught:
        choices.read_cosmosqa(write(tmp_path, text, "t.csv"), COSMOSQA, "en")
    assert [message.split("t.csv:")[1] for message in caught.value.messages] == [
        "3: not the 8 columns of the header",
        "2: label '4' is not a choice from 0 to 3",
    ]


# CommonsenseQA


def test_csqa_is_the_same_from_both_of_its_shapes(tmp_path: Path) -> None:
    letters, texts = ["B", "A", "C"], ["two", "one", "three"]
    hub = {"id": "1", "question": "Which?", "choices": {"label": letters, "text": texts}, "answerKey": "B"}
    inside = [{"label": a, "text": b} for a, b in zip(letters, texts, strict=True)]
    official = {"id": "1", "question": {"stem": "Which?", "choices": inside}, "answerKey": "B"}
    tables = [choices.read_csqa(jsonl(tmp_path, row), CSQA, "en").to_pylist() for row in (hub, official)]
    expected = {"id": "1", "text_a": "Which?", "choices": ["one", "two", "three"], "label": 1}
    assert tables == [[expected]] * 2


def test_csqa_mistakes_are_told(tmp_path: Path) -> None:
    row = {"question": "Which?", "choices": {"label": ["A", "B"], "text": ["x", "y"]}}
    assert choices.read_csqa(jsonl(tmp_path, row), CSQA, "en")["label"].to_pylist() == [-1]
    with pytest.raises(Problems, match="answerKey 'C' is not one of A, B"):
        choices.read_csqa(jsonl(tmp_path, {**row, "answerKey": "C"}), CSQA, "en")
    with pytest.raises(Problems, match="no choices"):
        choices.read_csqa(jsonl(tmp_path, {"question": "Which?"}), CSQA, "en")
    with pytest.raises(Problems, match=r"f\.jsonl:1: choices: .*2 letters for 3 texts"):
        choices.read_csqa(
            jsonl(tmp_path, {**row, "choices": {"label": ["A", "B"], "text": ["x", "y", "z"]}}), CSQA, "en"
        )


# Social IQa

SITUATION = {"context": "Lee ran.", "question": "Why?", "answerA": "x", "answerB": "y", "answerC": "z"}


def test_siqas_label_is_in_the_line_or_in_the_file_beside(tmp_path: Path) -> None:
    lettered = choices.read_siqa(jsonl(tmp_path, {**SITUATION, "correct": "C"}), SIQA, "en")
    counted = choices.read_siqa(jsonl(tmp_path, {**SITUATION, "label": "3"}), SIQA, "en")
    paths = jsonl(tmp_path, SITUATION, name="train.jsonl")
    write(tmp_path, "3\n", "train-labels.lst")
    beside = choices.read_siqa(paths, SIQA, "en")
    row = {"id": "0", "text_a": "Lee ran. Why?", "choices": ["x", "y", "z"], "label": 2}
    assert [table.to_pylist() for table in (lettered, counted, beside)] == [[row]] * 3


def test_siqas_wrong_labels_are_told(tmp_path: Path) -> None:
    with pytest.raises(Problems, match="correct 'D' is not one of A, B, C"):
        choices.read_siqa(jsonl(tmp_path, {**SITUATION, "correct": "D"}), SIQA, "en")
    with pytest.raises(Problems, match="correct 'AB' is not one of A, B, C"):
        choices.read_siqa(jsonl(tmp_path, {**SITUATION, "correct": "AB"}), SIQA, "en")
    with pytest.raises(Problems, match="label '0' is not a choice from 1 to 3"):
        choices.read_siqa(jsonl(tmp_path, {**SITUATION, "label": "0"}), SIQA, "en")
    write(tmp_path, "1\n2\n", "dev-labels.lst")
    with pytest.raises(Problems, match=r"1 questions, but dev-labels\.lst has 2 labels"):
        choices.read_siqa(jsonl(tmp_path, SITUATION, name="dev.jsonl"), SIQA, "en")


# COPA and XCOPA

PREMISE = {"premise": "It rained.", "choice1": "x", "choice2": "y"}


def test_copas_question_is_asked_after_the_premise(tmp_path: Path) -> None:
    rows = [{**PREMISE, "question": q, "label": i, "idx": 7 + i} for i, q in enumerate(("cause", "effect"))]
    table = choices.read_copa(jsonl(tmp_path, *rows), COPA, "en").to_pylist()
    assert table[0] == {"id": "7", "text_a": "It rained. What was the cause?", "choices": ["x", "y"], "label": 0}
    assert (table[1]["text_a"], table[1]["label"]) == ("It rained. What was the effect?", 1)


def test_a_test_file_of_zeros_has_no_gold_and_the_labels_file_has(tmp_path: Path) -> None:
    row = {**PREMISE, "question": "cause", "label": 0}
    blank = choices.read_copa(jsonl(tmp_path, *[row] * 20), XCOPA, "et")
    assert set(blank["label"].to_pylist()) == {-1}
    gold = jsonl(tmp_path, *({**row, "label": i % 2} for i in range(20)), name="gold.jsonl")[0]
    merged = choices.merge_choices(blank, gold, XCOPA)
    assert merged["label"].to_pylist() == [0, 1] * 10
    assert merged.schema.equals(blank.schema)
    # A handful of zeros may be chance.
    assert choices.read_copa(jsonl(tmp_path, *[row] * 19), XCOPA, "et")["label"].to_pylist() == [0] * 19


def test_a_labels_file_of_another_length_or_with_other_labels_is_told(tmp_path: Path) -> None:
    table = choices.read_copa(jsonl(tmp_path, {**PREMISE, "question": "cause"}), XCOPA, "et")
    with pytest.raises(Problems, match="2 labels for 1 test rows"):
        choices.merge_choices(table, jsonl(tmp_path, {"label": 0}, {"label": 1}, name="gold")[0], XCOPA)
    with pytest.raises(Problems, match=r"gold:1: label 2 is not a choice from 0 to 1"):
        choices.merge_choices(table, jsonl(tmp_path, {"label": 2}, name="gold")[0], XCOPA)


@pytest.mark.parametrize(
    ("reader", "task", "name", "rows"),
    [
        ("read_cosmosqa", COSMOSQA, "cosmosqa/valid.csv", 485),
        ("read_csqa", CSQA, "csqa/dev_rand_split.jsonl", 221),
        ("read_siqa", SIQA, "siqa/socialIQa_v1.4_dev.jsonl", 354),
        ("read_hellaswag", HELLASWAG, "hellaswag/hellaswag_val.jsonl", 600),
    ],
)
def test_real_files_are_whole_and_their_labels_balanced(
    xtreme_mini: Path, reader: str, task: Any, name: str, rows: int
) -> None:
    table = getattr(choices, reader)([xtreme_mini / "intermediate" / name], task, "en")
    assert table.num_rows == rows
    assert get_family("multiple_choice").validate(table, task) == []
    labels = table["label"].to_pylist()
    options = len(table["choices"][0])
    assert min(labels.count(i) for i in range(options)) > 0.7 * rows / options


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(StiltsError, match="does not exist"):
        choices.read_siqa([tmp_path / "train.jsonl"], SIQA, "en")


def test_a_blank_line_changes_no_id_of_xcopa(tmp_path: Path) -> None:
    """Items of parallel tasks are matched across languages by id."""
    row = {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 1}
    path = tmp_path / "test-et.jsonl"
    path.write_text(json.dumps(row) + "\n\n" + json.dumps(row) + "\n")
    assert choices.read_copa([path], XCOPA, "et")["id"].to_pylist() == ["0", "1"]


def test_csqas_letters_are_distinct(tmp_path: Path) -> None:
    row = {"question": "Which?", "choices": {"label": ["A", "A", "B"], "text": ["x", "y", "z"]}, "answerKey": "A"}
    inside = [{"label": a, "text": b} for a, b in zip("AAB", "xyz", strict=True)]
    for shape in (row, {"question": {"stem": "Which?", "choices": inside}, "answerKey": "A"}):
        with pytest.raises(Problems, match="two choices have the letter 'A'"):
            choices.read_csqa(jsonl(tmp_path, shape), CSQA, "en")


def test_copas_question_is_cause_or_effect(tmp_path: Path) -> None:
    rows = [{**PREMISE, "question": question} for question in ("cause", "Effect", "effect", "")]
    with pytest.raises(Problems) as caught:
        choices.read_copa(jsonl(tmp_path, *rows), COPA, "en")
    assert [message.partition(".jsonl:")[2] for message in caught.value.messages] == [
        "2: question 'Effect' is neither cause nor effect",
        "4: question '' is neither cause nor effect",
    ]


def test_siqas_letter_and_number_of_the_answer_agree(tmp_path: Path) -> None:
    agreeing = jsonl(tmp_path, {**SITUATION, "correct": "B", "label": "2"}, {**SITUATION, "correct": "A", "label": 1})
    assert choices.read_siqa(agreeing, SIQA, "en")["label"].to_pylist() == [1, 0]
    differing = jsonl(tmp_path, {**SITUATION, "correct": "B", "label": "2"}, {**SITUATION, "correct": "B", "label": 1})
    with pytest.raises(Problems, match=r":2: correct 'B' is not the answer of label 1, which counts from 1"):
        choices.read_siqa(differing, SIQA, "en")
