"""Mewsli-X's files: mentions, entities, and pairs of both."""

import json
from pathlib import Path
from typing import Any

import pytest

from stilts.data.sources import mewslix
from stilts.errors import Problems, StiltsError
from stilts.tasks.base import get_task

MEWSLIX, PAIRS = get_task("mewslix"), get_task("wikipedia_mentions")


def write(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


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
