"""Rows of a data set of the Hugging Face hub, which each family converts to canonical columns (`Family.from_hub`)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stilts.errors import counted
from stilts.tasks.base import HubSource, Task

NO_LABEL: tuple[Any, ...] = (-1, -100)
"""Labels that mean "none": that of a pair without a majority (SNLI), and the index that PyTorch's losses ignore."""


@dataclass(frozen=True)
class HubRows:
    """Columns whose values have the right types.

    Attributes:
        columns: values by the names of `HubSource.columns`.
        classes: the data set's names of the classes of each column; None if it declares none.
        report: `report(row, column, message)` notes a mistake in a value; rows count from 0, columns are the hub's.
    """

    columns: Mapping[str, list[Any]]
    classes: Mapping[str, list[str] | None]
    report: Callable[[int, str, str], None]
    source: HubSource
    task: Task

    def labels(self, index: Callable[[Any], int | str]) -> list[int]:
        """Return the index of each label; a text that `index` returns is reported as a mistake, with the index -1."""
        found = []
        for row, value in enumerate(self.columns["label"]):
            result = index(value)
            if isinstance(result, str):
                self.report(row, self.source.columns["label"], result)
            found.append(-1 if isinstance(result, str) else result)
        return found

    def names(self, name: Callable[[Any, "HubRows"], str | None], labels: Collection[str] | None = None) -> list[str]:
        """Return the name of each label, and empty text where there is none; a label that is none of the task's is
        reported as a mistake.

        Args:
            name: returns the name of a value; None if it has none.
            labels: the labels that are right; by default all of the task's. Empty: any.
        """
        found, known = [], self.task.labels if labels is None else labels
        for row, value in enumerate(self.columns["label"]):
            result = name(value, self)
            if result is None or (result and known and result not in known):
                valid = known or self.classes.get("label") or ()
                self.report(row, self.source.columns["label"], self.unknown(value, valid))
            found.append(result or "")
        return found

    def mapped(self, value: Any) -> int | str:
        """Return the index that the source's own map gives to a label, or what is wrong with the label."""
        labels = self.source.labels or {}
        return labels[value] if value in labels else self.unknown(value, dict.fromkeys(map(str, labels)))

    def unknown(self, value: Any, labels: Any) -> str:
        """Return the message that a label is none of these."""
        return f"label {value!r} is not one of {', '.join(labels)} of task {self.task.name}"


def label_name(value: Any, rows: HubRows) -> str | None:
    """Return the name of a label: by the source's own map, the data set's names of the classes, or the value itself.
    Empty: there is no label. None: the value is no label."""
    if value is None or value in NO_LABEL:
        return ""
    if rows.source.labels is not None:
        index = rows.source.labels.get(value)
        return None if index is None or index >= len(rows.task.labels) else rows.task.labels[index]
    classes = rows.classes.get("label")
    if classes is not None and isinstance(value, int):
        return classes[value] if 0 <= value < len(classes) else None
    return str(value).strip()


def kind_of(value: Any) -> str:
    """Describe a value for a message: `null`, `a number (3)`, `a list`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"a truth value ({value})"
    if isinstance(value, int | float):
        return f"a number ({value})"
    if isinstance(value, str):
        return f"text ({value[:40]!r})"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a struct"
    return f"of type {type(value).__name__}"


def tag_columns(rows: HubRows) -> dict[str, list[Any]]:
    """Return the columns of words and of their tags; a row whose tags do not fit its words is reported."""
    tokens, column = rows.columns["tokens"], rows.source.columns["tags"]
    named = [_tag_names(row, rows.classes["tags"]) for row in rows.columns["tags"]]
    for index, (words, names) in enumerate(zip(tokens, named, strict=True)):
        if isinstance(names, str):
            rows.report(index, column, names)
        elif names and len(names) != len(words):
            rows.report(index, column, f"{counted(len(names), 'tag')} for {counted(len(words), 'token')}")
    return {"tokens": tokens, "tags": [[] if isinstance(names, str) else names for names in named]}


def _tag_names(row: Sequence[Any], classes: list[str] | None) -> list[str] | str:
    """Return the names of a sentence's tags, or what is wrong with one of them."""
    names = []
    for number, tag in enumerate(row, 1):
        if isinstance(tag, str):
            names.append(tag)
        elif classes is None:
            return f"item {number} is {kind_of(tag)}, and the data set does not name its classes"
        elif not 0 <= tag < len(classes):
            return f"item {number} is {kind_of(tag)}, and there are {len(classes)} classes"
        else:
            names.append(classes[tag])
    return names


def answers_of(value: Any) -> list[tuple[str, int]]:
    """Return (text, start) of each answer of a value in one of SQuAD's forms, without answers whose text is empty."""
    if isinstance(value, dict):
        pairs = list(zip(value["text"], value["answer_start"], strict=True))
    else:
        pairs = [(item["text"], item["answer_start"]) for item in value]
    return [(text, start) for text, start in pairs if text]
