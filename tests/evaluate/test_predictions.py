"""Prediction files: exact bytes, round trips, and every kind of damage."""

import random
from pathlib import Path
from typing import Any

import pytest

from stilts.errors import Problems
from stilts.evaluate.predictions import read_predictions, suffix, write_predictions

EXAMPLES: list[tuple[str, Any, bytes]] = [
    ("xnli", ["neutral", "entailment"], b"neutral\nentailment\n"),
    ("pawsx", ["0", "1"], b"0\n1\n"),
    ("panx", [["B-PER", "I-PER"], ["O"]], b"B-PER\nI-PER\n\nO\n"),
    ("udpos", [["X"]], b"X\n"),
    ("srl", [["B-ARG0", "B-V"], ["O"]], b"B-ARG0\nB-V\n\nO\n"),
    ("udparse", [[(2, "det"), (0, "root")], [(0, "root")]], b"2\tdet\n0\troot\n\n0\troot\n"),
    ("xquad", {"a": "北京", "b": ""}, '{\n "a": "北京",\n "b": ""\n}\n'.encode()),
    ("bucc2018", {("de-2", "en-1"), ("de-1", "en-7")}, b"de-1\ten-7\nde-2\ten-1\n"),
    ("bucc2018", set(), b""),
    ("tatoeba", ["571", "0"], b"571\n0\n"),
    ("hellaswag", ["0", "3"], b'{"label": 0}\n{"label": 3}\n'),
]


@pytest.mark.parametrize(("task", "predictions", "content"), EXAMPLES)
def test_format(task: str, predictions: Any, content: bytes) -> None:
    assert write_predictions(task, predictions) == content
    assert read_predictions(task, content) == predictions


def test_numbers_may_be_ints() -> None:
    assert write_predictions("tatoeba", [5, 0]) == b"5\n0\n"
    assert write_predictions("hellaswag", [2]) == b'{"label": 2}\n'


def test_suffixes() -> None:
    assert [suffix(task) for task in ("xnli", "udpos", "tydiqa", "hellaswag", "bucc2018")] == [
        "tsv",
        "tsv",
        "json",
        "jsonl",
        "tsv",
    ]


def test_random_tags_survive_the_round_trip(tmp_path: Path) -> None:
    rng = random.Random(0)
    sentences = [[rng.choice(["O", "B-LOC", "I-LOC"]) for _ in range(rng.randint(1, 6))] for _ in range(200)]
    path = tmp_path / "test-de.tsv"
    path.write_bytes(write_predictions("panx", sentences))
    assert read_predictions("panx", path) == sentences


def test_crlf_spaces_and_blank_lines_at_the_end_are_harmless() -> None:
    assert read_predictions("xnli", b"neutral\r\nentailment \r\n\r\n\n") == ["neutral", "entailment"]
    assert read_predictions("panx", b"O\r\n\r\nO\r\n\r\n\r\n") == [["O"], ["O"]]


@pytest.mark.parametrize(
    ("task", "content", "messages"),
    [
        ("xnli", b"neutral\nmaybe\n", [":2: 'maybe' is none of xnli's labels (entailment, "]),
        ("xnli", b"neutral\n\nneutral\n", [":2: an empty line is none of xnli's labels"]),
        ("pawsx", b"\xef\xbb\xbf0\n1\n", [":1: starts with a byte order mark"]),
        ("xnli", b"neutral\nneu\0tral\n", [":2: holds a NUL"]),
        ("xnli", b"neutral\n\xff\xfe\n", [":2: byte 0xff is not UTF-8"]),
        ("panx", b"O\n\n\nO\n", [":3: a blank line more than one"]),
        ("panx", b"\nO\n", [":1: a blank line more than one"]),
        ("panx", b"O\nB-MISC\n\nPER\n", [":2: 'B-MISC' is none of panx's labels", ":4: 'PER' is none"]),
        ("udpos", b"dog\tNOUN\n", [":1: 'dog\\tNOUN' has several columns; write the label alone"]),
        ("udparse", b"0\troot\n\n2 det\n-1\tdet\n", [":3: '2 det' is not a head and a relation", ":4: '-1\\tdet' is"]),
        ("udparse", b"0\tnmod:poss\n", [":1: 'nmod:poss' is none of udparse's labels"]),
        ("tatoeba", b"1\n-1\n2.0\n", [":2: '-1' is not a line number", ":3: '2.0' is not a line number"]),
        ("bucc2018", b"de-1 en-1\nde-1\ten-1\tx\n", [":1: 'de-1 en-1' is not two ids", ":2: "]),
        ("bucc2018", b"en-1\tde-1\n", [":1: 'en-1\\tde-1' has the English id first"]),
        ("hellaswag", b'{"label": 1}\n{"answer": 1}\n[1]\n{"label": "1"}\n', [":2: ", ":3: ", ":4: label '1' is not"]),
        ("xquad", b'{"a": "x",\n "b" "y"}', [":2: not JSON: Expecting ':' delimiter (column 6)"]),
        ("xquad", b'["a"]', [": holds a list, not an object"]),
        ("xquad", b'{"a": null, "b": 3}', [": the answer to 'a' is None", ": the answer to 'b' is 3"]),
        ("xquad", b'{"a": "x", "a": "y"}', [": 'a' is there twice"]),
    ],
)
def test_damage_is_named_with_its_line(task: str, content: bytes, messages: list[str], tmp_path: Path) -> None:
    path = tmp_path / "test-de.tsv"
    path.write_bytes(content)
    with pytest.raises(Problems) as error:
        read_predictions(task, path)
    assert len(error.value.messages) == len(messages)
    for found, expected in zip(error.value.messages, messages, strict=True):
        assert found.startswith(f"{path}{expected}")


def test_a_file_of_the_wrong_kind_is_reported_briefly() -> None:
    with pytest.raises(Problems) as error:
        read_predictions("xnli", b"1\n" * 1000)
    assert len(error.value.messages) == 6
    assert error.value.messages[-1] == "xnli predictions: and 995 more like these"


def test_a_sentence_without_words_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="panx: a sentence without words"):
        write_predictions("panx", [["O"], []])
