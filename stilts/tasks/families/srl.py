"""Semantic role labelling: the arguments of one predicate, as BIO tags on the words of its sentence.

One example is a sentence and one of its predicates (a proposition). The encoder reads the sentence and the predicate
word as a pair of texts, and the head gets the position of the predicate (Shi and Lin 2019, without their recurrent
layer). The vector of a word is the vector of its first subword.

A sentence that is longer than the maximum length is split between words into several pieces. The predicate word is the
second text of every piece; the head uses it as the predicate in pieces that do not contain the predicate itself. The
scores of the pieces are concatenated before decoding, so that an argument may cross the boundary of a piece. Decoding
is the Viterbi algorithm without learned transitions. Its one constraint is that I-X follows B-X or I-X, so that every
prediction is a set of complete spans.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.errors import StiltsError, counted
from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Family, Lengths
from stilts.tasks.families.checks import first_problems, select
from stilts.tasks.families.files import PredictionFile, WordLines, known_label
from stilts.tasks.families.ragged import Ragged, join
from stilts.tasks.families.registry import register
from stilts.tasks.families.subwords import Frame, features, list_lengths
from stilts.tasks.families.words import NO_LABEL, Pieces, cut_sentences, is_labelled, word_labels, word_subwords

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class SemanticRoles(Family):
    """Semantic role labelling. A prediction is a list of tags, one per word.

    Further features:

    - `positions` list<int32>: index of the first subword of each word, then that of the predicate;
    - `labels` list<int32>, parallel to `positions`: the tag of each word; NO_LABEL for the predicate's entry and in
      sentences without gold tags.

    The head returns float32 [words + 1, num_labels] per row. The last entry, the predicate's, is ignored.
    """

    name = "srl"
    schema = schema.PROPOSITIONS
    scored_as = ("arguments",)
    gold_column = "tags"
    features = ("positions", "labels")
    splits_examples = True
    takes_labels = True
    usual_metrics = ("f1", "precision", "recall")
    usual_format = "propositions"
    noise: ClassVar[Mapping[str, tuple[str, ...]]] = {"all": ("tokens",)}

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        return first_problems(_problems(table, set(task.labels)))

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        examples = np.arange(table.num_rows)
        if training:
            examples, table = select(table, self.has_gold(table))
        frame = Frame(tokenizer, pair=True)
        room = _room(frame, lengths)
        predicates = word_subwords(_predicate_words(table), tokenizer, room // 2)
        pieces = cut_sentences(table["tokens"], tokenizer, room - predicates.lengths, room - room // 2)
        positions = pieces.positions
        words = positions.like(positions.values + frame.prefix)
        labels = pieces.of_words(word_labels(table, "tags", task.labels))
        ones = np.ones(len(pieces), np.int64)
        columns = {
            **frame.columns(pieces.subwords, predicates.take(pieces.sentence)),
            "positions": join([words, Ragged.packed(_predicate_positions(table, pieces, frame), ones)]).arrow(),
            "labels": join([labels, Ragged.packed(np.full(len(pieces), NO_LABEL, np.int32), ones)]).arrow(),
        }
        return features(np.arange(len(pieces)), examples[pieces.sentence], columns)

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[list[str]]:
        scores: list[list[np.ndarray]] = [[] for _ in range(table.num_rows)]
        for example, output in zip(features["example"].to_pylist(), outputs, strict=True):
            scores[example].append(output[:-1])
        before = _before_inside(task.labels)
        return [[task.labels[tag] for tag in best_tags(np.concatenate(pieces), before)] for pieces in scores]

    def gold(self, table: pa.Table, task: Task) -> list[list[str]] | None:
        return table["tags"].to_pylist() if is_labelled(table, "tags") else None

    def file(self, task: Task) -> PredictionFile:
        """Return the format of tagging, with a blank line between propositions."""
        return WordLines(task.name, lambda line: known_label(line, task))


register(SemanticRoles())


def best_tags(scores: np.ndarray, before: dict[int, list[int]]) -> list[int]:
    """The valid sequence of tags with the highest sum of scores.

    Args:
        scores: float [words, labels].
        before: for each label that may not begin a sentence (I-X), the two labels that it may follow (B-X and I-X). All
            other labels may follow any label.
    """
    inside = np.array(list(before), np.int64)
    allowed = np.array([before[tag] for tag in before], np.int64).reshape(len(inside), 2)
    total = scores[0].astype(np.float64)
    total[inside] = -np.inf
    back = np.zeros(scores.shape, np.int64)
    for word in range(1, len(scores)):
        back[word] = total.argmax()
        chosen = allowed[np.arange(len(inside)), total[allowed].argmax(axis=1)]
        back[word, inside] = chosen
        total = total[back[word]] + scores[word]
    tags = [int(total.argmax())]
    for word in range(len(scores) - 1, 0, -1):
        tags.append(int(back[word, tags[-1]]))
    return tags[::-1]


def _before_inside(labels: Sequence[str]) -> dict[int, list[int]]:
    """For each label I-X, the labels B-X and I-X that it may follow."""
    number = {label: i for i, label in enumerate(labels)}
    return {i: [number[f"B-{label[2:]}"], i] for label, i in number.items() if label.startswith("I-")}


def _room(frame: Frame, lengths: Lengths) -> int:
    room = frame.room(lengths.max_length)
    if room < 2:
        raise StiltsError(f"max_length {lengths.max_length} leaves no room for a word and its predicate: raise it")
    return room


def _predicate_words(table: pa.Table) -> pa.Array:
    counts = list_lengths(table["tokens"])
    numbers = np.cumsum(counts) - counts + table["predicate"].to_numpy()
    return pc.list_flatten(table["tokens"]).take(pa.array(numbers))


def _predicate_positions(table: pa.Table, pieces: Pieces, frame: Frame) -> np.ndarray:
    """Index of the predicate in the row of each piece: of the word itself, or of its copy in the second text."""
    word = table["predicate"].to_numpy()[pieces.sentence] - pieces.offsets
    inside = (word >= 0) & (word < pieces.counts)
    copies = frame.prefix + pieces.subwords.lengths + frame.between
    own = pieces.positions.values[pieces.positions.starts + np.where(inside, word, 0)] + frame.prefix
    return np.where(inside, own, copies)


def _problems(table: pa.Table, labels: set[str]) -> Iterator[str]:
    columns = (table[name].to_pylist() for name in ("tokens", "predicate", "tags"))
    for row, (tokens, predicate, tags) in enumerate(zip(*columns, strict=True)):
        if not 0 <= predicate < len(tokens):
            yield f"row {row}: predicate {predicate} is no word of a sentence of {counted(len(tokens), 'word')}"
        if tags and len(tags) != len(tokens):
            yield f"row {row}: {len(tokens)} tokens but {len(tags)} tags"
        for tag in sorted(set(tags) - labels):
            yield f"row {row}: tag {tag!r} is none of the task's (PropBank's roles as B-, I- and O)"
        for before, tag in zip(["O", *tags], tags, strict=False):
            if tag.startswith("I-") and before[2:] != tag[2:]:
                yield f"row {row}: {tag} follows {before}; a span begins with B-"
