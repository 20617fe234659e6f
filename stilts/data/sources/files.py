"""The data sets' own files, and the table of all file formats by name.

A user may point a task at any file of its format (`data.tasks.NAME.train: PATH/{lang}.tsv`); the formats of XTREME's
folder are in `xtreme.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.data.sources import xtreme
from stilts.data.sources.text import Report, read_jsonl, read_lines, to_table
from stilts.errors import nearest
from stilts.tasks.base import Task
from stilts.tasks.schema import CLASSIFICATION, MLM, MULTIPLE_CHOICE


@dataclass(frozen=True)
class Format:
    """How one kind of file is read, and how gold from a labels folder is added; None where there is no such gold."""

    read: Callable[[Sequence[Path], Task, str], pa.Table]
    merge: Callable[[pa.Table, Path, Task], pa.Table] | None = None


def read_nli(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """Natural language inference in any of its three shapes: jsonl, GLUE's tsv with a header, XTREME's without.

    Pairs without a majority label (`gold_label` `-`) are left out, as their authors advise.
    """
    first = read_lines(paths[0])[0]
    if first.lstrip().startswith("{"):
        return _nli_jsonl(paths[0], task)
    header = first.split("\t")
    if {"sentence1", "sentence2"} <= set(header):
        return _nli_glue(paths[0], task, header)
    return xtreme.read_pairs(paths, task, language)


def read_hellaswag(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """HellaSwag jsonl: context `ctx_a`, choices `ctx_b` + ending; `ctx` alone where a file keeps no halves."""
    path = paths[0]
    report = Report(path)
    columns: dict[str, list[Any]] = {name: [] for name in MULTIPLE_CHOICE.names}
    for number, row in read_jsonl(path, report):
        context = row.get("ctx_a", row.get("ctx"))
        endings = row.get("endings")
        if not isinstance(context, str) or not isinstance(endings, list) or len(endings) < 2:
            report.add(number, "expected ctx_a and ctx_b (or ctx) and a list of endings")
            continue
        columns["id"].append(str(row.get("ind", number - 1)))
        columns["text_a"].append(context)
        columns["choices"].append(continuations(row.get("ctx_b", "") if "ctx_a" in row else "", endings))
        columns["label"].append(_choice(report, number, row.get("label"), len(endings)))
    report.close()
    return to_table(path, columns, MULTIPLE_CHOICE)


def continuations(start: str, endings: Sequence[str]) -> list[str]:
    """HellaSwag's choices: the begun sentence (it may be empty) and each of its endings."""
    return [f"{start} {ending}" if start else ending for ending in endings]


def read_sentences(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """Raw text, one sentence a line; blank lines are skipped; an id is the line number from 0."""
    kept = [(i, line.strip()) for i, line in enumerate(read_lines(paths[0])) if line.strip()]
    return to_table(paths[0], {"id": [str(i) for i, _ in kept], "text": [line for _, line in kept]}, MLM)


def _nli_jsonl(path: Path, task: Task) -> pa.Table:
    report = Report(path)
    rows = []
    for number, row in read_jsonl(path, report):
        missing = {"sentence1", "sentence2"} - set(row)
        if missing:
            report.add(number, f"no {' or '.join(sorted(missing))}")
            continue
        rows.append((number, row["sentence1"], row["sentence2"], row.get("gold_label")))
    return _nli_table(path, task, report, rows)


def _nli_glue(path: Path, task: Task, header: list[str]) -> pa.Table:
    report = Report(path)
    a, b = header.index("sentence1"), header.index("sentence2")
    gold = header.index("gold_label") if "gold_label" in header else None
    rows = []
    for number, line in enumerate(read_lines(path)[1:], 2):
        cells = line.split("\t")
        if len(cells) != len(header):
            report.add(number, f"{len(cells)} columns, the header has {len(header)}")
            continue
        rows.append((number, cells[a], cells[b], None if gold is None else cells[gold]))
    return _nli_table(path, task, report, rows)


def _nli_table(path: Path, task: Task, report: Report, rows: list[tuple[int, str, str, str | None]]) -> pa.Table:
    kept = [row for row in rows if row[3] != "-"]
    labels = []
    for number, _, _, label in kept:
        if label is not None and label not in task.labels:
            report.add(number, f"gold_label {label!r} is not one of {', '.join(task.labels)}")
        labels.append(task.labels.index(label) if label in task.labels else -1)
    if not kept:
        report.add(1, "no labelled pair in it")
    report.close()
    columns = {
        "id": [str(i) for i in range(len(kept))],
        "text_a": [row[1] for row in kept],
        "text_b": [row[2] for row in kept],
        "label": labels,
    }
    return to_table(path, columns, CLASSIFICATION)


def _choice(report: Report, number: int, label: Any, count: int) -> int:
    """The index in `label`, an integer or its digits; -1 where there is none (HellaSwag's test file)."""
    if label is None or label == "":
        return -1
    if str(label).isdecimal() and int(label) < count:
        return int(label)
    report.add(number, f"label {label!r} is not a choice from 0 to {count - 1}")
    return -1


FORMATS: dict[str, Format] = {
    "nli": Format(read_nli, xtreme.merge_labels),
    "pairs": Format(xtreme.read_quoted_pairs, xtreme.merge_labels),
    "tags": Format(xtreme.read_tags, xtreme.merge_tags),
    "squad": Format(xtreme.read_squad, xtreme.merge_answers),
    "bucc": Format(xtreme.read_bucc, xtreme.merge_pairs),
    "tatoeba": Format(xtreme.read_tatoeba, xtreme.merge_lines),
    "hellaswag": Format(read_hellaswag),
    "text": Format(read_sentences),
}


def get_format(task: Task) -> Format:
    """The format of a task's files.

    Raises:
        ValueError: the task declares a format that does not exist.
    """
    if task.files not in FORMATS:
        raise ValueError(f"task {task.name}: no file format {task.files!r}; {nearest(str(task.files), FORMATS)}")
    return FORMATS[task.files]
