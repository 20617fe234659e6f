"""Whatever is in a file, reading it ends in a table or in a message for its author, never in a defect."""

import contextlib
import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stilts.data.sources.files import get_format
from stilts.errors import StiltsError
from stilts.tasks.base import get_task

ODD = [None, 3, "x", [], {}, -1, 1.5, True, [1], {"a": 1}, 10**12, "\0", "\ud83d"]
QUESTIONS = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": "Der Bär schläft",
                    "qas": [{"id": "1", "question": "q", "answers": [{"answer_start": 4, "text": "Bär"}]}],
                }
            ]
        }
    ]
}
SPLIT_QUESTIONS = copy.deepcopy(QUESTIONS)
SPLIT_QUESTIONS["data"][0]["paragraphs"][0]["sentence_breaks"] = [[0, 15]]
ARTICLE = {"language": "en", "text": "Smith left.", "sentence_spans": [{"start": 0, "end": 11}]}
MENTION = {"example_id": "m", "mention_span": {"start": 0, "end": 5, "text": "Smith"}, "entity_id": "Q7"}
ENTITY = {"entity_id": "Q7", "title": "t", "description": "A man.", "sentence_spans": [{"start": 0, "end": 6}]}
DOCUMENTS: dict[str, Any] = {
    "squad": QUESTIONS,
    "hellaswag": {"ind": 1, "ctx_a": "a", "ctx_b": "b", "endings": ["x", "y"], "label": 1},
    "mnli": {"sentence1": "a", "sentence2": "b", "gold_label": "neutral"},
    "anli": {"uid": "1", "context": "a", "hypothesis": "b", "label": "e"},
    "cosmosqa": {"context": "c", "question": "q", **{f"answer{i}": "a" for i in range(4)}, "label": 1},
    "csqa": {"id": "1", "question": "q", "choices": {"label": ["A", "B"], "text": ["x", "y"]}, "answerKey": "A"},
    "siqa": {"context": "c", "question": "q", "answerA": "a", "answerB": "b", "answerC": "c", "correct": "A"},
    "copa": {"premise": "p", "choice1": "x", "choice2": "y", "question": "cause", "label": 0, "idx": 0},
    "squad2": QUESTIONS,
    "squad_retrieval": QUESTIONS,
    "lareqa": SPLIT_QUESTIONS,
    "mewslix": {"context": ARTICLE, "mentions": [MENTION]},
    "wikipedia_mentions": {"contextual_mention": {"context": ARTICLE, "mention": MENTION}, "entity": ENTITY},
}
TEXTS = [
    ("xnli", 'a\tb\tneutral\r\nc\t"d\tentailment\n'),
    ("pawsx", '"a ""b"""\tc\t1\nd\t"e\nf"\t0\n'),
    ("udpos", "a\tNOUN\n\nb\tX\n"),
    ("panx", "en:a\tO\nen:b\tB-LOC\n\n"),
    ("mlm", "a b\nc\n"),
    ("qqp", "id\tquestion1\tquestion2\tis_duplicate\n1\ta\tb\t0\n2\tc\td\t1\n"),
    ("ccg", "a b\tX Y\nc d\tX X\n"),
    ("mnli", "a\tb\tA\tB\tneutral\nc\td\tC\tD\tentailment\n"),
    (
        "udparse",
        "# global.columns = ID FORM HEAD DEPREL\n1\ta\t0\troot\n2\tb\t1\tdet:x\n\n1\tc\t0\troot\n",
    ),
    ("srl", "# global.columns = ID FORM UP:PRED UP:ARGSPANS\n1\ta\t_\t_\n2\tb\tb.01\tA0:1-1\n"),
    ("srl", "1\ta\t_\t_\t_\t_\t2\tx\t_\t_\tA0\n2\tb\t_\t_\t_\t_\t0\troot\tY\tb.01\t_\n"),
    ("srl", "1\ta\t_\t_\t_\t_\t2\tx\t_\tArgs=A0\n2\tb\t_\t_\t_\t_\t0\troot\t_\tArgs=V\n"),
    ("srl", "d 0 0 a - - - - - - - (ARG0*) -\nd 0 1 b - - - - - - - (V*) -\n"),
]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a JSON document."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


def read(task: str, path: Path) -> None:
    with contextlib.suppress(StiltsError):
        get_format(get_task(task)).read([path], get_task(task), "en")


@pytest.mark.parametrize("task", sorted(DOCUMENTS))
def test_every_value_of_a_document_replaced_by_every_odd_one(task: str, tmp_path: Path) -> None:
    for position in range(len(list(places(DOCUMENTS[task])))):
        for odd in ODD:
            document = copy.deepcopy(DOCUMENTS[task])
            container, key = list(places(document))[position]
            container[key] = odd
            path = tmp_path / "f.json"
            path.write_text(json.dumps(document))
            read(task, path)


@pytest.mark.parametrize(("task", "text"), TEXTS, ids=[task for task, _ in TEXTS])
def test_bytes_replaced_at_random(task: str, text: str, tmp_path: Path) -> None:
    draw = random.Random(0)
    for _ in range(100):
        data = bytearray(text.encode())
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.choice(b'\t\n\r"\0\xffA ')
        path = tmp_path / "f.tsv"
        path.write_bytes(bytes(data))
        read(task, path)
