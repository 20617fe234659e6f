"""XTREME's download folder: where each task's files lie, and how its own formats are read.

Facts that cost others their scores: no file has a header; test files hold no gold (two columns, tokens alone, answers
blanked to `[{0, ''}]`) and a separate labels folder supplies it; Tatoeba's English side is sorted.

A reader takes the files of one split and language and gives the canonical table of its family; a merger adds the gold
of a labels file to an unlabelled table.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from stilts.data.sources.text import Report, read_json, read_lines, to_table
from stilts.tasks.base import Task
from stilts.tasks.schema import CLASSIFICATION, RETRIEVAL, SPAN_QA, TAGGING


@dataclass(frozen=True)
class Layout:
    """Where a task lies in the folder: our split -> path with `{lang}` (retrieval: the stem of the two sides).

    Attributes:
        labels: gold of the test files inside the labels folder.
    """

    files: dict[str, str] = field(default_factory=dict)
    labels: str | None = None


def _by_split(task: str, *splits: str) -> Layout:
    return Layout({split: f"{task}/{split}-{{lang}}.tsv" for split in splits}, f"{task}/test-{{lang}}.tsv")


LAYOUTS: dict[str, Layout] = {
    "xnli": _by_split("xnli", "train", "dev", "test"),
    "pawsx": _by_split("pawsx", "train", "dev", "test"),
    "udpos": _by_split("udpos", "train", "dev", "test"),
    "panx": _by_split("panx", "train", "dev", "test"),
    "mnli": Layout({"train": "xnli/train-{lang}.tsv", "dev": "xnli/dev-{lang}.tsv"}),
    "squad": Layout({"train": "squad/train-v1.1.json", "dev": "squad/dev-v1.1.json"}),
    "xquad": Layout({"test": "xquad/xquad.{lang}.json"}, "xquad/test-{lang}.json"),
    "mlqa": Layout(
        {split: f"mlqa/MLQA_V1/{split}/{split}-context-{{lang}}-question-{{lang}}.json" for split in ("dev", "test")},
        "mlqa/test-{lang}.json",
    ),
    "tydiqa": Layout(
        {
            "train": "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.{lang}.train.json",
            "test": "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.{lang}.dev.json",
        },
        "tydiqa/test-{lang}.json",
    ),
    "bucc2018": Layout(
        {"dev": "bucc2018/{lang}-en.dev", "test": "bucc2018/{lang}-en.test"}, "bucc2018/test-{lang}.tsv"
    ),
    "tatoeba": Layout({"test": "tatoeba/{lang}-en"}, "tatoeba/test-{lang}.tsv"),
}


def parts(task: Task, path: str, language: str) -> list[Path]:
    """The files behind one declared path: itself, or for retrieval both sides and, where it is there, the gold."""
    filled = path.replace("{lang}", language)
    if task.family != "retrieval":
        return [Path(filled)]
    gold = Path(f"{filled}.gold")
    return [Path(f"{filled}.{language}"), Path(f"{filled}.en"), *([gold] if gold.is_file() else [])]


# Sentence pairs


def read_pairs(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """XNLI's rows: sentence, sentence and, but for test files, label, separated by tabs; quotes are plain text."""
    return _pairs(paths[0], task, ((n, line.split("\t")) for n, line in enumerate(read_lines(paths[0]), 1)))


def read_quoted_pairs(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """PAWS-X's rows: as XNLI's, but cells that hold a quote may be CSV-quoted, also within one file of plain ones."""
    return _pairs(paths[0], task, _quoted_rows(read_lines(paths[0])))


def merge_labels(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Gold labels, one a line in the order of the rows."""
    report = Report(path)
    lines = read_lines(path)
    _same_count(report, "labels", len(lines), "test rows", table.num_rows)
    labels = [_label_index(report, n, line, task) for n, line in enumerate(lines, 1)]
    report.close()
    return _replace(table, "label", labels)


def _pairs(path: Path, task: Task, rows: Iterable[tuple[int, list[str]]]) -> pa.Table:
    report = Report(path)
    text_a, text_b, labels = [], [], []
    columns = None
    for number, cells in rows:
        columns = columns or (len(cells) if len(cells) in (2, 3) else 3)
        if len(cells) != columns:
            wanted = "sentence, sentence, label" if columns == 3 else "sentence, sentence, as in line 1"
            report.add(number, f"{len(cells)} columns, expected {columns} ({wanted}), separated by tabs")
            continue
        text_a.append(cells[0])
        text_b.append(cells[1])
        labels.append(_label_index(report, number, cells[2], task) if columns == 3 else -1)
    report.close()
    ids = [str(i) for i in range(len(labels))]
    return to_table(path, {"id": ids, "text_a": text_a, "text_b": text_b, "label": labels}, CLASSIFICATION)


# The machine-translated training files of XNLI spell one label differently.
_SPELLINGS = {"contradictory": "contradiction"}


def _label_index(report: Report, line: int, label: str, task: Task) -> int:
    label = label.strip()
    label = label if label in task.labels else _SPELLINGS.get(label, label)
    if label in task.labels:
        return task.labels.index(label)
    report.add(line, f"label {label[:40]!r} is not one of {', '.join(task.labels)}")
    return -1


_GENUINE = re.compile(r'"((?:[^"]|"")*"")(?:[^"]|"")*"')


def _unquote(cell: str) -> str:
    """A CSV writer quotes a cell for the quotes inside, which it doubles; any other leading quote is plain text."""
    return cell[1:-1].replace('""', '"') if _GENUINE.fullmatch(cell) else cell


def _quoted_rows(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    index = 0
    while index < len(lines):
        cells, used = lines[index].split("\t"), 1
        if any(cell.startswith('"') and cell.count('"') % 2 for cell in cells):
            cells, used = _row_over_lines(lines, index)
        yield index + 1, [_unquote(cell) for cell in cells]
        index += used


def _row_over_lines(lines: list[str], index: int, most: int = 10) -> tuple[list[str], int]:
    """A row with a quoted line end or tab inside a cell, and its number of lines; the plain line if it is none."""
    for used in range(1, most + 1):
        try:
            rows = list(csv.reader(["\n".join(lines[index : index + used])], delimiter="\t", strict=True))
        except csv.Error:
            continue
        if len(rows) == 1 and len(rows[0]) in (2, 3):
            return rows[0], used
    return lines[index].split("\t"), 1


# Tagged sentences


def read_tags(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """One token a line, TAB and its tag but for test files, a blank line after each sentence.

    Raw PAN-X files prefix every token with the language (`en:Berlin`); it comes off where every token has it.
    """
    path = paths[0]
    report = Report(path)
    lines = read_lines(path)
    prefix = f"{language}:"
    cut = len(prefix) if all(line.startswith(prefix) for line in lines if line) else 0
    labels = set(task.labels)
    columns = next((line.count("\t") + 1 for line in lines if line), 1)
    tokens: list[list[str]] = [[]]
    tags: list[list[str]] = [[]]
    for number, line in enumerate(lines, 1):
        if not line:
            if tokens[-1]:
                tokens.append([])
                tags.append([])
            continue
        token, *tag = line.split("\t")
        if len(tag) + 1 != columns or columns > 2:
            report.add(number, f"{len(tag) + 1} columns, expected a token, or token TAB tag in every line of the file")
            continue
        if tag and tag[0] not in labels:
            report.add(number, f"tag {tag[0][:40]!r} is not one of {', '.join(task.labels)}")
        tokens[-1].append(token[cut:])
        tags[-1].extend(tag)
    report.close()
    if not tokens[-1]:
        tokens.pop()
        tags.pop()
    ids = [str(i) for i in range(len(tokens))]
    return to_table(path, {"id": ids, "tokens": tokens, "tags": tags}, TAGGING)


def merge_tags(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Gold tags: one a line, a blank line after each sentence, in the order of the test file."""
    report = Report(path)
    sentences: list[tuple[int, list[str]]] = []
    fresh = True
    for number, line in enumerate(read_lines(path), 1):
        if line and fresh:
            sentences.append((number, []))
        if line:
            sentences[-1][1].append(line)
        if line and line not in task.labels:
            report.add(number, f"tag {line[:40]!r} is not one of {', '.join(task.labels)}")
        fresh = not line
    _same_count(report, "sentences", len(sentences), "test sentences", table.num_rows)
    lengths = [len(tokens) for tokens in table["tokens"].to_pylist()]
    for (number, tags), length in zip(sentences, lengths, strict=False):
        if len(tags) != length:
            report.add(number, f"{len(tags)} tags for the {length} tokens of the test sentence")
    report.close()
    return _replace(table, "tags", [tags for _, tags in sentences])


# Questions


class Answer(BaseModel):
    text: str
    answer_start: int = -1


class Question(BaseModel):
    id: str | int
    question: str | None = None
    answers: list[Answer]


class Paragraph(BaseModel):
    context: str
    qas: list[Question]


class Document(BaseModel):
    paragraphs: list[Paragraph]


class Squad(BaseModel):
    """SQuAD 1.1 JSON; labels files leave the questions out."""

    data: list[Document]

    def questions(self) -> Iterator[tuple[str, Question]]:
        """(context, question) in the order of the file."""
        for document in self.data:
            for paragraph in document.paragraphs:
                for question in paragraph.qas:
                    yield paragraph.context, question


def read_squad(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """SQuAD JSON. Answers blanked to the empty text are no gold; ids need not be unique (TyDiQA's are not)."""
    path = paths[0]
    report = Report(path)
    squad, text = read_json(path, Squad)
    columns: dict[str, list[Any]] = {name: [] for name in SPAN_QA.names}
    for context, question in squad.questions():
        if question.question is None:
            report.add(_line_of(text, question, report), f"no question text for id {question.id!r}")
        for answer in question.answers:
            _check_answer(report, text, context, question, answer)
        columns["id"].append(str(question.id))
        columns["context"].append(context)
        columns["question"].append(question.question)
        columns["answers"].append(_gold(question))
    if not columns["id"]:
        report.add(1, "no questions in it")
    report.close()
    return to_table(path, columns, SPAN_QA)


def merge_answers(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Gold answers of a SQuAD file, by question id; its contexts are not looked at."""
    report = Report(path)
    squad, _ = read_json(path, Squad)
    gold = {str(question.id): _gold(question) for _, question in squad.questions()}
    ids = table["id"].to_pylist()
    for name in ids:
        if not gold.get(name):
            report.add(1, f"no answer to question {name!r} of the test file")
    report.close()
    return _replace(table, "answers", [gold[name] for name in ids])


def _gold(question: Question) -> list[dict[str, Any]]:
    return [{"text": a.text, "start": a.answer_start} for a in question.answers if a.text]


def _check_answer(report: Report, text: str, context: str, question: Question, answer: Answer) -> None:
    start, wanted = answer.answer_start, answer.text
    found = context[start : start + len(wanted)] if start >= 0 else ""
    if wanted and found != wanted:
        report.add(
            _line_of(text, question, report),
            f"question {question.id}: the context has {found[:40]!r} at character {start}, not the answer "
            f"{wanted[:40]!r} (offsets count Unicode code points)",
        )


def _line_of(text: str, question: Question, report: Report) -> int:
    if report.full:  # nobody will see the line, and the search is long
        return 0
    return text.count("\n", 0, max(text.find(f'"{question.id}"'), 0)) + 1


# Retrieval


def read_bucc(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """`id TAB sentence` for the foreign and the English side; gold pairs `foreign id TAB English id` if given."""
    ids, texts, counts = [], [], []
    for path in paths[:2]:
        report = Report(path)
        lines = read_lines(path)
        for number, line in enumerate(lines, 1):
            name, tab, text = line.partition("\t")
            if not tab or not name:
                report.add(number, "expected an id, a tab and a sentence")
                continue
            ids.append(name)
            texts.append(text)
        report.close()
        counts.append(len(lines))
    sides = ["foreign"] * counts[0] + ["en"] * counts[1]
    table = to_table(paths[0], {"side": sides, "id": ids, "text": texts, "gold": [[] for _ in ids]}, RETRIEVAL)
    return merge_pairs(table, paths[2], task) if len(paths) > 2 else table


def merge_pairs(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """BUCC's gold pairs: `foreign id TAB English id`."""
    report = Report(path)
    sides, ids = table["side"].to_pylist(), table["id"].to_pylist()
    known = {side: {name for s, name in zip(sides, ids, strict=True) if s == side} for side in ("foreign", "en")}
    gold: dict[str, list[str]] = {}
    for number, line in enumerate(read_lines(path), 1):
        foreign, _, english = line.partition("\t")
        if foreign not in known["foreign"] or english not in known["en"]:
            report.add(number, f"{line[:60]!r} is not a pair of ids of the two files, separated by a tab")
            continue
        gold.setdefault(foreign, []).append(english)
    report.close()
    return _replace(table, "gold", [gold.get(n, []) if s == "foreign" else [] for s, n in zip(sides, ids, strict=True)])


def read_tatoeba(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """One sentence a line on both sides; an id is the line number from 0. Line i is not the translation of line i."""
    sides = [read_lines(path) for path in paths[:2]]
    columns = {
        "side": ["foreign"] * len(sides[0]) + ["en"] * len(sides[1]),
        "id": [str(i) for side in sides for i in range(len(side))],
        "text": sides[0] + sides[1],
        "gold": [[] for side in sides for _ in side],
    }
    return to_table(paths[0], columns, RETRIEVAL)


def merge_lines(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Tatoeba's gold: for each English sentence in order, the line (from 0) of its translation in the foreign file."""
    report = Report(path)
    lines = [line.strip() for line in read_lines(path)]
    foreign = table["side"].to_pylist().count("foreign")
    _same_count(report, "lines", len(lines), "English sentences", table.num_rows - foreign)
    for number, line in enumerate(lines, 1):
        if not (line.isascii() and line.isdigit() and int(line) < foreign):
            report.add(number, f"{line[:40]!r} is not a line number from 0 to {foreign - 1}")
    report.close()
    return _replace(table, "gold", [[] for _ in range(foreign)] + [[str(int(line))] for line in lines])


def _same_count(report: Report, what: str, count: int, other: str, wanted: int) -> None:
    if count != wanted:
        report.add(min(count, wanted) + 1, f"{count} {what} for {wanted} {other}; the two files do not belong together")


def _replace(table: pa.Table, column: str, values: list[Any]) -> pa.Table:
    index = table.schema.get_field_index(column)
    return table.set_column(index, table.schema.field(index), pa.array(values, type=table.schema.field(index).type))
