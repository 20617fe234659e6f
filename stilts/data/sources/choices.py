"""Multiple choice as its data sets publish it: HellaSwag, Cosmos QA, CommonsenseQA, Social IQa, COPA and XCOPA.

The model reads `text_a` and each choice as a pair of texts. They are composed as in jiant and, for COPA and XCOPA, as
in XTREME-R's script.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import pyarrow as pa
from pydantic import BaseModel, Field, model_validator

from stilts.data.sources.text import Report, each_file, read_jsonl, read_lines, read_text, replace_column, to_table
from stilts.tasks.base import Task
from stilts.tasks.families.hub import NO_LABEL
from stilts.tasks.families.multiple_choice import continuations, prompt
from stilts.tasks.schema import MULTIPLE_CHOICE

LETTERS = ("A", "B", "C")
"""Social IQa's answers."""
BLANKED = 20
"""XTREME-R's download writes label 0 into every row of a test file. From this number of rows on, a file in which all
labels are 0 is taken for such a file."""


class Row(NamedTuple):
    """A question: the number of its first line, its id, context and choices, and its label as it stands in the file."""

    line: int
    id: str
    context: str
    choices: list[str]
    label: Any


class Scene(BaseModel):
    """A line of HellaSwag. Some copies have only `ctx` instead of `ctx_a` and `ctx_b`."""

    ctx_a: str | None = None
    ctx_b: str = ""
    ctx: str | None = None
    endings: Annotated[list[str], Field(min_length=2)]
    label: int | str | None = None
    ind: int | None = None


@each_file
def read_hellaswag(path: Path, task: Task, language: str) -> pa.Table:
    """Read HellaSwag's jsonl. The context is `ctx_a`, or `ctx` without it; a choice is `ctx_b` and an ending."""
    report = Report(path)
    rows = []
    for number, scene in read_jsonl(path, Scene, report):
        context = scene.ctx if scene.ctx_a is None else scene.ctx_a
        if context is None:
            report.add(number, "no context: expected ctx_a and ctx_b, or ctx")
        choices = continuations("" if scene.ctx_a is None else scene.ctx_b, scene.endings)
        name = str(number - 1 if scene.ind is None else scene.ind)
        rows.append(Row(number, name, context or "", choices, scene.label))
    return _table(report, rows)


class Passage(BaseModel):
    """A row of Cosmos QA."""

    id: str | None = None
    context: str
    question: str
    answer0: str
    answer1: str
    answer2: str
    answer3: str
    label: int | str | None = None


@each_file
def read_cosmosqa(path: Path, task: Task, language: str) -> pa.Table:
    """Read Cosmos QA, as csv or jsonl: context and question, and four answers. Test files have no labels."""
    report = Report(path)
    read = _csv_passages if path.suffix == ".csv" else read_jsonl
    rows = [
        Row(
            number,
            p.id or str(number),
            prompt(p.context, p.question),
            [p.answer0, p.answer1, p.answer2, p.answer3],
            p.label,
        )
        for number, p in read(path, Passage, report)
    ]
    return _table(report, rows)


def _csv_passages(path: Path, shape: type[Passage], report: Report) -> Iterator[tuple[int, Passage]]:
    """Yield (number of the first line, row) of a csv file, whose quoted cells may contain commas and line feeds."""
    rows = csv_rows(path, report)
    _, header = next(rows, (1, []))
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if twice:
        report.add(1, f"the header has {', '.join(twice)} more than once")
        return
    missing = [name for name in shape.model_fields if name not in ("id", "label", *header)]
    if missing:
        report.add(1, f"no column {', '.join(missing)}; the header has {', '.join(header)}")
        return
    for line, cells in rows:
        if len(cells) != len(header):
            unclosed = "; is a quote not closed?" if any("\n" in cell for cell in cells) else ""
            report.add(line, f"not the {len(header)} columns of the header{unclosed}")
            continue
        yield line, shape.model_validate({"id": str(line), **dict(zip(header, cells, strict=True))})


def csv_rows(path: Path, report: Report) -> Iterator[tuple[int, list[str]]]:
    """(first line, cells) of each row of a csv file; blank lines are skipped. Mistakes are reported at the first line
    of their row: a quote that is not closed takes the rest of the file, or more than a cell can hold, into one cell."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            hint = "a quote in this row is not closed" if reader.line_num > line else "see to its quotes"
            report.add(line, f"no csv ({error}): {hint}; quotes inside a quoted cell are doubled")
            return
        if cells:
            yield line, cells


class Choices(BaseModel):
    """Choices by column, as the hub has them."""

    label: list[str]
    text: list[str]

    @model_validator(mode="after")
    def _parallel(self) -> Self:
        if len(self.label) != len(self.text):
            raise ValueError(f"{len(self.label)} letters for {len(self.text)} texts")
        return self


class Choice(BaseModel):
    label: str
    text: str


class Stem(BaseModel):
    """CommonsenseQA's question as first published: the choices lie inside it."""

    stem: str
    choices: list[Choice]


class Commonsense(BaseModel):
    """A line of CommonsenseQA in either of its shapes."""

    id: str | None = None
    question: str | Stem
    choices: Choices | None = None
    answerKey: str | None = None  # noqa: N815 - the file's own name


@each_file
def read_csqa(path: Path, task: Task, language: str) -> pa.Table:
    """CommonsenseQA jsonl (`train_rand_split.jsonl` and the like): a question and five choices A to E."""
    report = Report(path)
    rows = []
    for number, line in read_jsonl(path, Commonsense, report):
        question = line.question if isinstance(line.question, str) else line.question.stem
        repeated = _repeated_letter(line)
        if repeated is not None:
            report.add(number, f"two choices have the letter {repeated!r}")
        choices = _by_letter(line)
        if not choices:
            report.add(number, "no choices: expected them in `choices`, or in the question")
            continue
        label = line.answerKey
        if label and label not in choices:
            report.add(number, f"answerKey {label!r} is not one of {', '.join(choices)}")
            label = None
        index = list(choices).index(label) if label else None
        rows.append(Row(number, line.id or str(number), question, list(choices.values()), index))
    return _table(report, rows)


def _repeated_letter(line: Commonsense) -> str | None:
    inside = [choice.label for choice in line.question.choices] if isinstance(line.question, Stem) else []
    letters = inside or (line.choices.label if line.choices is not None else [])
    return next((letter for i, letter in enumerate(letters) if letter in letters[:i]), None)


def _by_letter(line: Commonsense) -> dict[str, str]:
    """Return the choices in the order of their letters."""
    if isinstance(line.question, Stem):
        choices = {choice.label: choice.text for choice in line.question.choices}
    elif line.choices is not None:
        choices = dict(zip(line.choices.label, line.choices.text, strict=True))
    else:
        choices = {}
    return dict(sorted(choices.items()))


class Situation(BaseModel):
    """A line of Social IQa. `correct` is a letter and `label` counts from 1; the first release has neither."""

    context: str
    question: str
    answerA: str  # noqa: N815 - the file's own names
    answerB: str  # noqa: N815
    answerC: str  # noqa: N815
    correct: str | None = None
    label: str | int | None = None


def siqa_labels(path: Path) -> Path:
    """Return the path of the label file that belongs to a file of questions.

    The first release of Social IQa stores the labels apart from the questions.
    """
    return path.with_name(f"{path.stem}-labels.lst")


@each_file
def read_siqa(path: Path, task: Task, language: str) -> pa.Table:
    """Read Social IQa's jsonl. The first release has its labels, 1 to 3, in `STEM-labels.lst` beside `STEM.jsonl`."""
    report = Report(path)
    lines = list(read_jsonl(path, Situation, report))
    beside = siqa_labels(path)
    labels = [line.strip() for line in read_lines(beside)] if beside.is_file() else None
    if labels is not None and len(labels) != len(lines):
        report.add(1, f"{len(lines)} questions, but {beside.name} has {len(labels)} labels")
        labels = None
    rows = []
    for i, (number, s) in enumerate(lines):
        given = labels[i] if labels else s.label
        label = _lettered(report, number, s.correct) if s.correct else _counted(report, number, given)
        if label >= 0 and given not in (None, "") and str(given) not in (str(label + 1), LETTERS[label]):
            report.add(number, f"correct {s.correct!r} is not the answer of label {given!r}, which counts from 1")
        rows.append(Row(number, str(i), prompt(s.context, s.question), [s.answerA, s.answerB, s.answerC], label))
    return _table(report, rows)


class Alternatives(BaseModel):
    """A line of COPA or XCOPA."""

    premise: str
    choice1: str
    choice2: str
    question: str
    label: int | None = None
    idx: int | None = None


@each_file
def read_copa(path: Path, task: Task, language: str) -> pa.Table:
    """Read COPA's and XCOPA's jsonl: a premise and two choices. A test file whose labels are all 0 has no gold.

    Raises:
        Problems: a question that is neither `cause` nor `effect`, by line.
    """
    report = Report(path)
    lines = list(read_jsonl(path, Alternatives, report))
    for number, line in lines:
        if line.question not in ("cause", "effect"):
            report.add(number, f"question {line.question[:40]!r} is neither cause nor effect")
    blank = len(lines) >= BLANKED and all(line.label == 0 for _, line in lines)
    rows = [
        Row(
            number,
            str(row if line.idx is None else line.idx),
            prompt(line.premise, line.question),
            [line.choice1, line.choice2],
            None if blank else line.label,
        )
        for row, (number, line) in enumerate(lines)
    ]
    return _table(report, rows)


class Chosen(BaseModel):
    """A line of a labels file."""

    label: int


def merge_choices(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Add gold choices, a jsonl file with one `label` a line in the order of the rows."""
    report = Report(path)
    lines = list(read_jsonl(path, Chosen, report))
    counts = [len(choices) for choices in table["choices"].to_pylist()]
    if not report.count:
        report.same_count("labels", len(lines), "test rows", len(counts))
    labels = [_choice(report, n, line.label, count) for (n, line), count in zip(lines, counts, strict=False)]
    report.close()
    return replace_column(table, "label", labels)


def _table(report: Report, rows: Sequence[Row]) -> pa.Table:
    for row in rows:
        report.blank(row.line, context=row.context, **{f"choice {n}": text for n, text in enumerate(row.choices, 1)})
        if len(row.choices) != len(rows[0].choices):
            first = f"line {rows[0].line} has {len(rows[0].choices)}"
            report.add(row.line, f"{len(row.choices)} choices, but {first}: every question needs as many")
    columns = {
        "id": [row.id for row in rows],
        "text_a": [row.context for row in rows],
        "choices": [row.choices for row in rows],
        "label": [_choice(report, row.line, row.label, len(row.choices)) for row in rows],
    }
    if not rows and not report.count:
        report.add(1, "no questions in it")
    report.close()
    return to_table(report.path, columns, MULTIPLE_CHOICE)


def _choice(report: Report, number: int, label: Any, count: int) -> int:
    """Return the index in `label`, an integer or its digits; -1 if there is none, as in HellaSwag's test file."""
    if label is None or label in ("", *NO_LABEL):
        return -1
    if str(label).isdecimal() and int(label) < count:
        return int(label)
    report.add(number, f"label {label!r} is not a choice from 0 to {count - 1}")
    return -1


def _lettered(report: Report, number: int, letter: str) -> int:
    if letter in LETTERS:
        return LETTERS.index(letter)
    report.add(number, f"correct {letter!r} is not one of {', '.join(LETTERS)}")
    return -1


def _counted(report: Report, number: int, label: str | int | None) -> int:
    """Return the index of an answer whose label counts from 1."""
    if label in (None, ""):
        return -1
    if str(label).isdecimal() and 1 <= int(str(label)) <= len(LETTERS):
        return int(str(label)) - 1
    report.add(number, f"label {label!r} is not a choice from 1 to {len(LETTERS)}")
    return -1
