"""Sentence pairs as their data sets publish them: natural language inference in all its file formats, and QQP."""

import logging
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
from pydantic import AliasChoices, BaseModel, Field

from stilts.data.sources import plain_pairs
from stilts.data.sources.text import Report, each_file, read_jsonl, read_lines, tell_left_out
from stilts.errors import Problems, counted
from stilts.tasks.base import Task, all_tasks, private_language
from stilts.tasks.families.hub import NO_LABEL

logger = logging.getLogger(__name__)

HEADERS = (
    ("sentence1", "sentence2", "gold_label"),
    ("sentence1", "sentence2", "label"),
    ("premise", "hypothesis", "label"),
    ("premise", "hypo", "label"),
    ("question1", "question2", "is_duplicate"),
)
"""Names of the columns in files with a header: of MNLI, SNLI and XNLI; of RTE and the rest of GLUE; of the hub; of
XNLI's translated MNLI; of QQP."""

LABEL_PLACES = f"a column {' or '.join(dict.fromkeys(names[2] for names in HEADERS))}, or a third without a header"
"""Where the readers look for labels, for messages."""

UNDECIDED: tuple[str | int, ...] = ("-", *NO_LABEL, *map(str, NO_LABEL))
"""Labels that mean "no label": `-` in SNLI's and MNLI's files, and numbers."""

Row = tuple[int, str, str, str | int | None]
"""Line number, text, text, and the label as it stands in the file (None: the file has no labels)."""


class Pair(BaseModel):
    """One line of a jsonl file. The fields may have the names that MNLI, SNLI and XNLI use, ANLI's, or the hub's."""

    text_a: str = Field(validation_alias=AliasChoices("sentence1", "premise", "context"))
    text_b: str = Field(validation_alias=AliasChoices("sentence2", "hypothesis"))
    label: str | int | None = Field(None, validation_alias=AliasChoices("gold_label", "label"))
    language: str | None = None


@each_file
def read_nli(path: Path, task: Task, language: str) -> pa.Table:
    """Read natural language inference.

    The file is jsonl (MNLI, SNLI, ANLI, XNLI), a table with a header (GLUE, SNLI, XNLI and its translated training
    data), or a table without one (XTREME). Pairs without a majority label (`-`, or -1) are left out, as the authors of
    the data sets advise.

    Raises:
        Problems: wrong numbers of columns, empty sentences and unknown labels, by line.
    """
    first = read_lines(path)[0]
    if first.lstrip().startswith("{"):
        return _read_jsonl(path, task, language)
    if _columns(first) is None:
        return plain_pairs.read_pairs([path], task, language)
    report = Report(path)
    rows, torn = _read_table(path, language, report)
    for number, message in torn:
        report.add(number, message)
    return _table(path, task, report, rows)


@each_file
def read_qqp(path: Path, task: Task, language: str) -> pa.Table:
    """Read GLUE's QQP, or lines of question TAB question TAB label without a header.

    The published file contains a few rows that a line feed inside a question tore apart, and two without a second
    question. They are left out.
    """
    report = Report(path)
    if _columns(read_lines(path)[0]) is None:
        return plain_pairs.read_pairs([path], task, language)
    rows, torn = _read_table(path, language, report)
    kept = [row for row in rows if row[3] is None or (row[3] in task.labels and row[1].strip() and row[2].strip())]
    left_out = len(torn) + len(rows) - len(kept)
    tell_left_out(path, left_out, len(rows) + len(torn), "not two questions and a label")
    return _table(path, task, report, kept)


def _read_jsonl(path: Path, task: Task, language: str) -> pa.Table:
    report = Report(path)
    rows = []
    others: list[tuple[int, str]] = []
    for number, pair in read_jsonl(path, Pair, report):
        if pair.language in (None, language):
            rows.append((number, pair.text_a, pair.text_b, pair.label))
        else:
            others.append((number, str(pair.language)))
    _check_languages(report, others)
    return _table(path, task, report, rows)


def _check_languages(report: Report, others: list[tuple[int, str]]) -> None:
    """Check the (line, language) of the rows that are left out because they are in other languages than the one read.

    Names such as `EN` and `English` are reported, and rows whose code is not that of a language of any task are counted
    in a warning: the rows may well be in the language that is read.
    """
    known = {code for task in all_tasks().values() for code in task.all_languages}
    unknown: Counter[str] = Counter()
    for number, name in others:
        if not _CODE.fullmatch(name):
            report.add(number, f"language {name[:40]!r} is not a lower-case code such as en")
        elif name not in known and not private_language(name):
            unknown[name] += 1
    if unknown:
        names = ", ".join(f"{name[:40]!r}: {count}" for name, count in sorted(unknown.items()))
        logger.warning(
            "%s: %d rows are left out because their language is that of no task (%s)",
            report.path,
            unknown.total(),
            names,
        )


_CODE = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
"""A language's code in ISO 639, with or without parts for its script and region."""


def _columns(first: str) -> tuple[str, str, str] | None:
    """Return the names of the three columns to read, with a label if there is one; None if the line is no header."""
    header = set(first.split("\t"))
    fitting = [names for names in HEADERS if set(names[:2]) <= header]
    return max(fitting, key=lambda names: names[2] in header, default=None)


def _read_table(path: Path, language: str, report: Report) -> tuple[list[Row], list[tuple[int, str]]]:
    """Return the rows of one language in a table with a header, and a message for each line of another length. Wrong
    names of languages are reported.

    Raises:
        Problems: two columns of the header have the same name.
    """
    lines = read_lines(path)
    header = lines[0].split("\t")
    twice = [name for name in dict.fromkeys(header) if name and header.count(name) > 1]
    if twice:
        raise Problems([f"{path}:1: the header has {', '.join(twice)} more than once"])
    names = _columns(lines[0])
    assert names is not None
    a, b = header.index(names[0]), header.index(names[1])
    gold = header.index(names[2]) if names[2] in header else None
    spoken = header.index("language") if "language" in header else None
    rows: list[Row] = []
    torn, others = [], []
    for number, line in enumerate(lines[1:], 2):
        cells = line.split("\t")
        if len(cells) != len(header):
            torn.append((number, f"{counted(len(cells), 'column')}, the header has {len(header)}"))
        elif spoken is None or cells[spoken] == language:
            rows.append((number, cells[a], cells[b], None if gold is None else cells[gold]))
        else:
            others.append((number, cells[spoken]))
    _check_languages(report, others)
    return rows, torn


def _table(path: Path, task: Task, report: Report, rows: list[Row]) -> pa.Table:
    """Make the canonical table of the rows of one language."""
    decided = [(row, *cells) for row, cells in enumerate(rows) if cells[3] not in UNDECIDED]
    for _, number, a, b, _ in decided:
        report.blank(number, **{"sentence 1": a, "sentence 2": b})
    kept = [(a, b, _index(report, number, label, task)) for _, number, a, b, label in decided]
    if not kept and not report.count:
        report.add(1, "no pair with a majority label in it")
    report.close()
    if len(decided) < len(rows):
        tell_left_out(path, len(rows) - len(decided), len(rows), "no label that a majority of annotators chose")
    return plain_pairs.pair_table(path, task, kept, [row for row, *_ in decided])


def _index(report: Report, number: int, label: str | int | None, task: Task) -> int:
    if label is None:
        return -1
    if isinstance(label, int):
        label = task.labels[label] if 0 <= label < len(task.labels) else str(label)
    return plain_pairs.label_index(report, number, label, task)
