"""Tables with named columns: CSV and TSV with a header, JSON lines, JSON and Parquet, for any family.

`Task.columns` names the file's column of each column that the task's family asks for (`Family.columns`). `a+b` reads
the columns a and b as the items of one list, `a.b` the field b of column a.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stilts.data.sources.columns import RowReport, check_columns
from stilts.data.sources.text import Report, each_file, read_lines, read_text, to_table
from stilts.errors import StiltsError, nearest
from stilts.tasks.base import HubSource, Task
from stilts.tasks.families import HubRows, get_family

Rows = Sequence[Mapping[str, Any]]


@each_file
def read_columns(path: Path, task: Task, language: str) -> pa.Table:
    """Read the columns of a file that `Task.columns` names. The ending tells the form: .csv, .tsv, .jsonl, .json or
    .parquet.

    Raises:
        StiltsError: another ending, or a column that the file does not have.
        Problems: rows of another shape, values that are null or of another kind, unknown labels, by row.
    """
    if not task.columns:
        raise StiltsError(f"{path}: the task {task.name} names no columns; declare columns: {{...}}")
    rows, names = _rows(path)
    known = {name.split(".")[0] for column in task.columns.values() for name in column.split("+")}
    if missing := sorted(known - set(names)):
        raise StiltsError(f"{path}: no column {missing[0]!r}; {nearest(missing[0], names)}")
    family, report = get_family(task.family), RowReport(str(path))
    columns = {ours: values(rows, theirs) for ours, theirs in task.columns.items()}
    check_columns(report, columns, task.columns)
    source = HubSource(str(path), "", {}, task.columns, labels=task.label_values or None)
    found = family.from_hub(HubRows(columns, dict.fromkeys(columns), report.add, source, task))
    report.close()
    if "id" in columns:
        found["id"] = [str(name) for name in columns["id"]]
    found.setdefault("id", [str(number) for number in range(len(rows))])
    return to_table(path, found, family.schema)


def values(rows: Rows, column: str) -> list[Any]:
    """The values of a column, of several joined by `+` as lists, or of a field of one."""
    if "+" in column:
        return [[row.get(name) for name in column.split("+")] for row in rows]
    name, _, part = column.partition(".")
    if not part:
        return [row.get(name) for row in rows]
    return [inner.get(part) if isinstance(inner := row.get(name), dict) else None for row in rows]


def _rows(path: Path) -> tuple[Rows, list[str]]:
    """The rows of a file, and the names of its columns."""
    match path.suffix:
        case ".csv" | ".tsv":
            rows, names = _delimited(path)
        case ".jsonl" | ".json":
            rows = _objects(path)
            names = list(dict.fromkeys(name for row in rows for name in row))
        case ".parquet":
            try:
                table = pq.read_table(path)
            except (OSError, pa.ArrowInvalid) as error:
                raise StiltsError(f"cannot read {path}: {str(error).splitlines()[0]}") from None
            rows, names = table.to_pylist(), table.column_names
        case other:
            raise StiltsError(
                f"{path}: a table ends with .csv, .tsv, .jsonl, .json or .parquet, not {other or 'nothing'}"
            )
    if not rows:
        raise StiltsError(f"{path}: the table has no rows")
    return rows, names


def _delimited(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    """Rows of CSV, where cells may be quoted, or of TSV, where a quote is text."""
    report = Report(path)
    if path.suffix == ".tsv":
        lines = [(number, line.split("\t")) for number, line in enumerate(read_lines(path), 1) if line.strip()]
    else:
        reader = csv.reader(io.StringIO(read_text(path), newline=""))
        lines = [(reader.line_num, cells) for cells in reader if cells]
    names = [name.strip() for name in lines[0][1]]
    if len(set(names)) < len(names):
        raise StiltsError(f"{path}:1: the header names a column twice: {', '.join(names)}")
    rows = []
    for number, cells in lines[1:]:
        if len(cells) != len(names):
            report.add(number, f"{len(cells)} cells, and the header has {len(names)}")
        rows.append(dict(zip(names, cells, strict=False)))
    report.close()
    return rows, names


def _objects(path: Path) -> list[dict[str, Any]]:
    """The objects of JSON lines, or of one JSON list."""
    report = Report(path)
    if path.suffix == ".json":
        numbered = [(1, read_text(path))]
    else:
        numbered = [(number, line) for number, line in enumerate(read_lines(path), 1) if line.strip()]
    found: list[Any] = []
    for number, text in numbered:
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            report.add(number + error.lineno - 1, f"not JSON: {error.msg} (column {error.colno})")
            continue
        for row in value if path.suffix == ".json" and isinstance(value, list) else [value]:
            if isinstance(row, dict):
                found.append(row)
            else:
                report.add(number, "not an object {column: value}")
    report.close()
    return found
