"""Tagged sentences, one token a line: UD-POS and PAN-X as XTREME's script writes them.

Test files hold tokens alone; their gold tags stand in a file of their own.
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from stilts.data.sources.text import WITHHELD, Report, each_file, is_withheld, read_lines, replace_column, to_table
from stilts.data.sources.upos import read_upos
from stilts.errors import StiltsError, counted
from stilts.tasks.base import Task
from stilts.tasks.schema import TAGGING

logger = logging.getLogger(__name__)


def read_tags(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """Read tagged sentences: files of one token a line, or treebanks in CoNLL-U (`.conllu`, see `upos.py`).

    In files of one token a line, each line is token TAB tag, or a token alone in test files. A blank line ends a
    sentence; a line of spaces and tabs alone is a blank line. Raw PAN-X files prefix every token with the language
    (`en:Berlin`); the prefix is removed if all tokens have it. Any tag is allowed if the task takes its labels from its
    data. CoNLL's `-DOCSTART-` lines and comments (`# text = ...`) are skipped with a warning.

    Raises:
        StiltsError: the words of all sentences are withheld.
        Problems: a header, wrong columns, empty tokens, unknown tags, by line.
    """
    table = _read_files(paths, task, language)
    if not table.num_rows:
        raise StiltsError(f"{paths[0]}: all of its sentences have {WITHHELD}")
    return table


@each_file
def _read_files(path: Path, task: Task, language: str) -> pa.Table:
    reader = read_upos if path.suffix == ".conllu" else _read_lines
    return reader(path, task, language)


def _read_lines(path: Path, task: Task, language: str, *, tabs: bool = True) -> pa.Table:
    report = Report(path)
    lines = _without_marks(path, _token_lines(path, report) if tabs else list(map(_outer_cells, read_lines(path))))
    first, line = next(((number, line) for number, line in lines if line), (1, ""))
    if _HEADER.fullmatch(line):
        report.add(first, f"{line!r} is a header, which this format does not have; take the line away")
    prefix = f"{language}:"
    cut = len(prefix) if all(line.startswith(prefix) for _, line in lines if line) else 0
    labels = set(task.labels)
    columns = line.count("\t") + 1
    tokens: list[list[str]] = [[]]
    tags: list[list[str]] = [[]]
    for number, line in lines:
        if not line:
            if tokens[-1]:
                tokens.append([])
                tags.append([])
            continue
        token, *tag = line.split("\t")
        if len(tag) + 1 != columns or columns > 2:
            report.add(
                number,
                f"{counted(len(tag) + 1, 'column')}, expected a token, or token TAB tag in every line of the file",
            )
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


@each_file
def read_conll(path: Path, task: Task, language: str) -> pa.Table:
    """Read tagged sentences whose columns are separated by blanks or tabs, as those of CoNLL-2003 and MasakhaNER.

    The first column is the token, the last one the tag; a line of one column is a token of a file without gold.
    """
    return _read_lines(path, task, language, tabs=False)


LONGEST = 2_000
"""Most tokens of a sentence. The longest sentences of UD and PAN-X have some hundreds."""


def _outer_cells(line: str) -> str:
    """The first and the last column of a line, with a tab between them."""
    cells = line.split()
    return "\t".join((cells[0], cells[-1]) if len(cells) > 1 else cells)


def _token_lines(path: Path, report: Report) -> list[str]:
    """Return the lines of a file of tokens, with lines of spaces and tabs alone replaced by empty ones."""
    lines = [line if line.strip(" \t") else "" for line in read_lines(path)]
    words = [line for line in lines if line]
    parts = {len(line.split()) for line in words}
    if not any("\t" in line for line in words) and len(parts) == 1 and parts != {1}:
        (count,) = parts
        report.add(1, f"{count} columns separated by blanks (as in CoNLL-2003); expected token TAB tag: put tabs there")
        report.close()
    return lines


_HEADER = re.compile(r"tokens?|(tokens?|words?|form)\t(tags?|labels?|upos|pos|ner|ner_tags?)", re.IGNORECASE)
"""The names of the columns. `word` alone may be the first token of a text."""


def _without_marks(path: Path, lines: Sequence[str]) -> list[tuple[int, str]]:
    """Return (number, line) of each line that is no comment. A `-DOCSTART-` line, which begins a document, becomes
    empty, so that it ends a sentence."""
    kept, skipped = [], 0
    for number, line in enumerate(lines, 1):
        begins = line.split(maxsplit=1)[:1] == ["-DOCSTART-"]
        comment = line.startswith("# ") and "\t" not in line
        skipped += begins or comment
        if not comment:
            kept.append((number, "" if begins else line))
    if skipped:
        logger.warning("%s: %d lines are skipped: -DOCSTART- lines and comments (# ...)", path, skipped)
    return kept


def merge_tags(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Add gold tags: one a line, a blank line after each sentence, in the order of the test file."""
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
            report.add(number, f"{counted(len(tags), 'tag')} for the {counted(length, 'token')} of the test sentence")
    report.close()
    return replace_column(table, "tags", [tags for _, tags in sentences])
