"""Utterances with an intent and slots, as xSID's files have them (van der Goot et al. 2021, NAACL).

A line is `number TAB word TAB intent TAB tag`; the intent is the same in all lines of an utterance. A blank line ends
an utterance, and lines that begin with `#` are comments. Files of `number TAB word` have no gold.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.data.sources.columns import RowReport
from stilts.data.sources.text import Report, each_file, read_lines, to_table
from stilts.errors import counted
from stilts.tasks.base import HubSource, Task
from stilts.tasks.families import HubRows, get_family

FULL, BARE = 4, 2
"""Columns of files with and without gold."""


@each_file
def read_frames(path: Path, task: Task, language: str) -> pa.Table:
    """Read utterances. The id of an utterance is its number in the file, from 0.

    Raises:
        Problems: wrong numbers of columns, utterances with several intents, and unknown intents and tags, by line.
    """
    report = Report(path)
    found, starts = _utterances(path, report)
    report.close()
    columns: dict[str, list[Any]] = {
        "tokens": [[cells[1] for cells in rows] for rows in found],
        "tags": [[cells[3] for cells in rows if len(cells) == FULL] for rows in found],
        "label": [rows[0][2] if len(rows[0]) == FULL else None for rows in found],
    }
    family, mistakes = get_family(task.family), RowReport(str(path), starts)
    source = HubSource(str(path), "", {}, {name: name for name in columns}, labels=task.label_values or None)
    table = family.from_hub(HubRows(columns, dict.fromkeys(columns), mistakes.add, source, task))
    mistakes.close()
    return to_table(path, {"id": [str(number) for number in range(len(found))], **table}, family.schema)


def _utterances(path: Path, report: Report) -> tuple[list[list[list[str]]], list[int]]:
    """The cells of each line of each utterance, and the number of its first line."""
    found: list[list[list[str]]] = [[]]
    starts: list[int] = []
    width = None
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            if found[-1]:
                found.append([])
            continue
        if line.startswith("#"):
            continue
        cells = line.split("\t")
        width = width or (len(cells) if len(cells) in (FULL, BARE) else FULL)
        if len(cells) != width:
            report.add(number, f"{counted(len(cells), 'column')}, expected {width}: number, word, intent, tag")
            continue
        if not cells[1].strip():
            report.add(number, "the word is empty")
        if found[-1] and len(cells) == FULL and cells[2] != found[-1][0][2]:
            report.add(number, f"the intent {cells[2][:40]!r} is another than that of the utterance's first word")
        if not found[-1]:
            starts.append(number)
        found[-1].append(cells)
    if not found[-1]:
        found.pop()
    if not found and not report.count:
        report.add(1, "no utterances")
    return found, starts
