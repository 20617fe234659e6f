"""LAReQA's and Mewsli-X's files, made small by hand, and XQuAD-R's real ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from stilts.data.sources import lareqa, mewslix
from stilts.data.sources.sentences import sentence_breaks
from stilts.errors import Problems, StiltsError
from stilts.tasks.base import get_task

LAREQA, SQUAD, MEWSLIX, PAIRS = (
    get_task(name) for name in ("lareqa", "squad_retrieval", "mewslix", "wikipedia_mentions")
)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It rains. We stay.", ["It rains.", "We stay."]),
        ("Dr. Smith met J. R. Jones at 5 p.m. in the U.S. He left.", 2),
        ('He asked, "Why?" She left.[12] In 1990 it ended (twice).  Then came 3.5 more.', 4),
        ("下雨了。我们留下！好吗？", ["下雨了。", "我们留下！", "好吗？"]),
        ("हम रुके। वह गया।", 2),
        ("one. two? three", 1),
        ("\n Alone \n", ["Alone"]),
        ("", []),
    ],
)
def test_sentence_breaks(text: str, sentences: list[str] | int) -> None:
    found = [text[start:end] for start, end in sentence_breaks(text)]
    assert (len(found) if isinstance(sentences, int) else found) == sentences
    assert "".join("".join(found).split()) == "".join(text.split())


def test_sentence_breaks_agree_with_xquad_r(xtreme_mini: Path) -> None:
    data = json.loads((xtreme_mini / "xtreme/lareqa/xquad-r/en.json").read_text())["data"]
    right = theirs = ours = 0
    for paragraph in [paragraph for document in data for paragraph in document["paragraphs"]]:
        gold, found = set(map(tuple, paragraph["sentence_breaks"])), set(sentence_breaks(paragraph["context"]))
        right, theirs, ours = right + len(gold & found), theirs + len(gold), ours + len(found)
    assert theirs == 1180
    assert 2 * right / (theirs + ours) > 0.985


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


# Mewsli-X

TEXT = "Old {news}.\nThe court freed Smith of Fictitious County. More."
SPANS = [{"start": 0, "end": 11}, {"start": 12, "end": 55}, {"start": 56, "end": 61}]


def article(language: str = "en", text: str = TEXT, **mention: Any) -> dict[str, Any]:
    span = {"start": 28, "end": 33, "text": "Smith"}
    return {
        "context": {"document_title": "t", "language": language, "text": text, "sentence_spans": SPANS},
        "mentions": [{"example_id": f"{language}-0", "mention_span": span, "entity_id": "Q7", **mention}],
    }


ENTITY = {
    "entity_id": "Q7",
    "title": "Smith",
    "description": "A man.\nHe ruled. And more.",
    "sentence_spans": [{"start": 0, "end": 6}, {"start": 7, "end": 16}],
    "description_language": "en",
    "description_url": "u",
}


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_mention_is_marked_in_its_sentence(tmp_path: Path) -> None:
    path = write(tmp_path, "mentions.jsonl", lines(article("de"), article("en")))
    (row,) = mewslix.read_mentions([path], MEWSLIX, "en").to_pylist()
    assert row["query"] == "Smith: The court freed { Smith } of Fictitious County."
    assert (row["id"], row["keys"], row["text"]) == ("en-0", ["Q7"], "")
    with pytest.raises(StiltsError, match="no mentions in ja; it has de, en"):
        mewslix.read_mentions([path], MEWSLIX, "ja")


def test_braces_of_the_text_do_not_mark_a_mention() -> None:
    context = mewslix.Context(language="en", text="{a} b {c}", sentence_spans=[mewslix.Span(start=0, end=9)])
    assert mewslix.mention_text(context, mewslix.Surface(start=4, end=5, text="b")) == "b: (a) { b } (c)"


def test_a_mention_over_two_sentences_keeps_both() -> None:
    spans = [mewslix.Span(start=0, end=2), mewslix.Span(start=3, end=5), mewslix.Span(start=6, end=8)]
    context = mewslix.Context(language="en", text="A. B. C.", sentence_spans=spans)
    assert mewslix.mention_text(context, mewslix.Surface(start=0, end=4, text="A. B")) == "A. B: { A. B } ."


def test_pairs_and_entities(tmp_path: Path) -> None:
    whole = article()
    pair = {"contextual_mention": {"context": whole["context"], "mention": whole["mentions"][0]}, "entity": ENTITY}
    (row,) = mewslix.read_mention_pairs([write(tmp_path, "pairs.jsonl", lines(pair))], PAIRS, "en").to_pylist()
    assert row["text"] == "A man. He ruled."
    assert (row["id"], row["candidate"], row["keys"], row["context"]) == ("en-0", "Q7", ["Q7"], "")
    path = write(tmp_path, "entities.jsonl", lines(ENTITY, {**ENTITY, "entity_id": "Q8", "sentence_spans": []}))
    rows = mewslix.read_entities({"mul": path}, MEWSLIX).to_pylist()
    assert {row["language"] for row in rows} == {"en"}
    assert [(row["candidate"], row["text"]) for row in rows] == [
        ("Q7", "A man. He ruled."),
        ("Q8", "A man. He ruled. And more."),
    ]


def test_mistakes_in_mewslix(tmp_path: Path) -> None:
    with pytest.raises(Problems, match=r"get-mewsli-x\.sh puts the articles' text back"):
        mewslix.read_mentions([write(tmp_path, "a.jsonl", lines(article(text="")))], MEWSLIX, "en")
    moved = write(tmp_path, "b.jsonl", lines(article(), article(text=f" {TEXT}")))
    with pytest.raises(Problems, match=r"b\.jsonl:2: mention en-0: the text has ' Smit', not 'Smith'"):
        mewslix.read_mentions([moved], MEWSLIX, "en")


def test_gold_of_a_labels_file(tmp_path: Path) -> None:
    blank = write(tmp_path, "mentions.jsonl", lines(article(entity_id=None)))
    table = mewslix.read_mentions([blank], MEWSLIX, "en")
    assert table["keys"].to_pylist() == [[]]
    labels = write(tmp_path, "test-en.json", json.dumps({"en-0": ["Q7 ", "Q8"]}))
    assert mewslix.merge_entities(table, labels, MEWSLIX)["keys"].to_pylist() == [["Q7"]]
    with pytest.raises(Problems, match="no entity for 1 mentions of the test file, first en-0"):
        mewslix.merge_entities(table, write(tmp_path, "x.json", '{"en-1": ["Q7"]}'), MEWSLIX)
