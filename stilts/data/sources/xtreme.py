"""XTREME's own formats: how the files of its download folder are read (where they lie: `layouts.py`).

Facts that cost others their scores: no file has a header; test files hold no gold (two columns, tokens alone, answers
blanked to `[{0, ''}]`) and a separate labels folder supplies it; Tatoeba's English side is sorted.

A reader takes the files of one split and language and gives the canonical table of its family; a merger adds the gold
of a labels file to an unlabelled table.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from stilts.data.sources.conllu import read_upos
from stilts.data.sources.text import (
    WITHHELD,
    Report,
    each_file,
    is_withheld,
    read_json,
    read_lines,
    replace_column,
    tell_left_out,
    to_table,
)
from stilts.tasks.base import Task
from stilts.tasks.schema import CLASSIFICATION, RETRIEVAL, SPAN_QA, TAGGING

# Sentence pairs


@each_file
def read_pairs(path: Path, task: Task, language: str) -> pa.Table:
    """Rows of XNLI and PAWS-X: sentence, sentence and, but for test files, label, separated by tabs, without a header.

    XTREME's script writes them with Python's csv module, which quotes a cell that holds a quote, and copies others as
    they are. So a cell that a csv writer quoted loses its quotes, and any other quote is text, also within one file.

    Translated training files have five columns: both sentences in English, both translated, and the label.
    """
    return _pairs(path, task, list(_quoted_rows(read_lines(path))))


def merge_labels(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Gold labels, one a line in the order of the rows."""
    report = Report(path)
    lines = read_lines(path)
    report.same_count("labels", len(lines), "test rows", table.num_rows)
    labels = [label_index(report, n, line, task) for n, line in enumerate(lines, 1)]
    report.close()
    return replace_column(table, "label", labels)


Rows = list[tuple[int, list[str]]]


def _pairs(path: Path, task: Task, rows: Rows) -> pa.Table:
    if len(rows[0][1]) == TRANSLATED_COLUMNS:
        return _translated_pairs(path, task, rows)
    report = Report(path)
    columns = len(rows[0][1]) if len(rows[0][1]) in (2, 3) else 3
    kept = []
    for number, cells in rows:
        if len(cells) != columns:
            wanted = "sentence, sentence, label" if columns == 3 else "sentence, sentence, as in line 1"
            report.add(number, f"{len(cells)} columns, expected {columns} ({wanted}), separated by tabs")
            continue
        report.blank(number, **{"sentence 1": cells[0], "sentence 2": cells[1]})
        kept.append((cells[0], cells[1], label_index(report, number, cells[2], task) if columns == 3 else -1))
    report.close()
    return pair_table(path, kept)


TRANSLATED_COLUMNS = 5


def _translated_pairs(path: Path, task: Task, rows: Rows) -> pa.Table:
    """The files are as the translating machine left them: some rows are torn, some sentences empty."""
    kept = []
    for _, cells in rows:
        label = cells[-1].strip()
        label = SPELLINGS.get(label, label)
        if len(cells) == TRANSLATED_COLUMNS and label in task.labels and cells[2].strip() and cells[3].strip():
            kept.append((cells[2], cells[3], task.labels.index(label)))
    tell_left_out(path, len(rows) - len(kept), len(rows), "not two sentences, their translations and a label")
    return pair_table(path, kept)


def pair_table(path: Path, rows: Sequence[tuple[str, str, int]]) -> pa.Table:
    """Rows of text, text, label (-1: none) as the canonical table."""
    columns: dict[str, Any] = {"id": [str(i) for i in range(len(rows))]}
    for index, name in enumerate(("text_a", "text_b", "label")):
        columns[name] = [row[index] for row in rows]
    return to_table(path, columns, CLASSIFICATION)


SPELLINGS = {"contradictory": "contradiction", "e": "entailment", "n": "neutral", "c": "contradiction"}
"""Labels as some files spell them: the machine-translated training sets of XNLI, and ANLI."""


def label_index(report: Report, line: int, label: str, task: Task) -> int:
    """The index of a label among the task's, given by its name or by its number; a wrong one is noted and becomes -1.

    A number counts the task's labels from 0, as the hub's class labels do, unless it is itself the name of a label.
    """
    label = label.strip()
    label = label if label in task.labels else SPELLINGS.get(label, label)
    if label in task.labels:
        return task.labels.index(label)
    if label.isascii() and label.isdigit() and int(label) < len(task.labels):
        return int(label)
    report.add(line, f"label {label[:40]!r} is not one of {', '.join(task.labels)}")
    return -1


_GENUINE = re.compile(r'"((?:[^"]|"")*"")(?:[^"]|"")*"')


def _unquote(cell: str) -> str:
    """A CSV writer quotes a cell for the quotes inside, which it doubles; any other leading quote is plain text."""
    return cell[1:-1].replace('""', '"') if _GENUINE.fullmatch(cell) else cell


def _quoted_rows(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each row. A line with as many cells as most lines is a row, whatever quotes it holds."""
    counts = Counter(line.count("\t") + 1 for line in lines)
    counts[2] //= 2  # a row of three that is torn makes two lines of two
    columns = max((3, TRANSLATED_COLUMNS, 2), key=counts.__getitem__)
    index = 0
    while index < len(lines):
        cells, used = lines[index].split("\t"), 1
        whole = len(cells) == columns
        if not whole and any(cell.startswith('"') and cell.count('"') % 2 for cell in cells):
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
        if len(rows) == 1 and len(rows[0]) in (2, 3, TRANSLATED_COLUMNS):
            return rows[0], used
    return lines[index].split("\t"), 1


# Tagged sentences


@each_file
def read_tags(path: Path, task: Task, language: str) -> pa.Table:
    """One token a line, TAB and its tag but for test files, a blank line after each sentence.

    A line of spaces and tabs alone is a blank line. Raw PAN-X files prefix every token with the language (`en:Berlin`);
    the prefix is removed where every token has it. Any tag is allowed where the task's labels come from its data.
    A treebank in CoNLL-U (`.conllu`) gives its words and their UPOS tags.
    """
    if path.suffix == ".conllu":
        return read_upos([path], task, language)
    report = Report(path)
    lines = _token_lines(path, report)
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
        if not token[cut:].strip(" \t"):  # a no-break space is a token of some treebanks
            report.add(number, "token is empty")
        if len(tokens[-1]) == LONGEST:
            report.add(number, f"more than {LONGEST:,} tokens since the last blank line, which ends a sentence")
        if tag and labels and tag[0] not in labels:
            report.add(number, f"tag {tag[0][:40]!r} is not one of {', '.join(task.labels)}")
        tokens[-1].append(token[cut:])
        tags[-1].extend(tag)
    if not tokens[-1]:
        tokens.pop()
        tags.pop()
    withheld = sum(map(is_withheld, tokens))
    if 2 * withheld > len(tokens):
        report.add(1, f"{withheld} of {len(tokens)} sentences have {WITHHELD}")
    report.close()
    ids = [str(i) for i in range(len(tokens))]
    return to_table(path, {"id": ids, "tokens": tokens, "tags": tags}, TAGGING)


LONGEST = 2_000
"""Tokens of one sentence; the longest of UD and PAN-X have some hundreds."""


def _token_lines(path: Path, report: Report) -> list[str]:
    """The lines of a file of tokens; those of spaces and tabs alone come back empty."""
    lines = [line if line.strip(" \t") else "" for line in read_lines(path)]
    words = [line for line in lines if line]
    parts = {len(line.split()) for line in words}
    if not any("\t" in line for line in words) and len(parts) == 1 and parts != {1}:
        (count,) = parts
        report.add(1, f"{count} columns separated by blanks (as in CoNLL-2003); expected token TAB tag: put tabs there")
        report.close()
    return lines


def merge_tags(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Gold tags: one a line, a blank line after each sentence, in the order of the test file."""
    report = Report(path)
    sentences: list[tuple[int, list[str]]] = []
    fresh = True
    for number, line in enumerate(_token_lines(path, report), 1):
        if line and fresh:
            sentences.append((number, []))
        if line:
            sentences[-1][1].append(line)
        if line and task.labels and line not in task.labels:
            report.add(number, f"tag {line[:40]!r} is not one of {', '.join(task.labels)}")
        fresh = not line
    report.same_count("sentences", len(sentences), "test sentences", table.num_rows)
    lengths = [len(tokens) for tokens in table["tokens"].to_pylist()]
    for (number, tags), length in zip(sentences, lengths, strict=False):
        if len(tags) != length:
            report.add(number, f"{len(tags)} tags for the {length} tokens of the test sentence")
    report.close()
    return replace_column(table, "tags", [tags for _, tags in sentences])


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


@each_file
def read_squad(path: Path, task: Task, language: str) -> pa.Table:
    """SQuAD JSON. Answers blanked to the empty text are no gold; ids need not be unique (TyDiQA's are not)."""
    report = Report(path)
    squad, text = read_json(path, Squad)
    questions = list(squad.questions())
    for context, question in questions:
        if not (question.question or "").strip():
            report.add(line_of(text, question, report), f"no question text for id {question.id!r}")
        if not context.strip():
            report.add(line_of(text, question, report), f"question {question.id}: its context is empty")
        for answer in question.answers:
            _check_answer(report, text, context, question, answer)
    if not questions:
        report.add(1, "no questions in it")
    report.close()
    return _question_table(path, questions)


@each_file
def read_translated_squad(path: Path, task: Task, language: str) -> pa.Table:
    """SQuAD JSON that a machine translated: questions whose answer was not found again in the context are left out."""
    squad, _ = read_json(path, Squad)
    questions = list(squad.questions())
    kept = [(context, question) for context, question in questions if _usable(context, question)]
    tell_left_out(path, len(questions) - len(kept), len(questions), "no answer at its place in the context")
    return _question_table(path, kept)


def _usable(context: str, question: Question) -> bool:
    answers = question.answers
    return bool(context.strip() and (question.question or "").strip() and answers) and all(
        answer.text.strip() and _found(context, answer) == answer.text for answer in answers
    )


def _question_table(path: Path, questions: Sequence[tuple[str, Question]]) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "id": [str(question.id) for _, question in questions],
        "context": [context for context, _ in questions],
        "question": [question.question for _, question in questions],
        "answers": [_gold(question) for _, question in questions],
    }
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
    return replace_column(table, "answers", [gold[name] for name in ids])


def _gold(question: Question) -> list[dict[str, Any]]:
    return [{"text": a.text, "start": a.answer_start} for a in question.answers if a.text]


def _check_answer(report: Report, text: str, context: str, question: Question, answer: Answer) -> None:
    start, wanted = answer.answer_start, answer.text
    found = _found(context, answer)
    if wanted and found != wanted:
        report.add(
            line_of(text, question, report),
            f"question {question.id}: the context has {found[:40]!r} at character {start}, not the answer "
            f"{wanted[:40]!r} (offsets count Unicode code points)",
        )


def _found(context: str, answer: Answer) -> str:
    """What the context has where the answer should be."""
    start = answer.answer_start
    return context[start : start + len(answer.text)] if start >= 0 else ""


def line_of(text: str, question: Question, report: Report) -> int:
    """The line of a question in the text of its file."""
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
            report.blank(number, sentence=text)
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
    return replace_column(
        table, "gold", [gold.get(n, []) if s == "foreign" else [] for s, n in zip(sides, ids, strict=True)]
    )


def read_tatoeba(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """One sentence a line on both sides, which have as many; an id is the line number from 0.

    Line i of one side is not the translation of line i of the other.
    """
    sides = [_sentences(path) for path in paths[:2]]
    report = Report(paths[1])
    report.same_count("lines", len(sides[1]), f"lines of {paths[0]}", len(sides[0]))
    report.close()
    columns = {
        "side": ["foreign"] * len(sides[0]) + ["en"] * len(sides[1]),
        "id": [str(i) for side in sides for i in range(len(side))],
        "text": sides[0] + sides[1],
        "gold": [[] for side in sides for _ in side],
    }
    return to_table(paths[0], columns, RETRIEVAL)


def _sentences(path: Path) -> list[str]:
    report = Report(path)
    lines = read_lines(path)
    for number, line in enumerate(lines, 1):
        report.blank(number, sentence=line)
    report.close()
    return lines


def merge_lines(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Tatoeba's gold: for each English sentence in order, the line (from 0) of its translation in the foreign file."""
    report = Report(path)
    lines = [line.strip() for line in read_lines(path)]
    foreign = table["side"].to_pylist().count("foreign")
    report.same_count("lines", len(lines), "English sentences", table.num_rows - foreign)
    for number, line in enumerate(lines, 1):
        if not (line.isascii() and line.isdigit() and int(line) < foreign):
            report.add(number, f"{line[:40]!r} is not a line number from 0 to {foreign - 1}")
    report.close()
    return replace_column(table, "gold", [[] for _ in range(foreign)] + [[str(int(line))] for line in lines])
