"""Small valid examples of every task, with what is known of them by hand: what `test_invariants.py` is made of.

A new task of a known family and file format needs nothing here. A new family adds a function to EXAMPLES; a new file
format adds one to WRITERS.
"""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.tasks.base import Task
from stilts.tasks.families import get_family

WORDS = ["baka", "dilo", "mufe", "nori", "pasu", "tevi", "zolu", "giba", "kemo", "rapi", "sudo", "vate", "lino", "befu"]
OPEN_LABELS = ("NP", "NP/N", "(S\\NP)/NP", ".")
OPEN_SPANS = ("B-NP", "I-NP", "O")
"""For tasks whose labels come from their data: of words, and of spans (scored by F1)."""


@dataclass(frozen=True)
class Examples:
    """Examples of a task and the scores of two kinds of predictions.

    Attributes:
        table: canonical, with gold.
        perfect: what `metrics.score` takes for predictions without a mistake; None where nothing is predicted.
        gold: what it takes for gold.
        constant: predictions that are the same whatever the example says.
        scores: their scores in percent, worked out by hand.
        width: entries of the head's output for one unit (row, word or token); None where that is not fixed.
    """

    table: pa.Table
    perfect: Any = None
    gold: Any = None
    constant: Any = None
    scores: dict[str, float] = field(default_factory=dict)
    width: int | None = None


def examples_of(task: Task) -> Examples:
    """The examples of a task."""
    return EXAMPLES[task.family](task)


def _table(task: Task, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=get_family(task.family).schema)


def _text(*numbers: int) -> str:
    return " ".join(WORDS[number % len(WORDS)] for number in numbers)


def _classification(task: Task) -> Examples:
    """Label i occurs i + 1 times, and the second text says which it is."""
    labels = [i for i in range(len(task.labels)) for _ in range(i + 1)]
    rows = [
        {"id": str(n), "text_a": _text(n, n + 1), "text_b": _text(label, label), "label": label}
        for n, label in enumerate(labels)
    ]
    gold = [task.labels[label] for label in labels]
    second = 2  # how often the second label occurs
    scores = {"accuracy": 100 * second / len(gold)}
    if "f1" in task.metrics:  # of the second label: precision second / all, recall 1
        scores["f1"] = 100 * 2 * second / (len(gold) + second)
    return Examples(_table(task, rows), gold, gold, [task.labels[1]] * len(gold), scores, len(task.labels))


CHOICES = {"siqa": 3, "copa": 2, "csqa": 5}
"""Choices of a question, by file format; 4 elsewhere."""


def _multiple_choice(task: Task) -> Examples:
    """The right choice is told by a word of its own."""
    count = CHOICES.get(task.files or "", 4)
    labels = [0, 1, 0, 1, 0, 0]
    rows = []
    for n, label in enumerate(labels):
        choices = [_text(n + i, 9 if i == label else 0) for i in range(count)]
        question = "What was the cause?" if task.files == "copa" else "Kemo?"
        rows.append({"id": str(n), "text_a": f"{_text(n, n)} {question}", "choices": choices, "label": label})
    return Examples(_table(task, rows), labels, labels, [0] * len(labels), {"accuracy": 100 * 4 / 6}, 1)


def _tagging(task: Task) -> Examples:
    """Sentences tagged [a a] (BIO: one entity of two words), [b a], and every label once (BIO: an entity a type)."""
    labels = task.labels or (OPEN_LABELS if "accuracy" in task.metrics else OPEN_SPANS)
    types = sorted({label[2:] for label in labels if label.startswith(("B-", "I-"))}) if "O" in labels else []
    if types:
        whole = next(name for name in types if {f"B-{name}", f"I-{name}"} <= set(labels))
        begin, inside, other = f"B-{whole}", f"I-{whole}", "O"
    else:
        begin, inside, other = labels[0], labels[0], labels[1]
    gold = [[begin, inside], [other, begin], sorted(labels, key=lambda label: (label[2:] if types else "", label))]
    position = {label: i for i, label in enumerate(labels)}
    rows = [
        {"id": str(n), "tokens": [WORDS[position[tag] % len(WORDS)] for tag in tags], "tags": tags}
        for n, tags in enumerate(gold)
    ]
    constant = [[begin] * len(tags) for tags in gold]
    n = len(labels)
    if "accuracy" in task.metrics:
        scores = {"accuracy": 100 * (4 if inside == begin else 3) / (4 + n)}
    elif types:  # every word an entity of its own: the one of the second sentence is right
        scores = _f1(1, 4 + n, 2 + len(types))
    else:  # a chunk a sentence: that of the first is right
        scores = _f1(1, 3, 1 + 2 + n)
    return Examples(_table(task, rows), gold, gold, constant, scores, n)


def _f1(right: int, found: int, wanted: int) -> dict[str, float]:
    return {"precision": 100 * right / found, "recall": 100 * right / wanted, "f1": 200 * right / (found + wanted)}


def _parsing(task: Task) -> Examples:
    """Three words below each other, and one alone; the constant tree hangs every word on the root."""
    root, other, third = task.labels[:3]
    gold = [[(0, root), (1, other), (2, third)], [(0, root)]]
    rows = [
        {
            "id": str(n),
            "tokens": [WORDS[i] for i in range(len(tree))],
            "heads": [head for head, _ in tree],
            "relations": [relation for _, relation in tree],
        }
        for n, tree in enumerate(gold)
    ]
    constant = [[(0, root)] * len(tree) for tree in gold]
    return Examples(_table(task, rows), gold, gold, constant, {"uas": 50.0, "las": 50.0})


def _srl(task: Task) -> Examples:
    """Two predicates, one of them with an argument of two words; the constant makes an argument of every word."""
    gold = [["B-ARG0", "B-V", "B-ARG1", "I-ARG1"], ["B-V", "B-ARG1"]]
    rows = [
        {"id": f"f/0/{5 * n + 1}#1", "tokens": WORDS[: len(tags)], "predicate": tags.index("B-V"), "tags": tags}
        for n, tags in enumerate(gold)
    ]
    constant = [["B-ARG1"] * len(tags) for tags in gold]
    # Of the three arguments (the predicate is none) that of one word is found.
    return Examples(_table(task, rows), gold, gold, constant, _f1(1, 6, 3), len(task.labels))


def _span_qa(task: Task) -> Examples:
    """Answers of one word, of two, and of another word; where the task has them, a question without an answer."""
    context = f"{WORDS[0]} {WORDS[1]} {WORDS[2]}"
    answers = [WORDS[0], f"{WORDS[0]} {WORDS[1]}", WORDS[2], *([""] if task.unanswerable else [])]
    rows = [
        {
            "id": f"q{n}",
            "context": context,
            "question": _text(n, n, 5),
            "answers": [{"text": answer, "start": context.index(answer)}] if answer else [],
        }
        for n, answer in enumerate(answers)
    ]
    gold = {f"q{n}": [answer] for n, answer in enumerate(answers)}
    constant = dict.fromkeys(gold, WORDS[0])
    # One word of the two: precision 1, recall 1/2.
    scores = {"exact_match": 100 / len(gold), "f1": 100 * (1 + 2 / 3) / len(gold)}
    return Examples(_table(task, rows), {id_: texts[0] for id_, texts in gold.items()}, gold, constant, scores, 2)


def _mlm(task: Task) -> Examples:
    rows = [{"id": str(n), "text": _text(n, n, n + 1, n, n)} for n in range(6)]
    return Examples(_table(task, rows))


def _retrieval(task: Task) -> Examples:
    """Four sentences a side, the English ones in the opposite order."""
    mined = task.metric == "f1"
    names = [f"xx-{n}" if mined else str(n) for n in range(4)]
    english = [f"en-{n}" if mined else str(n) for n in range(4)]
    rows = [
        {"side": "foreign", "id": name, "text": _text(n, n), "gold": [english[3 - n]] if mined else []}
        for n, name in enumerate(names)
    ]
    rows += [
        {"side": "en", "id": name, "text": _text(n, n + 7), "gold": [] if mined else [names[3 - n]]}
        for n, name in enumerate(english)
    ]
    if not mined:
        gold = [names[3 - n] for n in range(4)]
        return Examples(_table(task, rows), gold, gold, ["0"] * 4, {"accuracy": 25.0})
    pairs = {(names[n], english[3 - n]) for n in range(4)}
    constant = {(name, english[0]) for name in names}
    return Examples(_table(task, rows), pairs, pairs, constant, _f1(1, 4, 4))


def _dual_encoder(task: Task) -> Examples:
    """Pairs of a query and a text with the same words; of a task that is only evaluated, the queries."""
    trained = task.train_on == task.name
    rows, gold = [], {}
    for n in range(6):
        name, key = f"q{n}", f"en_{n + 1}_0" if trained else f"q{n}"
        text = f"{_text(n, n, n)}."
        pair = {"candidate": key, "text": text, "context": text} if trained else {}
        empty = {"candidate": "", "text": "", "context": "", "language": ""}
        rows.append({"id": name, "query": _text(n, n), "keys": [key], **empty, **pair})
        gold[name] = [key]
    ranking = [key for keys in gold.values() for key in keys]
    # The n-th query's text stands at rank n.
    scores = {"map@20": 100 * sum(1 / rank for rank in range(1, 7)) / 6}
    return Examples(_table(task, rows), gold, gold, dict.fromkeys(gold, ranking), scores)


EXAMPLES: dict[str, Callable[[Task], Examples]] = {
    "classification": _classification,
    "multiple_choice": _multiple_choice,
    "tagging": _tagging,
    "parsing": _parsing,
    "srl": _srl,
    "span_qa": _span_qa,
    "mlm": _mlm,
    "retrieval": _retrieval,
    "dual_encoder": _dual_encoder,
}


# Files

Rows = list[dict[str, Any]]


def write_files(task: Task, table: pa.Table, folder: Path) -> list[Path]:
    """The table in the task's file format, as its reader takes it."""
    return WRITERS[str(task.files)](task, table.to_pylist(), folder)


def write_headed(task: Task, table: pa.Table, folder: Path) -> list[Path]:
    """The same with the names of the columns in the first line."""
    return HEADED[str(task.files)](task, table.to_pylist(), folder)


def _lines(path: Path, lines: Sequence[str]) -> list[Path]:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return [path]


def _jsonl(path: Path, rows: Rows) -> list[Path]:
    return _lines(path, [json.dumps(row) for row in rows])


def _pairs(task: Task, rows: Rows, folder: Path) -> list[Path]:
    return _lines(folder / "f.tsv", [f"{r['text_a']}\t{r['text_b']}\t{task.labels[r['label']]}" for r in rows])


def _headed_pairs(task: Task, rows: Rows, folder: Path) -> list[Path]:
    cells = [f"{r['id']}\t{r['text_a']}\t{r['text_b']}\t{task.labels[r['label']]}" for r in rows]
    return _lines(folder / "f.tsv", ["index\tsentence1\tsentence2\tlabel", *cells])


def _qqp(task: Task, rows: Rows, folder: Path) -> list[Path]:
    cells = [f"{r['id']}\t{r['text_a']}\t{r['text_b']}\t{task.labels[r['label']]}" for r in rows]
    return _lines(folder / "f.tsv", ["id\tquestion1\tquestion2\tis_duplicate", *cells])


def _tags(task: Task, rows: Rows, folder: Path) -> list[Path]:
    sentences = [zip(r["tokens"], r["tags"], strict=True) for r in rows]
    return _lines(folder / "f.tsv", [line for s in sentences for line in (*(f"{t}\t{g}" for t, g in s), "")])


def _supertags(task: Task, rows: Rows, folder: Path) -> list[Path]:
    return _lines(folder / "f.txt", [f"{' '.join(r['tokens'])}\t{' '.join(r['tags'])}" for r in rows])


def _conllu(task: Task, rows: Rows, folder: Path) -> list[Path]:
    lines = []
    for row in rows:
        lines.append(f"# sent_id = {row['id']}")
        for number, (token, head, relation) in enumerate(
            zip(row["tokens"], row["heads"], row["relations"], strict=True), 1
        ):
            lines.append(f"{number}\t{token}\t_\t_\t_\t_\t{head}\t{relation}\t_\t_")
        lines.append("")
    return _lines(folder / "f.conllu", lines)


def _propositions(task: Task, rows: Rows, folder: Path) -> list[Path]:
    """CoNLL-2012's columns; each sentence has one predicate."""
    lines = []
    for row in rows:
        tags = [*row["tags"], "O"]
        for number, (token, tag) in enumerate(zip(row["tokens"], row["tags"], strict=True)):
            begin = f"({tag[2:]}*" if tag.startswith("B-") else "*"
            end = ")" if tag != "O" and not tags[number + 1].startswith("I-") else ""
            lines.append(f"f 0 {number} {token} - * - - - - * {begin}{end} -")
        lines.append("")
    return _lines(folder / "f.txt", lines)


def _squad(task: Task, rows: Rows, folder: Path) -> list[Path]:
    paragraphs = []
    for row in rows:
        answers = [{"text": answer["text"], "answer_start": answer["start"]} for answer in row["answers"]]
        question = {"id": row["id"], "question": row["question"], "answers": answers}
        paragraphs.append({"context": row["context"], "qas": [question]})
    return _lines(folder / "f.json", [json.dumps({"version": "1", "data": [{"paragraphs": paragraphs}]})])


def _squad_pairs(task: Task, rows: Rows, folder: Path) -> list[Path]:
    for row in rows:
        row |= {"question": row["query"], "answers": [{"text": row["context"].split()[0], "start": 0}]}
    return _squad(task, rows, folder)


def _xquad_r(task: Task, rows: Rows, folder: Path) -> list[Path]:
    paragraphs = []
    for row in rows:
        context = f"{row['query']}."
        answers = [{"text": context.split(maxsplit=1)[0], "answer_start": 0}]
        question = {"id": row["id"], "question": row["query"], "answers": answers}
        paragraphs.append({"context": context, "sentence_breaks": [[0, len(context)]], "qas": [question]})
    return _lines(folder / "f.json", [json.dumps({"data": [{"paragraphs": paragraphs}]})])


def _hellaswag(task: Task, rows: Rows, folder: Path) -> list[Path]:
    lines = [{"ind": int(r["id"]), "ctx": r["text_a"], "endings": r["choices"], "label": str(r["label"])} for r in rows]
    return _jsonl(folder / "f.jsonl", lines)


def _asked(row: dict[str, Any]) -> tuple[str, str]:
    """Context and question of a row: the question is the last word."""
    context, _, question = row["text_a"].rpartition(" ")
    return context, question


def _cosmosqa(task: Task, rows: Rows, folder: Path) -> list[Path]:
    with (folder / "f.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "context", "question", *(f"answer{i}" for i in range(4)), "label"])
        writer.writerows([row["id"], *_asked(row), *row["choices"], row["label"]] for row in rows)
    return [folder / "f.csv"]


def _csqa(task: Task, rows: Rows, folder: Path) -> list[Path]:
    lines = []
    for row in rows:
        letters = list("ABCDEFGH"[: len(row["choices"])])
        choices = {"label": letters, "text": row["choices"]}
        lines.append(
            {"id": row["id"], "question": row["text_a"], "choices": choices, "answerKey": letters[row["label"]]}
        )
    return _jsonl(folder / "f.jsonl", lines)


def _siqa(task: Task, rows: Rows, folder: Path) -> list[Path]:
    lines = []
    for row in rows:
        answers = dict(zip(("answerA", "answerB", "answerC"), row["choices"], strict=True))
        context, question = _asked(row)
        lines.append({"context": context, "question": question, **answers, "correct": "ABC"[row["label"]]})
    return _jsonl(folder / "f.jsonl", lines)


def _copa(task: Task, rows: Rows, folder: Path) -> list[Path]:
    lines = []
    for row in rows:
        premise = row["text_a"].removesuffix(" What was the cause?")
        first, second = row["choices"]
        choices = {"choice1": first, "choice2": second}
        lines.append({"premise": premise, "question": "cause", **choices, "label": row["label"], "idx": int(row["id"])})
    return _jsonl(folder / "f.jsonl", lines)


def _text_lines(task: Task, rows: Rows, folder: Path) -> list[Path]:
    return _lines(folder / "f.txt", [row["text"] for row in rows])


def _bucc(task: Task, rows: Rows, folder: Path) -> list[Path]:
    sides = {side: [r for r in rows if r["side"] == side] for side in ("foreign", "en")}
    gold = [f"{row['id']}\t{name}" for row in rows for name in row["gold"]]
    return [
        *(
            path
            for side, part in sides.items()
            for path in _lines(folder / f"f.{side}", [f"{r['id']}\t{r['text']}" for r in part])
        ),
        *_lines(folder / "f.gold", gold),
    ]


def _tatoeba(task: Task, rows: Rows, folder: Path) -> list[Path]:
    return [
        path
        for side in ("foreign", "en")
        for path in _lines(folder / f"f.{side}", [r["text"] for r in rows if r["side"] == side])
    ]


COMPOSED = ("mentions", "mention_pairs")
"""Formats whose texts the reader puts together from an article: `tests/data/sources` has files of them."""

WRITERS: dict[str, Callable[[Task, Rows, Path], list[Path]]] = {
    "nli": _pairs,
    "pairs": _pairs,
    "qqp": _qqp,
    "tags": _tags,
    "supertags": _supertags,
    "conllu": _conllu,
    "propositions": _propositions,
    "squad": _squad,
    "squad_pairs": _squad_pairs,
    "xquad_r": _xquad_r,
    "hellaswag": _hellaswag,
    "cosmosqa": _cosmosqa,
    "csqa": _csqa,
    "siqa": _siqa,
    "copa": _copa,
    "text": _text_lines,
    "bucc": _bucc,
    "tatoeba": _tatoeba,
}

HEADED: dict[str, Callable[[Task, Rows, Path], list[Path]]] = {"nli": _headed_pairs}
"""Formats whose files may have a header or none: WRITERS writes them without."""
