"""Questions and answers in SQuAD's JSON: SQuAD, XQuAD, MLQA and TyDiQA.

XTREME's test files have blanked answers (`[{0, ''}]`); their gold answers stand in a file of their own.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from stilts.data.sources.text import Report, each_file, read_json, replace_column, tell_left_out, to_table
from stilts.tasks.base import Task
from stilts.tasks.schema import SPAN_QA


class Answer(BaseModel):
    text: str
    answer_start: int = -1


class Question(BaseModel):
    id: str | int
    question: str | None = None
    answers: list[Answer]
    is_impossible: bool | None = None


class Paragraph(BaseModel):
    context: str
    qas: list[Question]


class Document(BaseModel):
    paragraphs: list[Paragraph]


class Squad(BaseModel):
    """A document in SQuAD 1.1's JSON. Files of gold labels have no texts of questions."""

    data: list[Document]

    def questions(self) -> Iterator[tuple[str, Question]]:
        """Yield (context, question) in the order of the file."""
        for document in self.data:
            for paragraph in document.paragraphs:
                for question in paragraph.qas:
                    yield paragraph.context, question


@each_file
def read_squad(path: Path, task: Task, language: str) -> pa.Table:
    """Read SQuAD's JSON. An answer whose text is empty was blanked and is no gold. Ids may repeat, as TyDiQA's do.

    Raises:
        Problems: empty texts, and answers that are not at their offset in the context, by line.
    """
    report = Report(path)
    squad, text = read_json(path, Squad)
    questions = list(squad.questions())
    for context, question in questions:
        if not (question.question or "").strip():
            report.add(line_of(text, question, report), f"no question text for id {question.id!r}")
        if not context.strip():
            report.add(line_of(text, question, report), f"question {question.id}: its context is empty")
        if question.is_impossible and any(answer.text for answer in question.answers):
            report.add(line_of(text, question, report), f"question {question.id}: is_impossible, and it has answers")
        for answer in question.answers:
            _check_answer(report, text, context, question, answer)
    if not questions:
        report.add(1, "no questions in it")
    report.close()
    return _question_table(path, questions)


@each_file
def read_translated_squad(path: Path, task: Task, language: str) -> pa.Table:
    """Read machine-translated SQuAD, leaving out questions whose answer is not at its offset in the context."""
    squad, _ = read_json(path, Squad)
    questions = list(squad.questions())
    kept = [(context, question) for context, question in questions if _usable(context, question)]
    tell_left_out(path, len(questions) - len(kept), len(questions), "no answer at its place in the context")
    return _question_table(path, kept)


def _usable(context: str, question: Question) -> bool:
    answers = question.answers
    return bool(context.strip() and (question.question or "").strip() and answers) and all(
        answer.text.strip() and _found(context, answer) == answer.text for answer in answers
    )


def _question_table(path: Path, questions: Sequence[tuple[str, Question]]) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "id": [str(question.id) for _, question in questions],
        "context": [context for context, _ in questions],
        "question": [question.question for _, question in questions],
        "answers": [_gold(question) for _, question in questions],
    }
    return to_table(path, columns, SPAN_QA)


def merge_answers(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Add the gold answers of another SQuAD file by question id. Its contexts are not compared."""
    report = Report(path)
    squad, _ = read_json(path, Squad)
    gold = {str(question.id): _gold(question) for _, question in squad.questions()}
    ids = table["id"].to_pylist()
    for name in ids:
        if not gold.get(name):
            report.add(1, f"no answer to question {name!r} of the test file")
    report.close()
    return replace_column(table, "answers", [gold[name] for name in ids])


def _gold(question: Question) -> list[dict[str, Any]]:
    return [{"text": a.text, "start": a.answer_start} for a in question.answers if a.text]


def _check_answer(report: Report, text: str, context: str, question: Question, answer: Answer) -> None:
    start, wanted = answer.answer_start, answer.text
    found = _found(context, answer)
    if wanted and found != wanted:
        report.add(
            line_of(text, question, report),
            f"question {question.id}: the context has {found[:40]!r} at character {start}, not the answer "
            f"{wanted[:40]!r} (offsets count Unicode code points)",
        )


def _found(context: str, answer: Answer) -> str:
    """Return the text at the answer's place in the context."""
    start = answer.answer_start
    return context[start : start + len(answer.text)] if start >= 0 else ""


def line_of(text: str, question: Question, report: Report) -> int:
    """Return the line number of a question in the text of its file."""
    if report.full:  # nobody will see the line, and the search is long
        return 0
    return text.count("\n", 0, max(text.find(f'"{question.id}"'), 0)) + 1
