"""CoNLL-U and CoNLL-U Plus: sentences of tab-separated columns, a blank line after each (universaldependencies.org).

Lines that are no words are passed over: multiword tokens (`1-2`), whose words follow, and empty nodes (`1.1`), which
basic trees leave out.
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
from stilts.tasks.base import Task
from stilts.tasks.schema import PARSING, TAGGING

COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
EMPTY = "_"


@dataclass
class Sentence:
    """Words of one sentence.

    Attributes:
        line: its first line, from 1.
        id: its `sent_id`, else the line.
        lines: line of each word.
        cells: columns of each word, as many as the file has.
    """

    line: int
    id: str
    lines: list[int] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)

    def column(self, index: int) -> list[str]:
        """One column of all words."""
        return [cells[index] for cells in self.cells]


def read_blocks(path: Path, report: Report, wide: bool = False) -> Iterator[tuple[list[str], Sentence]]:
    """(names of the columns, sentence) for each sentence whose lines are sound; mistakes are reported.

    The names are CoNLL-U's, or those that CoNLL-U Plus declares in its first line (`# global.columns = ...`).

    Args:
        wide: whether the words of a sentence may have further columns, all of them as many.
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
def read_upos(path: Path, task: Task, language: str) -> pa.Table:
    """The words of a treebank and their universal part-of-speech tags; the words of a multiword token one by one.

    Raises:
        Problems: columns or tags that are none, by line.
    """
    report = Report(path)
    columns: dict[str, list[Any]] = {name: [] for name in TAGGING.names}
    withheld = 0
    for names, sentence in read_blocks(path, report):
        if lacks(names, ("FORM", "UPOS"), sentence, report):
            break
        tokens, tags = (sentence.column(names.index(name)) for name in ("FORM", "UPOS"))
        if is_withheld(tokens):
            withheld += 1
            continue
        gold = set(tags) != {EMPTY}
        for line, tag in zip(sentence.lines, tags, strict=True):
            if gold and task.labels and tag not in task.labels:
                report.add(line, f"UPOS {tag!r} is not one of {', '.join(task.labels)}")
        columns["id"].append(sentence.id)
        columns["tokens"].append(tokens)
        columns["tags"].append(tags if gold else [])
    if not columns["id"] and not report.count and not withheld:
        report.add(1, "no sentence in it")
    report.close()
    tell_left_out(path, withheld, withheld + len(columns["id"]), WITHHELD)
    return to_table(path, columns, TAGGING)


@each_file
def read_conllu(path: Path, task: Task, language: str) -> pa.Table:
    """Dependency trees. Relations lose their subtypes (`nmod:poss` is `nmod`); a file whose heads are `_` has no gold.

    Raises:
        Problems: columns or numbers that are none, by line.
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
    """Whether the declared columns (CoNLL-U Plus) are without some of those wanted, which is then reported."""
    missing = [name for name in wanted if name not in names]
    if missing:
        report.add(sentence.line, f"no column {', '.join(missing)}; the file declares {', '.join(names)}")
    return bool(missing)


def _add(line: str, number: int, width: int, wide: bool, sentence: Sentence, report: Report) -> bool:
    """Take a line into its sentence; whether it is sound."""
    if line.startswith("#"):
        name, _, value = line[1:].partition("=")
        if name.strip() == "sent_id":
            sentence.id = value.strip()
        return True
    cells = line.split("\t")
    if not cells[0].isdecimal():
        return _no_word(cells[0], number, report)
    if wide:
        width = max(width, len(sentence.cells[0]) if sentence.cells else len(cells))
    if len(cells) != width:
        report.add(number, f"{len(cells)} columns, expected {width}, separated by tabs")
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


def _no_word(id_: str, number: int, report: Report) -> bool:
    """Whether a line is of a multiword token or of an empty node."""
    if not re.fullmatch(r"\d+[-.]\d+", id_):
        report.add(number, f"{id_!r} is no word number; expected 1, 2 ... or 1-2, 1.1")
        return False
    return True


def read_heads(sentence: Sentence, column: int, report: Report) -> list[int]:
    """The heads of all words; one that is none is reported and left out."""
    heads = []
    for number, value in zip(sentence.lines, sentence.column(column), strict=True):
        if not value.isdecimal() or int(value) > len(sentence.cells):
            report.add(number, f"HEAD {value!r} is no word of a sentence of {len(sentence.cells)} words, nor 0")
        else:
            heads.append(int(value))
    return heads
