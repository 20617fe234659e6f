"""Sentence pairs in tab-separated files without a header: XNLI and PAWS-X as XTREME's script writes them.

The first line is an example, too. Test files have two columns, and their gold labels stand in a file of their own.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.data.sources.text import Report, each_file, read_lines, replace_column, tell_left_out, to_table
from stilts.tasks.base import Task
from stilts.tasks.schema import CLASSIFICATION


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
