"""Sentence breaks."""

import json
from pathlib import Path

import pytest

from stilts.data.sources.sentences import sentence_breaks


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
