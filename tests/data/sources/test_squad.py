"""SQuAD's JSON."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stilts.data.sources.squad import merge_answers, read_squad
from stilts.errors import Problems, StiltsError
from stilts.tasks.base import get_task


def write(tmp_path: Path, text: str, name: str = "f.tsv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def squad(
    tmp_path: Path, *questions: dict[str, Any], context: str = "Der Bär 🐻 schläft.", name: str = "q.json"
) -> Path:
    paragraphs = [{"context": context, "qas": [{"question": "Wer?", **q} for q in questions]}]
    return write(tmp_path, json.dumps({"data": [{"paragraphs": paragraphs}]}, indent=1), name)


def read(path: Path) -> pa.Table:
    return read_squad([path], get_task("xquad"), "de")


def test_answers_count_code_points(tmp_path: Path) -> None:
    table = read(squad(tmp_path, {"id": "1", "answers": [{"answer_start": 10, "text": "schläft"}]}))
    assert table["answers"].to_pylist() == [[{"text": "schläft", "start": 10}]]


def test_blanked_answers_are_no_gold(tmp_path: Path) -> None:
    table = read(squad(tmp_path, {"id": "1", "answers": [{"answer_start": 0, "text": ""}]}))
    assert table["answers"].to_pylist() == [[]]


def test_ids_may_repeat(tmp_path: Path) -> None:
    answers = [{"answer_start": 4, "text": "Bär"}]
    assert read(squad(tmp_path, {"id": 0, "answers": answers}, {"id": 0, "answers": answers}))["id"].to_pylist() == [
        "0",
        "0",
    ]


def test_an_answer_that_is_not_at_its_offset_is_told_by_line(tmp_path: Path) -> None:
    # As if offsets counted UTF-8 bytes or UTF-16 units.
    path = squad(tmp_path, {"id": "q7", "answers": [{"answer_start": 11, "text": "schläft"}]})
    line = next(n for n, text in enumerate(path.read_text().split("\n"), 1) if '"q7"' in text)
    with pytest.raises(Problems, match=rf"q\.json:{line}: question q7: the context has 'chläft\.' at character 11"):
        read(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("[]", "f.tsv:1: Input should be an object"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "data.0.paragraphs.0.context: Field required"),
        ('{"data": [3]}', "data.0: Input should be an object"),
        ('{"data": []}', "no questions in it"),
    ],
)
def test_json_of_another_shape_is_told(tmp_path: Path, data: str, message: str) -> None:
    with pytest.raises(Problems, match=re.escape(message)):
        read(write(tmp_path, data))


def test_half_a_surrogate_pair_is_told(tmp_path: Path) -> None:
    with pytest.raises(StiltsError, match="surrogate"):
        read(
            write(
                tmp_path,
                r'{"data":[{"paragraphs":[{"context":"\ud83d","qas":[{"id":"1","question":"","answers":[]}]}]}]}',
            )
        )


def test_answers_are_merged_by_id(tmp_path: Path) -> None:
    table = read(squad(tmp_path, {"id": "1", "answers": []}, {"id": "2", "answers": []}))
    gold = squad(
        tmp_path,
        {"id": "2", "answers": [{"answer_start": 4, "text": "Bär"}]},
        {"id": "1", "answers": [{"answer_start": 0, "text": "Der"}]},
        name="gold.json",
    )
    merged = merge_answers(table, gold, get_task("xquad"))
    assert [[a["text"] for a in row] for row in merged["answers"].to_pylist()] == [["Der"], ["Bär"]]


def test_a_question_without_gold_is_told(tmp_path: Path) -> None:
    table = read(squad(tmp_path, {"id": "1", "answers": []}))
    with pytest.raises(Problems, match="no answer to question '1'"):
        merge_answers(table, squad(tmp_path, {"id": "9", "answers": []}, name="gold.json"), get_task("xquad"))


def test_an_impossible_question_has_no_answers(tmp_path: Path) -> None:
    question = {"id": "1", "question": "q", "is_impossible": True, "answers": [{"text": "a", "answer_start": 0}]}
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "a b", "qas": [question]}]}]}))
    with pytest.raises(Problems, match="question 1: is_impossible, and it has answers"):
        read_squad([path], get_task("squad2"), "en")
