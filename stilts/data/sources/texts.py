"""Labelled texts in tab-separated files without a header: text TAB label, or text TAB text TAB label.

A file of one column has no labels. What stands in the last column is what the task's family makes of it: a label, a
number, or labels between bars.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.data.sources.columns import RowReport
from stilts.data.sources.text import Report, each_file, read_lines, to_table
from stilts.errors import counted
from stilts.tasks.base import HubSource, Task
from stilts.tasks.families import HubRows, get_family

COLUMNS = {1: ("text_a",), 2: ("text_a", "GOLD"), 3: ("text_a", "text_b", "GOLD")}
"""Columns of a file, by their number."""


@each_file
def read_texts(path: Path, task: Task, language: str) -> pa.Table:
    """Read texts, or pairs of texts, with their gold. The id of an example is its row number from 0.

    Raises:
        Problems: wrong numbers of columns, empty texts, and gold that is none for the task, by line.
    """
    family, report = get_family(task.family), Report(path)
    rows = [(number, line.split("\t")) for number, line in enumerate(read_lines(path), 1) if line.strip()]
    count = len(rows[0][1])
    names = [str(family.gold_name) if name == "GOLD" else name for name in COLUMNS.get(count, COLUMNS[2])]
    for number, cells in rows:
        if len(cells) != len(names):
            wanted = "text, label" if count not in COLUMNS else f"{counted(count, 'column')} as in line 1"
            report.add(number, f"{counted(len(cells), 'column')}, expected {wanted}, separated by tabs")
        else:
            report.blank(number, **{name: cell for name, cell in zip(names, cells, strict=True) if "text" in name})
    report.close()
    columns: dict[str, list[Any]] = {name: [cells[i] for _, cells in rows] for i, name in enumerate(names)}
    columns.setdefault(str(family.gold_name), [None] * len(rows))
    mistakes = RowReport(str(path), [number for number, _ in rows])
    source = HubSource(str(path), "", {}, {name: name for name in columns}, labels=task.label_values or None)
    found = family.from_hub(HubRows(columns, dict.fromkeys(columns), mistakes.add, source, task))
    mistakes.close()
    return to_table(path, {"id": [str(number) for number in range(len(rows))], **found}, family.schema)
