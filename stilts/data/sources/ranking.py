"""Files of the ranking tasks: SQuAD and XQuAD-R for LAReQA (arXiv:2004.05484), Mewsli-X's jsonl (XTREME-R,
arXiv:2104.07412).

A candidate of LAReQA is a sentence with its paragraph, called `LANGUAGE_PARAGRAPH_SENTENCE` (paragraphs are counted
from 1 over the file, sentences from 0 in the paragraph, as in XTREME's script). It is right for the questions whose
answer begins in it; parallel questions share their id, so that each language of XQuAD-R has a right candidate.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, RootModel

from stilts.data.sources import xtreme
from stilts.data.sources.sentences import sentence_breaks
from stilts.data.sources.text import Report, each_file, read_json, read_jsonl, to_table
from stilts.errors import Problems, StiltsError
from stilts.tasks.base import Task
from stilts.tasks.schema import RANKING

logger = logging.getLogger(__name__)

Rows = Iterable[Mapping[str, Any]]


# LAReQA


def read_squad_pairs(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """SQuAD JSON as pairs of a question and the sentence in which its first answer begins."""
    return question_table(paths[0], xtreme.read_squad(paths, task, language).to_pydict(), language)


def read_translated_squad_pairs(paths: Sequence[Path], task: Task, language: str) -> pa.Table:
    """The same of translated files, in which some answers are lost."""
    return question_table(paths[0], xtreme.read_translated_squad(paths, task, language).to_pydict(), language)


def question_table(path: Path, questions: Mapping[str, list[Any]], language: str) -> pa.Table:
    """Pairs from the columns of `schema.SPAN_QA`; questions without an answer are left out.

    Raises:
        StiltsError: none is left.
    """
    rows = (dict(zip(questions, row, strict=True)) for row in zip(*questions.values(), strict=True))
    return _table(path, _question_pairs(rows, language))


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


class SplitParagraph(xtreme.Paragraph):
    sentence_breaks: list[tuple[int, int]]


class SplitDocument(BaseModel):
    paragraphs: list[SplitParagraph]


class SplitSquad(BaseModel):
    """XQuAD-R's JSON: SQuAD's, with (start, end) of each sentence."""

    data: list[SplitDocument]

    def paragraphs(self) -> Iterator[SplitParagraph]:
        for document in self.data:
            yield from document.paragraphs


@each_file
def read_xquad_r(path: Path, task: Task, language: str) -> pa.Table:
    """The questions of one language. Those whose answer begins in no sentence are left out, as in XTREME's script."""
    squad = _xquad_r(path)
    rows = [
        {"id": str(question.id), "query": question.question, "keys": [str(question.id)]}
        for paragraph in squad.paragraphs()
        for question in paragraph.qas
        if _sentence_at(paragraph.sentence_breaks, question.answers[0].answer_start) is not None
    ]
    lost = sum(len(paragraph.qas) for paragraph in squad.paragraphs()) - len(rows)
    if lost:
        logger.warning("%s: %d questions are left out: their answers begin in no sentence", path, lost)
    return _table(path, rows)


def read_xquad_r_candidates(files: Mapping[str, Path], task: Task) -> pa.Table:
    """All sentences of all languages."""
    rows = [row for language, path in files.items() for row in _candidates(_xquad_r(path), language)]
    return _table(next(iter(files.values())), rows)


def _xquad_r(path: Path) -> SplitSquad:
    squad, text = read_json(path, SplitSquad)
    report = Report(path)
    for paragraph in squad.paragraphs():
        for start, end in paragraph.sentence_breaks:
            if not 0 <= start < end <= len(paragraph.context):
                line = text.count("\n", 0, max(text.find(f'"{paragraph.qas[0].id}"'), 0)) + 1 if paragraph.qas else 1
                report.add(
                    line, f"a sentence from {start} to {end} in a paragraph of {len(paragraph.context)} characters"
                )
        for question in paragraph.qas:
            if question.question is None or len(question.answers) != 1:
                report.add(1, f"question {question.id}: expected its text and one answer, as all of XQuAD-R have")
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


# Mewsli-X


class Span(BaseModel):
    start: int
    end: int


class Surface(Span):
    text: str


class Mention(BaseModel):
    example_id: str
    mention_span: Surface
    entity_id: str | None = None


class Context(BaseModel):
    language: str
    text: str
    sentence_spans: list[Span]


class Entity(BaseModel):
    """A line of `candidate_set_entities.jsonl`."""

    entity_id: str
    title: str = ""
    description: str
    description_language: str = ""
    sentence_spans: list[Span]


class ContextualMention(BaseModel):
    context: Context
    mention: Mention


class ContextualMentions(BaseModel):
    """A line of `wikinews_mentions-SPLIT.jsonl`: an article and its mentions."""

    context: Context
    mentions: list[Mention]


class MentionEntityPair(BaseModel):
    """A line of `wikipedia_pairs-SPLIT.jsonl`."""

    contextual_mention: ContextualMention
    entity: Entity


@each_file
def read_mention_pairs(path: Path, task: Task, language: str) -> pa.Table:
    """Mewsli-X's English training pairs of a mention and its entity's description."""
    report = Report(path)
    rows = []
    for number, pair in read_jsonl(path, MentionEntityPair, report):
        context, mention = pair.contextual_mention.context, pair.contextual_mention.mention
        query = _mention_row(report, number, context, mention)
        rows.append({**query, **_entity_row(pair.entity)})
    report.close()
    return _table(path, rows)


@each_file
def read_mentions(path: Path, task: Task, language: str) -> pa.Table:
    """Mewsli-X's mentions of one language; a file holds all languages.

    Raises:
        StiltsError: none of this language.
        Problems: offsets that miss their mention; articles whose text has not been put back.
    """
    report = Report(path)
    rows, found = [], set()
    for number, article in read_jsonl(path, ContextualMentions, report):
        found.add(article.context.language)
        if article.context.language != language:
            continue
        if not article.context.text:
            report.add(number, "no text; Mewsli-X's own script get-mewsli-x.sh puts the articles' text back")
            continue
        rows += [_mention_row(report, number, article.context, mention) for mention in article.mentions]
    report.close()
    if not rows:
        raise StiltsError(f"{path}: no mentions in {language}; it has {', '.join(sorted(found))}")
    return _table(path, rows)


class Tongue(BaseModel):
    language: str


class Article(BaseModel):
    context: Tongue


def mention_languages(path: Path) -> frozenset[str]:
    """The languages of a file of mentions."""
    return _mention_languages(path, path.stat().st_mtime_ns)


@cache
def _mention_languages(path: Path, changed: int) -> frozenset[str]:
    report = Report(path)
    found = frozenset(article.context.language for _, article in read_jsonl(path, Article, report))
    report.close()
    return found


def read_entities(files: Mapping[str, Path], task: Task) -> pa.Table:
    """Mewsli-X's candidates, one entity a line, in many languages."""
    (path,) = files.values()
    report = Report(path)
    rows = [
        {**_entity_row(entity), "language": entity.description_language}
        for _, entity in read_jsonl(path, Entity, report)
    ]
    report.close()
    return _table(path, rows)


class Entities(RootModel[dict[str, list[str]]]):
    """A labels file: `{mention id: [entity]}`."""


def merge_entities(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Gold entities of a labels file; of several the first, as XTREME-R's script takes it."""
    gold = read_json(path, Entities)[0].root
    ids = table["id"].to_pylist()
    missing = [name for name in ids if not gold.get(name)]
    if missing:
        raise Problems([f"{path}: no entity for {len(missing)} mentions of the test file, first {missing[0]}"])
    keys = pa.array([[gold[name][0].strip()] for name in ids], RANKING.field("keys").type)
    return table.set_column(RANKING.get_field_index("keys"), RANKING.field("keys"), keys)


def _mention_row(report: Report, number: int, context: Context, mention: Mention) -> dict[str, Any]:
    span = mention.mention_span
    if context.text[span.start : span.end] != span.text:
        there = context.text[span.start : span.end]
        report.add(number, f"mention {mention.example_id}: the text has {there[:40]!r}, not {span.text[:40]!r}")
    keys = [] if mention.entity_id is None else [mention.entity_id]
    return {"id": mention.example_id, "query": mention_text(context, span), "keys": keys}


def _entity_row(entity: Entity) -> dict[str, Any]:
    sentences = " ".join(entity.description[s.start : s.end] for s in entity.sentence_spans)
    text = _one_line(sentences) or _one_line(entity.description) or entity.title
    return {"candidate": entity.entity_id, "text": text, "keys": [entity.entity_id]}


_BRACED = re.compile(r"\{(.*?)\}")


def mention_text(context: Context, span: Surface) -> str:
    """`Smith: The verdict came back for { Smith }, who ...`: the mention, then its sentence with the mention marked;
    braces of the text itself become parentheses. XTREME-R's baseline.
    """
    # Official mentions lie in one sentence; of others all sentences that they touch are taken.
    touched = [s for s in context.sentence_spans if s.start < span.end and span.start < s.end]
    start = min([span.start, *(s.start for s in touched)])
    end = max([span.end, *(s.end for s in touched)])
    left, right = (
        _BRACED.sub(r"(\1)", text) for text in (context.text[start : span.start], context.text[span.end : end])
    )
    return _one_line(f"{span.text}: {left} {{ {span.text} }} {right}")


def _one_line(text: str) -> str:
    """Without line ends; two spaces become one, once, as in XTREME-R's baseline."""
    return " ".join(text.splitlines()).replace("  ", " ").strip()


def _table(path: Path, rows: Rows) -> pa.Table:
    rows = list(rows)
    if not rows:
        raise StiltsError(f"{path}: nothing in it to rank")
    columns = {name: [row.get(name, [] if name == "keys" else "") for row in rows] for name in RANKING.names}
    return to_table(path, columns, RANKING)
