"""Apply noise to a table of canonical examples."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow as pa

from stilts.data.noise.edits import Edited
from stilts.data.noise.kinds import KINDS
from stilts.data.noise.places import draw
from stilts.data.noise.problems import noise_problems
from stilts.data.noise.units import Units
from stilts.errors import Problems
from stilts.identity.canonical import canonical
from stilts.identity.stage import Condition
from stilts.tasks.base import Task
from stilts.tasks.families import get_family


@dataclass(frozen=True)
class Noisy:
    """Noisy examples.

    Attributes:
        table: the noisy table, with the rows, ids, labels and schema of the clean one.
        changed_share: share of the characters (grapheme clusters, without white space) that were changed in the columns
            that noise may change. It tells how much of the rate applies to the language.
    """

    table: pa.Table
    changed_share: float


def perturb(table: pa.Table, task: Task, condition: Condition, language: str) -> Noisy:
    """Return the examples under a noise condition. At rate 0 they are unchanged.

    The random numbers of a field depend on (seed, kind, language, row id, column) alone, so that a higher rate adds to
    the changes of a lower one.

    Raises:
        Problems: the condition does not apply to the task (`noise_problems`).
    """
    problems = noise_problems(task, condition)
    if problems:
        raise Problems(problems)
    work = _Work(condition, language)
    columns = get_family(task.family).noise[condition.scope]
    rows = [work.row(row, columns) for row in table.to_pylist()]
    return Noisy(pa.Table.from_pylist(rows, schema=table.schema), work.changed / max(work.characters, 1))


class _Work:
    """Changes the rows of one table and counts the changed characters."""

    def __init__(self, condition: Condition, language: str) -> None:
        self.condition, self.language = condition, language
        self.changed = self.characters = 0

    def row(self, row: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
        if row.get("side") == "en":
            return row
        edit = {"context": self._context, "tokens": self._tokens, "choices": self._choices}
        noisy = dict(row)
        for column in columns:
            noisy |= edit.get(column, self._text)(row, column)
        return noisy

    def _text(self, row: Mapping[str, Any], column: str) -> dict[str, Any]:
        return {column: self._counted(self._edited(row, column, [row[column]])).text}

    def _tokens(self, row: Mapping[str, Any], column: str) -> dict[str, Any]:
        return {column: self._counted(self._edited(row, column, row[column])).tokens}

    def _choices(self, row: Mapping[str, Any], column: str) -> dict[str, Any]:
        edited = [self._edited(row, f"{column}.{i}", [choice]) for i, choice in enumerate(row[column])]
        return {column: [self._counted(choice).text for choice in edited]}

    def _context(self, row: Mapping[str, Any], column: str) -> dict[str, Any]:
        """Change the context and move its answers along. The text of an answer that would vanish is left unchanged."""
        edited = self._edited(row, column, [row[column]])
        spans = [(a["start"], a["start"] + len(a["text"])) for a in row["answers"] or [] if a["text"]]
        for span in spans:
            start, end = edited.span(*span)
            if not edited.text[start:end].strip():
                edited = edited.without(*span)
        self._counted(edited)
        moved = {span: edited.span(*span) for span in spans}
        answers = [_answer(edited.text, answer, moved) for answer in row["answers"] or []]
        return {column: edited.text, "answers": answers}

    def _edited(self, row: Mapping[str, Any], field: str, tokens: list[str]) -> Edited:
        kind, units = self.condition.kind, Units.of(tokens)
        random = Random(_number([self.condition.seed, kind, self.language, row["id"], field]))
        return draw(units, KINDS[kind](units, self.language), self.condition.rate, random)

    def _counted(self, edited: Edited) -> Edited:
        self.changed += edited.changed
        self.characters += edited.characters
        return edited


def _answer(text: str, answer: dict[str, Any], moved: Mapping[tuple[int, int], tuple[int, int]]) -> dict[str, Any]:
    span = moved.get((answer["start"], answer["start"] + len(answer["text"])))
    return answer if span is None else {"text": text[slice(*span)], "start": span[0]}


def _number(parts: list[Any]) -> int:
    """Return a number that depends on all parts and is the same on every machine."""
    return int.from_bytes(hashlib.sha256(canonical(parts).encode()).digest())
