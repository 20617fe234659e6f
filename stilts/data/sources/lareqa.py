"""Files of LAReQA (arXiv:2004.05484): SQuAD to train on, XQuAD-R to search.

A candidate is a sentence with its paragraph, called `LANGUAGE_PARAGRAPH_SENTENCE` (paragraphs are counted from 1 over
the file, sentences from 0 in the paragraph, as in XTREME's script). It is right for the questions whose answer begins
in it; parallel questions share their id, so that each language of XQuAD-R has a right candidate.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from stilts.data.sources.ranking import Rows, ranking_table
from stilts.data.sources.sentences import sentence_breaks
from stilts.data.sources.squad import Paragraph, line_of, read_squad, read_translated_squad
from stilts.data.sources.text import Report, each_file, read_json
from stilts.tasks.base import Task

logger = logging.getLogger(__name__)


def read_squad_pairs(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """Read SQuAD's JSON as pairs of a question and the sentence in which its first answer begins."""
    return question_table(paths[0], read_squad(paths, task, language).to_pydict(), language)


def read_translated_squad_pairs(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """Read the same from machine-translated files, in which some answers cannot be found."""
    return question_table(paths[0], read_translated_squad(paths, task, language).to_pydict(), language)


def question_table(path: Path, questions: Mapping[str, list[Any]], language: str) -> pa.Table:
    """Make pairs of the columns of `schema.SPAN_QA`, without questions whose answer begins in no sentence.

    Raises:
        StiltsError: no pair is left.
    """
    rows = [dict(zip(questions, row, strict=True)) for row in zip(*questions.values(), strict=True)]
    pairs = list(_question_pairs(rows, language))
    _tell_lost(path, len(rows) - len(pairs))
    return ranking_table(path, pairs)


def _tell_lost(path: Path, count: int) -> None:
    if count:
        logger.warning("%s: %d questions are left out: their answers begin in no sentence", path, count)


def _question_pairs(questions: Rows, language: str) -> Iterator[dict[str, Any]]:
    numbers: dict[str, int] = {}
    breaks: dict[str, list[tuple[int, int]]] = {}
    for row in questions:
        context = row["context"]
        number = numbers.setdefault(context, len(numbers) + 1)
        spans = breaks.get(context) or breaks.setdefault(context, sentence_breaks(context))
        place = _sentence_at(spans, row["answers"][0]["start"]) if row["answers"] else None
        if place is None:
            continue
        name = f"{language}_{number}_{place}"
        text = context[slice(*spans[place])]
        yield {
            "id": row["id"],
            "query": row["question"],
            "candidate": name,
            "text": text,
            "context": context,
            "keys": [name],
        }


class SplitParagraph(Paragraph):
    sentence_breaks: list[tuple[int, int]]


class SplitDocument(BaseModel):
    paragraphs: list[SplitParagraph]


class SplitSquad(BaseModel):
    """A document in XQuAD-R's JSON: SQuAD's with the (start, end) of each sentence."""

    data: list[SplitDocument]

    def paragraphs(self) -> Iterator[SplitParagraph]:
        for document in self.data:
            yield from document.paragraphs


@each_file
def read_xquad_r(path: Path, task: Task, language: str) -> pa.Table:
    """Read the questions of one language, without those whose answer begins in no sentence, as in XTREME's script."""
    squad = _xquad_r(path)
    rows = [
        {"id": str(question.id), "query": question.question, "keys": [str(question.id)]}
        for paragraph in squad.paragraphs()
        for question in paragraph.qas
        if _sentence_at(paragraph.sentence_breaks, question.answers[0].answer_start) is not None
    ]
    _tell_lost(path, sum(len(paragraph.qas) for paragraph in squad.paragraphs()) - len(rows))
    return ranking_table(path, rows)


def read_xquad_r_candidates(files: Mapping[str, Path], task: Task) -> pa.Table:
    """Read all sentences of all languages, which are the candidates."""
    rows = [row for language, path in files.items() for row in _candidates(_xquad_r(path), language)]
    return ranking_table(next(iter(files.values())), rows)


def _xquad_r(path: Path) -> SplitSquad:
    squad, text = read_json(path, SplitSquad)
    report = Report(path)
    for paragraph in squad.paragraphs():
        for start, end in paragraph.sentence_breaks:
            if not 0 <= start < end <= len(paragraph.context):
                line = line_of(text, paragraph.qas[0], report) if paragraph.qas else 1
                report.add(
                    line, f"a sentence from {start} to {end} in a paragraph of {len(paragraph.context)} characters"
                )
        for question in paragraph.qas:
            if question.question is None or len(question.answers) != 1:
                line = line_of(text, question, report)
                report.add(line, f"question {question.id}: expected its text and one answer, as all of XQuAD-R have")
    report.close()
    return squad


def _candidates(squad: SplitSquad, language: str) -> Iterator[dict[str, Any]]:
    for number, paragraph in enumerate(squad.paragraphs(), 1):
        spans = paragraph.sentence_breaks
        texts = [paragraph.context[start:end] for start, end in spans]
        answers: dict[str, list[str]] = {}
        for question in paragraph.qas:
            place = _sentence_at(spans, question.answers[0].answer_start)
            if place is not None:
                # By its text: a sentence that the paragraph repeats is right wherever it stands.
                answers.setdefault(texts[place], []).append(str(question.id))
        for place, text in enumerate(texts):
            yield {
                "candidate": f"{language}_{number}_{place}",
                "text": text,
                "context": paragraph.context,
                "keys": answers.get(text, []),
                "language": language,
            }


def _sentence_at(spans: Sequence[tuple[int, int]], offset: int) -> int | None:
    return next((place for place, (start, end) in enumerate(spans) if start <= offset < end), None)
