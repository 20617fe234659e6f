"""Checks of the values in tables that `datasets` reads from parquet, csv and json.

Each column of a task has a kind: text, a list of texts, a label and so on. A null or a value of another kind is
reported with the data set, the row (from 1) and the column, before the values are used.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stilts.data.sources.text import MOST
from stilts.errors import Problems
from stilts.tasks.families.hub import kind_of

_LARGEST_OFFSET = 2**31 - 1
"""Largest character offset that the canonical tables (int32) hold."""

Check = Callable[[Any], str | None]
"""Returns what is wrong with a value; None if it is right."""


class RowReport:
    """Collects the mistakes in the rows of one data set; `close` raises them together.

    Args:
        where: the data set, for the messages.
        numbers: the row number, from 1, of each value; None if the values are all rows in order.
    """

    def __init__(self, where: str, numbers: Sequence[int] | None = None) -> None:
        self.where, self.numbers = where, numbers
        self.messages: list[str] = []
        self.count = 0

    def add(self, index: int, column: str, message: str) -> None:
        """Add a mistake in the value number `index` (from 0) of a column."""
        if self.count < MOST:
            row = index + 1 if self.numbers is None else self.numbers[index]
            self.messages.append(f"{self.where}: row {row}, column {column}: {message}")
        self.count += 1

    def close(self) -> None:
        """Raise the collected mistakes, if there are any.

        Raises:
            Problems: at most MOST messages, and how many more there are.
        """
        if self.count > MOST:
            self.messages.append(f"{self.where}: and {self.count - MOST} more")
        if self.messages:
            raise Problems(self.messages)


def check_columns(report: RowReport, columns: Mapping[str, Sequence[Any]], theirs: Mapping[str, str]) -> None:
    """Check every value of a task's columns.

    Args:
        columns: the values of each column, by our name of it.
        theirs: the data set's name of each column, for the messages.

    Raises:
        Problems: values that are null or of another kind, by row and column.
    """
    for name, values in columns.items():
        check = _CHECKS[name]
        for index, value in enumerate(values):
            problem = check(value)
            if problem is not None:
                report.add(index, theirs[name], problem)
    report.close()


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else f"is {kind_of(value)}, expected text"


def _name(value: Any) -> str | None:
    right = isinstance(value, str | int) and not isinstance(value, bool)
    return None if right else f"is {kind_of(value)}, expected text or a whole number"


def _label(value: Any) -> str | None:
    if value is None or isinstance(value, str | int):
        return None
    return f"is {kind_of(value)}, expected a whole number or the name of a label"


def _score(value: Any) -> str | None:
    """Numbers, and text that may be one: files in CSV hold nothing else."""
    right = value is None or (isinstance(value, int | float | str) and not isinstance(value, bool))
    return None if right else f"is {kind_of(value)}, expected a number"


def _labels(value: Any) -> str | None:
    """A list of labels, of 0 and 1, or text with a bar between labels."""
    if value is None or isinstance(value, str):
        return None
    right = isinstance(value, list) and all(isinstance(item, str | int) for item in value)
    return None if right else f"is {kind_of(value)}, expected a list of labels"


def _texts(value: Any) -> str | None:
    return _items(value, _text, "a list of texts")


def _tags(value: Any) -> str | None:
    return _items(value, _name, "a list of tags")


def _items(value: Any, check: Check, expected: str) -> str | None:
    if not isinstance(value, list):
        return f"is {kind_of(value)}, expected {expected}"
    wrong = ((number, check(item)) for number, item in enumerate(value, 1))
    return next((f"item {number} {problem}" for number, problem in wrong if problem is not None), None)


_ANSWERS = "expected the lists text and answer_start, or a list of structs of both"


def _answers(value: Any) -> str | None:
    if isinstance(value, list):
        parts = {"text", "answer_start"}
        wrong = [item for item in value if not isinstance(item, dict) or not parts <= set(item)]
        if wrong:
            return f"holds {kind_of(wrong[0])}, {_ANSWERS}"
        value = {part: [item[part] for item in value] for part in ("text", "answer_start")}
    if not isinstance(value, dict):
        return f"is {kind_of(value)}, {_ANSWERS}"
    texts, starts = value.get("text"), value.get("answer_start")
    if not isinstance(texts, list) or not isinstance(starts, list):
        lists = f"text is {kind_of(texts)} and answer_start is {kind_of(starts)}"
        return f"{lists}, {_ANSWERS}"
    if len(texts) != len(starts):
        return f"{len(texts)} texts for {len(starts)} starts"
    problem = _items(texts, _text, "") or _items(starts, _start, "")
    return f"answers: {problem}" if problem else None


def _start(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and -1 <= value <= _LARGEST_OFFSET:
        return None
    return f"is {kind_of(value)}, expected a character offset"


_TEXTS = ("text_a", "text_b", "text", "context", "question", "prefix", "foreign", "en")
_CHECKS: dict[str, Check] = {
    **dict.fromkeys(_TEXTS, _text),
    "id": _name,
    "choices": _texts,
    "tokens": _texts,
    "tags": _tags,
    "label": _label,
    "labels": _labels,
    "score": _score,
    "answers": _answers,
}
"""The check of each column, by our name of it."""
