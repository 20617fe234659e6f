"""Mewsli-X's jsonl (XTREME-R, arXiv:2104.07412): mentions in their articles, entities, and pairs of both."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, RootModel

from stilts.data.sources.ranking import ranking_table
from stilts.data.sources.text import Report, each_file, file_state, read_json, read_jsonl, replace_column
from stilts.errors import Problems, StiltsError
from stilts.tasks.base import Task


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
    """Read Mewsli-X's English training pairs of a mention and the description of its entity."""
    report = Report(path)
    rows = []
    for number, pair in read_jsonl(path, MentionEntityPair, report):
        context, mention = pair.contextual_mention.context, pair.contextual_mention.mention
        query = _mention_row(report, number, context, mention)
        rows.append({**query, **_entity_row(pair.entity)})
    report.close()
    return ranking_table(path, rows)


@each_file
def read_mentions(path: Path, task: Task, language: str) -> pa.Table:
    """Read Mewsli-X's mentions of one language from a file of all languages.

    Raises:
        StiltsError: there are none of this language.
        Problems: mentions that are not at their offset, and articles without text.
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
    return ranking_table(path, rows)


class Tongue(BaseModel):
    language: str


class Article(BaseModel):
    context: Tongue


def mention_languages(path: Path) -> frozenset[str]:
    """Return the languages in a file of mentions."""
    return _mention_languages(path, file_state(path))


@cache
def _mention_languages(path: Path, state: tuple[str, int, int, int, int]) -> frozenset[str]:
    """The same, cached for each state of the file."""
    report = Report(path)
    found = frozenset(article.context.language for _, article in read_jsonl(path, Article, report))
    report.close()
    return found


def read_entities(files: Mapping[str, Path], task: Task) -> pa.Table:
    """Read Mewsli-X's candidates, one entity a line, in many languages."""
    (path,) = files.values()
    report = Report(path)
    rows = [
        {**_entity_row(entity), "language": entity.description_language}
        for _, entity in read_jsonl(path, Entity, report)
    ]
    report.close()
    return ranking_table(path, rows)


class Entities(RootModel[dict[str, list[str]]]):
    """A labels file: `{mention id: [entity]}`."""


def merge_entities(table: pa.Table, path: Path, task: Task) -> pa.Table:
    """Add the gold entities of a labels file; the first if there are several, as in XTREME-R's script."""
    gold = read_json(path, Entities)[0].root
    ids = table["id"].to_pylist()
    missing = [name for name in ids if not gold.get(name)]
    if missing:
        raise Problems([f"{path}: no entity for {len(missing)} mentions of the test file, first {missing[0]}"])
    return replace_column(table, "keys", [[gold[name][0].strip()] for name in ids])


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
    """Return the mention, then its sentence with the mention between braces, as in XTREME-R's baseline.

    For example `Smith: The verdict came back for { Smith }, who ...`. Other braces become parentheses.
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
    """Replace line ends by spaces, and then each two spaces by one, as XTREME-R's baseline does."""
    return " ".join(text.splitlines()).replace("  ", " ").strip()
