"""LAReQA's files: SQuAD's pairs, XQuAD-R's questions and candidates."""

import json
from pathlib import Path
from typing import Any

import pytest

from stilts.data.sources import lareqa
from stilts.errors import Problems
from stilts.tasks.base import get_task

LAREQA, SQUAD = get_task("lareqa"), get_task("squad_retrieval")


def document(*paragraphs: dict[str, Any]) -> str:
    return json.dumps({"data": [{"paragraphs": list(paragraphs)}]})


def asked(id_: str, start: int, text: str) -> dict[str, Any]:
    return {"id": id_, "question": f"What is {id_}?", "answers": [{"text": text, "answer_start": start}]}


CONTEXT = "Anna came. Bert left. Anna came."


def write(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_squad_pairs_a_question_with_its_sentence(tmp_path: Path) -> None:
    first = {"context": CONTEXT, "qas": [asked("a", 11, "Bert"), asked("b", 27, "came")]}
    second = {"context": "Carl.", "qas": [asked("c", 0, "Carl")]}
    rows = lareqa.read_squad_pairs([write(tmp_path, "f.json", document(first, second))], SQUAD, "en").to_pylist()
    assert [(row["id"], row["candidate"], row["text"]) for row in rows] == [
        ("a", "en_1_1", "Bert left."),
        ("b", "en_1_2", "Anna came."),
        ("c", "en_2_0", "Carl."),
    ]
    assert rows[0]["keys"] == ["en_1_1"]
    assert rows[0]["query"] == "What is a?"
    assert rows[0]["context"] == CONTEXT


def test_a_question_whose_answer_begins_between_two_sentences_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paragraph = {"context": CONTEXT, "qas": [asked("a", 10, " Bert"), asked("b", 27, "came")]}
    rows = lareqa.read_squad_pairs([write(tmp_path, "f.json", document(paragraph))], SQUAD, "en").to_pylist()
    assert [row["id"] for row in rows] == ["b"]
    assert "f.json: 1 questions are left out: their answers begin in no sentence" in caplog.text


def split(questions: list[dict[str, Any]], breaks: list[list[int]], context: str = CONTEXT) -> str:
    return document({"context": context, "qas": questions, "sentence_breaks": breaks})


def test_xquad_r_searches_the_sentences_of_every_language(tmp_path: Path) -> None:
    english = write(
        tmp_path, "en.json", split([asked("a", 11, "Bert"), asked("b", 0, "Anna")], [[0, 10], [11, 21], [22, 32]])
    )
    german = write(tmp_path, "de.json", split([asked("a", 0, "Bert"), asked("b", 11, "x")], [[0, 10]], "Bert ging. x"))
    questions = lareqa.read_xquad_r([english], LAREQA, "en").to_pylist()
    assert [(row["id"], row["keys"], row["text"]) for row in questions] == [("a", ["a"], ""), ("b", ["b"], "")]
    candidates = lareqa.read_xquad_r_candidates({"en": english, "de": german}, LAREQA).to_pylist()
    assert [(row["candidate"], row["text"], row["keys"]) for row in candidates] == [
        ("en_1_0", "Anna came.", ["b"]),
        ("en_1_1", "Bert left.", ["a"]),
        ("en_1_2", "Anna came.", ["b"]),  # the paragraph says it twice: right wherever it stands
        ("de_1_0", "Bert ging.", ["a"]),
    ]
    assert [row["language"] for row in candidates] == ["en", "en", "en", "de"]
    assert {row["context"] for row in candidates} == {CONTEXT, "Bert ging. x"}


def test_a_question_whose_answer_is_in_no_sentence_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, "de.json", split([asked("a", 0, "Bert"), asked("b", 11, "x")], [[0, 10]], "Bert ging. x"))
    assert lareqa.read_xquad_r([path], LAREQA, "de")["id"].to_pylist() == ["a"]
    assert "1 questions are left out" in caplog.text


def test_mistakes_in_xquad_r(tmp_path: Path) -> None:
    path = write(tmp_path, "en.json", split([asked("a", 11, "Bert")], [[0, 99]]))
    with pytest.raises(Problems, match=r"en\.json:1: a sentence from 0 to 99 in a paragraph of 32 characters"):
        lareqa.read_xquad_r([path], LAREQA, "en")
    plain = write(tmp_path, "squad.json", document({"context": CONTEXT, "qas": []}))
    with pytest.raises(Problems, match="sentence_breaks"):
        lareqa.read_xquad_r([plain], LAREQA, "en")


def test_real_xquad_r_has_its_published_counts(xtreme_mini: Path) -> None:
    folder = xtreme_mini / "xtreme/lareqa/xquad-r"
    counts = {"en": 1180, "de": 1276, "es": 1215, "zh": 1196}
    candidates = lareqa.read_xquad_r_candidates({lang: folder / f"{lang}.json" for lang in counts}, LAREQA)
    assert candidates.num_rows == sum(counts.values())
    answered: dict[str, list[str]] = {}
    for row in candidates.to_pylist():
        for key in row["keys"]:
            answered.setdefault(key, []).append(row["candidate"][:2])
    for language in counts:
        questions = lareqa.read_xquad_r([folder / f"{language}.json"], LAREQA, language)
        assert questions.num_rows == LAREQA.rows("test", language) == 1190
        assert all(set(answered[key]) == set(counts) for key in questions["id"].to_pylist())
