"""CCG supertags: sentences in one line each, or one token a line."""

from pathlib import Path

import pyarrow as pa

from stilts.data.sources.tags import read_tags
from stilts.data.sources.text import Report, each_file, read_lines, to_table
from stilts.errors import counted
from stilts.tasks.base import Task
from stilts.tasks.schema import TAGGING


@each_file
def read_supertags(path: Path, task: Task, language: str) -> pa.Table:
    """Read CCG supertags.

    A line is a sentence, words TAB tags, each separated by spaces (jiant's format); or a line is token TAB tag, with a
    blank line after each sentence. Any tag is allowed, because the task's labels are those of its training file.
    """
    lines = read_lines(path)
    if not any(" " in line for line in lines if line.strip()):
        return read_tags([path], task, language)
    report = Report(path)
    tokens, tags = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        words, *rest = ([word for word in cell.split(" ") if word] for cell in line.split("\t"))
        if len(rest) != 1 or len(rest[0]) != len(words):
            found = counted(len(rest) + 1, "column")
            if len(rest) == 1:
                found = f"{counted(len(words), 'word')} and {counted(len(rest[0]), 'tag')}"
            report.add(number, f"{found}, expected words, a tab, and as many tags")
            continue
        tokens.append(words)
        tags.append(rest[0])
    report.close()
    return to_table(path, {"id": [str(i) for i in range(len(tokens))], "tokens": tokens, "tags": tags}, TAGGING)
