"""Tagged sentences, one token a line: UD-POS and PAN-X as XTREME's script writes them.

Test files hold tokens alone; their gold tags stand in a file of their own.
"""

from pathlib import Path

import pyarrow as pa

from stilts.data.sources.conllu import read_upos
from stilts.data.sources.text import WITHHELD, Report, each_file, is_withheld, read_lines, replace_column, to_table
from stilts.tasks.base import Task
from stilts.tasks.schema import TAGGING


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
