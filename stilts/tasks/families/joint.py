"""Joint labelling: one label for a text and one tag for each of its words (the intent of an utterance and its slots).

Two heads read one encoder: a classification head on the class token and a tagging head on the first subword of each
word, as in JointBERT (Chen et al. 2019, arXiv:1902.10909). The labels of a task are those of both heads: a label of the
whole text has the prefix `intent:`, the others are tags.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.errors import counted
from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Family, Lengths
from stilts.tasks.families.checks import check_columns_of_words, first_problems, select
from stilts.tasks.families.files import PredictionFile, WordLines, check_count, known_label
from stilts.tasks.families.hub import HubRows, label_name, tag_columns
from stilts.tasks.families.ragged import Ragged, join
from stilts.tasks.families.registry import register
from stilts.tasks.families.subwords import Frame, features
from stilts.tasks.families.words import NO_LABEL, cut_sentences, is_labelled, word_labels

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

INTENT = "intent:"
"""Begins the labels of whole texts."""


def intents_and_tags(labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the labels of texts and the tags of words, each in their order."""
    return [x for x in labels if x.startswith(INTENT)], [x for x in labels if not x.startswith(INTENT)]


class Joint(Family):
    """A prediction is a list: the label of the text with its prefix, then one tag per word.

    Further features:

    - `positions` list<int32>: index of the first subword of each word, after the 0 of the class token;
    - `classes` list<int32>, parallel to `positions`: the index of the text's label among the intents, then those of the
      tags, which follow the intents; NO_LABEL for none.

    The head returns float32 [1 + words, intents + tags] per row: the scores of intents count in its first entry, those
    of tags in the others. A text over the maximum length becomes several rows, split between words; the first one
    decides on its label. On the hub: `tokens`, `tags`, `label`.
    """

    name = "joint"
    schema = schema.FRAMES
    scored_as = ("frames",)
    gold_column = "tags"
    label_column = "tags"
    tag_column = "tags"
    features = ("positions", "classes")
    splits_examples = True
    takes_labels = True
    usual_metrics = ("metric", "slot_f1", "intent_accuracy", "exact_match")
    usual_format = "frames"
    columns = ("tokens", "tags", "label")
    noise: ClassVar[Mapping[str, tuple[str, ...]]] = {"all": ("tokens",)}

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        return first_problems(_problems(table, task.labels))

    def labels_in(self, table: pa.Table) -> list[str]:
        tags = pc.unique(pc.list_flatten(table["tags"])).to_pylist()
        return [*(INTENT + label for label in pc.unique(table["label"]).to_pylist() if label), *filter(None, tags)]

    def tags_among(self, labels: Sequence[str]) -> list[str]:
        return intents_and_tags(labels)[1]

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        examples = np.arange(table.num_rows)
        if training:
            examples, table = select(table, self.has_gold(table))
        frame = Frame(tokenizer)
        room = frame.room(lengths.max_length)
        pieces = cut_sentences(table["tokens"], tokenizer, room, room)
        words = pieces.positions.like(pieces.positions.values + frame.prefix)
        ones = np.ones(len(pieces), np.int64)
        intents, tags = intents_and_tags(task.labels)
        labels = pc.binary_join_element_wise(INTENT, table["label"], "")
        found = pc.fill_null(pc.index_in(labels, value_set=pa.array(intents, pa.string())), NO_LABEL)
        classes = found.to_numpy().astype(np.int32)[pieces.sentence]
        of_words = word_labels(table, "tags", tags)
        of_words = np.where(of_words == NO_LABEL, NO_LABEL, of_words + len(intents)).astype(np.int32)
        columns = {
            **frame.columns(pieces.subwords),
            "positions": join([Ragged.packed(np.zeros(len(pieces), np.int32), ones), words]).arrow(),
            "classes": join([Ragged.packed(classes, ones), pieces.of_words(of_words)]).arrow(),
        }
        return features(np.arange(len(pieces)), examples[pieces.sentence], columns)

    def from_hub(self, rows: HubRows) -> dict[str, list[Any]]:
        known = [label.removeprefix(INTENT) for label in intents_and_tags(rows.task.labels)[0]]
        return {**tag_columns(rows), "label": rows.names(label_name, known)}

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[list[str]]:
        intents, tags = intents_and_tags(task.labels)
        found: list[list[str]] = [[] for _ in range(table.num_rows)]
        for example, output in zip(features["example"].to_pylist(), outputs, strict=True):
            if not found[example]:
                found[example].append(intents[int(np.argmax(output[0, : len(intents)]))])
            found[example] += [tags[best] for best in np.argmax(output[1:, len(intents) :], axis=1)]
        return found

    def gold(self, table: pa.Table, task: Task) -> list[list[str]] | None:
        if not is_labelled(table, "tags") or not all(table["label"].to_pylist()):
            return None
        rows = zip(table["label"].to_pylist(), table["tags"].to_pylist(), strict=True)
        return [[INTENT + label, *tags] for label, tags in rows]

    def file(self, task: Task) -> PredictionFile:
        """Return the format of tagging, in which the first line of each text is its label."""
        return Frames(task.name, lambda line: known_label(line, task))


class Frames(WordLines):
    """The label of a text with its prefix, then one tag per line, with a blank line between texts."""

    def problems(self, predictions: Any, examples: pa.Table) -> list[str]:
        if wrong := check_count("texts", len(predictions), len(examples)):
            return wrong
        words = pc.list_value_length(examples["tokens"]).to_pylist()
        pairs = enumerate(zip(predictions, words, strict=True), start=1)
        unlike = [(i, len(found) - 1, n) for i, (found, n) in pairs if len(found) - 1 != n]
        return [f"text {i} has {counted(tags, 'tag')} for {counted(n, 'word')}" for i, tags, n in unlike[:1]]


register(Joint())


def _problems(table: pa.Table, labels: Sequence[str]) -> Iterator[str]:
    intents, tags = intents_and_tags(labels)
    yield from check_columns_of_words(table, "tags", set(tags))
    for row, (label, found) in enumerate(zip(table["label"].to_pylist(), table["tags"].to_pylist(), strict=True)):
        if bool(label) != bool(found):
            yield f"row {row}: {'tags but no label' if found else 'a label but no tags'}; a text has both or neither"
        elif label and intents and INTENT + label not in intents:
            yield f"row {row}: label {label!r} is not one of {', '.join(x.removeprefix(INTENT) for x in intents)}"
