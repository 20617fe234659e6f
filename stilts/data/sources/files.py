"""The data sets' own files, and the table of all file formats by name.

A user may point a task at any file of its format (`data.tasks.NAME.train: PATH/{lang}.tsv`); the formats of XTREME's
folder are in `xtreme.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BaseModel, Field

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


class Scene(BaseModel):
    """A line of HellaSwag; files cut from it may keep `ctx` alone."""

    ctx_a: str | None = None
    ctx_b: str = ""
    ctx: str | None = None
    endings: Annotated[list[str], Field(min_length=2)]
    label: int | str | None = None
    ind: int | None = None


def read_hellaswag(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """HellaSwag jsonl: context `ctx_a`, choices `ctx_b` + ending; `ctx` alone where a file keeps no halves."""
    path = paths[0]
    report = Report(path)
    columns: dict[str, list[Any]] = {name: [] for name in MULTIPLE_CHOICE.names}
    for number, scene in read_jsonl(path, Scene, report):
        context = scene.ctx if scene.ctx_a is None else scene.ctx_a
        if context is None:
            report.add(number, "no context: expected ctx_a and ctx_b, or ctx")
        columns["id"].append(str(number - 1 if scene.ind is None else scene.ind))
        columns["text_a"].append(context)
        columns["choices"].append(continuations("" if scene.ctx_a is None else scene.ctx_b, scene.endings))
        columns["label"].append(_choice(report, number, scene.label, len(scene.endings)))
    report.close()
    return to_table(path, columns, MULTIPLE_CHOICE)


def continuations(start: str, endings: Sequence[str]) -> list[str]:
    """HellaSwag's choices: the begun sentence (it may be empty) and each of its endings."""
    return [f"{start} {ending}" if start else ending for ending in endings]


def read_sentences(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """Raw text, one sentence a line; blank lines are skipped; an id is the line number from 0."""
    kept = [(i, line.strip()) for i, line in enumerate(read_lines(paths[0])) if line.strip()]
    return to_table(paths[0], {"id": [str(i) for i, _ in kept], "text": [line for _, line in kept]}, MLM)


class Pair(BaseModel):
    """A line of MNLI's or SNLI's jsonl."""

    sentence1: str
    sentence2: str
    gold_label: str | None = None


def _nli_jsonl(path: Path, task: Task) -> pa.Table:
    report = Report(path)
    rows = [(n, pair.sentence1, pair.sentence2, pair.gold_label) for n, pair in read_jsonl(path, Pair, report)]
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
    if not kept and not report.count:
        report.add(1, "no pair with a majority label in it")
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
