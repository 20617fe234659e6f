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
from stilts.errors import counted
from stilts.tasks.base import Task
from stilts.tasks.schema import CLASSIFICATION


@each_file
def read_pairs(path: Path, task: Task, language: str) -> pa.Table:
    """Read lines of sentence TAB sentence TAB label; test files have no label.

    XTREME's script writes some files with Python's csv module, which puts a cell with a quote in it between quotes and
    doubles the quote inside, and copies other files as they are. Quotes that a csv writer added are removed, and any
    other quote is text. Both can occur in one file.

    Machine-translated training files have five columns: both sentences in English, both translated, and the label.

    Raises:
        Problems: a header, wrong numbers of columns, empty sentences and unknown labels, by line.
    """
    return _pairs(path, task, list(_quoted_rows(read_lines(path))))


def merge_labels(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Add gold labels, one a line in the order of the rows."""
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
    if columns == 2 and all(_HEADER.fullmatch(cell.strip()) for cell in rows[0][1]):
        report.add(1, f"{' and '.join(rows[0][1])} are names of columns; this format has no header, take the line away")
    kept = []
    for number, cells in rows:
        if len(cells) != columns:
            wanted = "sentence, sentence, label" if columns == 3 else "sentence, sentence, as in line 1"
            report.add(number, f"{counted(len(cells), 'column')}, expected {columns} ({wanted}), separated by tabs")
            continue
        report.blank(number, **{"sentence 1": cells[0], "sentence 2": cells[1]})
        kept.append((cells[0], cells[1], label_index(report, number, cells[2], task) if columns == 3 else -1))
    report.close()
    return pair_table(path, task, kept, range(len(kept)))


_HEADER = re.compile(r"(sentence|text|question)[ _]?[12ab]|premise|hypothesis|hypo", re.IGNORECASE)
"""Names of columns of sentences. In files with labels the name of the label column is reported as a wrong label."""

TRANSLATED_COLUMNS = 5


def _translated_pairs(path: Path, task: Task, rows: Rows) -> pa.Table:
    """Read machine translations, leaving out rows that were torn apart and rows with an empty sentence."""
    kept, numbers = [], []
    for row, (_, cells) in enumerate(rows):
        label = cells[-1].strip()
        label = SPELLINGS.get(label, label)
        if len(cells) == TRANSLATED_COLUMNS and label in task.labels and cells[2].strip() and cells[3].strip():
            kept.append((cells[2], cells[3], task.labels.index(label)))
            numbers.append(row)
    tell_left_out(path, len(rows) - len(kept), len(rows), "not two sentences, their translations and a label")
    return pair_table(path, task, kept, numbers)


def pair_table(path: Path, task: Task, rows: Sequence[tuple[str, str, int]], numbers: Sequence[int]) -> pa.Table:
    """Make the canonical table of rows of text, text, label (-1: none).

    Args:
        numbers: the number of each row among those of its language in the file, from 0. The rows of a parallel task
            have these as ids, because translations must have the same id although a row was left out in one language.
            The ids of other tasks count the rows of the table.
    """
    columns: dict[str, Any] = {"id": [str(i) for i in (numbers if task.parallel else range(len(rows)))]}
    for index, name in enumerate(("text_a", "text_b", "label")):
        columns[name] = [row[index] for row in rows]
    return to_table(path, columns, CLASSIFICATION)


SPELLINGS = {"contradictory": "contradiction", "e": "entailment", "n": "neutral", "c": "contradiction"}
"""Labels as some files spell them: the machine-translated training sets of XNLI, and ANLI."""


def label_index(report: Report, line: int, label: str, task: Task) -> int:
    """Return the index of a label among the task's; a wrong label is reported and becomes -1.

    A label is given by its name, or by its index in the task's labels unless the number is itself the name of a label.
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
    """Remove the quotes that a csv writer put around a cell because of quotes inside, which it doubled."""
    return cell[1:-1].replace('""', '"') if _GENUINE.fullmatch(cell) else cell


def _quoted_rows(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of each row. A line with as many cells as most lines is a row, whatever its quotes."""
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
    """Return a row that has a line end or tab inside a quoted cell, and its number of lines.

    If the lines from `index` on are no such row, returns the cells of the one line, and 1.
    """
    for used in range(1, most + 1):
        try:
            rows = list(csv.reader(["\n".join(lines[index : index + used])], delimiter="\t", strict=True))
        except csv.Error:
            continue
        if len(rows) == 1 and len(rows[0]) in (2, 3, TRANSLATED_COLUMNS):
            return rows[0], used
    return lines[index].split("\t"), 1
