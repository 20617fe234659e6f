"""CoNLL-U and CoNLL-U Plus: sentences of tab-separated columns, a blank line after each (universaldependencies.org).

A multiword token (`1-2`) has a line of its own before the lines of its words. Empty nodes (`1.1`) are skipped because
basic trees do not contain them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.data.sources.text import (
    WITHHELD,
    Report,
    each_file,
    is_withheld,
    read_lines,
    tell_left_out,
    to_table,
)
from stilts.errors import counted
from stilts.tasks.base import Task
from stilts.tasks.schema import PARSING

COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
EMPTY = "_"


@dataclass
class Sentence:
    """The words of one sentence.

    Attributes:
        line: the number of its first line, from 1.
        id: its `sent_id`; the line number if it has none.
        lines: the line number of each word.
        cells: the columns of each word.
        fused: multiword tokens, as number of the first word (from 1), number of the last word, and form.
    """

    line: int
    id: str
    lines: list[int] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)
    fused: list[tuple[int, int, str]] = field(default_factory=list)

    def column(self, index: int) -> list[str]:
        """Return one column of all words."""
        return [cells[index] for cells in self.cells]


def read_blocks(path: Path, report: Report, wide: bool = False) -> Iterator[tuple[list[str], Sentence]]:
    """Yield (names of the columns, sentence) for each sentence without a mistake; mistakes are reported.

    The names are CoNLL-U's, or those that a CoNLL-U Plus file declares in its first line (`# global.columns = ...`).

    Args:
        wide: whether words may have more columns than are named. All words of a sentence must have the same number.
    """
    names, sound, sentence = list(COLUMNS), True, None
    for number, line in enumerate([*read_lines(path), ""], 1):
        if line.startswith("# global.columns"):
            names = line.partition("=")[2].split()
        elif line.strip():
            sentence = sentence or Sentence(number, str(number))
            sound &= _add(line, number, len(names), wide, sentence, report)
        elif sentence is not None:
            if sentence.cells and sound:
                yield names, sentence
            sound, sentence = True, None


@each_file
def read_conllu(path: Path, task: Task, language: str) -> pa.Table:
    """Read dependency trees, in which the words of a multiword token are separate words.

    Subtypes of relations are removed (`nmod:poss` becomes `nmod`). A sentence whose heads are all `_` has no gold tree.

    Raises:
        Problems: missing columns, and wrong numbers of words and heads, by line.
    """
    report = Report(path)
    columns: dict[str, list[Any]] = {name: [] for name in PARSING.names}
    withheld = 0
    for names, sentence in read_blocks(path, report):
        if lacks(names, ("FORM", "HEAD", "DEPREL"), sentence, report):
            break
        form, head, relation = (names.index(name) for name in ("FORM", "HEAD", "DEPREL"))
        if is_withheld(sentence.column(form)):
            withheld += 1
            continue
        gold = sentence.column(head) != [EMPTY] * len(sentence.cells)
        columns["id"].append(sentence.id)
        columns["tokens"].append(sentence.column(form))
        columns["heads"].append(read_heads(sentence, head, report) if gold else [])
        columns["relations"].append([name.partition(":")[0] for name in sentence.column(relation)] if gold else [])
    if not columns["id"] and not report.count and not withheld:
        report.add(1, "no sentence in it")
    report.close()
    tell_left_out(path, withheld, withheld + len(columns["id"]), WITHHELD)
    return to_table(path, columns, PARSING)


def lacks(names: Sequence[str], wanted: Sequence[str], sentence: Sentence, report: Report) -> bool:
    """Whether a CoNLL-U Plus file does not declare all the wanted columns, which is reported as a mistake."""
    missing = [name for name in wanted if name not in names]
    if missing:
        report.add(sentence.line, f"no column {', '.join(missing)}; the file declares {', '.join(names)}")
    return bool(missing)


def _add(line: str, number: int, width: int, wide: bool, sentence: Sentence, report: Report) -> bool:
    """Add a line to its sentence. Return whether the line is right; mistakes are reported."""
    if line.startswith("#"):
        name, _, value = line[1:].partition("=")
        if name.strip() == "sent_id":
            sentence.id = value.strip()
        return True
    cells = line.split("\t")
    if not cells[0].isdecimal():
        return _add_other(cells, number, sentence, report)
    if wide:
        width = max(width, len(sentence.cells[0]) if sentence.cells else len(cells))
    if len(cells) != width:
        report.add(number, f"{counted(len(cells), 'column')}, expected {width}, separated by tabs")
        return False
    if not cells[1].strip(" "):
        report.add(number, f"word number {cells[0]} is empty; CoNLL-U writes _ for a word that is not given")
        return False
    if int(cells[0]) != len(sentence.cells) + 1:
        report.add(number, f"word number {cells[0]}, expected {len(sentence.cells) + 1}")
        return False
    sentence.lines.append(number)
    sentence.cells.append(cells)
    return True


def _add_other(cells: Sequence[str], number: int, sentence: Sentence, report: Report) -> bool:
    """Add a multiword token to its sentence, and skip an empty node. Return whether the line is one of the two."""
    found = re.fullmatch(r"(\d+)([-.])(\d+)", cells[0])
    if found is None:
        report.add(number, f"{cells[0]!r} is no word number; expected 1, 2 ... or 1-2, 1.1")
        return False
    if found[2] == "-" and len(cells) > 1:
        sentence.fused.append((int(found[1]), int(found[3]), cells[1]))
    return True


def read_heads(sentence: Sentence, column: int, report: Report) -> list[int]:
    """Return the heads of all words, without those that are no number of a word or 0, which are reported."""
    heads = []
    for number, value in zip(sentence.lines, sentence.column(column), strict=True):
        if not value.isdecimal() or int(value) > len(sentence.cells):
            report.add(
                number, f"HEAD {value!r} is no word of a sentence of {counted(len(sentence.cells), 'word')}, nor 0"
            )
        else:
            heads.append(int(value))
    return heads
