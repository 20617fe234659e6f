"""Tagging: one tag for each word, predicted from its first subword (UD-POS, PAN-X, CCG)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from stilts.errors import counted
from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Family, Lengths
from stilts.tasks.families.checks import first_problems, select
from stilts.tasks.families.files import PredictionFile, WordLines, known_label
from stilts.tasks.families.hub import HubRows, kind_of
from stilts.tasks.families.registry import register
from stilts.tasks.families.subwords import Frame, features
from stilts.tasks.families.words import cut_sentences, is_labelled, word_labels

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Tagging(Family):
    """A prediction is a list of tags. Features add `positions` list<int32> (first subword of each word) and `labels`
    list<int32> (NO_LABEL: none). The head returns float32 [len(positions), num_labels] per row.

    A sentence over the maximum length becomes several rows, split between words: separate items of the same `example`.
    On the hub: `tokens`, `tags`.
    """

    name = "tagging"
    schema = schema.TAGGING
    scored_as = ("words", "entities")
    gold_column = "tags"
    label_column = "tags"
    tag_column = "tags"
    features = ("positions", "labels")
    splits_examples = True
    takes_labels = True
    usual_format = "tags"
    columns = ("tokens", "tags")
    noise: ClassVar[Mapping[str, tuple[str, ...]]] = {"all": ("tokens",)}

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        return first_problems(_problems(table, set(task.labels)))

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        examples = np.arange(table.num_rows)
        if training:
            examples, table = select(table, self.has_gold(table))
        frame = Frame(tokenizer)
        room = frame.room(lengths.max_length)
        pieces = cut_sentences(table["tokens"], tokenizer, room, room)
        positions = pieces.positions
        columns = {
            **frame.columns(pieces.subwords),
            "positions": positions.like(positions.values + frame.prefix).arrow(),
            "labels": pieces.of_words(word_labels(table, "tags", task)).arrow(),
        }
        return features(np.arange(len(pieces)), examples[pieces.sentence], columns)

    def from_hub(self, rows: HubRows) -> dict[str, list[Any]]:
        tokens, column = rows.columns["tokens"], rows.source.columns["tags"]
        named = [_tag_names(row, rows.classes["tags"]) for row in rows.columns["tags"]]
        for index, (words, names) in enumerate(zip(tokens, named, strict=True)):
            if isinstance(names, str):
                rows.report(index, column, names)
            elif names and len(names) != len(words):
                rows.report(index, column, f"{counted(len(names), 'tag')} for {counted(len(words), 'token')}")
        return {"tokens": tokens, "tags": [[] if isinstance(names, str) else names for names in named]}

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[list[str]]:
        tags: list[list[str]] = [[] for _ in range(table.num_rows)]
        for example, output in zip(features["example"].to_pylist(), outputs, strict=True):
            tags[example].extend(task.labels[best] for best in np.argmax(output, axis=1))
        return tags

    def gold(self, table: pa.Table, task: Task) -> list[list[str]] | None:
        return table["tags"].to_pylist() if is_labelled(table, "tags") else None

    def file(self, task: Task) -> PredictionFile:
        return WordLines(task.name, lambda line: known_label(line, task))


register(Tagging())


def _problems(table: pa.Table, labels: set[str]) -> Iterator[str]:
    for row, (tokens, tags) in enumerate(zip(table["tokens"].to_pylist(), table["tags"].to_pylist(), strict=True)):
        if not tokens:
            yield f"row {row}: the sentence has no tokens"
        if tags and len(tags) != len(tokens):
            yield f"row {row}: {len(tokens)} tokens but {len(tags)} tags"
        for tag in sorted(set(tags) - labels) if labels else ():
            yield f"row {row}: tag {tag!r} is not one of {', '.join(sorted(labels))}"


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
