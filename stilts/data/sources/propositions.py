"""Propositions: PropBank's predicates and arguments, read from the five layouts in which they are published.

- CoNLL-2012 (OntoNotes' `*_gold_conll` files): a column for each predicate holds the arguments' spans, `(ARG0*`, `*`,
  `*)`, and the predicate `(V*)`.
- Universal PropBank 2.0 (`.conllup`), which has to be merged with UD 2.9 by its own script first: CoNLL-U Plus, whose
  columns UP:PRED and UP:ARGSPANS name a predicate and its arguments' spans, `A0:1-1|A1:4-6`.
- Universal PropBank 1.0: CoNLL-U, whose columns 9 and 10 flag (Y) and name a predicate; a column for each predicate
  follows, which has the role at the argument's head word.
- Universal PropBank 1.0, English, as published (commit b955f2aa): CoNLL-U, whose column 11 names a predicate
  (`come.03`); a column for each predicate follows, which has V at the predicate and the role at the argument's head
  word.
- Universal PropBank 1.0, English, at commit 568e345b: CoNLL-U, whose last column has, again at head words,
  `Args=ARG0/_`, a part for each predicate; V is the predicate.

A head word stands for its subtree: each word belongs to the nearest argument's head, or predicate, above it in the
tree, and the span consists of the adjacent words around the head that belong to it. Of spans that overlap, the first is
kept, and no span covers the predicate, because BIO tags cannot represent more.

Roles are spelt in one way: `A0` becomes ARG0, `AM-TMP` becomes ARGM-TMP, and a feature after a numbered role
(`ARG1-DSP`) is removed. A role that the task does not declare is an error.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from stilts.data.sources.conllu import COLUMNS, EMPTY, Sentence, lacks, read_blocks, read_heads
from stilts.data.sources.text import Report, each_file, read_lines, tell_left_out, to_table
from stilts.errors import counted
from stilts.tasks.base import Task
from stilts.tasks.schema import PROPOSITIONS

_ROLE = re.compile(r"(?P<prefix>(?:[CR]-)?)(?:A|ARG)(?P<role>[0-5A](?=$|-)|M-\w+)(?:-\w+)?")
_BRACKETS = re.compile(r"(?:\((?P<role>[^()*]+))?\*(?P<end>\)?)")
_SPANS = ("UP:PRED", "UP:ARGSPANS")
_ARGUMENTS_2012 = slice(11, -1)
"""The columns of arguments in CoNLL-2012, one for each predicate: those between named entities and coreference."""


class Span(NamedTuple):
    """A role and its first and last word, counted from 0; `line` is the line number of its first cell."""

    role: str
    first: int
    last: int
    line: int


@each_file
def read_propositions(path: Path, task: Task, language: str) -> pa.Table:
    """A row for each predicate; the layout is told by the file's first word.

    Raises:
        Problems: what no layout allows, or an undeclared role, by line.
    """
    report = Report(path)
    rows = _Rows(task, report)
    lines = (line for line in read_lines(path) if line.strip() and not line.startswith("#"))
    if re.match(r"\d+([-.]\d+)?\t", next(lines, "")):
        _read_universal(path, report, rows)
    else:
        _read_2012(path, report, rows)
    if not rows.columns["id"] and not report.count:
        report.add(1, "no predicate with arguments in it")
    report.close()
    tell_left_out(path, rows.lost, rows.lost + len(rows.columns["id"]), "no V, which marks the predicate")
    return to_table(path, rows.columns, PROPOSITIONS)


class _Rows:
    """The canonical columns under construction."""

    def __init__(self, task: Task, report: Report) -> None:
        self.columns: dict[str, list[Any]] = {name: [] for name in PROPOSITIONS.names}
        self.labels = set(task.labels)
        self.task, self.report = task, report
        self.lost = 0
        """Number of argument columns whose predicate is not known."""

    def add(self, id_: str, tokens: list[str], predicate: int, spans: Iterable[Span]) -> None:
        """Add a proposition. Of spans that overlap, the first is kept."""
        tags = ["O"] * len(tokens)
        tags[predicate] = "B-V"
        for span in spans:
            role = _spelled(span.role)
            if f"B-{role}" not in self.labels:
                self.report.add(span.line, f"{span.role!r} is none of {self.task.name}'s roles (PropBank's)")
            elif set(tags[span.first : span.last + 1]) == {"O"}:
                tags[span.first : span.last + 1] = [f"B-{role}"] + [f"I-{role}"] * (span.last - span.first)
        for name, value in zip(PROPOSITIONS.names, (id_, tokens, predicate, tags), strict=True):
            self.columns[name].append(value)


def _spelled(role: str) -> str:
    found = _ROLE.fullmatch(role)
    return f"{found['prefix']}ARG{found['role']}" if found else role


# CoNLL-2012


def _read_2012(path: Path, report: Report, rows: _Rows) -> None:
    sentence: list[tuple[int, list[str]]] = []
    for number, line in enumerate([*read_lines(path), ""], 1):
        if line.strip() and not line.startswith("#"):
            sentence.append((number, line.split()))
        elif sentence:
            _add_2012(sentence, report, rows)
            sentence = []


def _add_2012(sentence: list[tuple[int, list[str]]], report: Report, rows: _Rows) -> None:
    line, cells = sentence[0]
    for number, row in sentence:
        if len(row) != len(cells) or len(row) < 12:
            report.add(number, f"{counted(len(row), 'column')}, expected {max(len(cells), 12)} (CoNLL-2012's)")
            return
    tokens = [row[3] for _, row in sentence]
    if set(tokens) == {"[WORD]"}:
        report.add(line, "[WORD] stands for the words; make the *_gold_conll files with OntoNotes' own script")
        return
    columns = zip(*(row[_ARGUMENTS_2012] for _, row in sentence), strict=True)
    for count, column in enumerate(columns, 1):
        spans = list(_bracketed([number for number, _ in sentence], column, report))
        predicate = next((span.first for span in spans if span.role == "V"), None)
        if predicate is None:
            report.add(line, f"predicate {count} has no (V*) in its column")
            continue
        arguments = (span for span in spans if not span.first <= predicate <= span.last)
        rows.add(f"{cells[0]}/{cells[1]}/{line}#{count}", tokens, predicate, arguments)


def _bracketed(lines: list[int], column: Iterable[str], report: Report) -> Iterator[Span]:
    """Return the spans of one column."""
    role, first = None, 0
    for word, (line, cell) in enumerate(zip(lines, column, strict=True)):
        found = _BRACKETS.fullmatch(cell)
        if found is None or (found["role"] and role) or (found["end"] and not (found["role"] or role)):
            report.add(line, f"{cell!r} is no part of a bracketed argument, such as (ARG0* or *)")
            return
        if found["role"]:
            role, first = found["role"], word
        if found["end"] and role:
            yield Span(role, first, word, lines[first])
            role = None


# Universal PropBank


def _read_universal(path: Path, report: Report, rows: _Rows) -> None:
    for names, sentence in read_blocks(path, report, wide=True):
        if "FORM" not in names:
            report.add(sentence.line, "there is no FORM column; merge the file with its treebank (UP's merge_ud_up.py)")
            return
        if lacks(names, _SPANS if "UP:ARGSPANS" in names else COLUMNS, sentence, report):
            return
        tokens = sentence.column(names.index("FORM"))
        for count, (predicate, spans) in enumerate(_universal(names, sentence, rows), 1):
            rows.add(f"{sentence.id}#{count}", tokens, predicate, spans)


def _universal(names: list[str], sentence: Sentence, rows: _Rows) -> Iterator[tuple[int, list[Span]]]:
    """Yield (predicate, arguments) of a sentence."""
    report = rows.report
    if "UP:ARGSPANS" in names:
        yield from _with_spans(names, sentence, report)
        return
    marks = _by_part(sentence) or (
        _by_roleset(sentence, rows) if _is_english(sentence) else _by_column(sentence, report)
    )
    heads = read_heads(sentence, names.index("HEAD"), report) if marks else []
    for predicate, roles in marks if len(heads) == len(sentence.cells) else ():
        words = {word: role for word, role in roles.items() if word != predicate}
        owners = _owners(heads, {*words, predicate})
        yield predicate, [_around(word, role, owners, sentence.lines[word]) for word, role in words.items()]


def _with_spans(names: list[str], sentence: Sentence, report: Report) -> Iterator[tuple[int, list[Span]]]:
    """Read a sentence of Universal PropBank 2.0."""
    predicates, spans = (sentence.column(names.index(name)) for name in _SPANS)
    for word, (name, cell) in enumerate(zip(predicates, spans, strict=True)):
        if name == EMPTY:
            continue
        found = []
        for part in cell.split("|") if cell != EMPTY else ():
            place = re.fullmatch(r"(?P<role>[^:]+):(?P<first>\d+)-(?P<last>\d+)", part)
            if place is None or not 0 < int(place["first"]) <= int(place["last"]) <= len(predicates):
                report.add(sentence.lines[word], f"{part!r} is no span of {len(predicates)} words, such as A0:1-2")
                continue
            found.append(Span(place["role"], int(place["first"]) - 1, int(place["last"]) - 1, sentence.lines[word]))
        yield word, found


def _by_part(sentence: Sentence) -> list[tuple[int, dict[int, str]]]:
    """Universal PropBank 1.0, English: `Args=A/B` in MISC; (predicate, role of each head word)."""
    found = [re.search(r"(?:^|\|)Args=([^|]*)", cells[9]) for cells in sentence.cells]
    parts = [place[1].split("/") if place else [] for place in found]
    return [marks for marks in map(_marks, _columns(parts)) if marks is not None]


def _marks(column: list[str]) -> tuple[int, dict[int, str]] | None:
    return (column.index("V"), _roles(column)) if "V" in column else None


_ROLESET = re.compile(r"\S+\.(?:\d+|LV|\w+)")


def _is_english(sentence: Sentence) -> bool:
    """Whether columns 9 and 10 are those of CoNLL-U, and not the flag and the name of a predicate."""
    if any(cells[8] not in ("Y", EMPTY, "") for cells in sentence.cells):
        return True
    named = any(len(cells) > 10 and _ROLESET.fullmatch(cells[10]) for cells in sentence.cells)
    return named and not any(cells[8] == "Y" for cells in sentence.cells)


def _by_roleset(sentence: Sentence, rows: _Rows) -> list[tuple[int, dict[int, str]]]:
    """Universal PropBank 1.0, English, as published: (predicate, role of each head word) of each column.

    The predicate of a column is its V. In the published files a few columns have none, and a few sentences have not as
    many columns as predicates: a column without V belongs to the predicate of its place where the numbers agree, and is
    counted and left out elsewhere.
    """
    predicates = [word for word, cells in enumerate(sentence.cells) if cells[10:11] not in ([EMPTY], [""], [])]
    columns = [column for column in _columns([cells[11:] for cells in sentence.cells]) if set(column) != {EMPTY}]
    marks = []
    for place, column in enumerate(columns):
        if "V" in column:
            marks.append((column.index("V"), _roles(column)))
        elif len(columns) == len(predicates):
            marks.append((predicates[place], _roles(column)))
        else:
            rows.lost += 1
    return marks


def _by_column(sentence: Sentence, report: Report) -> list[tuple[int, dict[int, str]]]:
    """Universal PropBank 1.0: a flag, a name, and a column for each predicate."""
    predicates = [word for word, cells in enumerate(sentence.cells) if cells[8] == "Y"]
    columns = _columns([cells[10:] for cells in sentence.cells])
    if len(predicates) != len(columns):
        report.add(
            sentence.line,
            f"{counted(len(predicates), 'predicate')}, but {counted(len(columns), 'column')} of arguments",
        )
        return []
    return [(word, _roles(column)) for word, column in zip(predicates, columns, strict=True)]


def _columns(rows: list[list[str]]) -> list[list[str]]:
    """Rows of cells by column; missing cells are empty."""
    width = max(map(len, rows))
    return [[row[i] if i < len(row) and row[i] else EMPTY for row in rows] for i in range(width)]


def _roles(column: list[str]) -> dict[int, str]:
    return {word: role for word, role in enumerate(column) if role != EMPTY}


def _owners(heads: list[int], marked: set[int]) -> list[int]:
    """Return, for each word, the nearest marked word at or above it in the tree; -1 if there is none."""

    def owner(word: int) -> int:
        for _ in heads:
            if word < 0 or word in marked:
                return word
            word = heads[word] - 1
        return -1

    return [owner(word) for word in range(len(heads))]


def _around(word: int, role: str, owners: list[int], line: int) -> Span:
    """Return the span of adjacent words around an argument's head that belong to it."""
    first = last = word
    while first > 0 and owners[first - 1] == word:
        first -= 1
    while last + 1 < len(owners) and owners[last + 1] == word:
        last += 1
    return Span(role, first, last, line)
